"""What was measured, and the file that it is kept in."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from . import cells
from .cells import Method


@dataclass
class Run:
    """A method in a cell: what its steps took, and what the simulator says that they take. Seconds."""

    method: str
    predicted: float
    transfer: float
    peak: int = 0
    exposed: float = 0.0
    runner: float = 0.0
    makespans: list[float] = field(default_factory=list)
    dropped: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the steps that count."""
        return statistics.median(self.makespans) if self.makespans else math.nan


@dataclass
class Cell:
    """One model at one ratio over so many stages."""

    model: str
    rho: float
    stages: int
    rate: float
    """Bytes per second, by iperf3."""
    bound: float
    """c: seconds of a boundary at that rate."""
    jax: bool = False
    """Whether the stages compute, or wait."""
    compute: float = cells.COMPUTE_SECONDS
    """T."""
    runs: list[Run] = field(default_factory=list)

    def run(self, method: Method) -> Run | None:
        """What a method took."""
        return next((run for run in self.runs if run.method == method.name), None)

    @property
    def title(self) -> str:
        """What the cells of a table share: the model, how many stages, and what they compute if they wait for it."""
        what = "JAX" if self.jax else f"T {self.compute * 1e3:g} ms"
        return f"{cells.MODELS[self.model].name}, {self.stages} stages, {what}"

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Cell:
        """What `to_dict` gave."""
        return cls(**{**value, "runs": [Run(**run) for run in value["runs"]]})


def read(path: Path) -> list[Cell]:
    """The cells of a file; none if there is no file."""
    return [Cell.from_dict(value) for value in json.loads(path.read_text())] if path.exists() else []


def keep(path: Path, found: Sequence[Cell]) -> None:
    """Put cells into the file, each in the place of the one of the same title and ratio."""
    new = {(cell.title, cell.rho) for cell in found}
    kept = [cell for cell in read(path) if (cell.title, cell.rho) not in new] + list(found)
    kept.sort(key=lambda cell: (cell.jax, cell.model, cell.stages, 0.0 if cell.jax else cell.compute, cell.rho))
    path.write_text(json.dumps([cell.to_dict() for cell in kept], indent=1) + "\n")


def tables(found: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of each table by its title, in the order in which they are kept."""
    return {title: list(group) for title, group in groupby(found, lambda cell: cell.title)}
