"""The trainer process of one host: opens its ends of a case, sends and receives steps, and says when.

Reads requests and writes answers as JSON lines. It uses crossmesh as any trainer does, so the times hold the copy
into the arena and the way of each result to Python. All hosts are one machine, so their clocks are one.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import threading
import time
from typing import Any

import numpy as np

import crossmesh as cm

from . import cases

ECHO_ROUNDS = 60
ECHO_PORT = 4712


class Ends:
    """The open ends of one case on this host."""

    def __init__(self, agent: cm.Agent, request: dict[str, Any]) -> None:
        case = next(c for c in cases.all_cases(request["mib"]) if c.name == request["case"])
        self.spec = case.spec
        named = {
            "depth": 1,
            "timeout": request["timeout"],
            "strategy": request["strategy"],
            "order": request["order"],
            "topology": cm.Topology.from_json(request["topology"]),
        }
        self.tx = self.rx = None
        self.dst = case.dst
        if agent.name in case.src.mesh.hosts:
            self.tx = agent.sender(request["channel"], case.spec, case.src, **named)
            boxes = case.src.boxes(case.spec.shape)
            mine = case.src.mesh.devices_of(agent.name)
            held = {box: values(self.spec, box) for box in {boxes[device] for device in mine}}
            self.tiles = {device: held[boxes[device]] for device in mine}
        if agent.name in case.dst.mesh.hosts:
            self.rx = agent.receiver(request["channel"], case.spec, case.dst, **named)

    def wait_open(self) -> None:
        """Until every party has opened."""
        for end in (self.tx, self.rx):
            if end is not None:
                end.wait_open()

    def close(self) -> None:
        """Close both ends."""
        for end in (self.tx, self.rx):
            if end is not None:
                end.close()


def values(spec: cm.TensorSpec, box: Any) -> np.ndarray:
    """The part of the tensor in a box."""
    return cases.values(spec.shape, box, np.dtype(spec.dtype))


def exact(ends: Ends, tiles: dict[int, np.ndarray]) -> bool:
    """Whether every tile that arrived is what it should be."""
    boxes = ends.dst.boxes(ends.spec.shape)
    seen: dict[Any, np.ndarray] = {}
    for device, tile in tiles.items():
        if boxes[device] not in seen:
            seen[boxes[device]] = values(ends.spec, boxes[device])
        if not np.array_equal(tile, seen[boxes[device]]):
            return False
    return True


def echo_server(server: socket.socket) -> None:
    """Answer one connection's single bytes, until it ends."""
    with server:
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := connection.recv(1):
                connection.sendall(byte)


def echo_seconds(address: str) -> float:
    """Half of a round trip of one byte over TCP: the median of several."""
    with socket.create_connection((address, ECHO_PORT), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        for _ in range(ECHO_ROUNDS):
            start = time.perf_counter()
            connection.sendall(b".")
            connection.recv(1)
            times.append((time.perf_counter() - start) / 2)
    return statistics.median(times)


def sleep_until(instant: float) -> None:
    """Until the clock of all hosts shows `instant`."""
    time.sleep(max(0.0, instant - time.perf_counter()))


class Trainer:
    """Answers requests, one after the other."""

    def __init__(self, agent: cm.Agent) -> None:
        self.agent = agent
        self.ends: Ends | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        what = request["do"]
        if what == "echo server":
            server = socket.create_server((request["address"], ECHO_PORT))
            threading.Thread(target=echo_server, args=(server,), daemon=True).start()
            return {}
        if what == "echo":
            return {"seconds": echo_seconds(request["address"])}
        if what == "peers":
            return {"connected": sorted(p["host"] for p in self.agent.status()["peers"] if p["connected"])}
        if what == "open":
            self.ends = Ends(self.agent, request)
            self.ends.wait_open()
            return {}
        assert self.ends is not None
        if what == "step":
            return self._step(self.ends, request)
        self.ends.close()
        self.ends = None
        return {}

    def _step(self, ends: Ends, request: dict[str, Any]) -> dict[str, Any]:
        arriving = ends.rx.recv() if ends.rx is not None else None
        say({"ready": True})
        at = json.loads(sys.stdin.readline())["at"]
        sent = None
        if ends.tx is not None:
            sleep_until(at)
            sent = ends.tx.send(ends.tiles)
        limit = request["timeout"]
        answer: dict[str, Any] = {}
        if arriving is not None:
            tiles = arriving.result(limit)
            answer["end"] = time.perf_counter()
            answer["exact"] = exact(ends, tiles)
        if sent is not None:
            sent.result(limit)
        return answer


def say(answer: dict[str, Any]) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    with cm.connect() as agent, contextlib.suppress(BrokenPipeError):
        trainer = Trainer(agent)
        say({"ready": True})
        for line in sys.stdin:
            try:
                say(trainer.answer(json.loads(line)))
            except (cm.CrossmeshError, TimeoutError, OSError) as error:
                say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
