"""What `crossmesh doctor` looks at: each check tries the thing itself, and says what mends it where it fails."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np

from . import __version__
from ._agent import PROTOCOL, flight_action
from ._cluster import LocalCluster
from ._errors import CrossmeshError
from ._java import find_jar, find_java
from ._java_options import mention
from ._mesh import Mesh
from ._plan import plan
from ._sharding import Sharding
from ._temporary import forbids_execution, temporary_directory
from ._tls import Tls, open_door
from ._ucx import find_ucx, ucx_env

SHARED_MEMORY = "/dev/shm"
SHARED_MEMORY_MIN = 256 << 20
SHARED_MEMORY_WANTED = 2 << 30
JAVA_SECONDS_MAX = 60.0
CLOCK_TICK_SECONDS = 1e-3  # agents tell milliseconds
FILES_MIN = 1024
CLOCK_SKEW_MAX_SECONDS = 1.0
PEER_SECONDS_MAX = 10.0
PEER_QUESTIONS = 5  # the shortest round trip says most about the clock
PROBE_BYTES = 16 << 20
TRIED_ELEMENTS = 1 << 18


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `good` is `None` for what works but deserves a look; `text` says what mends it."""

    name: str
    good: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """What this host has, one finding after the other, each when its check has ended."""
    yield from _versions()
    java = _found("java", _java)
    yield java
    jar = _found("agent", lambda: str(find_jar()))
    yield jar
    yield _found("temporary files", _temporary)
    loopback = _found("loopback", _loopback)
    yield loopback
    ucx = _ucx()
    yield ucx
    yield _rdma()
    yield _gpus()
    yield _shared_memory()
    yield _open_files()
    if java.good and jar.good and loopback.good:  # else what is wrong has been said
        planner = _found("planner", _planned)
        yield planner
        if planner.good:
            yield _found("transfer", lambda: _moved("ucx" if ucx.good else "flight"))


def _versions() -> Iterator[Finding]:
    yield Finding("crossmesh", True, f"{__version__} in {Path(__file__).parent}")
    yield Finding("python", True, f"{platform.python_version()}: {sys.executable}")
    for package in ("numpy", "pyarrow"):
        yield Finding(package, True, version_of(package))
    try:
        yield Finding("jax", True, f"{version_of('jax')}, jaxlib {version_of('jaxlib')}")
    except PackageNotFoundError:
        yield Finding("jax", None, "not installed; cm.jax and pipelines need it: pip install 'crossmesh[jax]'")


def _java() -> str:
    found = find_java()
    done = subprocess.run(
        [found.path, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS_MAX, check=False
    )
    said = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    if done.returncode or said is None:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["nothing"]
        raise CrossmeshError(f"{found.path} by {found.source} does not run, it says: {lines[0]}{mention(os.environ)}")
    return f"{said.group(1)} by {found.source}: {found.path}"


def _temporary() -> str:
    used, wanted = temporary_directory(), Path(os.environ.get("TMPDIR") or "/tmp")
    if forbids_execution(used):
        raise CrossmeshError(
            f"{used} forbids execution (noexec), and there is no other; UCX cannot be loaded from there. "
            "Set TMPDIR to a directory that allows it."
        )
    return str(used) if used == wanted else f"{used}, as {wanted} is not writable or forbids execution"


def _loopback() -> str:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PEER_SECONDS_MAX)
            with socket.create_connection(server.getsockname(), PEER_SECONDS_MAX):
                return "127.0.0.1 takes connections"
    except OSError as error:
        raise CrossmeshError(f"127.0.0.1 takes no connections: {error}. Switch it on with: ip link set lo up") from None


def ask(peers: Sequence[str], token: str) -> Iterator[Finding]:
    """What other agents answer.

    **Arguments:**

    - `peers`: their Flight doors, as `host:port` or `name=host:port`.
    - `token`: the cluster's token.
    """
    for peer in peers:
        yield from _peer(peer, token)


def _found(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except CrossmeshError as error:
        return Finding(name, False, str(error))


def _planned() -> str:
    mesh = Mesh((2,), hosts=["a", "b"])
    made = plan((2, 3), "int32", Sharding(mesh, "S0 R"), Sharding(mesh, "R R"))
    return f"a plan was made, digest {made.digest[:12]}"


def _ucx() -> Finding:
    ucx = find_ucx()
    if not ucx.available:
        return Finding("ucx", False, f"{ucx.reason}; or start all agents with --transport flight, which needs none")
    try:
        version = _ucx_version(ucx.library_path)
    except OSError as error:
        return Finding("ucx", False, f"{ucx.library_path or 'libucp.so.0'} cannot be loaded: {error}. {_mend(error)}")
    tls = ucx_env(dict(os.environ))["UCX_TLS"]
    return Finding("ucx", True, f"{version} by {ucx.source}, UCX_TLS={tls}")


def _mend(error: OSError) -> str:
    """What mends a library that does not load, by what the dynamic linker says of it."""
    said = str(error)
    missing = re.search(r"(lib[^ :/]+): cannot open shared object file", said)
    if missing is not None and not missing.group(1).startswith("libucp."):
        return f"Install the library {missing.group(1)}, which it needs"
    if "failed to map segment" in said or "not permitted" in said:
        return "Its file system forbids execution (noexec): move it, or set CROSSMESH_UCX to the directory of another"
    if "invalid ELF header" in said or "file too short" in said:
        return "The file is damaged: install it again, or set CROSSMESH_UCX to the directory of another"
    return "Set CROSSMESH_UCX to the directory of another"


def _ucx_version(directory: Path | None) -> str:
    name = "libucp.so.0"
    path = name if directory is None else str(directory / name)
    if directory is not None and not Path(path).exists():
        path = str(directory / "libucp.so")
    library = ctypes.CDLL(path)
    library.ucp_get_version_string.restype = ctypes.c_char_p
    return str(library.ucp_get_version_string().decode())


def _rdma() -> Finding:
    """Hardware that UCX could use beside TCP and shared memory; none is no fault."""
    devices = sorted(path.name for path in Path("/sys/class/infiniband").glob("*"))
    tls = ucx_env(dict(os.environ))["UCX_TLS"].split(",")
    if devices and not {"rc", "ud", "dc", "ib", "all"} & {kind.split("_")[0] for kind in tls}:
        text = f"{', '.join(devices)}. UCX_TLS leaves RDMA out: set UCX_TLS=rc,sm,self for it"
        return Finding("rdma", None, text)
    return Finding("rdma", True, ", ".join(devices) or "none")


def _gpus() -> Finding:
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return Finding("nvidia gpus", True, ", ".join(devices) or "none")


def _shared_memory() -> Finding:
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
    except OSError as error:
        return Finding("shared memory", False, f"{SHARED_MEMORY}: {error}. Give agents another --arena-dir in memory")
    text = f"{SHARED_MEMORY} has {usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MiB free"
    if usage.free < SHARED_MEMORY_MIN:
        size = f"{(usage.total - usage.free + SHARED_MEMORY_WANTED) >> 20}m"
        mend = f"Enlarge it with: mount -o remount,size={size} {SHARED_MEMORY} (a container's: docker run --shm-size="
        mend += f"{size}), delete what fills it, or use --arena and --arena-dir"
        return Finding("shared memory", False, f"{text}. {mend}")
    return Finding("shared memory", True, text)


def _open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"at most {soft} (hard limit {hard})"
    if soft < FILES_MIN:
        return Finding("open files", None, f"{text}. A large cluster needs more: ulimit -n {FILES_MIN}")
    return Finding("open files", True, text)


def _moved(transport: str) -> str:
    """Two agents, one tensor, every byte compared."""
    source = Sharding(Mesh((2,), hosts=["a"]), "S0 R")
    target = Sharding(Mesh((2,), hosts=["b"]), "R S0")
    tensor = np.arange(TRIED_ELEMENTS, dtype=np.int32).reshape(256, -1)
    with LocalCluster(hosts=["a", "b"], arena="16MiB", transport=transport) as cluster:
        transport = cluster.status()["a"]["transport"]
        started = time.perf_counter()
        tiles = cluster.reshard(tensor, source, target)
        seconds = time.perf_counter() - started
    for index, place in target.shards(tensor.shape).items():
        if not np.array_equal(tiles[index], tensor[place]):
            raise CrossmeshError(f"Tile {index} came out wrong. Please report it with the output of this command.")
    moved = f"{tensor.nbytes >> 20} MiB by {transport} in {seconds * 1e3:.0f} ms"
    return f"two agents of this host moved {moved}, every byte right"


def _peer(text: str, token: str) -> Iterator[Finding]:
    expected, _, address = text.rpartition("=")
    label = f"peer {text}"
    try:
        round_trip, skew = min(_asked(address, token) for _ in range(PEER_QUESTIONS))
        hello = flight_action(address, token, "hello", {"v": 1, "protocol": PROTOCOL}, PEER_SECONDS_MAX)
    except CrossmeshError as error:
        yield Finding(label, False, str(error))
        return
    name = str(hello["name"])
    if expected and name != expected:
        yield Finding(label, False, f"the agent there is {name!r}. Correct --peer")
        return
    transport = hello.get("transport_address")
    if transport is None:
        yield Finding(label, False, f"{name!r} answers, but has no transport. Run crossmesh doctor on its host")
    else:
        moves = f"moves bytes by {hello['transport']} at {transport}"
        yield Finding(label, True, f"{name!r} answers in {round_trip * 1e3:.1f} ms, {moves}")
    uncertain = round_trip / 2 + CLOCK_TICK_SECONDS
    if abs(skew) <= uncertain:
        clock = f"the same as this host's, give or take {uncertain * 1e3:.1f} ms"
    else:
        way = "ahead of" if skew > 0 else "behind"
        clock = f"{abs(skew) * 1e3:.1f} ms {way} this host's, give or take {uncertain * 1e3:.1f} ms"
    if abs(skew) - uncertain > CLOCK_SKEW_MAX_SECONDS:
        yield Finding(f"clock of {name}", None, f"{clock}. Transfers do not care, traces and logs do: run NTP")
    else:
        yield Finding(f"clock of {name}", True, clock)
    yield _found(f"bandwidth to {name}", lambda: _bandwidth(address, token, name))


def _asked(address: str, token: str) -> tuple[float, float]:
    """The round trip of a question, in seconds, and by how much the peer's clock is ahead, give or take half of it."""
    asked = time.time()
    started = time.perf_counter()
    health = flight_action(address, token, "health", {"v": 1}, PEER_SECONDS_MAX)
    round_trip = time.perf_counter() - started
    return round_trip, float(health["time"]) - (asked + round_trip / 2)


def _bandwidth(address: str, token: str, host: str) -> str:
    """Puts one tile at the peer and drops it again."""
    import pyarrow as pa
    from pyarrow import flight

    tensor = f"crossmesh.doctor.{secrets.token_hex(8)}"
    descriptor = {
        "v": 1,
        "tensor": tensor,
        "shape": [PROBE_BYTES],
        "dtype": "uint8",
        "layout": {"mesh": {"shape": [1], "axis_names": [], "devices": [[host, 0]]}, "spec": "R"},
        "device": 0,
    }
    batch = pa.record_batch([pa.array(np.zeros(PROBE_BYTES, np.uint8))], names=["data"])
    options = flight.FlightCallOptions(
        timeout=PEER_SECONDS_MAX, headers=[(b"authorization", b"Bearer " + token.encode())]
    )
    command = flight.FlightDescriptor.for_command(json.dumps(descriptor).encode())
    seconds = []
    try:
        with open_door(address, Tls.from_env()) as client:
            for _ in range(2):  # the first connects, and finds the agent's code cold
                started = time.perf_counter()
                writer, _ = client.do_put(command, batch.schema, options)
                writer.write_batch(batch)
                writer.close()
                seconds.append(time.perf_counter() - started)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CrossmeshError(f"it did not take {PROBE_BYTES >> 20} MiB: {reason}. Look at its log") from None
    finally:
        if seconds:
            flight_action(address, token, "drop", {"v": 1, "tensor": tensor}, PEER_SECONDS_MAX)
    return f"{PROBE_BYTES / min(seconds) / 1e6:.0f} MB/s by Flight, one stream (crossmesh bench link measures UCX)"
