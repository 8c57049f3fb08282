"""The channels between the two jobs, each opened by the processes that have a part in it.

`weights` is all that a refit needs. The others are for the comparison: `gathered` brings every parameter whole to the
first trainer host, `scattered` takes them from there to where the engine wants them, and `ready` lets the engine say
that the next timed transfer may start.
"""

from __future__ import annotations

from typing import Final

import crossmesh as cm
import jax
import numpy as np

from config import ENGINES, TRAINERS
from model import Params

WEIGHTS: Final = "weights"
GATHERED: Final = "weights/gathered"
SCATTERED: Final = "weights/scattered"
READY: Final = "ready"

ROUND: Final = cm.TensorSpec((len(ENGINES),), np.int64)
ROUND_SAID: Final = cm.Sharding(cm.Mesh((len(ENGINES),), hosts=ENGINES), "S0")
ROUND_HEARD: Final = cm.Sharding(cm.Mesh((len(TRAINERS),), hosts=TRAINERS), "R")


def whole_at_first(spec: Params) -> Params:
    """The layout of every parameter as a whole on the first trainer host."""
    mesh = cm.Mesh((1,), hosts=[TRAINERS[0]])
    return jax.tree.map(lambda leaf: cm.Sharding(mesh, "R" * leaf.ndim), spec)
