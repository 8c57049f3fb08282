"""Training text: the bytes of the Python standard library's own sources.

Every process reads the same files and draws the same positions from the same seed, so no batch has to travel.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpt3.config import Config


def corpus() -> npt.NDArray[np.uint8]:
    """All modules at the top level of the standard library, in order of their names, as one run of bytes."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return np.frombuffer(b"\n".join(path.read_bytes() for path in sources), np.uint8)


def batches(config: Config, microbatches: int, seed: int, first: int = 0) -> Iterator[dict[str, npt.NDArray[np.int32]]]:
    """Yields batches without end: ``tokens`` and ``targets``, each (microbatches, micro-batch, sequence).

    The target of a byte is the byte that follows it. Batch k depends on the seed and on k alone, so that a training
    that is taken up again at step ``first`` sees what it would have seen.
    """
    text = corpus()
    shape = (microbatches, config.micro_batch, 1)
    step = first
    while True:
        starts = np.random.default_rng([seed, step]).integers(0, text.size - config.sequence - 1, size=shape)
        windows = text[starts + np.arange(config.sequence + 1)].astype(np.int32)
        yield {"tokens": windows[..., :-1], "targets": windows[..., 1:]}
        step += 1
