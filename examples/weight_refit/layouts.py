"""Where the parameters lie: on the trainer's two hosts, and on the engine's.

The trainer divides every matrix over both axes of its mesh, so that no two hosts hold the same weights; one row of
the mesh is one host. The engine divides them over its only axis, the first matrix of a pair by its outputs and the
second by its inputs, so that one all-reduce a pair is enough. Vectors are everywhere.
"""

from __future__ import annotations

from typing import Final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from model import Params

BY_INPUTS: Final = frozenset({"output", "down"})
"""The second matrices of their pairs."""


def trainer_mesh() -> Mesh:
    """The devices of the trainer's job, a row for each host."""
    return Mesh(np.array(jax.devices()).reshape(jax.process_count(), -1), ("data", "tensor"))


def engine_mesh() -> Mesh:
    """The devices of the engine's job in one row."""
    return Mesh(np.array(jax.devices()), ("tensor",))


def layouts(mesh: Mesh, params: Params) -> Params:
    """A NamedSharding for each parameter, by its name and by the axes that the mesh has."""
    other = "data" if "data" in mesh.axis_names else None

    def layout(path: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        if leaf.ndim == 1:
            return NamedSharding(mesh, P())
        return NamedSharding(mesh, P("tensor", other) if path[-1].key in BY_INPUTS else P(other, "tensor"))

    return jax.tree_util.tree_map_with_path(layout, params)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole on every device."""
    return NamedSharding(mesh, P())
