"""What a process holds: files, threads, memory beside the arena, live heap; and whether that has grown."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from crossmesh._java import find_java

MIB = 1 << 20
# By how much each may be more at the end than at the first mark. Caches of a young process still fill after it.
TOLERANCES = {"files": 8, "threads": 4, "native_mib": 24.0, "heap_mib": 6.0, "direct_mib": 16.0, "arena_mib": 1.0}
SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Figures:
    """One process at one time; what it has not is 0."""

    files: int
    threads: int
    native_mib: float  # resident beside the arena and the Java heap
    heap_mib: float = 0.0  # Java, after a collection
    direct_mib: float = 0.0  # Java's buffers outside the heap
    arena_mib: float = 0.0  # slots that are taken


def of_process(pid: int) -> Figures:
    """Any process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    own = sum(int(status[name].split()[0]) for name in ("RssAnon", "RssFile")) / 1024
    return Figures(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), int(status["Threads"]), own)


def of_agent(pid: int, metrics_port: int) -> Figures:
    """An agent, after a collection of its garbage."""
    jcmd = find_java().path.with_name("jcmd")
    if jcmd.exists():
        subprocess.run([jcmd, str(pid), "GC.run"], check=True, capture_output=True, timeout=SECONDS_MAX)
    page = scrape(metrics_port)
    whole = of_process(pid)
    committed = total(page, "jvm_memory_committed_bytes", area="heap")
    return Figures(
        whole.files,
        whole.threads,
        whole.native_mib - committed / MIB,
        total(page, "jvm_memory_used_bytes", area="heap") / MIB,
        total(page, "jvm_buffer_memory_used_bytes", id="direct") / MIB,
        total(page, "crossmesh_arena_used") / MIB,
    )


def scrape(port: int) -> str:
    """The page of an agent's numbers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS_MAX) as answer:
        text: str = answer.read().decode()
    return text


def total(page: str, name: str, **labels: str) -> float:
    """The sum of a metric over all series with these labels."""
    found = 0.0
    for line in page.splitlines():
        match = re.fullmatch(rf"{name}(?:_bytes)?(?:\{{(.*)\}})? (\S+)", line)
        if match and all(f'{label}="{value}"' in (match[1] or "") for label, value in labels.items()):
            found += float(match[2])
    return found


def growth(first: Figures, last: Figures) -> list[str]:
    """What is not flat, in words."""
    grown = []
    for name, tolerance in TOLERANCES.items():
        before, after = getattr(first, name), getattr(last, name)
        if after > before + tolerance:
            grown.append(f"{name} grew from {before:.1f} to {after:.1f}, by more than {tolerance}")
    return grown


def table(marks: Mapping[str, Mapping[str, Figures]]) -> Iterable[str]:
    """Lines of a table: marks by process, one column a figure."""
    names = [field.name for field in fields(Figures)]
    yield f"{'process':12} {'at':>8} " + " ".join(f"{name:>10}" for name in names)
    for process in next(iter(marks.values())):
        for mark, figures in marks.items():
            values = (getattr(figures[process], name) for name in names)
            cells = (f"{value:10d}" if isinstance(value, int) else f"{value:10.1f}" for value in values)
            yield f"{process:12} {mark:>8} " + " ".join(cells)
