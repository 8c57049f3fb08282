"""What the simulator is told: operations and transfers, measured in the turns of a cell, but never in its own steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import crossmesh as cm

from . import cells
from .cells import Method

ROUNDS = 24
"""Halvings of the range in which a blocking transfer's time is looked for."""


@dataclass(frozen=True)
class Times:
    """Seconds of the operations of each stage; `weight` is `None` where it is part of `backward`."""

    forward: list[float]
    backward: list[float]
    weight: list[float] | None

    @property
    def compute(self) -> float:
        """What a micro-batch takes on the slowest stage."""
        weight = self.weight or [0.0] * len(self.forward)
        return max(map(sum, zip(self.forward, self.backward, weight, strict=True)))


@dataclass
class Gauges:
    """What has been measured so far.

    **Attributes:**

    - `hosts`: of the stages.
    - `tokens`: answers of all stages for each step in which only a token moved, by whether weight gradients are apart.
    - `ways`: seconds of transfers by themselves over the first boundary, forward and backward.
    - `steps`: seconds of gauge steps, by blocking method.
    """

    hosts: list[str]
    tokens: dict[bool, list[list[dict[str, Any]]]] = field(default_factory=lambda: {True: [], False: []})
    ways: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    steps: dict[str, list[float]] = field(default_factory=dict)

    def times(self, split: bool) -> Times:
        """What operations take when only a token moves, what the runner adds to each among it."""

        def of(kind: str) -> list[float]:
            ops = cells.MICROBATCHES * (3 if split else 2)
            return [
                statistics.median(step[stage][kind] + step[stage]["runner"] / ops for step in self.tokens[split])
                for stage in range(len(self.hosts))
            ]

        return Times(of("forward"), of("backward"), of("weight") if split else None)

    def compute(self, split: bool) -> list[float]:
        """Seconds that each stage computes in a step when only a token moves."""
        return [
            statistics.median(step[stage]["compute"] for step in self.tokens[split]) for stage in range(len(self.hosts))
        ]

    def pair(self, method: Method) -> tuple[float, float]:
        """Seconds of a transfer forward and backward, as a method makes it."""
        if method.token:
            return (0.0, 0.0)
        if method.blocking:
            return (blocking_transfer(self.steps[method.name]),) * 2
        return (statistics.median(self.ways[0]), statistics.median(self.ways[1]))

    def stated(self, method: Method) -> dict[str, Any]:
        """Times and network of a method, for `cm.simulate` and `adaptive`."""
        split = method.schedule == "adaptive"
        transfer = [self.pair(method)] * (len(self.hosts) - 1)
        return {"transfer": transfer, "hosts": self.hosts, **asdict(self.times(split))}

    def predicted(self, method: Method, schedule: cm.Schedule) -> float:
        """Seconds that a step of a method takes by the simulator."""
        return cm.simulate(schedule, **self.stated(method), overlap=not method.blocking).makespan


def blocking_transfer(steps: Sequence[float]) -> float:
    """The seconds of a blocking transfer with which the simulator says what gauge steps took."""
    schedule = cm.schedule("1f1b", stages=2, microbatches=cells.GAUGE_MICROBATCHES)
    took, times = statistics.median(steps), {"forward": cells.GAUGE_SECONDS, "backward": cells.GAUGE_SECONDS}
    low, high = 0.0, took
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        longer = cm.simulate(schedule, **times, transfer=middle, overlap=False).makespan > took
        low, high = (low, middle) if longer else (middle, high)
    return (low + high) / 2
