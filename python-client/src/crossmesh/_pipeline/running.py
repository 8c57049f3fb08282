"""The schedule that a trainer runs: the lists of all processes, and how it is chosen from measured times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import ScheduleError
from .._schedule import Op, Schedule
from .._schedule import schedule as make_schedule
from .._simulation import Simulation, simulate
from .graph import Pipeline
from .runner import most_held
from .stats import Channel, Needs, ProcessTimes, channels_into, ends_of

Seconds = npt.NDArray[np.float64]
Memory = float | Sequence[float] | None
Crossed = int | tuple[int, int]
"""The number of a boundary, or the stages at the ends of a skip."""
MEASURED_STEPS = 3
"""Steps that `adaptive` measures of each way to compute, after a first one of each."""


@dataclass(frozen=True)
class Running:
    """A schedule with the operations of each process, and for each stage the most micro-batches that it holds."""

    schedule: Schedule
    lists: tuple[tuple[Op, ...], ...]
    ahead: dict[int, int]
    needs: Needs

    @classmethod
    def of(cls, pipeline: Pipeline, schedule: Schedule) -> Running:
        """The lists of a schedule that fits the pipeline."""
        lists = tuple(schedule.stage(number) for number in range(len(pipeline.processes)))
        parts = range(len(pipeline.stages))
        ahead = {part: most_held(lists[pipeline.process_of(part)], part) for part in parts}
        return cls(schedule, lists, ahead, Needs(pipeline, lists))


def first_schedule(pipeline: Pipeline, wanted: str | Schedule, microbatches: int, memory: Memory) -> Schedule:
    """The schedule that is asked for; of `adaptive` the one that measures.

    **Raises:** `ScheduleError` if it is not of the pipeline's shape, or needs more than `memory`.
    """
    if isinstance(wanted, Schedule):
        return _fitting(pipeline, wanted, microbatches)
    if wanted != "adaptive":
        return _fitting(pipeline, _named(pipeline, wanted, microbatches, memory), microbatches)
    if pipeline.virtual > 1:
        return _named(pipeline, "interleaved-1f1b", microbatches, memory)
    try:
        return _named(pipeline, "zb-h1", microbatches, memory)
    except ScheduleError:
        return _named(pipeline, "1f1b", microbatches, memory)


def _named(pipeline: Pipeline, name: str, microbatches: int, memory: Memory) -> Schedule:
    virtual = pipeline.virtual if name == "interleaved-1f1b" or pipeline.virtual > 1 else None
    return make_schedule(
        name, stages=len(pipeline.processes), microbatches=microbatches, virtual=virtual, memory=memory
    )


def _fitting(pipeline: Pipeline, made: Schedule, microbatches: int) -> Schedule:
    shape = (made.stages, made.virtual, made.microbatches)
    if shape != (len(pipeline.processes), pipeline.virtual, microbatches) or made.inference:
        raise ScheduleError(
            f"{made!r} is for {made.stages} processes of {made.virtual} stages and {made.microbatches} micro-batches; "
            f"the pipeline has {len(pipeline.processes)} of {pipeline.virtual}, and a step {microbatches}. Training "
            "needs backwards too."
        )
    return made


@dataclass(frozen=True)
class Times:
    """What operations and transfers took, as `cm.simulate` and `cm.schedule("adaptive")` take it; in seconds.

    **Attributes:**

    - `forward`, `backward`, `weight`: of a micro-batch, for each stage; `weight` is `None` where the schedule did not
        run weight gradients apart.
    - `transfer`: (forward, backward), one way, for each boundary between processes that follow each other; with
        virtual stages one more, from the last to the first.
    - `skips`: (forward, backward) of what goes past stages, by the numbers of the stages that it joins.
    """

    forward: list[float]
    backward: list[float]
    weight: list[float] | None
    transfer: list[tuple[float, float]]
    skips: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)

    def simulate(self, schedule: Schedule, **options: Any) -> Simulation:
        """What the simulator says of a schedule with these times; `options` as in `cm.simulate`."""
        return simulate(schedule, **self._stated(), **options)

    def choose(self, processes: int, microbatches: int, virtual: int, memory: Memory) -> Schedule:
        """The schedule that `adaptive` finds for these times."""
        shape: dict[str, Any] = {"stages": processes, "microbatches": microbatches, "virtual": virtual}
        return make_schedule("adaptive", **shape, memory=memory, **self._stated())

    def _stated(self) -> dict[str, Any]:
        transfer = self.transfer or 0.0
        ops = {"forward": self.forward, "backward": self.backward, "weight": self.weight}
        return ops | {"transfer": transfer, "skips": self.skips}


class Choosing:
    """How `adaptive` comes to its schedule.

    Some steps of `first_schedule` are measured. A backward that is cut may compute more than a whole one, whose steps
    are measured then too, in turn with the others: what disturbs a machine lasts longer than a step, and is not to
    decide. What is chosen is the faster one in the simulator, each with the times of its own backward.

    **Arguments:**

    - `pipeline`, `microbatches`, `memory`: of the trainer.
    - `first`: what the first step runs.
    - `whole`: whether to measure the whole backward too.
    """

    def __init__(self, pipeline: Pipeline, microbatches: int, memory: Memory, first: Schedule, *, whole: bool) -> None:
        self._pipeline, self._microbatches, self._memory = pipeline, microbatches, memory
        self._ways = [first]
        if whole:
            self._ways.append(_named(pipeline, "1f1b", microbatches, memory))
        self._found: list[Times] = []
        self._steps = 0

    @property
    def over(self) -> bool:
        """Whether `after_step` has chosen."""
        return len(self._found) == len(self._ways)

    def after_step(self, times: Callable[[], Times]) -> Schedule | None:
        """The schedule that the following steps run, if it is another one; the last such is the one chosen.

        **Arguments:**

        - `times`: of the steps that ran the schedule of the last one, all but the first of them.
        """
        self._steps += 1
        ways = len(self._ways)
        if self._steps > MEASURED_STEPS * ways:
            self._found.append(times())
        if self.over:
            shape = (len(self._pipeline.processes), self._microbatches, self._pipeline.virtual, self._memory)
            return fastest(self._found, *shape)
        return self._ways[self._steps % ways] if ways > 1 else None


def fastest(found: Sequence[Times], processes: int, microbatches: int, virtual: int, memory: Memory) -> Schedule:
    """What `adaptive` chooses for some of these times, of which the simulator says that it takes the shortest."""
    chosen = [(times, times.choose(processes, microbatches, virtual, memory)) for times in found]
    return min(chosen, key=lambda one: one[0].simulate(one[1]).makespan)[1]


def measured(pipeline: Pipeline, steps: Sequence[Sequence[ProcessTimes]]) -> Times:
    """The times of steps that all ran the same schedule.

    Of operations the median; of a boundary the median of the steps, each the time in which it was busy over its
    transfers.

    Every process finds the same from what all of them told.
    """
    spans: dict[tuple[str, int], list[float]] = {}
    ways: dict[tuple[Crossed, bool], list[float]] = {}
    for told in steps:
        ends = ends_of(told)
        for times in told:
            for op, start, end in zip(times.ops, times.started.tolist(), times.ended.tolist(), strict=True):
                spans.setdefault((op.kind, op.virtual_stage), []).append(end - start)
        for process, times in enumerate(told):
            for channel, arrivals in zip(channels_into(pipeline, process), times.arrivals, strict=True):
                kind = "B" if channel.back else "F"
                made = np.array([ends[kind, channel.source, number] for number in range(len(arrivals))])
                way = (_crossed(pipeline, channel), channel.back)
                ways.setdefault(way, []).append(busy(made, arrivals) / len(arrivals))
    parts = range(len(pipeline.stages))
    apart = all(("W", part) in spans for part in parts)
    count = len(pipeline.processes) - (pipeline.virtual == 1)
    return Times(
        [_middle(spans["F", part]) for part in parts],
        [_middle(spans["B", part]) for part in parts],
        [_middle(spans["W", part]) for part in parts] if apart else None,
        [_both_ways(ways, number) for number in range(count)],
        {skip: _both_ways(ways, skip) for skip in sorted(key for key, _ in ways if isinstance(key, tuple))},
    )


def _crossed(pipeline: Pipeline, channel: Channel) -> Crossed:
    """What a channel crosses."""
    first, second = sorted((channel.source, channel.target))
    return pipeline.process_of(first) if second == first + 1 else (first, second)


def _both_ways(ways: Mapping[tuple[Crossed, bool], Sequence[float]], crossed: Crossed) -> tuple[float, float]:
    return _way(ways.get((crossed, False))), _way(ways.get((crossed, True)))


def _middle(seconds: Sequence[float]) -> float:
    return round(float(np.median(seconds)), 7)


def _way(seconds: Sequence[float] | None) -> float:
    return round(float(np.median(seconds)), 7) if seconds else 0.0


def busy(made: Seconds, arrived: Seconds) -> float:
    """Seconds in which something was on its way: what waits behind another transfer, or shares the link with it, does
    not count twice.

    **Arguments:**

    - `made`, `arrived`: of each micro-batch, in the order in which they were sent.
    """
    latest = np.maximum.accumulate(arrived)
    before = np.concatenate([[-np.inf], latest[:-1]])
    return float(np.maximum(0.0, latest - np.maximum(made, before)).sum())
