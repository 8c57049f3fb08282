"""A cache of loaded and linked classes (JEP 483, 514, 515), with which a JVM of crossmesh starts in half the time.

The first start makes it for the later ones: a training agent of its own, at the lowest priority, which ends by itself
once it is ready and writes the cache as it ends. An agent that wrote it itself would take seconds longer to end.

The cache holds code that we run, so it lies in a directory that only this user can write to, and appears under its
name when it is complete. The JVM compares the cache with itself, its flags and the jar, and starts without one that
does not fit; that it says so is turned off, since nobody needs to act on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ._java_options import OPTIONS

SWITCH = "CROSSMESH_AOT"
CACHES_MAX = 4
FREE_BYTES_MIN = 512 << 20  # a cache takes 40 MiB, and as much again while it is made
RETRY_SECONDS = 24 * 3600.0
TRAINING_SECONDS_MAX = 120
QUIET = ("-Xlog:aot*=off", "-Xlog:cds*=off")

# $1 working directory, $2 cache, $3 mark of a failure, $4 a file to wait for; the rest starts the JVM. The shell that
# Python starts ends at once and leaves the work to a child of nobody's, so no parent has to collect it.
_TRAIN = """
umask 077
(
  work=$1 cache=$2 failed=$3 after=$4 waits=60
  shift 4
  until [ -e "$after" ] || [ "$((waits -= 1))" -lt 0 ]; do sleep 1; done
  if "$@" </dev/null >/dev/null 2>&1 && [ -s "$work/aot" ] && chmod 600 "$work/aot" && mv -f "$work/aot" "$cache"
  then rm -f "$failed"
  else : >"$failed"
  fi
  rm -rf "$work"
) </dev/null >/dev/null 2>&1 &
"""


def cache_path(java: Path, flags: Sequence[str], jar: Path, env: Mapping[str, str] | None = None) -> Path | None:
    """Where the cache for a JVM with these flags and this jar lies, whether or not it is there.

    **Arguments:**

    - `env`: the JVM's environment, if it is not ours.

    **Returns:** `None` if it is switched off, if the environment has options for JVMs (with some, as `-Xmn`, a JVM
        does not pass over a cache made without them but fails), or if there is no directory that is this user's alone.
    """
    environ = os.environ if env is None else env
    if environ.get(SWITCH, "on").lower() in ("off", "0", "false", "no") or any(environ.get(name) for name in OPTIONS):
        return None
    try:
        directory = _directory()
        key = hashlib.sha256("\0".join((*_identity_of_java(java), *flags, *_identity(jar))).encode()).hexdigest()
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    return None if directory is None else directory / f"{key[:24]}.aot"


def cache_flags(cache: Path | None) -> list[str]:
    """What makes a JVM use a cache; nothing if it is not there."""
    try:
        if cache is None or not cache.stat().st_size:
            return []
        os.utime(cache)  # the last use, by which old ones are told
    except OSError:
        return []
    return [f"-XX:AOTCache={cache}", *QUIET]


def make_cache(
    cache: Path | None,
    java: Sequence[str],
    jar: Path,
    transport: str,
    env: Mapping[str, str],
    after: Path | None = None,
) -> bool:
    """Begin to make a cache, if it is not there and nobody makes one; returns at once.

    **Arguments:**

    - `cache`: from `cache_path`.
    - `java`: `java` and its flags.
    - `jar`, `transport`, `env`: of the agent that is started to see what it loads.
    - `after`: a file whose appearance is waited for, at most a minute, so that nothing else is slowed down.

    **Returns:** whether a training agent was started. It ends by itself, also if this process ends before.
    """
    if cache is None or cache.exists() or _failed_lately(_mark(cache)):
        return False
    try:
        lock = os.open(cache.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        # Whoever trains inherits the lock, so it is free again when the last process of the training is gone.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if cache.exists():
            return False
        _tidy(cache)
        if shutil.disk_usage(cache.parent).free < FREE_BYTES_MIN:
            return False
        work = Path(tempfile.mkdtemp(prefix="making-", dir=cache.parent))
        training = _training(work, java, jar, transport)
        subprocess.run(
            ["/bin/sh", "-c", _TRAIN, "sh", work, cache, _mark(cache), after or work, *training],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(env),
            pass_fds=(lock,),
            start_new_session=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        os.close(lock)
    return True


def drop_cache(cache: Path | None) -> None:
    """Remove a cache with which a JVM crashed."""
    if cache is not None:
        with contextlib.suppress(OSError):
            cache.unlink()


def _training(work: Path, java: Sequence[str], jar: Path, transport: str) -> list[str]:
    prefix = ["timeout", "-k", "5", str(TRAINING_SECONDS_MAX)] if shutil.which("timeout") else []
    prefix += ["nice", "-n", "19"] if shutil.which("nice") else []
    command = [*java, f"-XX:AOTCacheOutput={work / 'aot'}", f"-Djava.io.tmpdir={work}", "-jar", str(jar), "agent"]
    command += ["--name", "aot", "--transport", transport, "--arena", "1MiB", "--arena-dir", str(work)]
    return [*prefix, *command, "--info-file", str(work / "info.json"), "--exit-with-stdin"]


def _directory() -> Path | None:
    stated = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(stated) if Path(stated).is_absolute() else Path.home() / ".cache"
    directory = base / "crossmesh"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return directory if private and os.access(directory, os.W_OK | os.X_OK) else None


def _identity(path: Path) -> tuple[str, str, str]:
    found = path.stat()
    return str(path), str(found.st_size), str(found.st_mtime_ns)


def _identity_of_java(java: Path) -> tuple[str, ...]:
    real = java.resolve(strict=True)
    modules = real.parent.parent / "lib" / "modules"  # an update in place changes this file
    return (*_identity(real), *(_identity(modules) if modules.exists() else ()))


def _mark(cache: Path) -> Path:
    return cache.with_suffix(".failed")


def _failed_lately(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime < RETRY_SECONDS
    except OSError:
        return False


def _tidy(cache: Path) -> None:
    """Removes what killed trainings left, and the caches that were used longest ago; the lock is ours."""
    for left in cache.parent.glob("making-*"):
        shutil.rmtree(left, ignore_errors=True)
    for suffix in ("*.aot", "*.failed"):
        by_use = sorted(cache.parent.glob(suffix), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in by_use[CACHES_MAX - 1 :]:
            old.unlink(missing_ok=True)
