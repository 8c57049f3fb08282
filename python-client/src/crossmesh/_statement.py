"""What a process says of a collective call: one row of fixed size, which the others compare with their own."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ROW_BYTES = 1024
WEAK_TENSORS_MAX = 512
"""Tensors of a call whose weak types travel. Of those after them each process states its own."""

ASPECTS = ("structure of the tree", "shape", "element type", "source layout", "destination layout", "timeout")

_DIGEST_BYTES = 8
_GROUPS = 64
_GROUP_BYTES = 4
_HEAD = struct.Struct("<QQQd")  # kind in the first byte, the last call that failed, tensors, timeout
_ASPECTS_AT = _HEAD.size
_GROUPS_AT = _ASPECTS_AT + _DIGEST_BYTES * len(ASPECTS)
_WEAK_AT = _GROUPS_AT + _GROUP_BYTES * _GROUPS
_TEXT_AT = _WEAK_AT + WEAK_TENSORS_MAX // 8
_CALL, _REFUSED = 1, 2

Row = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stated:
    """One tensor of a call, in words that are equal where the tensors are."""

    key: str
    shape: str
    dtype: str
    source: str
    destination: str
    weak: bool = False

    @property
    def text(self) -> str:
        """How messages call it."""
        return f"{self.key or 'the tensor'} {self.dtype}{self.shape} from {self.source} to {self.destination}"


def call_row(structure: str, tensors: Sequence[Stated], timeout: float) -> Row:
    """The row of a call."""
    aspects = [
        structure,
        *("\n".join(getattr(tensor, field) for tensor in tensors) for field in Stated.__slots__[1:5]),
        repr(timeout),
    ]
    row = bytearray(ROW_BYTES)
    _HEAD.pack_into(row, 0, _CALL, 0, len(tensors), timeout)
    for number, aspect in enumerate(aspects):
        at = _ASPECTS_AT + number * _DIGEST_BYTES
        row[at : at + _DIGEST_BYTES] = _digest(aspect, _DIGEST_BYTES)
    for group, members in enumerate(_grouped(len(tensors))):
        at = _GROUPS_AT + group * _GROUP_BYTES
        text = "\n".join(tensors[member].text for member in members)
        row[at : at + _GROUP_BYTES] = _digest(text, _GROUP_BYTES)
    for number, tensor in enumerate(tensors[:WEAK_TENSORS_MAX]):
        row[_WEAK_AT + number // 8] |= tensor.weak << number % 8
    _put_text(row, "\n".join(tensor.text for tensor in tensors))
    return np.frombuffer(bytes(row), np.uint8)


def refusal_row(reason: str) -> Row:
    """The row of a process that refuses its call."""
    row = bytearray(ROW_BYTES)
    _HEAD.pack_into(row, 0, _REFUSED, 0, 0, 0.0)
    _put_text(row, reason)
    return np.frombuffer(bytes(row), np.uint8)


def after_failure(row: Row, failed: int) -> Row:
    """The row, which says that the process has failed in that call of the same numbers."""
    said = row.copy()
    _HEAD.pack_into(said.data, 0, *_with(row, failed))
    return said


def last_failed(rows: Row) -> int:
    """The last call in which any of the processes failed."""
    return int(np.ascontiguousarray(rows[:, 8:16]).view("<u8").max())


def is_weak(row: Row, tensor: int) -> bool:
    """Whether a process states a weak type for a tensor, of the first `WEAK_TENSORS_MAX`."""
    return bool(row[_WEAK_AT + tensor // 8] >> tensor % 8 & 1)


def disagreement(rows: Row, tensors: Sequence[Stated]) -> tuple[str, bool] | None:
    """What is wrong with a call of which these are the rows of all processes, and whether somebody refused it.

    All processes find the same. Returns `None` for a call that all make alike.
    """
    said = rows[:, _ASPECTS_AT:_GROUPS_AT]
    refused = np.flatnonzero(rows[:, 0] != _CALL)
    if refused.size:
        return f"process {refused[0]} refused it: {_text(rows[refused[0]])}", True
    if (said == said[0]).all():
        return None
    by_row: dict[bytes, list[int]] = {}
    for number, row in enumerate(said):
        by_row.setdefault(row.tobytes(), []).append(number)
    most = max(by_row.values(), key=len)[0]
    odd = next(number for number in range(len(rows)) if said[number].tobytes() != said[most].tobytes())
    first, second = sorted((most, odd))
    return _difference(rows, first, second, tensors), False


def _difference(rows: Row, first: int, second: int, tensors: Sequence[Stated]) -> str:
    ours, theirs = rows[first], rows[second]
    aspects = [name for number, name in enumerate(ASPECTS) if (ours[_aspect(number)] != theirs[_aspect(number)]).any()]
    who = f"processes {first} and {second}"
    what = " and ".join([", ".join(aspects[:-1]), aspects[-1]] if len(aspects) > 1 else aspects)
    if aspects == [ASPECTS[-1]]:
        return f"{who} differ in the {what}: {_each(rows, first, second, lambda row: f'{_head(row)[3]:g} s')}"
    counts = {int(_head(row)[2]) for row in (ours, theirs)}
    if len(counts) > 1 or aspects[0] == ASPECTS[0]:
        return f"{who} differ in the {what}: {_each(rows, first, second, _summary)}"
    members = _unlike(ours, theirs, counts.pop())
    keys = [tensors[member].key or "the only tensor" for member in members if member < len(tensors)]
    where = f" of {keys[0]}" if len(keys) == 1 else f" of one of {', '.join(keys)}"
    lines = [_lines(row) for row in (ours, theirs)]
    if len(members) == 1 and all(members[0] < len(line) for line in lines):
        return f"{who} differ in the {what}{where}: {_each(rows, first, second, lambda row: _lines(row)[members[0]])}"
    return f"{who} differ in the {what}{where}: here {', '.join(tensors[member].text for member in members)}"


def _each(rows: Row, first: int, second: int, say: Callable[[Row], str]) -> str:
    return ", ".join(f"process {number} states {say(rows[number])}" for number in (first, second))


def _summary(row: Row) -> str:
    count, lines = int(_head(row)[2]), _lines(row)
    if not count:
        return "no tensors"
    return f"{count} tensor{'' if count == 1 else 's'}, first {lines[0] if lines else 'one'}"


def _lines(row: Row) -> list[str]:
    """The tensors that the row has room for."""
    lines = _text(row).split("\n")
    return lines if len(lines) == int(_head(row)[2]) else lines[:-1]


def _unlike(ours: Row, theirs: Row, count: int) -> list[int]:
    """The tensors of which the first one that differs is one, as few as the rows tell."""
    for group, members in enumerate(_grouped(count)):
        at = _GROUPS_AT + group * _GROUP_BYTES
        if (ours[at : at + _GROUP_BYTES] != theirs[at : at + _GROUP_BYTES]).any():
            lines = _lines(ours), _lines(theirs)
            for member in members:
                if all(member < len(said) for said in lines) and lines[0][member] != lines[1][member]:
                    return [member]
            return list(members)
    return []


def _grouped(count: int) -> Iterator[range]:
    each = -(-count // _GROUPS) or 1
    for start in range(0, count, each):
        yield range(start, min(start + each, count))


def _aspect(number: int) -> slice:
    at = _ASPECTS_AT + number * _DIGEST_BYTES
    return slice(at, at + _DIGEST_BYTES)


def _head(row: Row) -> tuple[Any, ...]:
    return _HEAD.unpack_from(row.tobytes(), 0)


def _with(row: Row, failed: int) -> tuple[Any, ...]:
    kind, _, count, timeout = _head(row)
    return kind, failed, count, timeout


def _put_text(row: bytearray, text: str) -> None:
    encoded = text.encode()[: ROW_BYTES - _TEXT_AT]
    row[_TEXT_AT : _TEXT_AT + len(encoded)] = encoded


def _text(row: Row) -> str:
    return row[_TEXT_AT:].tobytes().rstrip(b"\0").decode(errors="ignore")


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
