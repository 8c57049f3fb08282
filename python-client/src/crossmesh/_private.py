"""Directories of this user alone that go with the processes that use them.

The process that makes one holds a lock on it, which the kernel drops with the last process that has it open, however
that ends. Whoever makes the next one removes those whose lock is free. A lock is asked, not a process number: numbers
are used again, and containers that share a temporary directory do not share them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from . import _fork
from ._errors import AgentUnavailable
from ._temporary import temporary_directory

TRIES_MAX = 100
LOCK = "lock"


class PrivateDirectory:
    """A new directory of mode 0700. Those that dead processes left are removed first.

    **Raises:** `AgentUnavailable` if it cannot be made, or somebody else owns the place for it.
    """

    def __init__(self) -> None:
        self._origin = _fork.Origin()
        self._files: list[int] = []
        base = _base()
        try:
            for old in base.iterdir():
                _remove_dead(old)
            self.path = self._make(base)
        except OSError as error:
            raise AgentUnavailable(
                f"A private directory cannot be made in {base}: {error}. Set TMPDIR to a directory of your own."
            ) from None
        weakref.finalize(self, _close, self._files).atexit = False

    @property
    def lock(self) -> int:
        """The file descriptor that holds the lock, for a program that uses the directory, too."""
        return self._files[0]

    def close(self) -> None:
        """Remove it. A second call does nothing, nor does one in a forked child."""
        if self._origin.here and self._files:
            shutil.rmtree(self.path, ignore_errors=True)
            _close(self._files)

    def forked(self) -> None:
        """See `Forking`. A child must not keep what its dead parent left."""
        for file in self._files:
            _fork.cut_off(file)

    def _make(self, base: Path) -> Path:
        for _ in range(TRIES_MAX):
            path = Path(tempfile.mkdtemp(dir=base))
            with _fork.making:
                _fork.watch(self)
                lock = _lock(path)
                if lock is not None:
                    self._files.append(lock)
                    return path
            # Somebody took it for one that a dead process left, in the moment before it was locked.
        raise FileNotFoundError(f"{TRIES_MAX} directories were removed by others as they were made")


def _base() -> Path:
    base = temporary_directory() / f"crossmesh-run-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise AgentUnavailable(f"{base} belongs to someone else. Remove it, or set TMPDIR to a directory of your own.")
    return base


def _lock(path: Path) -> int | None:
    """Lock a directory; `None` if somebody else has the lock, or removed the directory before we had it."""
    try:
        file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), (path / LOCK).stat(follow_symlinks=False)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def _remove_dead(path: Path) -> None:
    file = _lock(path)
    if file is not None:
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(file)


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())
