"""Boxes of a tensor and the messages that a peer has to send: NumPy only, since peers have environments of their own.

A box is a tuple of (low, high) for each dimension, in the whole tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Box = tuple[tuple[int, int], ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Message:
    """A slice that one host has and others need, each at most once however many of its devices share the tile."""

    number: int
    box: Box
    sender: str
    receivers: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """One case as a peer sees it: which tiles each host holds and wants, and what has to travel.

    `mesh` and `spec` are the source's: (hosts, devices a host), and the layout with spaces between its dimensions.
    """

    case: str
    shape: tuple[int, ...]
    dtype: str
    held: dict[str, tuple[Box, ...]]
    wanted: dict[str, tuple[Box, ...]]
    messages: tuple[Message, ...]
    equal_layouts: bool
    mesh: tuple[int, int]
    spec: str

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types."""
        return asdict(self)

    @staticmethod
    def from_json(said: dict[str, Any]) -> Work:
        """What `to_json` made."""

        def boxes(of: dict[str, Any]) -> dict[str, tuple[Box, ...]]:
            return {host: tuple(_box(box) for box in some) for host, some in of.items()}

        messages = tuple(
            Message(m["number"], _box(m["box"]), m["sender"], tuple(m["receivers"])) for m in said["messages"]
        )
        held, wanted = boxes(said["held"]), boxes(said["wanted"])
        rest = (messages, said["equal_layouts"], tuple(said["mesh"]), said["spec"])
        return Work(said["case"], tuple(said["shape"]), said["dtype"], held, wanted, *rest)


def _box(said: Iterable[Iterable[int]]) -> Box:
    return tuple((low, high) for low, high in said)


def messages(held: Mapping[str, Iterable[Box]], wanted: Mapping[str, Iterable[Box]], itemsize: int) -> list[Message]:
    """The intersections of what is held with what is wanted, each from the holder that has least to send so far."""
    holders: dict[Box, list[str]] = {}
    for host, boxes in held.items():
        for box in boxes:
            holders.setdefault(box, []).append(host)
    receivers: dict[tuple[Box, Box], set[str]] = {}
    for host, boxes in wanted.items():
        for box in boxes:
            for source in holders:
                part = intersection(source, box)
                if part is not None:
                    receivers.setdefault((source, part), set()).add(host)
    load = dict.fromkeys(held, 0)
    found = []
    for (source, part), hosts in sorted(receivers.items()):
        sender = min(holders[source], key=lambda host: (load[host], host))
        load[sender] += size(part) * itemsize * len(hosts)
        found.append(Message(len(found), part, sender, tuple(sorted(hosts))))
    return found


def intersection(a: Box, b: Box) -> Box | None:
    """What two boxes have in common, or `None`."""
    both = tuple((max(x[0], y[0]), min(x[1], y[1])) for x, y in zip(a, b, strict=True))
    return both if all(low < high for low, high in both) else None


def size(box: Box) -> int:
    """Its number of elements."""
    return math.prod(high - low for low, high in box)


def extents(box: Box) -> tuple[int, ...]:
    """The shape of its tile."""
    return tuple(high - low for low, high in box)


def within(part: Box, box: Box) -> tuple[slice, ...]:
    """Where `part` lies in the tile of `box`."""
    return tuple(slice(p[0] - b[0], p[1] - b[0]) for p, b in zip(part, box, strict=True))


def contains(box: Box, part: Box) -> bool:
    """Whether all of `part` is in `box`."""
    return all(b[0] <= p[0] and p[1] <= b[1] for p, b in zip(part, box, strict=True))


def values(shape: tuple[int, ...], box: Box, dtype: np.dtype[Any]) -> Array:
    """The part in a box of a tensor whose elements are their own places, so that any two differ that could be mixed."""
    counted = dtype if dtype.kind == "i" else np.dtype(np.int64)
    place: Array = np.zeros(extents(box), counted)
    for dimension, (low, high) in enumerate(box):
        stride = math.prod(shape[dimension + 1 :])
        along = np.arange(low, high, dtype=np.int64) * stride
        place += along.astype(counted).reshape((-1,) + (1,) * (len(shape) - dimension - 1))
    return place.astype(dtype, copy=False)
