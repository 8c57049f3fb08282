"""Stochastic gradient descent with momentum, as pure functions over pytrees.

Written out because a pipeline needs only this much of an optimiser: each stage updates what it holds, and
nothing has to be agreed between stages.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from config import Config
from model import Params


def init_momentum(params: Params) -> Params:
    """A velocity of zero for each parameter."""
    return jax.tree.map(jnp.zeros_like, params)


def update(config: Config, params: Params, momentum: Params, gradient: Params) -> tuple[Params, Params]:
    """One step along ``gradient``. Returns the new (params, momentum)."""
    momentum = jax.tree.map(lambda m, g: config.momentum * m + g, momentum, gradient)
    params = jax.tree.map(lambda p, m: p - config.learning_rate * m, params, momentum)
    return params, momentum
