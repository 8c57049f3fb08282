"""The parameters of a transformer of equal layers, and a training step that changes every one of them.

The gradients are drawn, not computed, and there is no forward pass: a refit is about where the weights lie and when
they may be read, and both jobs share the cores of one machine here.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from config import Config

Params = dict[str, Any]


def shapes(config: Config) -> Params:
    """What the parameters are, without values."""
    width, hidden, vocabulary = config.width, config.hidden, config.vocabulary

    def matrix(rows: int, columns: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, columns), jnp.float32)

    def layer() -> Params:
        norms = {name: jax.ShapeDtypeStruct((width,), jnp.float32) for name in ("attention_norm", "mlp_norm")}
        attention = {name: matrix(width, width) for name in ("query", "key", "value", "output")}
        return norms | attention | {"up": matrix(width, hidden), "down": matrix(hidden, width)}

    layers = [layer() for _ in range(config.layers)]
    return {"bytes": matrix(vocabulary, width), "layers": layers, "head": matrix(width, vocabulary)}


def init(config: Config, where: Params) -> Params:
    """All parameters in the given layouts, drawn from the run's seed: the same in every process."""
    random = np.random.default_rng(config.seed)

    def draw(leaf: jax.ShapeDtypeStruct, named: jax.sharding.NamedSharding) -> jax.Array:
        values = random.standard_normal(leaf.shape, np.float32) * np.float32(leaf.shape[0] ** -0.5)
        return jax.make_array_from_callback(leaf.shape, named, lambda index: values[index])

    return jax.tree.map(draw, shapes(config), where)


class TrainStep:
    """One step of gradient descent: takes the memory of the parameters and returns the next."""

    def __init__(self, config: Config) -> None:
        self._seed = config.seed
        rate = config.learning_rate
        self._descend = jax.jit(lambda leaf, along: leaf - rate * (along[0] * leaf + along[1]), donate_argnums=0)

    def __call__(self, params: Params, step: int) -> Params:
        """The gradient of each parameter is drawn from the number of the step: the same in every process."""
        leaves, treedef = jax.tree.flatten(params)
        along = np.random.default_rng([self._seed, step]).standard_normal((len(leaves), 2), np.float32)
        return treedef.unflatten(map(self._descend, leaves, along))
