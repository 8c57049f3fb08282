"""Where things lie on each stage: meshes, layouts of activations, layouts of parameters.

The stages divide their work differently, which is what makes the boundary between them a reshard:

* stage 0 divides the batch over ``x`` and the features over ``y`` (data x tensor parallel),
* stage 1 divides the sequence over ``y`` and the features over ``x`` (sequence x tensor parallel).
"""

from __future__ import annotations

from typing import Final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from model import Params

DEVICES_PER_STAGE: Final = 4

ACTIVATIONS: Final = (P("x", None, "y"), P(None, "y", "x"))
"""Layout of (microbatch, sequence, width) as it leaves stage 0 and as stage 1 wants it."""

TOKENS: Final = (P("x", None), P(None, "y"))
"""Layout of inputs on stage 0 and of targets on stage 1: (microbatch, sequence)."""

TENSOR_AXIS: Final = ("y", "x")
"""The mesh axis over which each stage divides its matrices."""


def stage_mesh() -> Mesh:
    """This process's four devices as 2x2."""
    return Mesh(np.array(jax.devices()[:DEVICES_PER_STAGE]).reshape(2, 2), ("x", "y"))


def parameter_layouts(mesh: Mesh, stage: int, params: Params) -> Params:
    """A NamedSharding for each parameter.

    As in Megatron: the first matrix of a pair is divided by its outputs, the second by its inputs, so that
    one all-reduce a pair is enough. What is not named here is replicated.
    """
    t = TENSOR_AXIS[stage]
    divided = {
        "query": P(None, t, None),
        "key": P(None, t, None),
        "value": P(None, t, None),
        "output": P(t, None, None),
        "up": P(None, t),
        "up_bias": P(t),
        "down": P(t, None),
        "bytes": P(None, t),
        "positions": P(None, t),
        "head": P(None, t),
    }
    return jax.tree_util.tree_map_with_path(
        lambda path, _: NamedSharding(mesh, divided.get(getattr(path[-1], "key", ""), P())), params
    )
