"""The paper's bar charts: throughput of each method at each ratio, as a share of what a free network allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from . import cells
from .report import of
from .results import Cell, tables

COLOURS = ("#c8c2b4", "#c8a66b", "#8c6d46", "#b3cde3", "#4a86b8", "#d1495b")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INK, GRID = "#333333", "#dddddd"


def draw(found: Sequence[Cell], directory: Path) -> list[Path]:
    """Write `e2e-MODEL-STAGES-T.svg` (`e2e-MODEL-STAGES-jax.svg` for stages that compute), for what was run."""
    mpl.rcParams.update({"font.family": "sans-serif", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "e2e"})
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for title, group in tables(found).items():
        cell = group[0]
        what = "jax" if cell.jax else f"{cell.compute * 1e3:g}ms"
        written.append(directory / f"e2e-{cell.model}-{cell.stages}-{what}.svg")
        _bars(group, title).savefig(written[-1], metadata={"Date": None})
    return written


def draw_step(trace: Path, path: Path) -> None:
    """Draw the typical step of a trace, as the examples draw theirs."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    from training.pictures import timeline

    mpl.rcParams.update({"svg.hashsalt": "e2e"})
    timeline(trace, path)


def _bars(group: Sequence[Cell], title: str) -> Figure:
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    methods = [m for m in cells.METHODS[:-1] if any(cell.run(m) for cell in group)]
    width = 0.84 / len(methods)
    for number, method in enumerate(methods):
        places = [at - 0.42 + (number + 0.5) * width for at in range(len(group))]
        shares = [of(cell, cells.BOUND) / of(cell, method) for cell in group]
        colour = COLOURS[cells.METHODS.index(method)]
        axes.bar(places, shares, width * 0.94, color=colour, label=method.name)
        for cell, place in zip(group, places, strict=True):
            run, bound = cell.run(method), cell.run(cells.BOUND)
            if run is not None and bound is not None:
                predicted = bound.predicted / run.predicted
                axes.plot([place - width * 0.4, place + width * 0.4], [predicted] * 2, color=INK, linewidth=0.9)
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xticks(range(len(group)), [f"rho {cell.rho:g}" for cell in group])
    axes.set_ylabel("samples/s, no communication = 1")
    axes.set_ylim(0, 1.12)
    axes.set_title(f"{title}; a dark line is the simulator's prediction", fontsize=9, color=INK, loc="left")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(fontsize=7.5, ncols=3, frameon=False, loc="outside lower center")
    return figure
