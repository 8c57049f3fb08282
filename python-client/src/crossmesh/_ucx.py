"""Finding the UCX libraries that carry the bytes between agents."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

_MEND = "Mend it with: pip install 'crossmesh[ucx]', or apt-get install libucx0"


@dataclass(frozen=True, slots=True)
class Ucx:
    """Where UCX is. `available` tells whether there is one; `reason` says why not, and what to install.

    `library_path` is `None` for a UCX that the system's linker finds by itself.
    """

    available: bool
    library_path: Path | None
    source: str
    reason: str = ""


def find_ucx() -> Ucx:
    """The UCX libraries to use: `CROSSMESH_UCX` (a directory, or `none`), the libucx wheel, or the system's."""
    stated = os.environ.get("CROSSMESH_UCX")
    if stated == "none":
        return Ucx(False, None, "CROSSMESH_UCX", "CROSSMESH_UCX=none switches it off. Unset it to use UCX")
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "AMD64"):
        return Ucx(
            False,
            None,
            "platform",
            f"UCX from Java exists for Linux on x86_64 only, this is {sys.platform} on {machine}. "
            "Planning and Flight work here; run the agents on such hosts",
        )
    if stated:
        directory = Path(stated)
        if not has_ucp(directory):
            return Ucx(False, None, "CROSSMESH_UCX", f"CROSSMESH_UCX={stated} holds no libucp.so. Correct or unset it")
        return Ucx(True, directory, "CROSSMESH_UCX")
    wheel = importlib.util.find_spec("libucx")
    for place in wheel.submodule_search_locations or () if wheel is not None else ():
        directory = Path(place) / "lib"
        if has_ucp(directory):
            return Ucx(True, directory, "the libucx wheel")
    if ctypes.util.find_library("ucp") is not None:
        return Ucx(True, None, "the system")
    return Ucx(False, None, "nowhere", f"no UCX libraries were found. {_MEND}")


def has_ucp(directory: Path) -> bool:
    """Whether a directory holds the UCP library, under either of its names."""
    return (directory / "libucp.so").exists() or (directory / "libucp.so.0").exists()


def ucx_env(environ: dict[str, str]) -> dict[str, str]:
    """What UCX must find in the environment of a JVM. What the user has set stays.

    Signals and errors belong to the JVM; without the two `ERROR_HANDLING` keys, peers that watch each other lose
    shared memory; an unset `UCX_TLS` may choose a transport that does not reach the peer. With the default queue of
    64 messages shared memory stalls on every rendezvous while the other side sleeps (docs/performance.md).
    """
    wanted = {
        "UCX_ERROR_SIGNALS": "",
        "UCX_HANDLE_ERRORS": "none",
        "UCX_POSIX_ERROR_HANDLING": "y",
        "UCX_SYSV_ERROR_HANDLING": "y",
        "UCX_POSIX_FIFO_SIZE": "1024",
        "UCX_SYSV_FIFO_SIZE": "1024",
        "UCX_WARN_UNUSED_ENV_VARS": "n",
        "UCX_TLS": "tcp,sm,self",
    }
    return {key: environ.get(key, value) for key, value in wanted.items()}
