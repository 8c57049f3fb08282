"""The parameters that one stage holds, and how they learn from one step's gradients."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh

from config import Config
from layouts import parameter_layouts
from model import Params, init_stage
from optimizer import init_momentum, update


class Learner:
    """Parameters and momentum of a stage, divided over its mesh.

    Attributes:
        params: the parameters now.
        layouts: a NamedSharding for each of them, and for its gradient.
    """

    def __init__(self, config: Config, stage: int, mesh: Mesh) -> None:
        init = partial(init_stage, config, stage)
        self.layouts = layouts = parameter_layouts(mesh, stage, jax.eval_shape(init))
        self.params: Params = jax.jit(init, out_shardings=layouts)()
        self._momentum: Params = jax.jit(init_momentum, out_shardings=layouts)(self.params)
        self._sum: Params | None = None
        self._add = jax.jit(partial(jax.tree.map, jnp.add), out_shardings=layouts, donate_argnums=0)

        def mean_update(params: Params, momentum: Params, total: Params) -> tuple[Params, Params]:
            mean = jax.tree.map(lambda g: g / config.microbatches, total)
            return update(config, params, momentum, mean)

        self._update = jax.jit(mean_update, out_shardings=(layouts, layouts), donate_argnums=(0, 1))

    def add(self, gradient: Params) -> None:
        """Takes the gradient of one micro-batch, laid out as ``layouts`` says. It is consumed."""
        self._sum = gradient if self._sum is None else self._add(self._sum, gradient)

    def step(self) -> None:
        """Updates the parameters with the mean of the gradients taken since the last step."""
        self.params, self._momentum = self._update(self.params, self._momentum, self._sum)
        self._sum = None

    def save(self, file: Path) -> None:
        """Writes the parameters as an npz, each under its path in the tree."""
        np.savez(file, allow_pickle=False, **by_path(self.params))


def by_path(params: Params) -> dict[str, npt.NDArray[np.float32]]:
    """The leaves of a tree under their paths, for example ``blocks/0/query``."""
    leaves, _ = jax.tree.flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}
