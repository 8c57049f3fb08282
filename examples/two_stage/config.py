"""What a run is made of: the model, the batch, the optimiser, and the sizes to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Config:
    """Every number of a run. Both stages and the single process are given the same one.

    Lengths are in elements: ``width`` is the size of one activation vector, ``hidden`` that of the MLP
    inside a block, ``sequence`` the number of bytes of text the model sees at once.
    """

    width: int
    heads: int
    hidden: int
    sequence: int
    microbatch: int
    microbatches: int
    blocks_per_stage: int = 1
    vocabulary: int = 256
    learning_rate: float = 0.05
    momentum: float = 0.9
    seed: int = 20
    depth: int = 2
    """How many micro-batches may be on the wire of one channel at once."""

    @property
    def activation_shape(self) -> tuple[int, int, int]:
        """Shape of what crosses the boundary for one micro-batch: (microbatch, sequence, width)."""
        return (self.microbatch, self.sequence, self.width)


SIZES: Final[dict[str, Config]] = {
    "tiny": Config(width=32, heads=2, hidden=64, sequence=16, microbatch=2, microbatches=3),
    "small": Config(width=128, heads=4, hidden=512, sequence=128, microbatch=4, microbatches=4),
}
