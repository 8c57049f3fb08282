"""What was done to whom, and what became of the others."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass

from lab.cases import Case

import crossmesh as cm

SLACK = 2.0
REPLICATED = ("2", "5")  # another source host holds every slice


@dataclass(frozen=True)
class Kill:
    """What was done to whom, and what became of the live receivers."""

    case: str
    how: str
    role: str
    ends: tuple[str, ...]
    seconds: float
    faults: tuple[str, ...]


def roles(plan: cm.Plan, case: Case) -> dict[str, str]:
    """What each host does in a plan."""
    known = dict.fromkeys(case.dst.mesh.hosts, "receiver")
    starts = [move.route[0] for move in plan.moves]
    known |= {host: "relay" for move in plan.moves for host in move.route[1:-1]}
    known |= {host: "relay" for host in starts if host in known}
    return known | dict.fromkeys(case.src.mesh.hosts, "source")


def report(found: Sequence[Kill]) -> None:
    """The table of documentation: of each case and role, who completed."""
    rows: dict[tuple[str, str, str], list[Kill]] = collections.defaultdict(list)
    for one in found:
        rows[one.case, one.how, one.role].append(one)
    print("| case | | role | times | live receivers that completed | got PeerLost | slowest |")
    print("|---|---|---|---|---|---|---|")
    for (case, how, role), kills in sorted(rows.items()):
        ends = [e for one in kills for e in one.ends]
        print(
            f"| {case} | {how} | {role} | {len(kills)} | {ends.count('done')} of {len(ends)} "
            f"| {ends.count('PeerLost')} | {max(one.seconds for one in kills):.2f} s |"
        )
    print(f"{len(found)} kills, {sum(bool(one.faults) for one in found)} with faults")
