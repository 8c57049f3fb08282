"""Steps as a trace for Perfetto or chrome://tracing: all stages and what they send, on one clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .graph import Pipeline
from .stats import Needs, ProcessTimes, channels_into, ends_of

STAGES, TRANSFERS = 0, 1


def write_trace(path: Path, pipeline: Pipeline, steps: Sequence[tuple[int, Sequence[ProcessTimes]]]) -> None:
    """Write steps, each a number and what its processes told, as trace events.

    A track for each process: its operations, what it waits for between them (`exposed` while it is on the network,
    `bubble` while others compute). A track for each channel: from when a tensor was made until it arrived.
    """
    names = [", ".join(pipeline.stages[part].name for part in process.parts) for process in pipeline.processes]
    channels = [(process, c) for process in range(len(names)) for c in channels_into(pipeline, process)]
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": STAGES, "name": "process_name", "args": {"name": "stages"}},
        {"ph": "M", "pid": TRANSFERS, "name": "process_name", "args": {"name": "transfers"}},
    ]
    for number, (name, process) in enumerate(zip(names, pipeline.processes, strict=True)):
        events.append(_track(STAGES, number, f"{name} on {process.host}"))
    for lane, (_, channel) in enumerate(channels):
        ends = f"{pipeline.stages[channel.source].name} to {pipeline.stages[channel.target].name}"
        events.append(_track(TRANSFERS, lane, f"{ends}, {'gradients' if channel.back else 'values'}"))
    origin = min((times.begin for _, told in steps for times in told), default=0.0)
    for step, told in steps:
        made = Needs(pipeline, [times.ops for times in told]).made_at(told)
        for number, (times, ready_at) in enumerate(zip(told, made, strict=True)):
            for row in zip(times.ops, times.reached, times.started, times.ended, ready_at, strict=True):
                op, reached, start, end, ready = row
                events.append(_span(STAGES, number, str(op), start - origin, end - origin, {"step": step}))
                here = min(max(reached, ready), start)
                for what, a, b in (("bubble", reached, here), ("exposed", here, start)):
                    if b - a > 1e-6:
                        events.append(_span(STAGES, number, what, a - origin, b - origin, {"before": str(op)}))
        ends_at = ends_of(told)
        arrived = [row for times in told for row in times.arrivals]
        for lane, ((_, channel), arrivals) in enumerate(zip(channels, arrived, strict=True)):
            kind = "B" if channel.back else "F"
            for microbatch, at in enumerate(arrivals):
                made_time = ends_at[kind, channel.source, microbatch]
                label = f"{kind}{microbatch}.{channel.source}"
                # Transfers of a channel overlap, which tracks of nested spans cannot show: each has an id of its own.
                both = {"cat": "transfer", "pid": TRANSFERS, "tid": lane, "id": f"{step}.{lane}.{microbatch}"}
                events.append({"ph": "b", "name": label, "ts": (made_time - origin) * 1e6, **both})
                events.append({"ph": "e", "name": label, "ts": (at - origin) * 1e6, **both})
    path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")


def _track(process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": name}}


def _span(process: int, thread: int, name: str, start: float, end: float, args: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": float(start) * 1e6, "dur": float(end - start) * 1e6}
    return {"ph": "X", "pid": process, "tid": thread, "name": name, "args": args} | times
