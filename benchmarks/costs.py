"""What stands around a transfer: starting an agent, its memory, opening a channel.

Each figure is printed beside its limit as a ratio (below 1 is within), the median of several runs with the spread.
Run it with the environment that `make venv` makes: `.venv/bin/python benchmarks/costs.py`.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import crossmesh as cm
from crossmesh import _aot, _demo, _jvm
from crossmesh._java import find_jar, find_java

START_SECONDS_MAX = 0.7
IDLE_PERCENT_MAX = 0.5
IDLE_SETTLE_SECONDS = 45.0  # what was just loaded is compiled meanwhile
IDLE_WINDOW_SECONDS = 6.0
CACHE_SECONDS_MAX = 60.0
OPEN_SECONDS_MAX = 0.05
RESIDENT_MIB_MAX = 200.0
REPEATS = 5
OPEN_WARM_UPS = 20  # five JVMs have to have compiled their planners
MIB = 2**20


@dataclass(frozen=True)
class Figure:
    """One measured quantity and its limit."""

    name: str
    unit: str
    values: list[float]
    limit: float

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.values)

    @property
    def ratio(self) -> float:
        """Median over limit."""
        return self.median / self.limit


def resident_without_arena_mib(pid: int) -> float:
    """MiB of a process's own and file-backed pages; what lies in shared memory is the arena."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssFile")) * 1024 / MIB


def idle_percent() -> Figure:
    """Processor time of one of two agents that know each other and have nothing to do, in percent of a core."""

    def used(pid: int) -> float:
        tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    values = []
    with cm.LocalCluster(hosts=["a", "b"], arena="64MiB") as cluster:
        time.sleep(IDLE_SETTLE_SECONDS)
        for _ in range(REPEATS):
            before, start = used(cluster.pid("a")), time.perf_counter()
            time.sleep(IDLE_WINDOW_SECONDS)
            values.append(100 * (used(cluster.pid("a")) - before) / (time.perf_counter() - start))
    return Figure("agent, idle", "% of a core", values, IDLE_PERCENT_MAX)


def make_class_cache() -> None:
    """Lets the cache be made with which every start but the first is quick."""
    with cm.LocalCluster(hosts=["a"], arena="64MiB"):
        cache = _aot.cache_path(find_java().path, _jvm.JVM_FLAGS, find_jar())
    deadline = time.monotonic() + CACHE_SECONDS_MAX
    while cache is not None and not cache.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def start_seconds() -> Figure:
    """Launch of one agent until it is ready, from its second start on, without its Python side's imports."""
    make_class_cache()
    values = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        with cm.LocalCluster(hosts=["a"], arena="64MiB"):
            values.append(time.perf_counter() - start)
    return Figure("agent, launch to ready", "s", values, START_SECONDS_MAX)


def open_seconds(cluster: cm.LocalCluster, case: _demo.Case) -> Figure:
    """From the first end's opening to the last end's being open: claims, a plan on each host, memory, digests."""

    def opening() -> float:
        with contextlib.ExitStack() as stack:
            start = time.perf_counter()
            ends = [
                stack.enter_context(cluster.agent(host).sender(f"costs/{case.name}", case.spec, case.src, depth=1))
                for host in case.src.mesh.hosts
            ] + [
                stack.enter_context(cluster.agent(host).receiver(f"costs/{case.name}", case.spec, case.dst, depth=1))
                for host in case.dst.mesh.hosts
            ]
            for end in ends:
                end.wait_open()
            return time.perf_counter() - start

    for _ in range(OPEN_WARM_UPS):
        opening()
    return Figure(f"open, case {case.name}", "s", [opening() for _ in range(REPEATS)], OPEN_SECONDS_MAX)


def measure() -> list[Figure]:
    """All figures, in the order in which they are printed."""
    figures = [start_seconds(), idle_percent()]
    cases = _demo.paper_cases()
    hosts = sorted({host for case in cases for mesh in (case.src.mesh, case.dst.mesh) for host in mesh.hosts})
    with cm.LocalCluster(hosts=hosts, arena="2GiB") as cluster:
        figures += [open_seconds(cluster, case) for case in cases]
        for outcome in (_demo.run_case(cluster, case, _demo.tensor(case.spec), "auto", "size") for case in cases[:3]):
            assert outcome.exact
        pids = {host: cluster.pid(host) for host in hosts}
        figures.append(
            Figure(
                "agent, resident memory without the arena, after transfers",
                "MiB",
                [resident_without_arena_mib(pid) for pid in pids.values()],
                RESIDENT_MIB_MAX,
            )
        )
    return figures


def main() -> int:
    """Prints the table; `--json` prints the raw values instead. The status says whether every limit holds."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        rows = [{"name": f.name, "unit": f.unit, "values": f.values, "limit": f.limit} for f in figures]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for header in ("figure", "median", "min", "max", "limit", "/ limit"):
            table.add_column(header, justify="left" if header == "figure" else "right", no_wrap=True)
        for f in figures:
            table.add_row(
                f"{f.name} [{f.unit}]".replace("[", "\\["),
                *(f"{v:.3g}" for v in (f.median, min(f.values), max(f.values), f.limit)),
                f"{f.ratio:.2f}",
            )
        Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if all(f.ratio <= 1 for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
