"""How long schedules take from Python, in new processes: the first call, which compiles what it runs, and later ones.

64 stages, 512 micro-batches, weight gradients apart: 98,304 operations. Each of several new processes starts its
planner and then asks; `adaptive` is asked under another cap each time, so that nothing is the answer of before. Run it
with `.venv/bin/python benchmarks/schedules.py`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import crossmesh as cm

SIMULATE_SECONDS_MAX = 0.1
ADAPTIVE_SECONDS_MAX = 1.0
PROCESSES = 5
LATER = 4
STAGES, MICROBATCHES = 64, 512
TIMES = {"forward": 0.01, "backward": 0.01, "weight": 0.01, "transfer": 0.004}
PROCESS_SECONDS_MAX = 60
LIMITS = {"simulate": SIMULATE_SECONDS_MAX, "adaptive": ADAPTIVE_SECONDS_MAX}


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def asked(what: str) -> dict[str, Any]:
    """The seconds of all calls of one kind, in this process, and of the planner's start."""
    started = seconds(lambda: cm.schedule("1f1b", stages=2, microbatches=2))
    if what == "simulate":
        schedule = cm.schedule("zb-h1", stages=STAGES, microbatches=MICROBATCHES)
        calls = [seconds(lambda: cm.simulate(schedule, **TIMES)) for _ in range(1 + LATER)]
    else:
        size = {"stages": STAGES, "microbatches": MICROBATCHES, **TIMES}
        caps = range(2 * STAGES - 1, 2 * STAGES + LATER)
        calls = [seconds(lambda cap=cap: cm.schedule("adaptive", memory=cap, **size)) for cap in caps]
    return {"start": started, "first": calls[0], "later": calls[1:]}


def in_new_process(what: str) -> dict[str, Any]:
    """`asked` of a process of its own."""
    command = [sys.executable, __file__, what]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PROCESS_SECONDS_MAX)
    return dict(json.loads(done.stdout))


def main() -> int:
    """Prints the table; the status says whether every limit holds."""
    in_new_process("simulate")  # so that the cache of classes is there, or being made by nobody
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in ("call", "median ms", "min", "max", "limit", "/ limit"):
        table.add_column(header, justify="left" if header == "call" else "right", no_wrap=True)
    within = True
    for what, limit in LIMITS.items():
        told = [in_new_process(what) for _ in range(PROCESSES)]
        rows = [
            (f"{what}, first", [one["first"] for one in told]),
            (f"{what}, later", [each for one in told for each in one["later"]]),
            ("  before it: the planner starts", [one["start"] for one in told]),
        ]
        for name, values in rows:
            median, limited = statistics.median(values), name.startswith(what)
            within &= not limited or median <= limit
            milliseconds = (f"{1000 * v:.3g}" for v in (median, min(values), max(values)))
            limits = (f"{1000 * limit:.3g}", f"{median / limit:.2f}") if limited else ("", "")
            table.add_row(name, *milliseconds, *limits)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if within else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asked(sys.argv[1])))
    else:
        sys.exit(main())
