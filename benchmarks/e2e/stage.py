"""The process of one stage: keeps a trainer for each method, and runs a step of one of them when it is told to.

Reads requests and writes answers as JSON lines, as the trainers of the lab do.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import statistics
import sys
import time
from typing import Any

import crossmesh as cm
import crossmesh.pipeline as pp

from . import blocking, cells

ECHOES = 80


class StageProcess:
    """Answers requests, one after the other."""

    def __init__(self, agent: cm.Agent) -> None:
        self._agent = agent
        self._trainers: dict[str, pp.Trainer] = {}
        self._tokens: list[Any] = []
        self._pipelines: dict[Any, pp.Pipeline] = {}
        self._batch: Any = None
        self._sgd: Any = None
        self._listener: socket.socket | None = None
        self._peer: socket.socket | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        match request["do"]:
            case "listen":
                self._listener = socket.create_server((request["address"], blocking.PORT))
            case "meet":
                self._peer = blocking.meet(request["first"], request["address"], self._listener)
            case "echo":
                return {"seconds": self._echo(request["first"])}
            case "open":
                self._open(request)
            case "load":
                return {"bytes": self._bytes(request)}
            case "step":
                return self._step(request)
            case "trace":
                self._trainers[request["channel"]].trace(request["path"])
            case "close":
                for end in (*self._trainers.values(), *self._tokens):
                    end.close()
                self._trainers.clear()
                self._tokens.clear()
        return {}

    def _echo(self, first: bool) -> float:
        """One way of a byte to the neighbour: half of the median round trip."""
        assert self._peer is not None
        times = []
        for _ in range(ECHOES):
            start = time.perf_counter()
            if first:
                self._peer.sendall(b".")
            self._peer.recv(1)
            if not first:
                self._peer.sendall(b".")
            times.append((time.perf_counter() - start) / 2)
        return statistics.median(times)

    def _pipeline(self, request: dict[str, Any], kind: str = "whole") -> pp.Pipeline:
        """The pipeline of a request, made once: what it has compiled is for all methods.

        `"token"`: waits between which a token moves. `"gauge"`: short waits, between which all moves.
        """
        key = (request["model"], request["jax"], kind)
        if key not in self._pipelines:
            self._pipelines[key] = self._make(request, kind)
        return self._pipelines[key]

    def _make(self, request: dict[str, Any], kind: str) -> pp.Pipeline:
        hosts = request["hosts"]
        if kind == "gauge":
            return cells.gauge_pipeline(self._pipeline(request))
        if request["jax"] and kind == "whole":
            from . import computed

            return computed.pipeline(request["model"], hosts)
        return cells.timed_pipeline(cells.MODELS[request["model"]], hosts, kind == "token", request["compute"])

    def _open(self, request: dict[str, Any]) -> None:
        """A trainer for a method."""
        method = next(m for m in cells.METHODS if m.name == request["method"])
        kind = (
            "gauge"
            if request["gauge"] and method.blocking
            else "token"
            if method.token and not request["jax"]
            else "whole"
        )
        made = self._pipeline(request, kind)
        stated = request["schedule"]
        self._trainers[request["channel"]] = pp.Trainer(
            made,
            stage=next(stage.name for stage in made.stages if stage.mesh.hosts == (self._agent.name,)),
            agent=self._agent,
            schedule=cm.Schedule.from_json(stated) if stated.startswith("{") else stated,
            microbatches=request["microbatches"],
            optimizer=self._optimizer(request),
            memory=None if method.blocking else cells.memory(len(made.processes)),
            name=request["channel"],
            strategy=method.strategy,
            topology=cm.Topology.from_json(request["topology"]),
            boundaries=self._boundaries(request, method, made),
        )

    def _boundaries(self, request: dict[str, Any], method: cells.Method, made: pp.Pipeline) -> Any:
        """What a method exchanges through, if not as trainers do."""
        part = request["hosts"].index(self._agent.name)
        peer = self._peer
        if method.blocking:
            assert peer is not None
            return lambda links, wait: blocking.BlockingLinks(links, part == 0, peer, wait)
        if not (method.token and request["jax"]):
            return None
        from .computed import TokenLinks

        def tokens(links: pp.Links, _wait: pp.Wait) -> TokenLinks:
            self._tokens.append(TokenLinks(links, made, part, self._agent, request["channel"]))
            return self._tokens[-1]

        return tokens

    def _optimizer(self, request: dict[str, Any]) -> Any:
        if request["jax"] and self._sgd is None:
            import optax

            self._sgd = optax.sgd(1e-3)
        return self._sgd

    def _step(self, request: dict[str, Any]) -> dict[str, Any]:
        trainer = self._trainers[request["channel"]]
        batch: Any = None
        if request["jax"] and not request["gauge"]:
            if self._batch is None:
                from . import computed

                self._batch = computed.batch(self._pipeline(request), cells.MICROBATCHES)
            batch = {name: values[: trainer.schedule.microbatches] for name, values in self._batch.items()}
        stats = trainer.step(batch)
        mine = stats.stages[stats.stage]
        return {
            "next": (trainer.schedule.name, trainer.schedule.to_json()) if request["next"] else None,
            "transfers": trainer.times().transfer if request["times"] else [],
            "makespan": stats.makespan,
            "compute": mine.compute,
            "exposed": mine.exposed,
            "bubble": mine.bubble,
            "runner": mine.runner,
            "forward": mine.forward,
            "backward": mine.backward,
            "weight": mine.weight,
            "peak": mine.peak_activations,
        }

    def _bytes(self, request: dict[str, Any]) -> int:
        """What crosses the first boundary in one micro-batch."""
        values = self._pipeline(request).pairs[0][2]
        return sum(math.prod(value.spec.shape) * value.spec.dtype.itemsize for value in values)


def say(answer: dict[str, Any]) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    with cm.connect() as agent, contextlib.suppress(BrokenPipeError):
        process = StageProcess(agent)
        say({"ready": True})
        for line in sys.stdin:
            try:
                say(process.answer(json.loads(line)))
            except (cm.CrossmeshError, TimeoutError, OSError, ValueError) as error:
                say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
