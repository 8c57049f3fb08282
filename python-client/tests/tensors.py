"""The rows of tests/cases as tensors and layouts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

import crossmesh as cm

HERE = Path(__file__).parent / "cases"


def rows(name):
    """The rows of a CSV."""
    with (HERE / name).open() as file:
        return list(csv.DictReader(file))


def layouts(row):
    """Source and destination of a row, on hosts h0, h1, ...: mesh axis 0 is the hosts."""
    found, first = [], 0
    for side in ("src", "dst"):
        hosts, devices = (int(n) for n in row[f"{side}_mesh"].split("x"))
        names = [f"h{first + i}" for i in range(hosts)]
        found.append(cm.Sharding(cm.Mesh((hosts, devices), hosts=names), row[f"{side}_spec"]))
        first += hosts
    return found


def shape(row, divide=1):
    """The shape of a row, dimension 0 divided."""
    first, *rest = (int(n) for n in row["shape"].split("x"))
    return (max(first // divide, 1), *rest)


def values(shape, dtype):
    """A tensor whose bytes differ from place to place."""
    dtype = cm.TensorSpec((), dtype).dtype
    count = int(np.prod(shape, dtype=np.int64))
    if dtype.kind in "iumM":
        raw = np.arange(count * dtype.itemsize, dtype=np.uint64) * np.uint64(2654435761)
        return (raw >> np.uint64(13)).astype(np.uint8).view(dtype).reshape(shape)
    if dtype.kind == "b":
        return (np.arange(count) % 3 == 0).reshape(shape)
    if dtype.kind == "c":
        return (np.arange(count) * (1 + 2j)).astype(dtype).reshape(shape)
    # Values that every small type has; random bits would be padding or no number.
    return (np.arange(count) % 7).astype(np.float32).astype(dtype).reshape(shape)


def same(a, b):
    """Whether two arrays are equal: byte by byte, but for types that have padding."""
    if a.dtype.name in ("float128", "complex256"):
        return a.shape == b.shape and a.dtype == b.dtype and bool((a == b).all())
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == np.ascontiguousarray(b).tobytes()
