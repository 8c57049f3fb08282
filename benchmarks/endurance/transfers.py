"""Many transfers of mixed sizes over four agents with UCX, and what agents and trainers hold on the way.

`python -m endurance.transfers --transfers 100000`: prints the figures at 10 %, 50 % and 100 %, and ends with 1 when
something has grown by more than its tolerance.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import crossmesh as cm

from . import figures
from .trainer import HOSTS, SIZES

MARKS = (0.1, 0.5, 1.0)
CHANNELS = len(SIZES) * 2


class Trainer:
    """The process of a host's trainer."""

    def __init__(self, cluster: cm.LocalCluster, host: str, marks: list[int]) -> None:
        self.name = f"trainer {host}"
        steps = ",".join(map(str, marks))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "endurance.trainer", "--channels", str(CHANNELS), "--marks", steps],
            cwd=Path(__file__).parents[1],
            env=os.environ | cluster.env(host),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until(self, line: str) -> None:
        """Waits for a line; the process's own limits see to it that one comes."""
        said = self._process.stdout.readline().strip()
        if said != line:
            raise RuntimeError(f"{self.name} said {said!r} instead of {line!r}")

    def go_on(self) -> None:
        """Lets it run to its next mark."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def figures(self) -> figures.Figures:
        """What the process holds."""
        return figures.of_process(self._process.pid)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def run(transfers: int) -> dict[str, dict[str, figures.Figures]]:
    """All transfers; the figures by mark and process."""
    steps = [math.ceil(transfers * mark / CHANNELS) for mark in MARKS]
    marks: dict[str, dict[str, figures.Figures]] = {}
    with cm.LocalCluster(HOSTS, arena="256MiB") as cluster:
        trainers = []
        try:
            trainers = [Trainer(cluster, host, steps) for host in HOSTS]
            for mark, step in zip(MARKS, steps, strict=True):
                for trainer in trainers:
                    trainer.until(f"at {step}")
                marks[f"{mark:.0%}"] = _figures(cluster, trainers)
                for trainer in trainers:
                    trainer.go_on()
            for trainer in trainers:
                trainer.until("done")
        finally:
            for trainer in trainers:
                trainer.close()
    return marks


def _figures(cluster: cm.LocalCluster, trainers: list[Trainer]) -> dict[str, figures.Figures]:
    agents = {
        f"agent {host}": figures.of_agent(cluster.pid(host), cluster._infos[host]["metrics"]["port"]) for host in HOSTS
    }
    return agents | {trainer.name: trainer.figures() for trainer in trainers}


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transfers", type=int, default=100_000)
    transfers = parser.parse_args().transfers
    started = time.perf_counter()
    marks = run(transfers)
    seconds = time.perf_counter() - started
    print(f"{transfers} transfers on {CHANNELS} channels over {len(HOSTS)} agents in {seconds:.0f} s, every byte right")
    print("\n".join(figures.table(marks)))
    first, *_, last = marks.values()
    grown = [f"{process}: {what}" for process in first for what in figures.growth(first[process], last[process])]
    print("\n".join(grown) or "flat: nothing grew by more than its tolerance")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
