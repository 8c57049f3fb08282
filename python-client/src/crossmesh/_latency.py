"""How long a small tensor takes from one Python process to another, beside a TCP echo of as many bytes between them."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ._agent import connect
from ._errors import CrossmeshError
from ._mesh import Mesh
from ._sharding import Sharding
from ._spec import TensorSpec
from ._wires import wire

NAME = "bench/latency"
ECHO, RESHARD, END = b"e", b"r", b"q"
WARM_UP_ROUNDS = 3000  # until the JVMs have compiled what a step runs through
BETWEEN_SECONDS = 0.001  # everybody sleeps again before the next
WAIT_SECONDS_MAX = 60.0
STAMP = struct.Struct("<q")


@dataclass
class LatencyResult:
    """What `crossmesh bench latency` found, in seconds, one value for each round."""

    bytes: int
    transport: str
    reshard: list[float] = field(default_factory=list)
    echo: list[float] = field(default_factory=list)

    def at(self, percent: int) -> tuple[float, float, float]:
        """A percentile of the reshard, of the echo, and their ratio."""
        ours, plain = (statistics.quantiles(values, n=100)[percent - 1] for values in (self.reshard, self.echo))
        return ours, plain, ours / plain

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {f"p{percent}": self.at(percent) for percent in (50, 99)}


def latency(*, transport: str, nbytes: int = 4096, rounds: int = 3000) -> LatencyResult:
    """Measure from before `send()` in this process until `recv().result()` has returned in another.

    Each round is one echo (there and back, blocking sockets) and one reshard (there), so that both see the same
    machine. The receive is posted before the send, as pipelines do.

    **Arguments:**

    - `transport`: between the agents, a name of `_wires.WIRES`.
    - `nbytes`: of the tensor and of the echo.
    - `rounds`: timed rounds.
    """
    result = LatencyResult(nbytes, transport)
    with (
        wire(transport).cluster(["a", "b"], 64 << 20) as cluster,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        port = str(server.getsockname()[1])
        command = [sys.executable, "-m", __spec__.name if __spec__ else "crossmesh._latency", port, str(nbytes)]
        child = subprocess.Popen(command, env=os.environ | cluster.env("b"))
        try:
            server.settimeout(WAIT_SECONDS_MAX)
            peer, _ = server.accept()
            with peer, cluster.agent("a").sender(NAME, *_tensor(nbytes, "a")) as sender:
                _plain(peer)
                sender.wait_open(WAIT_SECONDS_MAX)
                payload = np.zeros(nbytes, np.uint8)
                for number in range(WARM_UP_ROUNDS + rounds):
                    plain = _echo(peer, payload)
                    ours = _reshard(peer, sender, payload)
                    if number >= WARM_UP_ROUNDS:
                        result.echo.append(plain)
                        result.reshard.append(ours)
                peer.sendall(END)
                child.wait(WAIT_SECONDS_MAX)
        finally:
            child.kill()
            child.wait()
    return result


def _tensor(nbytes: int, host: str) -> tuple[TensorSpec, Sharding]:
    return TensorSpec((nbytes,), "uint8"), Sharding(Mesh((1,), hosts=[host]), "R")


def _plain(peer: socket.socket) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.settimeout(None)


def _echo(peer: socket.socket, payload: np.ndarray[Any, Any]) -> float:
    peer.sendall(ECHO)
    time.sleep(BETWEEN_SECONDS)
    start = time.monotonic_ns()
    peer.sendall(payload.data)
    _read(peer, len(payload))
    return (time.monotonic_ns() - start) / 1e9


def _reshard(peer: socket.socket, sender: Any, payload: np.ndarray[Any, Any]) -> float:
    peer.sendall(RESHARD)
    time.sleep(BETWEEN_SECONDS)
    start = time.monotonic_ns()
    sender.send(payload)
    (end,) = STAMP.unpack(_read(peer, STAMP.size))
    return float(end - start) / 1e9


def _read(peer: socket.socket, nbytes: int) -> bytes:
    data = b""
    while len(data) < nbytes:
        part = peer.recv(nbytes - len(data))
        if not part:
            raise CrossmeshError("The other process of the benchmark has ended; see what it wrote.")
        data += part
    return data


def _serve(port: int, nbytes: int) -> None:
    """The receiving process: answers echoes and says when a step was there."""
    with (
        socket.create_connection(("127.0.0.1", port)) as peer,
        connect() as agent,
        agent.receiver(NAME, *_tensor(nbytes, "b")) as receiver,
    ):
        _plain(peer)
        posted = receiver.recv()
        while (what := _read(peer, 1)) != END:
            if what == ECHO:
                peer.sendall(_read(peer, nbytes))
                continue
            posted.result()
            end = time.monotonic_ns()
            posted = receiver.recv()
            peer.sendall(STAMP.pack(end))
        posted.cancel()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
