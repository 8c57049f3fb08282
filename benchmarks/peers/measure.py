"""A peer and crossmesh in turns over the cases."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from .boxes import Work
from .group import Cannot, Group, PeerGone

LEAD_SECONDS: Final = 0.03
"""From the request until the step begins everywhere."""

OURS: Final = "crossmesh"


@dataclass
class Row:
    """One peer in one case: its seconds and crossmesh's from the same turns, or why there are none."""

    case: str
    peer: str
    seconds: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    reason: str = ""
    bound: float | None = None

    @property
    def median(self) -> float:
        """The peer's."""
        return statistics.median(self.seconds)

    @property
    def ours_median(self) -> float:
        """Ours."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """The peer's time over crossmesh's: over 1 where crossmesh leads."""
        return self.median / self.ours_median

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self) | ({"ratio": self.ratio} if self.seconds else {})


class WrongBytes(PeerGone):
    """A tile is not what it should be."""


def step(group: Group, work: Work, checked: bool) -> float:
    """Seconds of one step, until the last host that wants something has it.

    Raises:
        WrongBytes: what came is not equal to what NumPy says.
    """
    group.call("prepare", clear=checked)
    at = time.perf_counter() + LEAD_SECONDS
    ends = group.call("step", at=at)
    if checked and not all(group.call("exact").values()):
        raise WrongBytes("wrong bytes")
    return max((end for host, end in ends.items() if host in work.wanted), default=max(ends.values())) - at


def compare(
    ours: Group, theirs: Group, works: Sequence[Work], warm_ups: int, repeats: int, told: Callable[[Row], None]
) -> list[Row]:
    """Every case in turns. A peer that fails in one has no further rows but with that reason.

    The `warm_ups` are untimed steps of each in every case: memory is touched, connections are made, JVMs compile.
    """
    rows, gone = [], ""
    for work in works:
        row = Row(work.case, theirs.peer, reason=gone)
        if not gone:
            try:
                _compare(ours, theirs, work, warm_ups, repeats, row)
            except Cannot as cannot:
                row.reason = str(cannot)
            except PeerGone as error:
                row.reason = gone = str(error)
        if row.reason:
            row.seconds, row.ours = [], []
        rows.append(row)
        told(row)
    return rows


def _compare(ours: Group, theirs: Group, work: Work, warm_ups: int, repeats: int, row: Row) -> None:
    opened: list[Group] = []
    try:
        for group in (theirs, ours):
            offers = group.call("open", work=work.to_json())
            opened.append(group)
            group.call("opened", offers=offers)
        for turn in range(-warm_ups, repeats):
            checked = turn in (-warm_ups, repeats - 1)
            for group, seconds in ((ours, row.ours), (theirs, row.seconds)):
                taken = step(group, work, checked)
                if turn >= 0:
                    seconds.append(taken)
    except PeerGone:
        # Its processes may wait for each other: they are ended, and not asked to let go.
        opened = [group for group in opened if group is ours]
        raise
    finally:
        for group in opened:
            group.call("close")
