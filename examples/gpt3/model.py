"""GPT as the stages of a pipeline: a pre-norm transformer whose embedding is also its output matrix.

Nothing here knows of devices, processes or layouts. A stage holds a run of the blocks; the first also embeds the
bytes, the last also scores them, with its own copy of the embedding.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from gpt3.config import SIZES, Config
from training.layers import Part, Shapes, Values, parts, split

STDDEV = 0.02
"""Standard deviation of weights at the start."""


class Block(nn.Module):
    """One pre-norm block: causal self-attention, then an MLP, each added to the stream (batch, sequence, hidden)."""

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        config = self.config
        dtype = config.dtype
        weights = nn.initializers.normal(STDDEV)
        # What is added to the stream 2 * layers times must not grow with their number.
        added = nn.initializers.normal(STDDEV / (2 * config.layers) ** 0.5)

        y = nn.LayerNorm(dtype=dtype, name="attention_norm")(x)
        x = x + nn.MultiHeadDotProductAttention(
            config.heads, dtype=dtype, kernel_init=weights, out_kernel_init=added, name="attention"
        )(y, mask=nn.make_causal_mask(y[..., 0]))

        y = nn.LayerNorm(dtype=dtype, name="mlp_norm")(x)
        y = nn.Dense(4 * config.hidden, dtype=dtype, kernel_init=weights, name="up")(y)
        return x + nn.Dense(config.hidden, dtype=dtype, kernel_init=added, name="down")(nn.gelu(y))


class Stage(nn.Module):
    """A run of blocks, with what stands before the first and after the last block of the model.

    Takes ``tokens`` (batch, sequence) or the stream; returns the stream, or ``loss`` from ``targets``
    (batch, sequence): the mean over all positions of the cross-entropy, in nats.
    """

    config: Config
    layers: range
    takes: str
    returns: str

    @nn.compact
    def __call__(self, inputs: Values) -> Values:
        config = self.config
        embed = nn.Embed(
            config.vocabulary,
            config.hidden,
            dtype=config.dtype,
            embedding_init=nn.initializers.normal(STDDEV),
            name="embed",
        )
        x = inputs[self.takes]
        if self.takes == "tokens":
            positions = self.param("positions", nn.initializers.normal(STDDEV), (config.sequence, config.hidden))
            x = embed(x) + positions.astype(config.dtype)
        for layer in self.layers:
            x = Block(config, name=f"block{layer}")(x)
        if self.returns == "loss":
            x = nn.LayerNorm(dtype=config.dtype, name="norm")(x)
            x = cross_entropy(embed.attend(x), inputs["targets"])
        return {self.returns: x}


def cross_entropy(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean over positions of -log softmax(scores)[target], in float32."""
    scores = jax.nn.log_softmax(scores.astype(jnp.float32))
    # One-hot rows instead of a gather: with a divided vocabulary each device then sums what it has.
    return -jnp.mean(jnp.sum(scores * jax.nn.one_hot(targets, scores.shape[-1]), axis=-1))


def microbatch(config: Config) -> Shapes:
    """The data of one micro-batch: bytes, and those that follow each."""
    shape = (config.micro_batch, config.sequence)
    return {name: jax.ShapeDtypeStruct(shape, jnp.int32) for name in ("tokens", "targets")}


def stages(config: Config, cut: list[range]) -> list[Part]:
    """The model in as many stages as ``cut`` has runs of blocks. What leaves stage k is called ``hk``."""
    last = len(cut) - 1
    takes = ["tokens", *(f"h{stage}" for stage in range(last))]
    returns = [*(f"h{stage}" for stage in range(last)), "loss"]
    modules = [Stage(config, *of_stage) for of_stage in zip(cut, takes, returns, strict=True)]
    names = [[name] for name in takes]
    names[-1].append("targets")
    return parts(modules, names, microbatch(config))


def cut(size: str, stages: int) -> list[range]:
    """The blocks of each stage: as many on one as on another, as the paper has it.

    Raises:
        ValueError: there are fewer blocks than stages.
    """
    return split([1.0] * SIZES[size].layers, stages)
