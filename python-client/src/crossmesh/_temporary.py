"""Where private directories of JVMs go: a JVM writes its log and its files there, and loads a library from there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ._errors import AgentUnavailable


def temporary_directory() -> Path:
    """The system's temporary directory, or the first other one that is writable and does not forbid execution.

    Hardened hosts mount `/tmp` so that nothing in it can be executed, nor loaded as a library. Directories that are
    this user's anyhow are looked at then, and one that forbids execution is taken only where there is no other.

    **Raises:** `AgentUnavailable` if none is writable.
    """
    seen = []
    forbidding = None
    for directory in _candidates():
        seen.append(str(directory))
        if not _writable(directory):
            continue
        if not forbids_execution(directory):
            return directory
        forbidding = forbidding or directory
    if forbidding is not None:
        return forbidding
    raise AgentUnavailable(
        f"No temporary directory is writable (looked at {', '.join(dict.fromkeys(seen))}). "
        "Set TMPDIR to one that is, on a file system that does not forbid execution."
    )


def forbids_execution(directory: Path) -> bool:
    """Whether the file system is mounted `noexec`."""
    return bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)


def _candidates() -> Iterator[Path]:
    try:
        yield Path(tempfile.gettempdir())
    except FileNotFoundError:
        yield Path(os.environ.get("TMPDIR") or "/tmp")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime)
    with contextlib.suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield Path("/var/tmp")
    yield Path("/dev/shm")


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
