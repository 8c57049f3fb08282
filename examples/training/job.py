"""A pipeline training from one command: an agent and a process for each stage, on this machine.

The script of an example calls ``main``, and is started again for each stage with ``--process``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import crossmesh as cm
import jax
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from children import Children, ChildrenError
from training.layers import Part
from training.pictures import loss_curve, timeline
from training.stage import Example, run

SCHEDULES: Final = ("gpipe", "1f1b", "eager-1f1b", "interleaved-1f1b", "zb-h1", "adaptive")
DEVICES: Final = 4
"""Devices of each process, as ``layouts.py`` of the examples has them."""

Row = Mapping[str, Any]
"""What process 0 says of one step."""


@dataclass(frozen=True)
class Trained:
    """A training that has ended: its folder, and what was said of each step."""

    directory: Path
    args: argparse.Namespace
    rows: list[Row]


def main(
    example: Example, script: Path, description: str, afterwards: Callable[[Trained, Console], None] | None = None
) -> int:
    """Runs what the command line asks for. Returns the exit status.

    Args:
        example: what is trained.
        script: the file to start for each process.
        description: the help of the command.
        afterwards: is called with the training when it has ended.
    """
    parser = _parser(example, description)
    args = parser.parse_args()
    if args.steps < 1 or args.stages < 1 or args.virtual < 1:
        parser.error("--steps, --stages and --virtual must be at least 1")
    if (args.virtual > 1) != (args.schedule == "interleaved-1f1b"):
        parser.error("--virtual 2 or more and --schedule interleaved-1f1b go together")
    if args.describe:
        describe(example.parts(args.size, args.stages * args.virtual), Console())
        return 0
    if args.process is not None:
        run(example, args)
        return 0
    console = Console()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("starting", total=args.steps)
            for row in _rows(args, script):
                rows.append(row)
                said = f"loss {row['loss']:.4f}, {row['seconds']:.2f} s a step"
                progress.update(task, completed=row["step"] + 1, description=said)
    except (ChildrenError, cm.CrossmeshError) as error:
        console.print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    trained = Trained(args.out, args, rows)
    _show(trained, console)
    loss_curve([row["step"] for row in rows], [row["loss"] for row in rows], example.loss_name, args.out / "loss.png")
    timeline(args.out / "trace.json", args.out / "timeline.png")
    if afterwards is not None:
        afterwards(trained, console)
    (args.out / "figures.json").write_text(json.dumps(rows, indent=1) + "\n")
    console.print(f"loss.png, timeline.png, trace.json (for ui.perfetto.dev), figures.json: see {args.out}")
    return 0


def _parser(example: Example, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(example.sizes), default="small")
    parser.add_argument("--stages", type=int, default=2, help="processes, each with four devices")
    parser.add_argument("--virtual", type=int, default=1, help="stages in each process, for interleaved-1f1b")
    parser.add_argument("--schedule", choices=SCHEDULES, default="eager-1f1b")
    parser.add_argument("--microbatches", type=int, default=8, help="in each step")
    parser.add_argument("--steps", type=int, default=example.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(f"{example.name}-out"), help="folder for what is written")
    parser.add_argument("--save-every", type=int, metavar="STEPS", help="save the training in OUT/saved")
    parser.add_argument("--resume", action="store_true", help="go on from the last save in OUT/saved")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for all of it")
    parser.add_argument("--describe", action="store_true", help="say what the stages hold and send, and train nothing")
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    return parser


def _rows(args: argparse.Namespace, script: Path) -> Iterator[Row]:
    hosts = [f"stage{number}" for number in range(args.stages)]
    command = [sys.executable, str(script), *sys.argv[1:]]
    given = os.environ.get("XLA_FLAGS", "")
    devices = {"XLA_FLAGS": f"{given} --xla_force_host_platform_device_count={DEVICES}"}
    with cm.LocalCluster(hosts, transport="ucx") as cluster, Children(args.timeout) as children:
        for number, host in enumerate(hosts):
            children.start(host, [*command, f"--process={number}"], os.environ | cluster.env(host) | devices)
        for line in children.lines():
            yield cast("Row", json.loads(line))


def describe(parts: Sequence[Part], console: Console) -> None:
    """Prints what each stage holds and what leaves it, from shapes alone: sizes of any machine will do."""
    table = Table(title="One micro-batch, forward; the same comes back as gradients")
    for heading in ("stage", "parameters", "leaves it", "MiB"):
        table.add_column(heading, justify="left" if heading == "leaves it" else "right")
    for number, part in enumerate(parts):
        held = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(part.params))
        sent = [f"{name} {value.dtype}{list(value.shape)}" for name, value in part.outputs.items()]
        mib = sum(math.prod(value.shape) * value.dtype.itemsize for value in part.outputs.values()) / 2**20
        table.add_row(str(number), f"{held / 1e6:,.1f} M", "\n".join(sent), f"{mib:.1f}")
    console.print(table)


def _show(trained: Trained, console: Console) -> None:
    rows = trained.rows[len(trained.rows) // 2 :]
    names = rows[0]["stages"]
    table = Table(title=f"Where the time of a step went, in ms (median of the last {len(rows)} steps)")
    for heading in ("process", "computed", "waited for the network", "waited for others", "between", "most held"):
        table.add_column(heading, justify="right")
    for number in range(len(names)):
        of_stage = [row["stages"][number] for row in rows]
        times = [1e3 * median(stage[what] for stage in of_stage) for what in ("compute", "exposed", "bubble", "runner")]
        held = max(stage["peak_activations"] for stage in of_stage)
        table.add_row(str(number), *(f"{time:.1f}" for time in times), str(held))
    console.print(table)
    seconds = median(row["seconds"] for row in rows)
    console.print(
        f"{trained.args.schedule}: {seconds:.3f} s a step; loss {_mean(trained.rows[:5]):.4f} at the start, "
        f"{_mean(trained.rows[-5:]):.4f} at the end"
    )


def _mean(rows: Sequence[Row]) -> float:
    return sum(row["loss"] for row in rows) / len(rows)
