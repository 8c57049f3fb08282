"""Handwritten digits from scikit-learn, with noise on them, and the names of the digits as context.

A model learns to tell the noise of a noisy image. At time t of the diffusion, from 0 to 1, an image x has become
cos(t * pi / 2) * x + sin(t * pi / 2) * noise: nothing of the noise at the start, nothing but noise at the end. Every
process draws the same images, times and noise from the same seed, so no batch has to travel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from u_transformer.config import Config

Floats = npt.NDArray[np.float32]

NAMES: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def images(side: int) -> Floats:
    """The 1797 digits, -1 to 1, enlarged from 8x8 to ``side`` pixels between which brightness is linear.

    Shape (1797, side, side, 1).
    """
    digits = load_digits().images / 8 - 1
    # Centres of the new pixels in units of the old ones.
    places = (np.arange(side) + 0.5) * 8 / side - 0.5
    weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(8)))
    weights /= weights.sum(axis=1, keepdims=True)
    larger: Floats = np.einsum("ih,nhw,jw->nij", weights, digits, weights)[..., None].astype(np.float32)
    return larger


def spelled(digits: npt.NDArray[Any]) -> Floats:
    """The names of digits, letter by letter, one-hot: (number of digits, 5, 26); zeros after the last letter."""
    table = np.zeros((len(NAMES), 5, 26), np.float32)
    for digit, name in enumerate(NAMES):
        for place, letter in enumerate(name):
            table[digit, place, ord(letter) - ord("a")] = 1
    return table[digits]


def mix(image: Floats, noise: Floats, time: Floats) -> Floats:
    """Images as they are at a time of the diffusion, one for each."""
    angle = (time * (np.pi / 2))[..., None, None, None]
    noisy: Floats = (np.cos(angle) * image + np.sin(angle) * noise).astype(np.float32)
    return noisy


def batches(config: Config, microbatches: int, seed: int, first: int = 0) -> Iterator[dict[str, Floats]]:
    """Yields batches without end, as ``model.microbatch`` says but with a leading axis of ``microbatches``.

    Batch k depends on the seed and on k alone, so that a training that is taken up again at step ``first`` sees what
    it would have seen.
    """
    all_images, digits = images(config.image), load_digits().target
    shape = (microbatches, config.micro_batch)
    step = first
    while True:
        random = np.random.default_rng([seed, step])
        chosen = random.integers(0, len(all_images), shape)
        image = all_images[chosen]
        noise = random.standard_normal(image.shape, np.float32)
        time = random.uniform(size=shape).astype(np.float32)
        yield {
            "noisy": mix(image, noise, time),
            "noise": noise,
            "time": time,
            "context": spelled(digits[chosen]),
        }
        step += 1
