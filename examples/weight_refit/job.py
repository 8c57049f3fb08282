"""What the processes of both jobs share: their arguments, their way into JAX, and what they tell the parent."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import crossmesh as cm
import jax
from jax.sharding import Mesh

from config import SIZES, Config
from layouts import layouts
from model import Params, shapes


class Parent:
    """The way to the parent: what was standard output when the process started.

    Libraries write there too (Gloo, when it connects), and not in lines of their own; from now on that goes nowhere.
    """

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def say(self, **what: object) -> None:
        """One line of JSON."""
        self._lines.write(json.dumps(what) + "\n")
        self._lines.flush()


@dataclass(frozen=True)
class Job:
    """One process's share of a run."""

    process: int
    config: Config
    steps: int
    every: int
    rounds: int
    wire: tuple[str, int]
    parent: Parent

    @property
    def refits(self) -> list[int]:
        """The steps after which the weights go to the engine; 0 is before the first."""
        return list(range(0, self.steps + 1, self.every))

    @property
    def timed(self) -> list[int]:
        """Step numbers, larger than those, of the transfers that are only timed."""
        return [self.steps + 1 + number for number in range(self.rounds)]

    def parameters(self, mesh: Mesh) -> tuple[Params, Params]:
        """What the parameters are, without their values, and where they lie on a mesh."""
        spec = shapes(self.config)
        return spec, layouts(mesh, spec)


def run(main: Callable[[cm.Agent, Job], None]) -> None:
    """Reads the command line, joins the job's other process and connects to this host's agent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--coordinator", required=True)
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--size", choices=sorted(SIZES), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--wire", required=True)
    args = parser.parse_args()
    host, port = args.wire.rsplit(":", 1)
    job = Job(args.process, SIZES[args.size], args.steps, args.every, args.rounds, (host, int(port)), Parent())
    jax.distributed.initialize(args.coordinator, num_processes=2, process_id=args.process)
    try:
        with cm.connect() as agent:
            main(agent, job)
    finally:
        jax.distributed.shutdown()
