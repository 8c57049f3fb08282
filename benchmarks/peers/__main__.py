"""Runs crossmesh beside each peer that is there.

python -m peers [--peers-python PYTHON] [--peer NAME ...] [--case NAME ...] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.errors import CannotStart
from lab.hosts import Hosts, line_rate
from lab.network import Network, Shape
from lab.system import require_tools
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import crossmesh as cm
from crossmesh._demo import DIVIDE, paper_cases
from crossmesh._topology import bandwidth

from .boxes import Work
from .cases import work_of
from .group import Group, PeerGone, Place
from .lab_place import LabPlace
from .measure import OURS, Row, compare
from .places import TCP_ONLY, Loopback
from .worker import PEERS

ARENA = "2GiB"


def show(rows: list[Row], console: Console) -> None:
    """One line a case, one column a peer: its median and, in brackets, over crossmesh's in the same turns."""
    peers = list(dict.fromkeys(row.peer for row in rows))
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title="seconds (over the lower bound in a lab), then over crossmesh's in the same turns",
    )
    table.add_column("case")
    table.add_column("crossmesh", justify="right")
    for peer in peers:
        table.add_column(peer, justify="right")
    for case in dict.fromkeys(row.case for row in rows):
        cells = {row.peer: row for row in rows if row.case == case}
        ours = [s for row in cells.values() for s in row.ours]
        bound = next(iter(cells.values())).bound
        mine = statistics.median(ours) if ours else None
        line = [case, "-" if mine is None else f"{mine:.3f}" + (f" ({mine / bound:.2f})" if bound else "")]
        for peer in peers:
            row = cells.get(peer)
            if row is None or not row.seconds:
                line.append("-")
            else:
                over = f" ({row.median / bound:.2f})" if bound else ""
                line.append(f"{row.median:.3f}{over} [{'green' if row.ratio >= 1 else 'red'}]{row.ratio:.2f}[/]")
        table.add_row(*line)
    console.print(table)
    for peer in peers:
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if row.peer == peer and row.reason:
                reasons.setdefault(row.reason, []).append(row.case)
        for reason, cases in reasons.items():
            console.print(f"{peer}: - in {', '.join(cases)}: {reason}", soft_wrap=True, markup=False)


@contextlib.contextmanager
def place_of(rate: str | None, hosts: list[str]) -> Iterator[tuple[Place, float | None]]:
    """Agents on loopback, or in a lab of that rate with the payload that iperf3 measures there, in bytes per second."""
    if rate is None:
        with cm.LocalCluster(hosts, arena=ARENA, env=dict(TCP_ONLY)) as cluster:
            yield Loopback(cluster), None
        return
    require_tools()
    with Network(Shape(len(hosts), round(bandwidth(rate) * 8))) as network:
        carried = line_rate(network)
        with Hosts(network, ARENA, trainers=False) as running:
            yield LabPlace(running), carried


def run_peer(
    ours: Group, peer: str, place: Place, args: argparse.Namespace, works: list[Work], told: Callable[[Row], None]
) -> None:
    """All cases beside one peer, or one word for all of them."""
    env = {"PEERS_DIVIDE": str(args.divide)}
    if isinstance(place, LabPlace) and peer == "ray gloo":
        reason = "its processes find each other through files of one machine, which a namespace cannot tell apart"
    else:
        try:
            python = sys.executable if PEERS[peer][0] == "ours" else args.peers_python
            with Group(peer, place, python, env) as theirs:
                compare(ours, theirs, works, args.warm_ups, args.repeats, told)
                return
        except PeerGone as gone:
            reason = str(gone)
    for work in works:
        told(Row(work.case, peer, reason=reason))


def main() -> int:
    """Runs, prints. The status is 0 also where a peer leads: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--peer", action="append", choices=[peer for peer in PEERS if peer != OURS])
    parser.add_argument("--case", action="append", choices=[case.name for case in paper_cases()])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warm-ups", type=int, default=24, help="untimed steps before them: JVMs compile meanwhile")
    parser.add_argument("--divide", type=int, default=DIVIDE, help="what dimension 0 of every tensor is divided by")
    parser.add_argument("--rate", help="run in the network lab (needs root), with NICs of this rate: 500Mbit/s")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    # Ended from outside, the peers' processes and directories go too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if min(args.repeats, args.warm_ups, args.divide) < 1:
        parser.error("--repeats, --warm-ups and --divide must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 160)
    cases = [case for case in paper_cases(args.divide) if args.case is None or case.name in args.case]
    hosts = sorted({host for case in cases for mesh in (case.src.mesh, case.dst.mesh) for host in mesh.hosts})
    works = [work_of(case) for case in cases]
    rows: list[Row] = []
    env = {"PEERS_DIVIDE": str(args.divide)}

    bounds: dict[str, float] = {}

    def told(row: Row) -> None:
        row.bound = bounds.get(row.case)
        rows.append(row)
        figures = f"{row.median:.4f} s, crossmesh {row.ours_median:.4f} s" if row.seconds else f"- {row.reason}"
        console.print(f"{row.peer}, case {row.case}: {figures}", markup=False, soft_wrap=True)

    try:
        with place_of(args.rate, hosts) as (place, carried):
            for case in cases if carried else ():
                topology = cm.Topology.uniform(hosts, bandwidth=carried or 0.0, latency=0.0)
                bounds[case.name] = cm.plan(case.spec, src=case.src, dst=case.dst, topology=topology).lower_bound
            with Group(OURS, place, sys.executable, env) as ours:
                for peer in args.peer or [peer for peer in PEERS if peer != OURS]:
                    run_peer(ours, peer, place, args, works, told)
    except CannotStart as error:
        console.print(str(error), soft_wrap=True, markup=False)
        return 2
    show(rows, console)
    if args.json:
        args.json.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
