"""The sizes to choose from: those of the paper, and some that two CPU cores train in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Config:
    """Every number of a U-Transformer and of its micro-batch.

    Attributes:
        channels: of the first level; level i has ``channels * widths[i]``.
        widths: one for each level, from the finest; each level has half the side of the one before.
        image: side of the square images, in pixels.
        channels_in, channels_out: channels of an image, and of what is predicted for it.
        context: (length, width) of the sequence that cross-attention reads.
        groups: of the group norms.
    """

    channels: int
    widths: tuple[int, ...]
    image: int
    micro_batch: int
    channels_in: int = 1
    channels_out: int = 1
    context: tuple[int, int] = (5, 26)
    heads: int = 4
    groups: int = 4
    learning_rate: float = 1e-3

    @property
    def levels(self) -> int:
        """The number of resolutions."""
        return len(self.widths)

    @property
    def layers(self) -> int:
        """The number of places where a stage may end, and one; see ``model.py``."""
        return 3 * self.levels + 1


def _paper(channels: int) -> Config:
    return Config(
        channels, (1, 2, 4, 4), 32, 64, channels_in=3, channels_out=4, context=(77, 768), heads=8, learning_rate=1e-4
    )


SIZES: Final[dict[str, Config]] = {
    "tiny": Config(channels=8, widths=(1,), image=8, micro_batch=4, heads=2),
    "small": Config(channels=32, widths=(1, 2), image=16, micro_batch=8),
    "medium": Config(channels=64, widths=(1, 2, 4), image=16, micro_batch=8),
    "utransformer-470m": _paper(320),
    "utransformer-1b": _paper(480),
    "utransformer-2b": _paper(672),
}
"""By name. A ``utransformer-`` size is one of arXiv 2211.05322."""

PAPER_CUTS: Final[dict[tuple[str, int], tuple[int, ...]]] = {
    ("utransformer-470m", 2): (7, 6),
    ("utransformer-1b", 2): (8, 5),
    ("utransformer-2b", 2): (9, 4),
}
"""How many layers the paper put into each stage, by size and number of stages."""
