"""What is moved, and how: the paper's cases and one of our own, strategies and orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import crossmesh as cm
from crossmesh._demo import Case, paper_cases
from crossmesh._sharding import Box

MIB = 2**20
DIVIDE = 8


@dataclass(frozen=True)
class Variant:
    """A strategy and an order of the planner."""

    strategy: str
    order: str

    @property
    def name(self) -> str:
        """As in tables."""
        return "auto" if self == AUTO else f"{self.strategy} {self.order}"


AUTO = Variant("auto", "optimal")
SEND_RECV = Variant("send_recv", "size")
LOCAL_ALL_GATHER = Variant("local_all_gather", "size")
VARIANTS = (
    SEND_RECV,
    LOCAL_ALL_GATHER,
    Variant("global_all_gather", "size"),
    Variant("broadcast", "naive"),
    Variant("broadcast", "size"),
    Variant("broadcast", "search"),
    Variant("broadcast", "greedy"),
    AUTO,
)


def available() -> list[Variant]:
    """The variants that this version of the planner knows."""
    mesh = [cm.Sharding(cm.Mesh((1, 1), hosts=[host]), "R") for host in ("h0", "h1")]
    known = []
    for variant in VARIANTS:
        try:
            cm.plan((8,), "int32", *mesh, strategy=variant.strategy, order=variant.order)
        except cm.LayoutError:
            continue
        known.append(variant)
    return known


def all_cases(megabytes: float | None = None) -> list[Case]:
    """The paper's fifteen cases with dimension 0 divided by `DIVIDE`, and m8: one device to four hosts of four.

    **Arguments:**

    - `megabytes`: MiB of a tensor instead; the dimension that is cut down is the second, or the only one, so that
      every case still has the slices that it has at full size.
    """
    cases = paper_cases(DIVIDE)
    one = next(case for case in cases if case.name == "m7")
    wide = cm.Sharding(cm.Mesh((4, 4), hosts=one.dst.mesh.hosts), "R")
    cases.append(Case("m8", one.spec, one.src, wide))
    return cases if megabytes is None else [_resized(case, megabytes * MIB) for case in cases]


def nbytes(spec: cm.TensorSpec) -> int:
    """Bytes of a whole tensor."""
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _resized(case: Case, nbytes: float) -> Case:
    shape = list(case.spec.shape)
    at = 1 if len(shape) > 1 else 0
    others = math.prod(shape) // shape[at]
    shape[at] = max(1, round(nbytes / (others * np.dtype(case.spec.dtype).itemsize)))
    return Case(case.name, cm.TensorSpec(tuple(shape), case.spec.dtype), case.src, case.dst)


def values(shape: Sequence[int], box: Box, dtype: np.dtype) -> np.ndarray:
    """A box of a tensor whose elements are their own numbers: no two places can be mixed up unseen."""
    numbers = np.zeros((1,) * len(shape), np.int64)
    for dimension, (low, high) in enumerate(box):
        stride = math.prod(shape[dimension + 1 :])
        along = np.arange(low, high, dtype=np.int64) * stride
        numbers = numbers + along.reshape((-1,) + (1,) * (len(shape) - dimension - 1))
    return numbers.astype(dtype)
