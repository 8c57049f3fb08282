"""How the agent of this host knows that this process lives: a Unix socket that the kernel ends with the process.

The agent ends a session when its socket ends. So nothing else may hold the socket open: it is closed on exec and cut
off in forked children, of which a data loader may outlive its parent. The protocol is in docs/agent.md.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
import weakref
from pathlib import Path

from . import _fork
from ._errors import AgentUnavailable

MAGIC = b"CMLIFE01"
KEY_BYTES = 16
PATH_BYTES_MAX = 100
PAUSE_SECONDS = 0.01


class Lifeline:
    """One connection to the agent, open for as long as this process and its session live.

    **Arguments:**

    - `path`: of the agent's socket.
    - `label`: what messages call the agent.
    - `timeout`: seconds for the agent to answer.

    **Raises:** `AgentUnavailable` if it does not answer.
    """

    def __init__(self, path: str, label: str, timeout: float) -> None:
        self._key = secrets.token_bytes(KEY_BYTES)
        self._files: list[int] = []
        weakref.finalize(self, _close, self._files).atexit = False
        with _fork.making:
            _fork.watch(self)
            self._greeting: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _greet(self._greeting, Path(path), MAGIC + self._key, time.monotonic() + timeout)
        except OSError as error:
            self._greeting.close()
            raise AgentUnavailable(
                f"{label} does not answer at its socket {path}: {error}. Look at its log: it may have ended, be "
                "stopped, or be out of files."
            ) from None
        with _fork.making:
            self._files.append(self._greeting.detach())
            self._greeting = None

    @property
    def key(self) -> str:
        """What the session is opened with, in hexadecimal digits."""
        return self._key.hex()

    def close(self) -> None:
        """End it. A second call does nothing."""
        _close(self._files)

    def forked(self) -> None:
        """See `Forking`. A child that kept it would keep its dead parent alive in the agent's eyes."""
        if self._greeting is not None:
            _fork.cut_off(self._greeting.fileno())
        for file in self._files:
            _fork.cut_off(file)


def _greet(connection: socket.socket, path: Path, greeting: bytes, deadline: float) -> None:
    while True:
        connection.settimeout(_left(deadline))
        try:
            _connect(connection, path)
            break
        except BlockingIOError:  # so many others connect just now
            time.sleep(PAUSE_SECONDS)
    connection.settimeout(_left(deadline))
    connection.sendall(greeting)
    if not connection.recv(1):
        raise ConnectionError("it closed the connection")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _connect(connection: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        connection.connect(str(path))
        return
    # A socket's path is at most 108 bytes: the same place by a shorter name.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())
