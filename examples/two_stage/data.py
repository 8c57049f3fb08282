"""Training text: the bytes of the Python standard library's own sources.

Every process reads the same files and draws the same positions from the same seed, so no batch has to
travel: stage 0 takes the inputs of a batch, stage 1 its targets.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config import Config

Tokens = npt.NDArray[np.int32]


def corpus() -> npt.NDArray[np.uint8]:
    """All modules at the top level of the standard library, in order of their names, as one run of bytes."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return np.frombuffer(b"\n".join(path.read_bytes() for path in sources), np.uint8)


def batches(config: Config, steps: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Yields ``steps`` pairs (inputs, targets), each of shape (microbatches, microbatch, sequence).

    The target of a byte is the byte that follows it.
    """
    text = corpus()
    random = np.random.default_rng(config.seed)
    for _ in range(steps):
        starts = random.integers(0, text.size - config.sequence - 1, size=(config.microbatches, config.microbatch, 1))
        windows = text[starts + np.arange(config.sequence + 1)].astype(np.int32)
        yield windows[..., :-1], windows[..., 1:]
