"""What a run of a schedule is told: times, what transfers share, memory."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._errors import ScheduleError

Numbers = float | Sequence[float]
Transfers = float | Sequence[float | tuple[float, float]] | tuple[Numbers, Numbers]
Skips = Mapping[tuple[int, int], float | tuple[float, float]]


def run_document(
    *,
    forward: Numbers,
    backward: Numbers,
    weight: Numbers | None,
    transfer: Transfers,
    skips: Skips | None,
    overlap: bool,
    exchange: bool,
    half_duplex: bool,
    hosts: Sequence[str] | None,
    activation: Numbers,
    residual: Numbers | None,
) -> dict[str, Any]:
    """The document of a run, as the planner reads it."""
    there, back = both_ways(transfer)
    return {
        "v": 1,
        "forward": number_or_list("forward", forward),
        "backward": number_or_list("backward", backward),
        "weight": None if weight is None else number_or_list("weight", weight),
        "transfer_forward": there,
        "transfer_backward": back,
        "skips": skipping(skips or {}),
        "overlap": bool(overlap),
        "exchange": bool(exchange),
        "half_duplex": bool(half_duplex),
        "hosts": None if hosts is None else [str(host) for host in hosts],
        "activation": number_or_list("activation", activation),
        "residual": number_or_list("residual", activation if residual is None else residual),
    }


def both_ways(transfer: Transfers) -> tuple[float | list[float], float | list[float]]:
    """Seconds forward and backward: of all boundaries, or a list for the boundaries.

    A tuple of two is (forward, backward), each a number or a list; a list has one item for each boundary, each a number
    or a tuple (forward, backward).
    """
    if isinstance(transfer, tuple):
        if len(transfer) != 2:
            raise ScheduleError(
                f"transfer is a tuple of {len(transfer)}; it is (forward, backward), or a list of boundaries."
            )
        return number_or_list("transfer", transfer[0]), number_or_list("transfer", transfer[1])
    if isinstance(transfer, numbers.Real):
        return _number("transfer", transfer), _number("transfer", transfer)
    pairs = [item if isinstance(item, tuple) else (item, item) for item in _items("transfer", transfer)]
    if any(len(pair) != 2 for pair in pairs):
        raise ScheduleError("An item of transfer is a number or a tuple (forward, backward), in seconds.")
    return [_number("transfer", there) for there, _ in pairs], [_number("transfer", back) for _, back in pairs]


def skipping(skips: Skips) -> list[list[float]]:
    """`[from, to, seconds forward, seconds backward]` of each skip, in one order for every process."""
    if not isinstance(skips, Mapping):
        raise ScheduleError(f"skips is {{(from, to): seconds}}, got {skips!r}.")
    listed: list[list[float]] = []
    for ends, seconds in skips.items():
        ways = seconds if isinstance(seconds, tuple) else (seconds, seconds)
        if not isinstance(ends, tuple) or len(ends) != 2 or len(ways) != 2:
            raise ScheduleError(
                f"skips holds {ends!r}: {seconds!r}; an item is (from, to): seconds, or a tuple (forward, backward)."
            )
        try:
            first, second = (operator.index(end) for end in ends)
        except TypeError:
            raise ScheduleError(f"skips holds {ends!r}; a skip goes from one stage's number to another's.") from None
        listed.append([first, second, *(_number("skips", way) for way in ways)])
    return sorted(listed)


def number_or_list(name: str, value: Any) -> float | list[float]:
    """A number for all, or a list of numbers."""
    if isinstance(value, numbers.Real):
        return _number(name, value)
    return [_number(name, item) for item in _items(name, value)]


def _items(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ScheduleError(f"{name} is a number or a list of numbers, got {value!r}.")
    return list(value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ScheduleError(f"{name} holds {value!r}, which is no number. State seconds, or bytes.") from None
    if not math.isfinite(number) or number < 0:
        raise ScheduleError(f"{name} holds {value!r}; a number here is finite and not negative. Measure it again.")
    return number
