"""The predicted timeline of a plan, as the planner tells it, and as a trace for Perfetto or chrome://tracing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._plan import Move, Plan

LIMITS = "shared limits"


def track(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The group and the name of what can be busy: a NIC direction of a host, or a limit of several hosts."""
    hosts = ", ".join(resource["hosts"][:4]) + (", ..." if len(resource["hosts"]) > 4 else "")
    if resource["limit"]:
        return LIMITS, f"{'leaving' if resource['direction'] == 'out' else 'entering'} {hosts}"
    return hosts, "sends" if resource["direction"] == "out" else "receives"


def label(move: Move) -> str:
    """What a move is called: its tensor, and its box in it."""
    bounds = ", ".join(f"{lo}:{hi}" for lo, hi in move.box)
    return f"{move.tensor} [{bounds}]".strip()


def trace_text(plan: Plan, timeline: Mapping[str, Any]) -> str:
    """The trace: a process for each host, a thread for each NIC direction, an event for each busy interval."""
    processes: dict[str, int] = {}
    events: list[dict[str, Any]] = []
    places = []
    for number, resource in enumerate(timeline["resources"]):
        group, name = track(resource)
        if group not in processes:
            processes[group] = len(processes) + 1
            events.append(_named("process_name", processes[group], 0, group))
            events.append(
                {
                    "ph": "M",
                    "name": "process_sort_index",
                    "pid": processes[group],
                    "tid": 0,
                    "args": {"sort_index": len(processes)},
                }
            )
        places.append((processes[group], number + 1))
        events.append(_named("thread_name", *places[-1], name))
    moves = [
        {
            "name": label(move),
            "args": {"bytes": move.bytes, "route": " > ".join(move.route), "to": list(move.receivers)},
        }
        for move in plan.moves
    ]
    columns = (timeline[name] for name in ("resource", "move", "start", "end"))
    for resource, move, start, end in zip(*columns, strict=True):
        pid, tid = places[resource]
        events.append(
            {"ph": "X", "cat": "move", "pid": pid, "tid": tid, "ts": start * 1e6, "dur": (end - start) * 1e6}
            | moves[move]
        )
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _named(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}
