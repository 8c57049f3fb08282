"""What the simulator is told: operations and transfers, measured in the turns of a cell, but never in its own steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import crossmesh as cm

from . import cells
from .cells import Method

LATE_COMPUTED = 1.1
"""A step of stages that compute counts if none computed longer than this much over what it should take: over its best
here, and in a cell over what the gauges found."""
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
    - `loaded`: the same for shorter steps in which all moved while the stages computed, by the method that they are
      like too; empty for stages that wait.
    - `crossings`: what a transfer over each boundary takes, as trainers measure it in steps of a method that overlaps:
      by method, for each turn the seconds forward and backward of each boundary.
    - `steps`: seconds of gauge steps, by blocking method.
    """

    hosts: list[str]
    tokens: dict[bool, list[list[dict[str, Any]]]] = field(default_factory=lambda: {True: [], False: []})
    loaded: dict[tuple[str, bool], list[list[dict[str, Any]]]] = field(default_factory=dict)
    crossings: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)

    def times(self, split: bool) -> Times:
        """What operations take when only a token moves, what the runner adds to each among it."""
        return self._times(self.tokens[split], split, cells.MICROBATCHES)

    def _times(self, steps: list[list[dict[str, Any]]], split: bool, microbatches: int) -> Times:
        """Each kind takes its median, and all of them together what the stage computed: a stage is held up now and
        then, of which a median alone knows nothing.
        """
        counted = _undisturbed(steps)
        ops = microbatches * (3 if split else 2)

        def of(kind: str) -> list[float]:
            return [
                statistics.median(
                    step[stage][kind] * _held_up(step[stage], microbatches) + step[stage]["runner"] / ops
                    for step in counted
                )
                for stage in range(len(self.hosts))
            ]

        return Times(of("forward"), of("backward"), of("weight") if split else None)

    def compute(self, method: Method, *, split: bool) -> list[float]:
        """Seconds that each stage computes in a step like a method's, the same transfers going on or none."""
        loaded = self._loaded(method, split=split)
        steps = _undisturbed(loaded or self.tokens[split])
        more = cells.MICROBATCHES / cells.OVERLAPPED_MICROBATCHES if loaded else 1
        return [more * statistics.median(step[stage]["compute"] for step in steps) for stage in range(len(self.hosts))]

    def _loaded(self, method: Method, *, split: bool) -> list[list[dict[str, Any]]] | None:
        """Steps in which transfers go on as a method's do, on the same cores, where stages compute."""
        return None if method.blocking or method.token else self.loaded.get((cells.gauge_of(method).name, split))

    def pairs(self, method: Method, *, split: bool) -> list[tuple[float, float]]:
        """Seconds of a transfer forward and backward over each boundary, as a method makes it."""
        boundaries = range(len(self.hosts) - 1)
        if method.token:
            return [(0.0, 0.0) for _ in boundaries]
        if method.blocking:
            return [(blocking_transfer(self.steps[method.name]),) * 2 for _ in boundaries]
        loaded = self._loaded(method, split=split)
        turns = [loaded[-1][0]["transfers"]] if loaded else self.crossings[cells.gauge_of(method).name]
        there, back = ([statistics.median(turn[b][way] for turn in turns) for b in boundaries] for way in (0, 1))
        return list(zip(there, back, strict=True))

    def stated(self, method: Method, *, split: bool) -> dict[str, Any]:
        """Times and network of a method, for `cm.simulate` and `adaptive`."""
        loaded = self._loaded(method, split=split)
        times = self._times(loaded, split, cells.OVERLAPPED_MICROBATCHES) if loaded else self.times(split)
        return {"transfer": self.pairs(method, split=split), "hosts": self.hosts, **asdict(times)}

    def predicted(self, method: Method, schedule: cm.Schedule) -> float:
        """Seconds that a step of a method takes by the simulator."""
        stated = self.stated(method, split=schedule.split)
        return cm.simulate(schedule, **stated, overlap=not method.blocking).makespan

    def adaptive(self, method: Method, memory: int) -> cm.Schedule:
        """What `adaptive` chooses, where stages wait."""
        many = {"stages": len(self.hosts), "microbatches": cells.MICROBATCHES, "memory": memory}
        return cm.schedule("adaptive", **many, **self.stated(method, split=True))


def _undisturbed(steps: Sequence[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """The steps in which no core did much else: of those that a cell measures none other count either."""
    best = [min(answer["compute"] for answer in stage) for stage in zip(*steps, strict=True)]
    limits = [LATE_COMPUTED * least for least in best]
    kept = [step for step in steps if all(a["compute"] <= most for a, most in zip(step, limits, strict=True))]
    return kept or list(steps)


def _held_up(answer: dict[str, Any], microbatches: int) -> float:
    """What a stage computed in a step over what it would have if each operation had taken its median."""
    medians = answer["forward"] + answer["backward"] + (answer["weight"] or 0.0)
    return float(answer["compute"] / (medians * microbatches))


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
