"""Numbers that callers give: what they may be is said where they are given, not where they would do harm."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

from ._errors import LayoutError

STEP_MAX = (1 << 62) - 1
"""The largest number of a step."""
DEPTH_MAX = 1024
"""The most steps that a channel may have on the wire."""
SECONDS_MAX = 30 * 86_400.0
"""The longest limit: 30 days."""


def whole(value: Any, least: int, most: int, what: str) -> int:
    """A whole number within bounds.

    **Raises:** `LayoutError` that says what is expected. Truth values, fractions and texts are none.
    """
    if type(value) is int and least <= value <= most:
        return value
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        raise LayoutError(f"{what} is a whole number from {least} to {most}, got {_short(value)}.")
    return number


def seconds(value: Any, what: str) -> float:
    """A limit in seconds.

    **Raises:** `LayoutError` that says what is expected.
    """
    number = _real(value)
    if number is None or not 0 < number <= SECONDS_MAX:
        raise LayoutError(
            f"{what} is a positive number of seconds, at most {SECONDS_MAX:.0f} (30 days), got {_short(value)}."
        )
    return number


def wait_seconds(value: Any, what: str) -> float | None:
    """How long to wait: `None` for as long as it takes; what is below 0 counts as 0.

    **Raises:** `LayoutError` that says what is expected.
    """
    if value is None:
        return None
    number = _real(value)
    if number is None or not number <= SECONDS_MAX:
        raise LayoutError(
            f"{what} is a number of seconds, at most {SECONDS_MAX:.0f} (30 days), "
            f"or None to wait for as long as it takes, got {_short(value)}."
        )
    return max(0.0, number)


def _real(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = f"a number of {value.bit_length()} bits"
    return text if len(text) <= 80 else text[:77] + "..."
