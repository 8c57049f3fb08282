"""Starting a JVM of crossmesh and living and dying with it.

The JVM holds the read end of a pipe whose write end is ours: when this process ends, in whatever way, the JVM reads
the end of its input and ends too. It runs in a session of its own, so that Ctrl-C reaches only Python, which then
ends it in order. Ports and tokens come back through a private file, never by argv or output.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _fork
from ._aot import cache_flags, cache_path, drop_cache, make_cache
from ._errors import AgentUnavailable
from ._java import find_jar, find_java
from ._java_options import chosen_collector, mention
from ._private import PrivateDirectory
from ._ucx import find_ucx, ucx_env

START_SECONDS_MAX = 60.0
END_SECONDS_MAX = 15.0
_log = logging.getLogger(__name__)

LOG_LINES_QUOTED = 12

COLLECTOR = "-XX:+UseSerialGC"
JVM_FLAGS = (
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    COLLECTOR,
    "-Xms32m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
)


HEAP = "512m"
PLANNER_HEAP = "3g"  # a plan of a million moves, and one being made beside it


class Jvm:
    """One JVM that this process started.

    **Arguments:**

    - `command`: the jar's subcommand and its options, without `--info-file` and `--exit-with-stdin`.
    - `label`: what messages call it.
    - `with_ucx`: whether it shall load UCX.
    - `env`: additions to its environment.
    - `heap`: the most Java heap that it may use.

    It is not ready before `wait_ready`; several can start at the same time.

    **Raises:** `AgentUnavailable` if there is no Java or no jar.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        label: str,
        with_ucx: bool = False,
        env: Mapping[str, str] | None = None,
        heap: str = HEAP,
    ) -> None:
        self.label = label
        java = java_command(with_ucx=with_ucx, heap=heap)
        self._directory = PrivateDirectory()
        self.info_path = self._directory.path / "info.json"
        self._log = self._directory.path / "log"
        self._info: dict[str, Any] | None = None
        self._closing = threading.Lock()
        self._origin = _fork.Origin()
        jar = find_jar()
        self._cache = cache_path(Path(java[0]), JVM_FLAGS, jar, {**os.environ, **(env or {})})
        argv = [*java, *cache_flags(self._cache), f"-Djava.io.tmpdir={self._directory.path}", "-jar", str(jar)]
        argv += [*command, "--info-file", str(self.info_path), "--exit-with-stdin"]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=child_env() | dict(env or {}),
                    pass_fds=(self._directory.lock,),  # the directory stays for as long as the JVM, too
                )
        except OSError as error:
            self._directory.close()
            raise AgentUnavailable(f"{label} cannot be started with {java[0]}: {error}.") from None
        self._begun = time.monotonic()
        _log.debug("%s starts as process %d with %s", label, self._process.pid, java[0])
        _fork.watch(self)

    @property
    def pid(self) -> int:
        """The JVM's process id."""
        return self._process.pid

    def wait_ready(self, timeout: float = START_SECONDS_MAX) -> dict[str, Any]:
        """What the JVM wrote about itself, once it is ready.

        **Raises:** `AgentUnavailable` quoting its log if it ended or is not ready in time.
        """
        deadline = time.monotonic() + timeout
        while self._info is None:
            with contextlib.suppress(FileNotFoundError):
                self._info = json.loads(self.info_path.read_text(encoding="utf-8"))
                break
            if self._process.poll() is not None:
                if self._process.returncode < 0:
                    drop_cache(self._cache)  # in case it was the cache that crashed it
                raise AgentUnavailable(f"{self.label} ended while it started{self.post_mortem()}")
            if time.monotonic() > deadline:
                raise AgentUnavailable(f"{self.label} was not ready within {timeout:g} s{self.post_mortem()}")
            time.sleep(0.01)
        else:
            return self._info
        _log.info("%s is ready, process %d, after %.2f s", self.label, self.pid, time.monotonic() - self._begun)
        return self._info

    def post_mortem(self) -> str:
        """How it ended and the last lines of its log, to put at the end of a message."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        code = self._process.returncode
        how = "" if code is None else f" ({_how(code)})"
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        lines = [line for line in lines if not line.startswith("\tat ")]  # a trace says most in its other lines
        said = "\n  ".join(lines[-LOG_LINES_QUOTED:]) if lines else "(nothing)"
        return f"{how}. It said:\n  {said}{mention(os.environ)}"

    def alive(self) -> bool:
        """Whether the process runs. A forked child cannot tell, and says no."""
        return self._origin.here and self._process.poll() is None

    def close(self) -> None:
        """End the JVM and remove its directory. A second call does nothing, nor does one in a forked child."""
        if not self._origin.here:
            return
        with self._closing:
            stdin = self._process.stdin
            if stdin is not None and not stdin.closed:
                with contextlib.suppress(OSError):
                    stdin.close()
            try:
                self._process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._directory.close()
        _log.debug("%s has ended with %s", self.label, _how(self._process.returncode))

    def let_go(self) -> None:
        """Begin the end without waiting for it, so that several JVMs can end together. Not in a forked child."""
        if not self._origin.here:
            return
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with contextlib.suppress(OSError):
                stdin.close()

    def forked(self) -> None:
        """See `Forking`. A forked child would hold the pipe open and keep the JVM alive after its parent."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            _fork.cut_off(stdin.fileno())


def java_command(*, with_ucx: bool, heap: str = HEAP) -> list[str]:
    """`java` with the flags that crossmesh needs.

    **Raises:** `AgentUnavailable` if there is no Java that is new enough.
    """
    flags = [flag for flag in JVM_FLAGS if flag != COLLECTOR or chosen_collector(os.environ) is None]
    command = [str(find_java().path), *flags, f"-Xmx{heap}"]
    ucx = find_ucx() if with_ucx else None
    if ucx is not None and ucx.library_path is not None:
        command.append(f"-Djava.library.path={ucx.library_path}")
    return command


def make_class_cache(after: Path | None = None) -> bool:
    """Begin to make the cache with which later JVMs start faster, unless it is there; returns at once.

    To be called when the JVMs that are wanted now are ready, or with `after`: the info file of the one that is not yet.

    **Returns:** whether something was begun.
    """
    java, jar = java_command(with_ucx=True), find_jar()
    transport = "ucx" if find_ucx().available else "none"
    return make_cache(cache_path(Path(java[0]), JVM_FLAGS, jar), java, jar, transport, child_env(), after)


def child_env() -> dict[str, str]:
    """The environment of a JVM: ours, with what UCX must find before it starts."""
    environ = dict(os.environ)
    environ.pop("CROSSMESH_TOKEN", None)
    return environ | ucx_env(environ)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
