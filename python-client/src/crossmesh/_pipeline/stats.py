"""What a step took: measured by every process, told to all, and counted as the simulator counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._schedule import Op
from .graph import Pipeline

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageStats:
    """Where the time of one process went in a step, in seconds.

    `compute`, `exposed`, `bubble` and `runner` add up to the step's `makespan`.

    **Attributes:**

    - `names`: the stages of the process.
    - `compute`: operations ran.
    - `exposed`: it waited though what it waited for was made already: the network was not hidden.
    - `bubble`: it waited for others to compute, or had nothing to do.
    - `runner`: between two operations: posting, taking, placing data.
    - `forward`, `backward`, `weight`: the median of one operation; `weight` is `None` if none ran apart.
    - `peak_activations`: the most micro-batches held at once, from forward to the last gradient.
    """

    names: tuple[str, ...]
    compute: float
    exposed: float
    bubble: float
    runner: float
    forward: float
    backward: float
    weight: float | None
    peak_activations: int


@dataclass(frozen=True)
class StepStats:
    """One step, the same on every process but for `seconds` and `stage`.

    **Attributes:**

    - `step`: its number, from 0.
    - `loss`: the mean over the micro-batches.
    - `seconds`: of `Trainer.step`, from its call to its return, the update of the parameters among it.
    - `makespan`: from the first process that began to the last that had all its gradients.
    - `gradient_norm`: of the mean gradients of all stages, before clipping; `None` if nothing clips.
    - `schedule`: the name of the schedule that ran.
    - `stages`: what each process did, in the order of the processes.
    - `stage`: which of them is this one.
    """

    step: int
    loss: float
    seconds: float
    makespan: float
    gradient_norm: float | None
    schedule: str
    stages: tuple[StageStats, ...]
    stage: int

    @property
    def compute(self) -> float:
        """Seconds in which this process computed."""
        return self.stages[self.stage].compute

    @property
    def exposed(self) -> float:
        """Seconds in which this process waited for the network."""
        return self.stages[self.stage].exposed

    @property
    def bubble(self) -> float:
        """Seconds in which this process waited for others to compute, or had nothing to do."""
        return self.stages[self.stage].bubble

    @property
    def peak_activations(self) -> int:
        """The most micro-batches that this process held at once."""
        return self.stages[self.stage].peak_activations


@dataclass(frozen=True)
class ProcessTimes:
    """What one process noted in a step, on the clock that all share.

    `arrivals` has a row for each channel on which it receives, as `channels_into` lists them, of times by micro-batch.
    """

    ops: Sequence[Op]
    begin: float
    end: float
    reached: Times
    started: Times
    ended: Times
    arrivals: Times
    peak: int


@dataclass(frozen=True)
class Channel:
    """What a process receives on: stage `source` sends to stage `target`; `back` says gradients."""

    source: int
    target: int
    back: bool


def channels_into(pipeline: Pipeline, process: int) -> list[Channel]:
    """The channels on which a process receives from others, values first, each in the order of `Pipeline.pairs`."""
    parts = pipeline.processes[process].parts
    values = [Channel(a, b, False) for a, b, _ in pipeline.pairs if b in parts and a not in parts]
    graded = [(a, b) for a, b, some in pipeline.pairs if any(value.has_gradient for value in some)]
    return values + [Channel(b, a, True) for a, b in graded if a in parts and b not in parts]


def ends_of(told: Sequence[ProcessTimes]) -> dict[tuple[str, int, int], float]:
    """When each operation ended, by kind, stage and micro-batch."""
    return {
        (op.kind, op.virtual_stage, op.microbatch): float(end)
        for times in told
        for op, end in zip(times.ops, times.ended, strict=True)
    }


class Needs:
    """What each operation of some lists waits for: looked up once for a schedule, read in every step."""

    def __init__(self, pipeline: Pipeline, lists: Sequence[Sequence[Op]]) -> None:
        before: dict[tuple[str, int], list[int]] = {}
        for producer, consumer, values in pipeline.pairs:
            before.setdefault(("F", consumer), []).append(producer)
            if any(value.has_gradient for value in values):
                before.setdefault(("B", producer), []).append(consumer)
        width = max((len(others) for others in before.values()), default=1)
        numbers: dict[tuple[str, int, int], int] = {}
        for ops in lists:
            for op in ops:
                numbers[op.kind, op.virtual_stage, op.microbatch] = len(numbers)
        self.kinds = [np.array([op.kind for op in ops]) for ops in lists]
        self._after = []
        for ops in lists:
            after = np.full((len(ops), width), -1, np.int64)
            for row, op in enumerate(ops):
                others = before.get((op.kind, op.virtual_stage), ())
                after[row, : len(others)] = [numbers[op.kind, other, op.microbatch] for other in others]
            self._after.append(after)

    def made_at(self, told: Sequence[ProcessTimes]) -> list[Times]:
        """For each process, when other stages made the last of what each of its operations takes; 0 if nothing."""
        ends = np.concatenate([*(times.ended for times in told), [0.0]])
        return [ends[after].max(axis=1) for after in self._after]


def stage_stats(pipeline: Pipeline, needs: Needs, told: Sequence[ProcessTimes]) -> tuple[float, tuple[StageStats, ...]]:
    """The makespan of a step and where each process's time went."""
    makespan = max(p.end for p in told) - min(p.begin for p in told)
    found = []
    columns = zip(pipeline.processes, told, needs.made_at(told), needs.kinds, strict=True)
    for process, times, ready, kinds in columns:
        spans = times.ended - times.started
        compute = float(spans.sum())
        exposed = float(np.maximum(0.0, times.started - np.maximum(times.reached, ready)).sum())
        between = float((times.reached[1:] - times.ended[:-1]).sum() + times.reached[0] - times.begin)
        median = {kind: float(np.median(spans[kinds == kind])) if kind in kinds else None for kind in "FBW"}
        names = tuple(pipeline.stages[part].name for part in process.parts)
        found.append(
            StageStats(
                names,
                compute,
                exposed,
                makespan - compute - exposed - between,
                between,
                median["F"] or 0.0,
                median["B"] or 0.0,
                median["W"],
                times.peak,
            )
        )
    return makespan, tuple(found)


HEADER = ("step", "loss", "square_norm", "schedule", "begin", "end", "peak", "refused")
"""What stands at the beginning of each row that a process tells the others after a step."""


class RowLayout:
    """How a step's figures of one process lie in a row of float64, equally long for all processes."""

    def __init__(self, pipeline: Pipeline, microbatches: int) -> None:
        self._pipeline = pipeline
        self._microbatches = microbatches
        self._ops_max = 3 * microbatches * pipeline.virtual
        self._channels = [len(channels_into(pipeline, number)) for number in range(len(pipeline.processes))]
        self.width = len(HEADER) + 3 * self._ops_max + max(self._channels, default=0) * microbatches

    def write(self, row: Times, header: dict[str, float], times: Sequence[Any], arrivals: Sequence[Times]) -> None:
        """Fill a row: the header, three times of each operation, the arrivals of each channel."""
        row[...] = 0.0
        row[: len(HEADER)] = [header[name] for name in HEADER]
        at = len(HEADER)
        for column in times:
            row[at : at + len(column)] = column
            at += self._ops_max
        for column in arrivals:
            row[at : at + len(column)] = column
            at += self._microbatches

    def header(self, row: Times) -> dict[str, float]:
        """The header by name."""
        return dict(zip(HEADER, row[: len(HEADER)].tolist(), strict=True))

    def read(self, rows: Times, lists: Sequence[Sequence[Op]]) -> list[ProcessTimes]:
        """What the rows of all processes say, given the operations of each."""
        found = []
        for process, (row, ops) in enumerate(zip(rows, lists, strict=True)):
            header = self.header(row)
            at = len(HEADER)
            columns = []
            for _ in range(3):
                columns.append(row[at : at + len(ops)])
                at += self._ops_max
            count = self._channels[process]
            arrivals = row[at : at + count * self._microbatches].reshape(count, self._microbatches)
            found.append(
                ProcessTimes(
                    ops,
                    header["begin"],
                    header["end"],
                    columns[0],
                    columns[1],
                    columns[2],
                    arrivals,
                    int(header["peak"]),
                )
            )
        return found
