"""The same model trained in one process on one device: what the two stages are held against.

It knows neither stages nor micro-batches: one gradient of the mean loss over the whole batch.
"""

from __future__ import annotations

from functools import partial

import jax

from config import Config
from data import batches
from model import Params, first_stage, init_stage, last_stage
from optimizer import init_momentum, update


def train(config: Config, steps: int) -> tuple[list[float], list[Params]]:
    """Trains for ``steps`` and returns the loss before each update and the final parameters of each stage."""

    def loss_of(params: list[Params], tokens: jax.Array, targets: jax.Array) -> jax.Array:
        return last_stage(params[1], first_stage(params[0], tokens), targets)

    @jax.jit
    def step(
        params: list[Params], momentum: list[Params], tokens: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, list[Params], list[Params]]:
        loss, gradient = jax.value_and_grad(loss_of)(params, tokens, targets)
        stages = [update(config, *stage) for stage in zip(params, momentum, gradient, strict=True)]
        return loss, [p for p, _ in stages], [m for _, m in stages]

    params = [jax.jit(partial(init_stage, config, stage))() for stage in (0, 1)]
    momentum = [init_momentum(p) for p in params]
    losses = []
    for tokens, targets in batches(config, steps):
        whole = (-1, config.sequence)
        loss, params, momentum = step(params, momentum, tokens.reshape(whole), targets.reshape(whole))
        losses.append(float(loss))
    return losses, params
