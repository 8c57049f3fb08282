"""Trains a transformer cut over two processes and holds it against the same model in one process.

    python examples/two_stage/train.py [--size small|tiny] [--steps 20] [--json FILE]

Starts an agent and a process for each stage, then trains the same model in this process, and prints both
losses of each step and how far the final parameters are apart. Exits with 1 if that is more than 1e-5.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).resolve().parents[1]))

from needs import need

need("crossmesh", "jax")

import crossmesh as cm
import numpy as np
from rich.console import Console

from children import Children, ChildrenError
from comparison import Comparison, Parameters
from config import SIZES, Config
from layouts import DEVICES_PER_STAGE
from learner import by_path
from single import train as train_single

HOSTS: Final = ("stage0", "stage1")


@dataclass(frozen=True)
class StepReport:
    """What stage 1 says of one step."""

    step: int
    loss: float
    seconds: float


def train_two_stages(size: str, steps: int, timeout: float, directory: Path) -> Iterator[StepReport]:
    """Yields stage 1's report of each step. After the last, both stages' parameters are in ``directory``."""
    script = Path(__file__).with_name("stage.py")
    devices = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES_PER_STAGE}"}
    with cm.LocalCluster(hosts=list(HOSTS), transport="ucx") as cluster, Children(timeout) as children:
        for stage, host in enumerate(HOSTS):
            command = [sys.executable, str(script), f"--stage={stage}", f"--size={size}", f"--steps={steps}"]
            command.append(f"--save={directory / host}.npz")
            children.start(host, command, os.environ | cluster.env(host) | devices)
        for line in children.lines():
            yield StepReport(**json.loads(line))


def saved_parameters(directory: Path) -> Parameters:
    """What the stages saved, all in one dictionary."""
    parameters: Parameters = {}
    for stage, host in enumerate(HOSTS):
        with np.load(directory / f"{host}.npz") as file:
            parameters |= {f"stage {stage}: {path}": file[path] for path in file.files}
    return parameters


def boundary_bytes(config: Config) -> int:
    """Bytes of the tensors that cross the boundary in one step, both directions together."""
    values = config.microbatch * config.sequence * config.width
    return 2 * config.microbatches * values * np.dtype(np.float32).itemsize


def main() -> int:
    """Runs both trainings and compares them. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for the two stages together")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    config, console = SIZES[args.size], Console()

    reports = []
    with tempfile.TemporaryDirectory() as directory, console.status("starting two stages") as status:
        try:
            for report in train_two_stages(args.size, args.steps, args.timeout, Path(directory)):
                reports.append(report)
                status.update(f"two stages: step {report.step + 1} of {args.steps}, loss {report.loss:.4f}")
        except (ChildrenError, cm.CrossmeshError) as error:
            console.print(f"[red]failed:[/] {error}", soft_wrap=True)
            return 1
        parameters = saved_parameters(Path(directory))
        status.update("the same model in one process")
        losses_single, stages = train_single(config, args.steps)

    comparison = Comparison(
        losses=[report.loss for report in reports],
        losses_single=losses_single,
        parameters=parameters,
        parameters_single={
            f"stage {stage}: {path}": array
            for stage, params in enumerate(stages)
            for path, array in by_path(params).items()
        },
    )
    comparison.show(console)
    step_seconds = median(report.seconds for report in reports)
    console.print(
        f"{boundary_bytes(config) / 2**20:.2f} MiB over the boundary and {step_seconds:.3f} s a step (median)"
    )
    if args.json:
        figures = {
            "size": args.size,
            "steps": args.steps,
            "losses": comparison.losses,
            "losses_single": comparison.losses_single,
            "loss_difference": max(comparison.loss_differences),
            "parameter_difference": max(comparison.parameter_differences.values()),
            "matches": comparison.matches,
            "step_seconds": step_seconds,
            "boundary_bytes": boundary_bytes(config),
        }
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if comparison.matches else 1


if __name__ == "__main__":
    sys.exit(main())
