"""Moves a model's weights from a trainer's layout to an engine's, again and again, while both go on.

    python examples/weight_refit/refit.py [--size medium|small] [--steps 6] [--every 2] [--rounds 5] [--json FILE]

Starts four agents, a trainer of two JAX processes and an engine of two more. Afterwards it holds every answer of the
engine against the weights that the trainer had at that step, and prints what a refit takes beside its lower bound and
beside gathering everything at one host first. Exits with 1 if an answer was computed from anything but the whole
weights of one version.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).resolve().parents[1]))

from needs import need

need("crossmesh", "jax")

import crossmesh as cm
from rich.console import Console
from rich.table import Table

from children import Children, ChildrenError
from config import DEVICES_PER_HOST, ENGINES, SIZES, TRAINERS
from predicted import Predicted, predict
from versions import MixedWeights, Record

ARENAS: Final = {"small": "128MiB", "medium": "2GiB"}


def free_addresses(count: int) -> list[str]:
    """Addresses of loopback on which nothing listens."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def run(args: argparse.Namespace, record: Record) -> None:
    """Runs both jobs to their ends; `record` takes what they tell."""
    here = Path(__file__).resolve().parent
    common = [f"--size={args.size}", f"--steps={args.steps}", f"--every={args.every}", f"--rounds={args.rounds}"]
    trainers, engines, wire = free_addresses(3)
    devices = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES_PER_HOST}"}
    with (
        cm.LocalCluster([*TRAINERS, *ENGINES], arena=ARENAS[args.size], env={"UCX_TLS": "tcp,self"}) as cluster,
        Children(args.timeout) as children,
    ):
        jobs = (("trainer.py", TRAINERS, trainers), ("engine.py", ENGINES, engines))
        for script, hosts, coordinator in jobs:
            for process, host in enumerate(hosts):
                command = [sys.executable, str(here / script), f"--process={process}", *common]
                command += [f"--coordinator={coordinator}", f"--wire={wire}"]
                names = {"CROSSMESH_HOSTS": ",".join(hosts)}
                children.start(host, command, os.environ | cluster.env(host) | devices | names)
        for line in children.lines():
            record.take(json.loads(line))


def figures(record: Record, plans: Predicted) -> dict[str, Any]:
    """Everything that was found, for JSON and for the table."""
    rate = plans.bytes_busiest / record.median("socket")
    return {
        "bytes": plans.bytes_whole,
        "bytes_busiest": plans.bytes_busiest,
        "tensors": plans.tensors,
        "versions": sorted(record.sent),
        "answers": len(record.answers),
        "answers_meanwhile": record.answers_meanwhile,
        "seconds_live": record.seconds_live,
        "seconds": {route: record.seconds(route) for route in ("direct", "gathered", "socket")},
        "socket_bytes_per_s": rate,
        "bound_seconds": {"direct": plans.direct(rate), "gathered": plans.gathered(rate)},
    }


def show(console: Console, found: dict[str, Any], record: Record) -> None:
    """Prints the table of the routes and what the engine did meanwhile."""
    mib = found["bytes"] / 2**20
    table = Table(title=f"{found['tensors']} tensors, {mib:.1f} MiB, from 2 trainer hosts to 2 engine hosts")
    table.add_column("route")
    for heading in ("seconds (median)", "min", "max", "lower bound", "/ bound"):
        table.add_column(heading, justify="right")
    for route, label in (("direct", "as planned"), ("gathered", "gathered at one host first")):
        seconds, bound = found["seconds"][route], found["bound_seconds"]["direct"]
        times = [record.median(route), min(seconds), max(seconds), bound]
        table.add_row(label, *(f"{value:.4f}" for value in times), f"{times[0] / bound:.2f}")
    console.print(table)
    console.print(
        f"lower bound: {found['bytes_busiest'] / 2**20:.1f} MiB over the busiest NIC at the "
        f"{found['socket_bytes_per_s'] / 1e9:.2f} GB/s of a plain socket between the same processes in the same "
        f"rounds; that of gathering first is {found['bound_seconds']['gathered']:.4f} s",
        soft_wrap=True,
    )
    console.print(
        f"versions {found['versions']}: {found['answers']} answers, each from the whole weights of one version, "
        f"{found['answers_meanwhile']} of them while the next was on its way",
        soft_wrap=True,
    )


def main() -> int:
    """Runs, checks, prints. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="medium")
    parser.add_argument("--steps", type=int, default=6, help="training steps")
    parser.add_argument("--every", type=int, default=2, help="steps between two refits")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after the training")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for all processes together")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    if min(args.steps, args.every, args.rounds) < 1:
        parser.error("--steps, --every and --rounds must be at least 1")
    console, record = Console(), Record()
    try:
        with console.status(f"training {args.steps} steps, a refit every {args.every}"):
            run(args, record)
        record.check()
    except (ChildrenError, MixedWeights, cm.CrossmeshError) as error:
        console.print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    found = figures(record, predict(SIZES[args.size]))
    show(console, found, record)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
