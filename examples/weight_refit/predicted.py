"""The lower bounds of both routes, from plans: no agent and no device is needed for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import crossmesh as cm
import jax
import numpy as np
from jax.sharding import AbstractMesh

from channels import whole_at_first
from config import DEVICES_PER_HOST, ENGINES, TRAINERS, Config
from layouts import layouts
from model import shapes

UNIT: Final = 1.0
"""Bytes per second of every NIC in the plans: their bounds are then bytes."""


@dataclass(frozen=True)
class Predicted:
    """What a refit moves, in bytes: of the whole tree, and over the busiest NIC by each route."""

    tensors: int
    bytes_whole: int
    bytes_busiest: int
    bytes_gathered: int

    def direct(self, rate: float) -> float:
        """Seconds that no plan is faster than, with NICs of `rate` bytes per second."""
        return self.bytes_busiest / rate

    def gathered(self, rate: float) -> float:
        """The same when everything has to be at the first trainer host before it leaves."""
        return self.bytes_gathered / rate


def predict(config: Config) -> Predicted:
    """Plans the refit and its detour."""
    spec = shapes(config)
    trainer = AbstractMesh((len(TRAINERS), DEVICES_PER_HOST), ("data", "tensor"))
    engine = AbstractMesh((len(ENGINES) * DEVICES_PER_HOST,), ("tensor",))
    src, dst, whole = (
        _stated(layouts(trainer, spec), TRAINERS),
        _stated(layouts(engine, spec), ENGINES),
        whole_at_first(spec),
    )
    topology = cm.Topology.uniform([*TRAINERS, *ENGINES], bandwidth=UNIT, latency=0.0)

    def busiest(src: Any, dst: Any) -> int:
        return round(cm.plan(spec, src=src, dst=dst, topology=topology).lower_bound * UNIT)

    leaves = jax.tree.leaves(spec)
    return Predicted(
        tensors=len(leaves),
        bytes_whole=sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in leaves),
        bytes_busiest=busiest(src, dst),
        bytes_gathered=busiest(src, whole) + busiest(whole, dst),
    )


def _stated(tree: Any, hosts: tuple[str, ...]) -> Any:
    return jax.tree.map(lambda named: cm.Sharding.from_jax(named, hosts=hosts), tree)
