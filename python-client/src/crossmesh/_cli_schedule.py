"""The command `crossmesh schedule`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group

from ._errors import ScheduleError
from ._schedule import SCHEDULES, Schedule
from ._schedule import schedule as make
from ._schedule_text import amount, duration, report, time, warmups
from ._sheet import Sheet
from ._simulation import Simulation, simulate

MINUS = "-"


@dataclass(frozen=True)
class _Row:
    """A schedule of the comparison: overlapped, and blocking, where it fits the memory."""

    name: str
    schedule: Schedule | None
    overlapped: Simulation | None
    blocking: Simulation | None
    why_not: str = ""


def command(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEDULES)}.")] = "adaptive",
    compare: Annotated[bool, typer.Option("--compare", help="Compare all schedules.")] = False,
    stages: Annotated[int, typer.Option(help="Stages.")] = 4,
    microbatches: Annotated[int, typer.Option(help="Micro-batches of a step.")] = 16,
    forward: Annotated[str, typer.Option(help="Of a micro-batch: 10ms, or 10ms,12ms for two stages.")] = "1ms",
    backward: Annotated[str, typer.Option(help="Whole, or with --weight of the inputs alone.")] = "2ms",
    weight: Annotated[str | None, typer.Option(help="Of the weight gradient, where it runs apart.")] = None,
    transfer: Annotated[
        str, typer.Option(help="One way over a boundary: 8ms, or 8ms/6ms forward and backward, or a list of these.")
    ] = "0",
    skip: Annotated[
        list[str] | None, typer.Option(help="What goes past stages, as 0-3:8ms or 0-3:8ms/6ms; can be repeated.")
    ] = None,
    virtual: Annotated[int | None, typer.Option(help="Parts of the model on each stage.")] = None,
    inference: Annotated[bool, typer.Option("--inference", help="Forwards only.")] = False,
    memory: Annotated[float | None, typer.Option(help="The most a stage may hold, as --activation.")] = None,
    activation: Annotated[float, typer.Option(help="What a micro-batch holds on a stage until its backward.")] = 1.0,
    residual: Annotated[
        float | None, typer.Option(help="What it holds from there to its weight gradient. Default: the same.")
    ] = None,
    blocking: Annotated[bool, typer.Option("--blocking", help="Stages do not compute while they transfer.")] = False,
    exchange: Annotated[bool, typer.Option("--exchange", help="Blocking stages may send and receive at once.")] = False,
    half_duplex: Annotated[bool, typer.Option("--half-duplex", help="Links carry one direction at a time.")] = False,
    hosts: Annotated[str | None, typer.Option(help="The host of each stage, as in a,a,b,b; each has one NIC.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write the timeline for Perfetto.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the timeline (.png, .svg, .pdf).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs.")] = False,
) -> None:
    """Simulate a pipeline schedule, or compare all of them, for stated times. Needs no agent."""
    sizes: dict[str, Any] = {"stages": stages, "microbatches": microbatches, "inference": inference}
    times: dict[str, Any] = {
        "forward": _times(forward),
        "backward": _times(backward),
        "weight": None if weight is None else _times(weight),
        "transfer": _transfers(transfer),
        "skips": dict(_skip(text) for text in skip or []),
    }
    rest: dict[str, Any] = {
        "half_duplex": half_duplex,
        "hosts": None if hosts is None else hosts.split(","),
        "activation": activation,
        "residual": residual,
    }
    if compare:
        if trace is not None or plot is not None:
            raise ScheduleError("--trace and --plot draw one schedule. Name it, without --compare.")
        if skip:
            raise ScheduleError("--compare simulates blocking transfers too, which --skip excludes. Name a schedule.")
        _compare(sizes, times, rest, memory, virtual or 2, exchange, as_json)
        return
    run = times | rest | {"overlap": not (blocking or exchange), "exchange": exchange}
    note = ""
    if name == "zb-h1" and weight is None and not inference:
        run, note = _halved(run)
    made = make(name, **sizes, **run, virtual=virtual, memory=memory)
    result = simulate(made, **run)
    if trace is not None:
        result.trace(trace)
    if plot is not None:
        result.plot(plot)
    if as_json:
        print(json.dumps(_numbers(made, result)))  # noqa: T201
        return
    Console().print(Group(report(result), *([note] if note else [])))


def _compare(
    sizes: dict[str, Any],
    times: dict[str, Any],
    rest: dict[str, Any],
    memory: float | None,
    virtual: int,
    exchange: bool,
    as_json: bool,
) -> None:
    apart, note = _halved(times) if times["weight"] is None and not sizes["inference"] else (times, "")
    free = {"transfer": 0.0}
    whole: dict[str, Any] = {"overlap": True}
    ways: tuple[dict[str, Any], dict[str, Any]] = (whole, {"overlap": False, "exchange": exchange})
    rows = []
    for name in SCHEDULES:
        taken = apart if name in ("zb-h1", "adaptive") else times
        parts = virtual if name == "interleaved-1f1b" else None
        rows.append(_row(name, sizes | {"virtual": parts}, taken | rest, ways, memory))
    bound = _row("network free", sizes, apart | rest | free, (whole, whole), memory, "adaptive")
    if as_json:
        print(  # noqa: T201
            json.dumps(
                {
                    row.name: _numbers(row.schedule, row.overlapped) | {"blocking": row.blocking.makespan}
                    for row in [*rows, bound]
                    if row.schedule and row.overlapped and row.blocking
                }
            )
        )
        return
    Console().print(Group(_table(sizes, rows, bound), *_notes(rows, bound, note, exchange)))


def _row(
    label: str,
    sizes: dict[str, Any],
    run: dict[str, Any],
    ways: Sequence[dict[str, Any]],
    memory: float | None,
    name: str | None = None,
) -> _Row:
    name = name or label
    stages, microbatches = sizes["stages"], sizes["microbatches"]
    if name == "interleaved-1f1b" and stages > 0 and microbatches % stages:
        return _Row(label, None, None, None, f"needs a multiple of {stages} micro-batches")
    chosen = name == "adaptive"
    made = [make(name, **sizes, **run, **way, memory=memory if chosen else None) for way in ways]
    overlapped, blocking = (simulate(one, **run, **way) for one, way in zip(made, ways, strict=True))
    needed = max(overlapped.peak_memory)
    if memory is not None and not chosen and needed > memory:
        return _Row(label, None, None, None, f"needs {amount(needed)} of memory")
    return _Row(label, made[0], overlapped, blocking)


def _table(sizes: dict[str, Any], rows: list[_Row], bound: _Row) -> Sheet:
    table = Sheet(
        f"{sizes['stages']} stages, {sizes['microbatches']} micro-batches: one step",
        *("@schedule", ">blocking", ">overlap", ">bound", ">bubble", ">exposed", ">peak", ">warm-up"),
    )
    least = None if bound.overlapped is None else bound.overlapped.makespan
    for row in [*rows, bound]:
        if row.overlapped is None or row.blocking is None or row.schedule is None:
            table.add(row.name, *[MINUS] * 7)
            continue
        total = row.overlapped.makespan * row.schedule.stages
        table.add(
            row.name,
            MINUS if row is bound else time(row.blocking.makespan),
            time(row.overlapped.makespan),
            MINUS if not least or not total else f"{least / row.overlapped.makespan:.1%}",
            f"{row.overlapped.bubble_fraction:.1%}",
            f"{sum(row.overlapped.exposed) / total:.1%}" if total else MINUS,
            amount(max(row.overlapped.peak_memory)),
            MINUS if row.schedule.inference else warmups(row.schedule),
        )
    return table


def _notes(rows: list[_Row], bound: _Row, halved: str, exchange: bool) -> list[str]:
    notes = [f"{row.name}: {row.why_not}." for row in rows if row.why_not]
    notes.append("blocking: " + _blocking_words(exchange))
    if bound.overlapped is not None:
        notes.append(f"bound: the share of the best step when the network is free, {time(bound.overlapped.makespan)}.")
    notes.append("bubble, exposed: shares of all stages' time, overlapped. peak: the most memory of a stage.")
    return [*notes, halved] if halved else notes


def _blocking_words(exchange: bool) -> str:
    return (
        "stages send and receive at once, not while they compute (as Megatron-LM)."
        if exchange
        else "one transfer of a stage at a time, not while it computes (as Alpa)."
    )


def _halved(times: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Times with the backward cut into two equal parts, and the sentence that says so."""
    backward = times["backward"]
    half = [one / 2 for one in backward] if isinstance(backward, list) else backward / 2
    note = "without --weight, zb-h1 and adaptive take half of the backward for the weight gradient."
    return times | {"backward": half, "weight": half}, note


def _numbers(schedule: Schedule, result: Simulation) -> dict[str, Any]:
    return {
        "digest": schedule.digest,
        "makespan": result.makespan,
        "work": result.work,
        "bubbles": result.bubbles,
        "exposed": result.exposed,
        "peak_activations": result.peak_activations,
        "peak_memory": result.peak_memory,
        "warmup": [schedule.warmup(stage) for stage in range(schedule.stages)],
    }


def _times(text: str) -> float | list[float]:
    listed = [duration(part) for part in text.split(",")]
    return listed[0] if len(listed) == 1 else listed


def _transfers(text: str) -> Any:
    listed = [_both(part) for part in text.split(",")]
    return listed[0] if len(listed) == 1 else listed


def _skip(text: str) -> tuple[tuple[int, int], float | tuple[float, float]]:
    ends, colon, seconds = text.partition(":")
    first, dash, second = ends.partition("-")
    if not (colon and dash and first.isdecimal() and second.isdecimal()):
        raise ScheduleError(f"Cannot read the skip {text!r}. Write 0-3:8ms: from stage 0 to stage 3 in 8 ms.")
    return (int(first), int(second)), _both(seconds)


def _both(text: str) -> float | tuple[float, float]:
    ways = [duration(part) for part in text.split("/")]
    if len(ways) > 2:
        raise ScheduleError(f"Cannot read the transfer {text!r}. Write 8ms, or 8ms/6ms for forward and backward.")
    return ways[0] if len(ways) == 1 else (ways[0], ways[1])
