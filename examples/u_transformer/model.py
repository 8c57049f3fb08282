"""A U-Transformer as the stages of a pipeline: a U-Net whose levels attend to themselves and to a context.

With L levels it is 3L + 1 layers. The encoder of level i is layer 2i, and the halving after it layer 2i + 1; the
middle is layer 2L - 1; the decoder of level i is layer 3L - 1 - i; the output is layer 3L. A decoder also reads what
the encoder of its level returned, ``skip{i}``: where the two are in different stages, that is an edge of its own,
which passes over all stages between them.

Images are (batch, height, width, channels). Nothing here knows of devices, processes or layouts.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
from flax import linen as nn

from training.layers import Part, Shapes, Values, parts, split
from u_transformer.config import PAPER_CUTS, SIZES, Config


class Residual(nn.Module):
    """Two convolutions beside a short cut; between them the time of the diffusion is added to every pixel."""

    channels: int
    groups: int

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array) -> jax.Array:
        y = nn.silu(nn.GroupNorm(self.groups, name="norm1")(x))
        y = nn.Conv(self.channels, (3, 3), name="conv1")(y)
        y = y + nn.Dense(self.channels, name="time")(nn.silu(time))[:, None, None, :]
        y = nn.silu(nn.GroupNorm(self.groups, name="norm2")(y))
        y = nn.Conv(self.channels, (3, 3), name="conv2")(y)
        if x.shape[-1] != self.channels:
            x = nn.Dense(self.channels, name="shortcut")(x)
        return x + y


class Transformer(nn.Module):
    """The pixels as a sequence: attention among themselves, then to the context, then a gated MLP."""

    heads: int
    groups: int

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        y = nn.GroupNorm(self.groups, name="norm")(x)
        y = nn.Dense(channels, name="enter")(y.reshape(batch, height * width, channels))
        z = nn.LayerNorm(name="self_norm")(y)
        y = y + nn.MultiHeadDotProductAttention(self.heads, name="self_attention")(z)
        z = nn.LayerNorm(name="cross_norm")(y)
        y = y + nn.MultiHeadDotProductAttention(self.heads, name="cross_attention")(z, context)
        z = nn.LayerNorm(name="mlp_norm")(y)
        z = nn.Dense(4 * channels, name="up")(z) * nn.gelu(nn.Dense(4 * channels, name="gate")(z))
        y = y + nn.Dense(channels, name="down")(z)
        return x + nn.Dense(channels, name="leave")(y).reshape(x.shape)


class Stage(nn.Module):
    """A run of layers.

    Takes ``noisy`` (the first) or the activations of the stage before, and what its layers want besides: ``time``
    (batch,) in 0 to 1, ``context`` (batch, length, width), skips, ``noise``. Returns the activations and the skips that
    later stages read; the last returns ``predicted``, the noise it sees, or ``loss``, the mean square error of that.
    """

    config: Config
    layers: range
    takes: str
    returns: tuple[str, ...]

    @nn.compact
    def __call__(self, inputs: Values) -> Values:
        config = self.config
        values = dict(inputs)
        time = self.embed_time(inputs["time"]) if "time" in inputs else None
        x = inputs[self.takes]
        if self.takes == "noisy":
            x = nn.Conv(config.channels, (3, 3), name="enter")(x)
        for layer in self.layers:
            kind, level = layer_kind(config, layer)
            name = f"{kind}{level}"
            channels = config.channels * config.widths[level]
            if kind == "decoder":
                if level < config.levels - 1:
                    x = nn.Conv(x.shape[-1], (3, 3), name=f"double{level}")(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2))
                x = jnp.concatenate([x, values[f"skip{level}"]], axis=-1)
            if kind == "halve":
                x = nn.Conv(channels, (3, 3), strides=2, name=name)(x)
            elif kind == "output":
                x = nn.silu(nn.GroupNorm(config.groups, name="norm")(x))
                x = nn.Conv(config.channels_out, (3, 3), kernel_init=nn.initializers.zeros, name="leave")(x)
            else:
                x = Residual(channels, config.groups, name=f"{name}_residual")(x, time)
                if kind == "middle" or level < config.levels - 1:
                    x = Transformer(config.heads, config.groups, name=f"{name}_transformer")(x, inputs["context"])
                if kind == "middle" or (kind == "decoder" and level == config.levels - 1):
                    x = Residual(channels, config.groups, name=f"{name}_residual2")(x, time)
            if kind == "encoder":
                values[f"skip{level}"] = x
        values[self.returns[0]] = jnp.mean((x - inputs["noise"]) ** 2) if "noise" in inputs else x
        return {name: values[name] for name in self.returns}

    def embed_time(self, time: jax.Array) -> jax.Array:
        """Waves of the time, 1 to 1000 radians long, and an MLP over them: (batch, 4 * channels)."""
        frequencies = jnp.exp(jnp.linspace(0, math.log(1000), self.config.channels // 2))
        angles = time[:, None] * frequencies
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        width = 4 * self.config.channels
        y = nn.silu(nn.Dense(width, use_bias=False, name="time1")(waves))
        return nn.Dense(width, use_bias=False, name="time2")(y)


def layer_kind(config: Config, layer: int) -> tuple[str, int]:
    """What a layer is, and of which level: encoder, halve, middle, decoder or output."""
    levels = config.levels
    if layer < 2 * levels - 1:
        return ("encoder", "halve")[layer % 2], layer // 2
    if layer == 2 * levels - 1:
        return "middle", levels - 1
    if layer < 3 * levels:
        return "decoder", 3 * levels - 1 - layer
    return "output", 0


def microbatch(config: Config) -> Shapes:
    """The data of one micro-batch; all float32."""
    batch, side = config.micro_batch, config.image
    shapes = {
        "noisy": (batch, side, side, config.channels_in),
        "noise": (batch, side, side, config.channels_out),
        "time": (batch,),
        "context": (batch, *config.context),
    }
    return {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}


def stages(config: Config, cut: list[range], last: str = "loss") -> list[Part]:
    """The model in as many stages as ``cut`` has runs of layers. What leaves stage k is called ``hk``.

    ``last`` is what the last stage returns: ``loss``, or ``predicted`` for a model that is to be used. The parameters
    are the same.
    """
    names, modules = [], []
    for number, layers in enumerate(cut):
        kinds = [layer_kind(config, layer) for layer in layers]
        takes = "noisy" if number == 0 else f"h{number - 1}"
        returns = [last if number == len(cut) - 1 else f"h{number}"]
        wanted = [takes]
        if any(kind in {"encoder", "middle", "decoder"} for kind, _ in kinds):
            wanted.append("time")
        if any(kind == "middle" or (kind in {"encoder", "decoder"} and i < config.levels - 1) for kind, i in kinds):
            wanted.append("context")
        wanted += [f"skip{i}" for kind, i in kinds if kind == "decoder" and ("encoder", i) not in kinds]
        returns += [f"skip{i}" for kind, i in kinds if kind == "encoder" and ("decoder", i) not in kinds]
        if "loss" in returns:
            wanted.append("noise")
        modules.append(Stage(config, layers, takes, tuple(returns)))
        names.append(wanted)
    return parts(modules, names, microbatch(config))


def costs(config: Config) -> list[float]:
    """What each layer computes for one image, in multiplications; those of attention between pixels left out.

    A weight is used once for each pixel, save those of the time, which are used once.
    """
    layers = stages(config, [range(layer, layer + 1) for layer in range(config.layers)])
    costs = []
    for number, layer in enumerate(layers):
        kind, level = layer_kind(config, number)
        side = config.image >> (level + (kind == "halve"))
        of_pixels = [tree for name, tree in layer.params.items() if not name.startswith("time")]
        costs.append(float(side**2 * sum(leaf.size for leaf in jax.tree.leaves(of_pixels))))
    return costs


def cut(size: str, stages: int) -> list[range]:
    """The layers of each stage: as the paper cut them, else so that the stages compute alike.

    Raises:
        ValueError: there are fewer layers than stages.
    """
    if (size, stages) in PAPER_CUTS:
        ends = list(accumulate(PAPER_CUTS[size, stages]))
        return [range(start, end) for start, end in pairwise([0, *ends])]
    return split(costs(SIZES[size]), stages)
