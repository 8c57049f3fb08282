"""Results as a table, and what the limits say of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .cases import AUTO, LOCAL_ALL_GATHER, SEND_RECV, Variant
from .measure import Record, Result

OVER_BOUND_MAX = 1.05
OVER_BOUND_SMALL_MAX = 1.15
SMALL_MIB = 64.0
OF_BYTE_COUNT_MIN = 0.95


def over_bound_max(result: Result) -> float:
    """What `auto` may take over the bound."""
    return OVER_BOUND_SMALL_MAX if result.mib is not None and result.mib < SMALL_MIB else OVER_BOUND_MAX


def find(result: Result, case: str, variant: Variant) -> Record | None:
    """The record of a case and variant, if there is one."""
    return next((r for r in result.records if r.case == case and r.variant == variant), None)


def speed_up(result: Result, case: str, over: Variant) -> tuple[float, float] | None:
    """How much sooner `auto` ends than another variant, and the same as the bytes over the busiest NIC say."""
    mine, other = find(result, case, AUTO), find(result, case, over)
    if mine is None or other is None:
        return None
    return other.median / mine.median, other.busiest_bytes / mine.busiest_bytes


def cases_of(result: Result) -> list[str]:
    """The cases, in the order in which they were run."""
    return list(dict.fromkeys(record.case for record in result.records))


def variants_of(result: Result) -> list[Variant]:
    """The variants, in the order in which they were run."""
    return list(dict.fromkeys(record.variant for record in result.records))


def title(result: Result) -> str:
    """The lab in a line."""
    shape = result.shape
    nics = "" if shape.nics == 1 else f", {shape.nics} NICs each"
    racks = "" if shape.racks == 1 else f", {shape.racks} racks with uplinks of {shape.uplink / 1e6:g} Mbit/s"
    size = "" if result.mib is None else f", tensors of {result.mib:g} MiB"
    return (
        f"{shape.hosts} hosts at {shape.rate / 1e6:g} Mbit/s{nics}{racks}{size}: iperf3 {result.rate * 8 / 1e6:.1f} "
        f"Mbit/s, latency {result.latency * 1e6:.0f} us"
    )


def table(result: Result) -> Table:
    """Time over the lower bound of each case and variant, and the speed-ups of `auto`."""
    made = Table(title=title(result), box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("case")
    made.add_column("bound s", justify="right")
    variants = variants_of(result)
    for variant in variants:
        made.add_column(variant.name.replace(" ", "\n"), justify="right")
    for header in ("over\nsend_recv", "over local\nall_gather"):
        made.add_column(header, justify="right")
    limit = over_bound_max(result)
    for case in cases_of(result):
        row = [case, f"{find_any(result, case).bound_seconds:.3f}"]
        for variant in variants:
            record = find(result, case, variant)
            text = "-" if record is None else f"{record.over_bound:.3f}"
            bad = variant == AUTO and record is not None and record.over_bound > limit
            row.append(f"[bold red]{text}[/]" if bad else text)
        for over in (SEND_RECV, LOCAL_ALL_GATHER):
            ratio = speed_up(result, case, over)
            row.append("-" if ratio is None else f"{ratio[0]:.2f} of {ratio[1]:.2f}")
        made.add_row(*row)
    return made


def find_any(result: Result, case: str) -> Record:
    """Some record of a case: its bound is the same for all."""
    return next(record for record in result.records if record.case == case)


def misses(result: Result) -> list[str]:
    """The limits that do not hold, in words."""
    said = []
    limit = over_bound_max(result)
    for case in cases_of(result):
        record = find(result, case, AUTO)
        if record is not None and record.over_bound > limit:
            said.append(f"case {case}: auto takes {record.over_bound:.3f} of the bound, at most {limit} is wanted")
        for over in (SEND_RECV, LOCAL_ALL_GATHER):
            ratio = speed_up(result, case, over)
            if ratio is not None and ratio[0] < OF_BYTE_COUNT_MIN * ratio[1]:
                said.append(
                    f"case {case}: auto is {ratio[0]:.2f} times as fast as {over.name}; "
                    f"{OF_BYTE_COUNT_MIN} of {ratio[1]:.2f} is wanted"
                )
    return said


def nic_ratios(one: Sequence[Result], two: Sequence[Result]) -> dict[tuple[float, str], float]:
    """How much sooner `auto` ends with two NICs a host than with one, by nominal rate of a NIC and case."""
    ratios = {}
    for single in one:
        for double in two:
            if single.shape.rate == double.shape.rate and single.mib == double.mib:
                for case in cases_of(double):
                    slow, fast = find(single, case, AUTO), find(double, case, AUTO)
                    if slow is not None and fast is not None:
                        ratios[single.shape.rate / 1e6, case] = slow.median / fast.median
    return ratios
