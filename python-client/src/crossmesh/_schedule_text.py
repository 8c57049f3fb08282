"""Schedules as tables for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ._errors import ScheduleError
from ._schedule import Schedule
from ._sheet import Sheet

if TYPE_CHECKING:
    from ._simulation import Simulation

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(ns|us|µs|ms|s|min|)\s*")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}

STAGES_SHOWN = 64


def duration(text: str) -> float:
    """Seconds out of text such as `"10ms"`, `"2s"` or `"150us"`; a number alone is seconds.

    **Raises:** `ScheduleError` if it cannot be read.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ScheduleError(f'Cannot read the time {text!r}. Write for instance "10ms", "2s" or "150us".')
    return float(match.group(1)) * _SECONDS[match.group(2)]


def time(seconds: float) -> str:
    """Seconds as people read them, four digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return "0" if seconds == 0 else f"{seconds / 1e-9:.4g} ns"


def amount(value: float) -> str:
    """A size without a trailing `.0`."""
    return f"{value:.6g}"


def warmups(schedule: Schedule) -> str:
    """The warm-ups of the first and of the last stage."""
    first, last = schedule.warmup(0), schedule.warmup(schedule.stages - 1)
    return f"{first}" if first == last else f"{first}..{last}"


def report(result: Simulation) -> Sheet:
    """A line for each stage of a simulation."""
    made = result.schedule
    parts = f" x {made.virtual} parts" if made.virtual > 1 else ""
    table = Sheet(
        f"{made.name}, {made.stages} stages{parts}, {made.microbatches} micro-batches: {time(result.makespan)}",
        *(">stage", ">warm-up", ">work", ">bubble", ">exposed", ">micro-batches", ">memory"),
        more=made.stages - STAGES_SHOWN,
        what=" stages",
    )
    for stage in range(min(made.stages, STAGES_SHOWN)):
        table.add(
            str(stage),
            "" if made.inference else str(made.warmup(stage)),
            time(result.work[stage]),
            time(result.bubbles[stage]),
            time(result.exposed[stage]),
            str(result.peak_activations[stage]),
            amount(result.peak_memory[stage]),
        )
    return table
