"""A byte-level transformer cut in two, as pure functions of parameters and inputs.

Nothing here knows about devices, processes or layouts. The first stage embeds the bytes and applies its
blocks; the last applies its own, then the head and the loss. Composed, they are the whole model, which is
what ``single.py`` trains.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from config import Config

Params = dict[str, Any]


def init_stage(config: Config, stage: int) -> Params:
    """Parameters of stage 0 or 1, drawn from the run's seed: the same wherever they are drawn."""
    key = jax.random.fold_in(jax.random.key(config.seed), stage)
    block_key, edge_key = jax.random.split(key)
    blocks = [init_block(config, k) for k in jax.random.split(block_key, config.blocks_per_stage)]
    if stage == 0:
        bytes_key, positions_key = jax.random.split(edge_key)
        return {
            "bytes": 0.1 * jax.random.normal(bytes_key, (config.vocabulary, config.width)),
            "positions": 0.1 * jax.random.normal(positions_key, (config.sequence, config.width)),
            "blocks": blocks,
        }
    return {
        "blocks": blocks,
        "norm": init_norm(config.width),
        "head": init_matrix(edge_key, config.width, (config.width, config.vocabulary)),
    }


def init_block(config: Config, key: jax.Array) -> Params:
    """Parameters of one pre-norm block."""
    width, heads = config.width, config.heads
    per_head = width // heads
    q, k, v, o, up, down = jax.random.split(key, 6)
    return {
        "attention_norm": init_norm(width),
        "query": init_matrix(q, width, (width, heads, per_head)),
        "key": init_matrix(k, width, (width, heads, per_head)),
        "value": init_matrix(v, width, (width, heads, per_head)),
        "output": init_matrix(o, width, (heads, per_head, width)),
        "mlp_norm": init_norm(width),
        "up": init_matrix(up, width, (width, config.hidden)),
        "up_bias": jnp.zeros(config.hidden),
        "down": init_matrix(down, config.hidden, (config.hidden, width)),
        "down_bias": jnp.zeros(width),
    }


def init_norm(width: int) -> Params:
    """Parameters of a layer norm that starts as the identity."""
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def init_matrix(key: jax.Array, fan_in: int, shape: tuple[int, ...]) -> jax.Array:
    """Normal weights whose products keep the variance of their ``fan_in`` inputs."""
    return jax.random.normal(key, shape) / jnp.sqrt(fan_in)


def first_stage(params: Params, tokens: jax.Array) -> jax.Array:
    """Bytes (batch, sequence) to activations (batch, sequence, width)."""
    x = params["bytes"][tokens] + params["positions"]
    return blocks(params["blocks"], x)


def last_stage(params: Params, x: jax.Array, targets: jax.Array) -> jax.Array:
    """Activations (batch, sequence, width) and the bytes to predict (batch, sequence) to the mean loss."""
    x = layer_norm(params["norm"], blocks(params["blocks"], x))
    scores = jax.nn.log_softmax(x @ params["head"])
    # One-hot rows instead of a gather: with a divided vocabulary each device then sums what it has.
    return -jnp.mean(jnp.sum(scores * jax.nn.one_hot(targets, scores.shape[-1]), axis=-1))


def blocks(params: list[Params], x: jax.Array) -> jax.Array:
    """The residual stream through a list of blocks."""
    for block in params:
        x = x + attention(block, layer_norm(block["attention_norm"], x))
        x = x + mlp(block, layer_norm(block["mlp_norm"], x))
    return x


def attention(block: Params, x: jax.Array) -> jax.Array:
    """Causal multi-head self-attention; shape (batch, sequence, width) in and out."""
    query, key, value = (jnp.einsum("bsw,whd->bshd", x, block[name]) for name in ("query", "key", "value"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / jnp.sqrt(query.shape[-1])
    causal = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
    return jnp.einsum("bshd,hdw->bsw", mixed, block["output"])


def mlp(block: Params, x: jax.Array) -> jax.Array:
    """The position-wise half of a block; shape (batch, sequence, width) in and out."""
    hidden = jax.nn.gelu(x @ block["up"] + block["up_bias"])
    return jnp.dot(hidden, block["down"]) + block["down_bias"]


def layer_norm(params: Params, x: jax.Array) -> jax.Array:
    """Normalises the last axis to mean 0 and variance 1, then scales and shifts it."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    normal: jax.Array = centred * jax.lax.rsqrt(variance + 1e-5)
    return normal * params["scale"] + params["bias"]
