"""The sizes to choose from: those of the paper, and some that two CPU cores train in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Config:
    """Every number of a GPT and of its micro-batch. ``dtype`` is that of activations; parameters are float32."""

    hidden: int
    layers: int
    heads: int
    sequence: int
    vocabulary: int
    micro_batch: int
    dtype: str = "float32"
    learning_rate: float = 1e-3


def _paper(hidden: int, layers: int, heads: int, micro_batch: int) -> Config:
    return Config(hidden, layers, heads, 1024, 51200, micro_batch, dtype="float16", learning_rate=2e-4)


SIZES: Final[dict[str, Config]] = {
    "tiny": Config(hidden=16, layers=4, heads=2, sequence=16, vocabulary=256, micro_batch=2),
    "small": Config(hidden=128, layers=6, heads=4, sequence=128, vocabulary=256, micro_batch=4),
    "medium": Config(hidden=256, layers=8, heads=8, sequence=256, vocabulary=256, micro_batch=4),
    "gpt-125m": _paper(768, 12, 12, 16),
    "gpt-350m": _paper(1024, 24, 16, 16),
    "gpt-760m": _paper(1536, 24, 16, 16),
    "gpt-1.3b": _paper(2048, 24, 32, 16),
    "gpt-2.6b": _paper(2560, 32, 32, 16),
    "gpt-6.7b": _paper(4096, 32, 32, 16),
    "gpt-15b": _paper(5120, 48, 40, 16),
    "gpt-39b": _paper(8192, 48, 64, 1),
    "gpt-76b": _paper(10240, 60, 80, 1),
}
"""By name. A ``gpt-`` size is one of arXiv 2211.05322, with half-precision activations as there."""
