"""The agent and the trainer of each host, started in its namespace, and the references measured between hosts."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import LabError
from .network import Network

START_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.25
END_SECONDS_MAX = 8.0
IPERF_SECONDS = 2
CROSSINGS = 3
FLIGHT_PORT = 4711
BENCHMARKS = Path(__file__).resolve().parent.parent
LOG_LINES = 12


class Trainer:
    """A trainer process, by its standard input and output."""

    def __init__(self, network: Network, host: str, env: dict[str, str], program: str, pin: Sequence[str]) -> None:
        self.host = host
        self._log = network.directory / f"trainer-{host}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*network.inside(host), *pin, sys.executable, "-m", program],
                cwd=BENCHMARKS,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request without waiting for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise LabError(f"The trainer of {self.host} is gone{tail(self._log)}") from None

    def answer(self, timeout: float, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The next answer; `meanwhile` is called now and then, and may raise.

        **Raises:** `LabError` if the process is gone, does not answer in time, or answers with an error.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._answers.get(timeout=LOOK_SECONDS)
                break
            except queue.Empty:
                meanwhile()
                if time.monotonic() > deadline:
                    raise LabError(f"The trainer of {self.host} did not answer within {timeout:g} s.") from None
        if not line:
            raise LabError(f"The trainer of {self.host} is gone{tail(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(f"On {self.host}: {answer['error']}")
        return answer

    def let_go(self) -> None:
        """Let it end."""
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()


class Hosts:
    """Agents, and unless told otherwise trainers, on all hosts of a network, from construction to `close`.

    **Arguments:**

    - `arena`: of each agent.
    - `env`: additions to the environment of all.
    - `trainers`: whether there are any.
    - `program`: the module that a trainer runs, which reads requests and writes answers as `lab.trainer` does.
    - `options`: more options of the agent of a host.
    - `cores`: how many cores the hosts are dealt out to, one each, agent and trainer together; 0 leaves them free.

    **Raises:** `LabError` if one does not start, with what it said.
    """

    def __init__(
        self,
        network: Network,
        arena: str,
        env: dict[str, str] | None = None,
        *,
        trainers: bool = True,
        program: str = "lab.trainer",
        cores: int = 0,
        options: Callable[[str], list[str]] | None = None,
    ) -> None:
        self.network = network
        self._program = program
        self._cores = cores
        self._options = options or (lambda _: [])
        self.names = network.shape.names
        self._token = secrets.token_urlsafe(32)
        self._agents: dict[str, subprocess.Popen[bytes]] = {}
        self.trainers: dict[str, Trainer] = {}
        devices = ",".join(f"eth{nic}" for nic in range(network.shape.nics))
        self._env = os.environ | {
            "CROSSMESH_TOKEN": self._token,
            "TMPDIR": str(network.directory),
            "UCX_TLS": "tcp",
            "UCX_NET_DEVICES": devices,
        }
        if network.shape.nics > 1:
            self._env["UCX_MAX_RNDV_RAILS"] = str(network.shape.nics)
        self._env |= env or {}
        try:
            self._start(arena)
            if trainers:
                self._start_trainers()
        except BaseException:
            self.close()
            raise

    def _start(self, arena: str) -> None:
        for host in self.names:
            self._agents[host] = self._start_agent(host, arena)
        for host in self.names:
            self._wait_ready(host)

    def _start_trainers(self) -> None:
        for host in self.names:
            self.trainers[host] = Trainer(self.network, host, self.env(host), self._program, self._pin(host))
        for trainer in self.trainers.values():
            trainer.answer(START_SECONDS_MAX)

    def env(self, host: str) -> dict[str, str]:
        """What a process of a host needs to find its agent and its network."""
        return self._env | {"CROSSMESH_AGENT": f"{self.network.address(host)}:{FLIGHT_PORT}"}

    def _pin(self, host: str) -> list[str]:
        """What is put before a command so that it runs on the host's core."""
        return ["taskset", "-c", str(self.names.index(host) % self._cores)] if self._cores else []

    def _start_agent(self, host: str, arena: str) -> subprocess.Popen[bytes]:
        directory = self.network.directory
        command = [sys.executable, "-c", "from crossmesh._cli import main; main()", "agent", "--name", host]
        command += ["--bind", self.network.address(host), "--flight-port", str(FLIGHT_PORT)]
        command += ["--info-file", str(directory / f"{host}.json"), "--exit-with-stdin"]
        command += ["--arena", arena, "--arena-dir", str(directory), *self._options(host)]
        for peer in self.names:
            command += ["--peer", f"{peer}={self.network.address(peer)}:{FLIGHT_PORT}"]
        with self._agent_log(host).open("wb") as log:
            return subprocess.Popen(
                [*self.network.inside(host), *self._pin(host), *command],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _agent_log(self, host: str) -> Path:
        return self.network.directory / f"agent-{host}.log"

    def _wait_ready(self, host: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        path = self.network.directory / f"{host}.json"
        while not path.exists():
            self.check()
            if time.monotonic() > deadline:
                raise LabError(f"The agent of {host} is not ready after {START_SECONDS_MAX:g} s{self.tail(host)}")
            time.sleep(0.02)

    def tail(self, host: str) -> str:
        """What the agent of a host said last."""
        return tail(self._agent_log(host))

    def pid(self, host: str) -> int:
        """The agent's process."""
        return self._agents[host].pid

    def check(self) -> None:
        """See that every agent runs.

        **Raises:** `LabError` naming one that has ended.
        """
        for host, agent in self._agents.items():
            if agent.poll() is not None:
                raise LabError(f"The agent of {host} ended with status {agent.returncode}{self.tail(host)}")

    def answers(self, hosts: list[str], timeout: float) -> dict[str, dict[str, Any]]:
        """One answer of each of these trainers.

        **Raises:** `LabError` as `Trainer.answer`, or naming an agent that has ended, which explains the rest.
        """
        try:
            return {host: self.trainers[host].answer(timeout, self.check) for host in hosts}
        except LabError as error:
            try:
                self.check()
            except LabError as cause:
                raise cause from None
            raise error from None

    def ask(self, hosts: list[str], request: dict[str, Any]) -> None:
        """The same request to several trainers."""
        for host in hosts:
            self.trainers[host].ask(request)

    def close(self) -> None:
        """End all processes; what does not end by itself ends with its namespace. A second call does nothing."""
        for trainer in self.trainers.values():
            trainer.let_go()
        for agent in self._agents.values():
            with contextlib.suppress(OSError):
                if agent.stdin is not None:
                    agent.stdin.close()
        deadline = time.monotonic() + END_SECONDS_MAX
        for process in [trainer.process for trainer in self.trainers.values()] + list(self._agents.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def latency(self) -> float:
        """Seconds that a chunk waits for beside its bytes, from one host to the next.

        It crosses the network three times: announced, asked for, sent. One crossing is taken as half of a round trip
        of a byte over TCP.
        """
        first, second = self.names[:2]
        where = {"address": self.network.address(second)}
        self.ask([second], {"do": "echo server"} | where)
        self.answers([second], START_SECONDS_MAX)
        self.ask([first], {"do": "echo"} | where)
        return CROSSINGS * float(self.answers([first], START_SECONDS_MAX)[first]["seconds"])


def line_rate(network: Network) -> float:
    """The payload that TCP carries from one host to another over all NICs, by iperf3, in bytes per second."""
    first, second = network.shape.names[:2]
    return sum(_iperf(network, first, second, nic) for nic in range(network.shape.nics))


def _iperf(network: Network, first: str, second: str, nic: int) -> float:
    address = network.address(second, nic)
    with subprocess.Popen(
        [*network.inside(second), "iperf3", "-s", "-1", "-B", address, "--forceflush"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if "listening" in line:
                    break
            client = [*network.inside(first), "iperf3", "-c", address, "-t", str(IPERF_SECONDS), "-O", "1", "-J"]
            done = subprocess.run(client, capture_output=True, text=True, timeout=30, check=False)
        finally:
            server.kill()
    result = json.loads(done.stdout or "{}")
    if done.returncode or "error" in result:
        raise LabError(f"iperf3 from {first} to {second} failed: {result.get('error', done.stderr)}")
    return float(result["end"]["sum_received"]["bits_per_second"]) / 8


def tail(log: Path) -> str:
    """The last lines of a log, to put at the end of a message."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:]
    except OSError:
        lines = []
    return ". It said:\n  " + "\n  ".join(lines) if lines else "."
