"""Before the first step: all processes say what they are about to run, and on which clock."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._agent import Agent
from .._errors import PlanMismatch
from .gather import Gather
from .graph import Process

HELLO_BYTES = 1 << 12
"""The least room for what a process says; several times as much as it needs, so that all have the same."""
REFUSAL_BYTES_MAX = HELLO_BYTES // 4
CLOCK_ROUNDS = 8


def compare(
    agent: Agent,
    name: str,
    processes: Sequence[Process],
    mine: int,
    statements: Mapping[str, str],
    timeout: float,
    *,
    refusal: str = "",
) -> float:
    """Compare what all processes state; each learns of a difference.

    **Arguments:**

    - `statements`: a digest by what a message calls the thing.
    - `timeout`: seconds in which all processes come.
    - `refusal`: why this process does not begin.

    **Returns:** what to add to this process's clock to get that of the first process.

    **Raises:** `PlanMismatch` naming what differs and where, or who does not begin and why; `TransferTimeout` if a
    process does not come.
    """
    states = {key: digest[:16] for key, digest in statements.items()}
    said = {"boot": _boot(), "states": states, "refusal": ""}
    width = 1 << max(HELLO_BYTES, 2 * len(json.dumps(said))).bit_length()  # the same for all, whatever they refuse
    said["refusal"] = " ".join(refusal.split()).encode()[:REFUSAL_BYTES_MAX].decode(errors="ignore")
    encoded = json.dumps(said, ensure_ascii=False).encode()
    with Gather(agent, f"{name}/hello", processes, mine, width, "uint8", timeout) as gather:
        row = np.zeros(width, np.uint8)
        row[: len(encoded)] = np.frombuffer(encoded, np.uint8)
        told = [_read(bytes(other)) for other in gather.exchange(row)]
        begins = not any(one["refusal"] for one in told)
        same_clock = len({one["boot"] for one in told}) == 1
        offset = 0.0 if same_clock or not begins else _clock_offset(gather, len(processes), mine)
    # Only now: the channel has ended in order, so every process has all rows and finds the difference by itself.
    _check(processes, mine, told)
    return offset


def _check(processes: Sequence[Process], mine: int, told: Sequence[dict[str, Any]]) -> None:
    for number, (process, other) in enumerate(zip(processes, told, strict=True)):
        if other["refusal"]:
            raise PlanMismatch(f"Process {number} on {process.host!r} does not begin. {other['refusal']}")
    for number, (process, other) in enumerate(zip(processes, told, strict=True)):
        first = told[0]["states"]
        different = sorted(k for k in first.keys() | other["states"].keys() if first.get(k) != other["states"].get(k))
        if different:
            raise PlanMismatch(
                f"Process {number} on {process.host!r} states another pipeline than process 0 on "
                f"{processes[0].host!r}: they differ in {', '.join(different)}. This is process {mine}. Start all "
                "processes from the same program and configuration."
            )


def _clock_offset(gather: Gather, count: int, mine: int) -> float:
    """The difference to the first process's clock, as NTP finds it: the shortest ways there and back are equal.

    A row says when it was sent; the shortest apparent way from each process over several rounds is told in a last one.
    The error is at most half of the shortest way there and back.
    """
    shortest = np.full(count, np.inf)
    width = gather.row.shape[1]
    for _ in range(CLOCK_ROUNDS):
        row = np.zeros(width, np.uint8)
        row[:8].view(np.float64)[0] = time.perf_counter()
        rows = gather.exchange(row)
        sent = np.ascontiguousarray(rows[:, :8]).view(np.float64)[:, 0]
        shortest = np.minimum(shortest, time.perf_counter() - sent)
    row = np.zeros(width, np.uint8)
    row[: 8 * count].view(np.float64)[:] = shortest
    ways = np.ascontiguousarray(gather.exchange(row)[:, : 8 * count]).view(np.float64)
    return float(ways[0, mine] - ways[mine, 0]) / 2


def _boot() -> str:
    """Equal on processes that share a clock: those of one running kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _read(row: bytes) -> dict[str, Any]:
    return dict(json.loads(row.rstrip(b"\0").decode()))
