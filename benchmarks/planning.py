"""How long planning takes from Python, JVM warm, and reading what was planned.

Each figure is the median of several plans of requests that differ in a key or a deadline, so that none is answered
from the planner's cache, beside its limit. Run it with `.venv/bin/python benchmarks/planning.py`.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import crossmesh as cm
from crossmesh import _demo

PAPER_SECONDS_MAX = 0.010
THOUSAND_TASKS_SECONDS_MAX = 0.050
LARGE_SECONDS_MAX = 2.0
MODEL_SECONDS_MAX = 1.0
TENSORS = 1000

_numbers = itertools.count()


def mesh(prefix: str, hosts: int, devices: int) -> cm.Mesh:
    """A mesh whose first axis is its hosts."""
    return cm.Mesh((hosts, devices), hosts=[f"{prefix}{host}" for host in range(hosts)])


def unseen(src: cm.Sharding, dst: cm.Sharding, *specs: cm.TensorSpec) -> cm.Plan:
    """The plan of tensors under keys that no other plan had."""
    number = next(_numbers)
    return cm.plan({f"{number}/{i}": spec for i, spec in enumerate(specs)}, src=src, dst=dst)


def all_to_all(hosts: int, devices: int) -> Callable[[], cm.Plan]:
    """`R S01 -> S01 R`: every device has something for every other."""
    src = cm.Sharding(mesh("s", hosts, devices), "R S01")
    dst = cm.Sharding(mesh("d", hosts, devices), "S01 R")
    return lambda: unseen(src, dst, cm.TensorSpec((16_384, 16_384), "float32"))


def model() -> Callable[[], cm.Plan]:
    """The tensors of 30 equal layers, from 4 hosts x 4 devices to as many others."""
    src, dst = cm.Sharding(mesh("s", 4, 4), "S0 S1"), cm.Sharding(mesh("d", 4, 4), "S1 S0")
    specs = [cm.TensorSpec((1024 * (1 + i % 4), 1024 * (1 + i // 4 % 2)), "bfloat16") for i in range(TENSORS)]
    return lambda: unseen(src, dst, *specs)


def seconds(action: Callable[[], object], warm_ups: int, repeats: int = 5) -> list[float]:
    """The seconds of several runs."""
    for _ in range(warm_ups):
        action()
    values = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        values.append(time.perf_counter() - start)
    return values


def rows() -> list[tuple[str, list[float], float]]:
    """All figures: name, seconds, limit."""
    large = all_to_all(64, 8)
    figures = [
        (f"paper {case.name}", seconds(lambda case=case: unseen(case.src, case.dst, case.spec), 60), PAPER_SECONDS_MAX)
        for case in _demo.paper_cases(divide=1)
    ]
    figures.append(("8x4 all to all", seconds(all_to_all(8, 4), 20), THOUSAND_TASKS_SECONDS_MAX))
    figures.append((f"{TENSORS} tensors", seconds(model(), 8), MODEL_SECONDS_MAX))
    figures.append(("64x8 all to all", seconds(large, 4), LARGE_SECONDS_MAX))
    plan = large()
    figures.append(("  its moves, mapped", seconds(lambda: len(plan.moves), 0, 1), LARGE_SECONDS_MAX))
    figures.append(("  its moves, all read", seconds(lambda: [move.bytes for move in plan.moves], 0, 3), math.inf))
    same = _demo.paper_cases(divide=1)[3]
    figures.append(("paper 4, again", seconds(lambda: cm.plan(same.spec, src=same.src, dst=same.dst), 20), math.inf))
    return figures


def main() -> int:
    """Prints the table; the status says whether every limit holds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in ("figure", "median ms", "min", "max", "limit", "/ limit"):
        table.add_column(header, justify="left" if header == "figure" else "right", no_wrap=True)
    within = True
    for name, values, limit in rows():
        median = statistics.median(values)
        within &= median <= limit
        milliseconds = (f"{1000 * v:.3g}" for v in (median, min(values), max(values)))
        limits = (f"{1000 * limit:.3g}", f"{median / limit:.2f}") if limit < math.inf else ("", "")
        table.add_row(name, *milliseconds, *limits)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
