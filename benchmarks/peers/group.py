"""The processes of one peer, started together and asked together."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from .worker import PEERS

START_SECONDS_MAX: Final = 90.0
STEP_SECONDS_MAX: Final = 90.0
END_SECONDS_MAX: Final = 3.0
BENCHMARKS: Final = Path(__file__).resolve().parents[1]
LOG_LINES: Final = 4


class PeerGone(Exception):
    """The peer cannot go on; the text says why."""


class Cannot(Exception):
    """The peer cannot do this case; the text says why."""


class Place(Protocol):
    """Where the hosts are."""

    addresses: dict[str, str]

    def inside(self, host: str) -> list[str]:
        """What is put before a command so that it runs on a host."""

    def env(self, host: str) -> dict[str, str]:
        """What a process of that host needs to find its agent and its network."""

    def mpi(self) -> list[str]:
        """Options of `mpirun`."""


class _Worker:
    """One process by its socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def ask(self, request: dict[str, Any]) -> None:
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise PeerGone(f"a process ended: {error}") from None

    def answer(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._connection], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise PeerGone("no answer in time")
            with contextlib.suppress(ConnectionResetError):
                more = self._connection.recv(1 << 16)
                if more:
                    self._rest += more
                    continue
            raise PeerGone("a process ended")
        line, self._rest = self._rest.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def close(self) -> None:
        self._connection.close()


class Group:
    """One peer on all hosts.

    Raises:
        PeerGone: it is not installed or does not start.
    """

    def __init__(self, peer: str, place: Place, python: str, env: dict[str, str]) -> None:
        self.peer, self._place = peer, place
        self._directory = Path(tempfile.mkdtemp(prefix="cmpeers"))
        self._log = self._directory / "log"
        self._workers: dict[str, _Worker] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._server = socket.socket(socket.AF_UNIX)
        try:
            self._server.bind(str(self._directory / "control"))
            self._server.listen()
            self._start(python, os.environ | env | {"PYTHONPATH": str(BENCHMARKS)})
            self.call("meet", hellos=self.call("hello"))
        except BaseException:
            self.close()
            raise

    def call(self, do: str, timeout: float = STEP_SECONDS_MAX, **more: Any) -> dict[str, Any]:
        """Asks all processes and returns their answers by host.

        Raises:
            Cannot: it says that it cannot do this case.
            PeerGone: it failed, which may have left its processes waiting for each other.
        """
        for worker in self._workers.values():
            worker.ask({"do": do} | more)
        deadline = time.monotonic() + timeout
        try:
            answers = {host: worker.answer(deadline) for host, worker in self._workers.items()}
        except PeerGone as gone:
            raise PeerGone(f"{do}: {gone}{self._tail()}") from None
        for answer in answers.values():
            if "failed" in answer:
                raise PeerGone(f"{do}: {answer['failed']}")
            if "cannot" in answer:
                raise Cannot(answer["cannot"])
        return {host: answer["value"] for host, answer in answers.items()}

    def _start(self, python: str, env: dict[str, str]) -> None:
        hosts = list(self._place.addresses)
        worker = [python, "-m", "peers.worker", "--peer", self.peer, "--control", str(self._directory / "control")]
        worker += ["--hosts", json.dumps(self._place.addresses)]
        with self._log.open("wb") as log:
            if PEERS[self.peer][0] == "mpi":
                if shutil.which("mpirun") is None:
                    raise PeerGone("there is no mpirun: apt-get install openmpi-bin libopenmpi-dev")
                command = [*self._place.inside(hosts[0]), "mpirun", *self._place.mpi(), "-n", str(len(hosts)), *worker]
                starts = {"": (command, env)}
            else:
                some = hosts[:1] if PEERS[self.peer][0] == "ray_" else hosts
                starts = {
                    host: ([*self._place.inside(host), *worker, "--host", host], env | self._place.env(host))
                    for host in some
                }
            for command, its_env in starts.values():
                self._processes.append(
                    subprocess.Popen(command, env=its_env, stdout=log, stderr=log, start_new_session=True)
                )
        expected = len(hosts) if PEERS[self.peer][0] == "mpi" else len(starts)
        deadline = time.monotonic() + START_SECONDS_MAX
        while len(self._workers) < expected:
            self._accept(deadline)

    def _accept(self, deadline: float) -> None:
        while not select.select([self._server], [], [], 0.2)[0]:
            if time.monotonic() > deadline or any(process.poll() not in (None, 0) for process in self._processes):
                raise PeerGone(f"it does not start{self._tail()}")
        worker = _Worker(self._server.accept()[0])
        said = worker.answer(deadline)
        if "failed" in said:
            worker.close()
            raise PeerGone(said["failed"])
        self._workers[said["host"]] = worker

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return f" ({' / '.join(line.strip() for line in lines[-LOG_LINES:])})" if lines else ""

    def close(self) -> None:
        """Ends all processes. A second call does nothing."""
        for worker in self._workers.values():
            worker.close()
        self._workers = {}
        self._server.close()
        deadline = time.monotonic() + END_SECONDS_MAX
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
