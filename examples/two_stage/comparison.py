"""How far two trainings of one model are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

TOLERANCE: Final = 1e-5
"""Largest relative difference allowed. Both runs compute in float32 and differ in the order of their sums."""

Parameters = dict[str, npt.NDArray[np.float32]]


def difference(ours: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Largest absolute difference over the largest absolute value of the reference; infinite if it is NaN."""
    a, b = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    apart = float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
    return apart if np.isfinite(apart) else float("inf")


@dataclass(frozen=True)
class Comparison:
    """Losses before each step and parameters after the last, of two stages and of one process.

    Parameters are named ``stage 0: blocks/0/query``. Both sides have the same names and numbers of steps.
    """

    losses: list[float]
    losses_single: list[float]
    parameters: Parameters
    parameters_single: Parameters

    def __post_init__(self) -> None:
        if self.parameters.keys() != self.parameters_single.keys():
            raise ValueError("the two trainings do not have the same parameters")
        if len(self.losses) != len(self.losses_single):
            raise ValueError("the two trainings do not have the same number of steps")

    @property
    def loss_differences(self) -> list[float]:
        """Relative difference of each step's loss."""
        return [difference(*pair) for pair in zip(self.losses, self.losses_single, strict=True)]

    @property
    def parameter_differences(self) -> dict[str, float]:
        """For each parameter its largest difference, relative to its largest value."""
        return {name: difference(ours, self.parameters_single[name]) for name, ours in self.parameters.items()}

    @property
    def matches(self) -> bool:
        """Whether every loss and every parameter is within the tolerance."""
        return max(*self.loss_differences, *self.parameter_differences.values()) <= TOLERANCE

    def show(self, console: Console) -> None:
        """Prints the losses as a table, then the parameter that is furthest apart and the verdict."""
        count = sum(array.size for array in self.parameters.values())
        table = Table(title=f"A model of {count:,} parameters in two processes and in one")
        for heading in ("step", "loss, two stages", "loss, one process", "relative difference"):
            table.add_column(heading, justify="right")
        rows = zip(self.losses, self.losses_single, self.loss_differences, strict=True)
        for step, (ours, single, apart) in enumerate(rows, 1):
            table.add_row(str(step), f"{ours:.6f}", f"{single:.6f}", f"{apart:.1e}")
        console.print(table)
        apart, worst = max((apart, name) for name, apart in self.parameter_differences.items())
        console.print(
            f"largest relative difference: loss {max(self.loss_differences):.1e}, parameters {apart:.1e} ({worst})",
            soft_wrap=True,
        )
        verdict = "[green]match[/]" if self.matches else "[red]do not match[/]"
        console.print(f"the two trainings {verdict} to {TOLERANCE:.0e}")
