"""What a run is made of: the model and the hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TRAINERS: Final = ("trainer0", "trainer1")
ENGINES: Final = ("engine0", "engine1")
DEVICES_PER_HOST: Final = 2


@dataclass(frozen=True)
class Config:
    """Every number of the model. Lengths are in elements: `width` of an activation vector, `hidden` inside an MLP."""

    width: int
    hidden: int
    layers: int = 30
    vocabulary: int = 256
    learning_rate: float = 0.02
    seed: int = 30


SIZES: Final[dict[str, Config]] = {
    "small": Config(width=64, hidden=128),
    "medium": Config(width=384, hidden=1536),
}
