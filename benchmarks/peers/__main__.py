"""Runs crossmesh beside each peer that is there.

python -m peers [--peers-python PYTHON] [--peer NAME ...] [--case NAME ...] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import crossmesh as cm
from crossmesh._demo import DIVIDE, paper_cases

from .cases import work_of
from .group import Group, PeerGone
from .measure import OURS, Row, compare
from .places import TCP_ONLY, Loopback
from .worker import PEERS

ARENA = "2GiB"


def show(rows: list[Row], console: Console) -> None:
    """One line a case, one column a peer: its median and, in brackets, over crossmesh's in the same turns."""
    peers = list(dict.fromkeys(row.peer for row in rows))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="seconds, and how many times crossmesh's in the same turns")
    table.add_column("case")
    table.add_column("crossmesh", justify="right")
    for peer in peers:
        table.add_column(peer, justify="right")
    for case in dict.fromkeys(row.case for row in rows):
        cells = {row.peer: row for row in rows if row.case == case}
        ours = [s for row in cells.values() for s in row.ours]
        line = [case, f"{sorted(ours)[len(ours) // 2]:.3f}" if ours else "-"]
        for peer in peers:
            row = cells.get(peer)
            if row is None or not row.seconds:
                line.append("-")
            else:
                line.append(f"{row.median:.3f} [{'green' if row.ratio >= 1 else 'red'}]{row.ratio:.2f}[/]")
        table.add_row(*line)
    console.print(table)
    for peer in peers:
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if row.peer == peer and row.reason:
                reasons.setdefault(row.reason, []).append(row.case)
        for reason, cases in reasons.items():
            console.print(f"{peer}: - in {', '.join(cases)}: {reason}", soft_wrap=True, markup=False)


def main() -> int:
    """Runs, prints. The status is 0 also where a peer leads: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--peer", action="append", choices=[peer for peer in PEERS if peer != OURS])
    parser.add_argument("--case", action="append", choices=[case.name for case in paper_cases()])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--divide", type=int, default=DIVIDE, help="what dimension 0 of every tensor is divided by")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if min(args.repeats, args.divide) < 1:
        parser.error("--repeats and --divide must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 160)
    cases = [case for case in paper_cases(args.divide) if args.case is None or case.name in args.case]
    hosts = sorted({host for case in cases for mesh in (case.src.mesh, case.dst.mesh) for host in mesh.hosts})
    works = [work_of(case) for case in cases]
    rows: list[Row] = []
    env = {"PEERS_DIVIDE": str(args.divide)}

    def told(row: Row) -> None:
        rows.append(row)
        figures = f"{row.median:.4f} s, crossmesh {row.ours_median:.4f} s" if row.seconds else f"- {row.reason}"
        console.print(f"{row.peer}, case {row.case}: {figures}", markup=False, soft_wrap=True)

    with cm.LocalCluster(hosts, arena=ARENA, env=dict(TCP_ONLY)) as cluster:
        place = Loopback(cluster)
        with Group(OURS, place, sys.executable, env) as ours:
            for peer in args.peer or [peer for peer in PEERS if peer != OURS]:
                try:
                    with Group(peer, place, args.peers_python, env) as theirs:
                        compare(ours, theirs, works, args.repeats, told)
                except PeerGone as gone:
                    for work in works:
                        told(Row(work.case, peer, reason=str(gone)))
    show(rows, console)
    if args.json:
        args.json.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
