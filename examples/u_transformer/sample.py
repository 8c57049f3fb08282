"""Digits out of noise: what a trained model is for. One process, no stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from training.layers import compose
from training.stage import read
from u_transformer.config import SIZES, Config
from u_transformer.data import NAMES, mix, spelled
from u_transformer.model import cut, stages

STEPS: Final = 40
"""In how many steps the noise is taken away."""

START: Final = 0.96
"""The time that noise alone is taken for: at time 1 nothing of an image is left that could be seen."""

OF_EACH: Final = 4
"""How many of each digit are drawn."""

Data = Mapping[str, Any]

Model = Callable[[Data], jax.Array]
"""Noisy images, time and context to the noise that is seen in them."""


def load(size: str, parts: int, directory: Path) -> Model:
    """The whole model from the parameters of its stages, as a training left them."""
    config = SIZES[size]
    made = stages(config, cut(size, parts), last="predicted")
    params = [read(directory / f"part{number}.npz") for number in range(parts)]

    def predicted(data: Data) -> jax.Array:
        return compose(made, params, dict(data))["predicted"]

    return predicted


def sample(model: Model, config: Config, seed: int) -> npt.NDArray[np.float32]:
    """Images of every digit, ``OF_EACH`` of each: (10 * OF_EACH, side, side, channels), the digit the slower axis.

    From noise alone to an image at time 0. Each step takes what the model sees for noise at its word: it works out the
    image that this leaves, and mixes the two again as they would be a little earlier.
    """
    context = spelled(np.repeat(np.arange(len(NAMES)), OF_EACH))
    shape = (len(context), config.image, config.image, config.channels_in)
    x = np.random.default_rng(seed).standard_normal(shape, np.float32)
    seen = jax.jit(model)
    times = np.linspace(START, 0.0, STEPS + 1, dtype=np.float32)
    for now, then in pairwise(times):
        time = np.full(len(x), now)
        noise = np.asarray(seen({"noisy": x, "time": time, "context": context}))
        angle = now * np.pi / 2
        image = np.clip((x - np.sin(angle) * noise) / np.cos(angle), -1.0, 1.0).astype(np.float32)
        noise = ((x - np.cos(angle) * image) / np.sin(angle)).astype(np.float32)
        x = mix(image, noise, np.full(len(x), then))
    return x


def draw(images: npt.NDArray[np.float32], path: Path) -> None:
    """A column for each digit."""
    figure = Figure(figsize=(7, 0.75 * OF_EACH + 0.3), layout="constrained")
    for axes, image in zip(figure.subplots(OF_EACH, len(NAMES)).T.flat, images.mean(axis=-1), strict=True):
        axes.imshow(image, cmap="gray_r", vmin=-1, vmax=1)
        axes.set_axis_off()
    for number, name in enumerate(NAMES):
        figure.axes[number].set_title(name, fontsize=9)
    figure.savefig(path, dpi=110)
