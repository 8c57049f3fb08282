"""Tables of what was measured, and which limits it misses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import cells, results
from .cells import Method
from .results import Cell, Run

PREDICTION = {False: 0.03, True: 0.08}
"""How far the simulator may be off: timed stages, stages that compute."""
OF_BOUND = ((0.6, 0.97), (1.0, 0.95), (1.3, 0.88))
"""Adaptive over the network that is free: up to which ratio, how much of it at least."""
OF_SIMULATOR = 0.97
"""What adaptive reaches of the simulator's speed at other numbers of stages."""
OVER_ALPA = {("u_transformer", 0.6): 1.5, ("gpt", 0.15): 1.1}
NOISE = 0.01
"""By how much adaptive may be slower than another schedule before it counts as slower."""


def of(cell: Cell, method: Method) -> float:
    """The median step of a method, `nan` if it was not run."""
    run = cell.run(method)
    return run.median if run is not None else math.nan


def miss(run: Run) -> float:
    """How far the simulator is off: positive if the step took longer."""
    return run.median / run.predicted - 1


def tables(found: Sequence[Cell]) -> str:
    """Markdown: for each model and number of stages a table of steps, then the ratios that count."""
    out = []
    for title, group in results.tables(found).items():
        out += [title, "", *_steps(group), "", *_ratios(group), ""]
    out += [f"- missed: {text}" for text in misses(found)] or ["Every limit is kept."]
    return "\n".join(out)


def misses(found: Sequence[Cell]) -> list[str]:
    """The limits that are missed, a sentence each."""
    missed = [] if found else ["nothing was measured"]
    for cell in found:
        where = f"{cell.model}{', JAX' if cell.jax else ''}, {cell.stages} stages, rho {cell.rho:g}"
        for run in cell.runs:
            if not run.makespans:
                missed.append(f"{where}, {run.method}: none of {len(run.dropped)} steps counts")
            if abs(miss(run)) > PREDICTION[cell.jax]:
                limit = PREDICTION[cell.jax]
                missed.append(f"{where}, {run.method}: the simulator is off by {miss(run):+.1%} (limit {limit:.0%})")
        adaptive, run = of(cell, cells.ADAPTIVE), cell.run(cells.ADAPTIVE)
        share = of(cell, cells.BOUND) / adaptive
        least = next((limit for rho, limit in OF_BOUND if cell.rho <= rho), 0.0)
        if cell.jax:
            continue
        if cell.stages == 2 and share < least:
            missed.append(f"{where}: adaptive is {share:.1%} of the free network (limit {least:.0%})")
        if run is not None and run.predicted / adaptive < OF_SIMULATOR:
            missed.append(f"{where}: adaptive is {run.predicted / adaptive:.1%} of what the simulator says")
        faster = [other for other in (cells.EAGER, cells.OVERLAPPED) if adaptive > of(cell, other) * (1 + NOISE)]
        missed += [f"{where}: adaptive is slower than {other.name}" for other in faster]
        cap = cells.memory(cell.stages)
        if run is not None and run.peak > cap:
            missed.append(f"{where}: adaptive holds {run.peak} micro-batches (cap {cap})")
        wanted = OVER_ALPA.get((cell.model, cell.rho)) if cell.stages == 2 else None
        if wanted is not None and of(cell, cells.ALPA) / adaptive < wanted:
            missed.append(f"{where}: adaptive is {of(cell, cells.ALPA) / adaptive:.2f} x Alpa (limit {wanted})")
    return missed


def _steps(group: Sequence[Cell]) -> list[str]:
    """Medians of a step, and in brackets by how much the simulator is off."""
    methods = [method for method in cells.METHODS if any(cell.run(method) for cell in group)]
    lines = ["| rho | link | " + " | ".join(method.name for method in methods) + " |"]
    lines.append("|---" * (len(methods) + 2) + "|")
    for cell in group:
        runs = [cell.run(method) for method in methods]
        shown = [f"{run.median:.3f} s ({miss(run):+.1%})" if run and run.makespans else "" for run in runs]
        lines.append(f"| {cell.rho:g} | {cell.rate * 8e-6:.0f} Mbit/s | " + " | ".join(shown) + " |")
    return lines


def _ratios(group: Sequence[Cell]) -> list[str]:
    heads = ["rho", "adaptive over Alpa", "in the simulator", "over overlapped 1F1B", "over eager-1F1B"]
    heads += ["of no communication", "micro-batches held"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for cell in group:
        adaptive, run = of(cell, cells.ADAPTIVE), cell.run(cells.ADAPTIVE)
        alpa = cell.run(cells.ALPA)
        ideal = f"{alpa.predicted / run.predicted:.2f}" if alpa and run else ""
        lines.append(
            f"| {cell.rho:g} | {f'**{of(cell, cells.ALPA) / adaptive:.2f}**' if alpa else ''} | {ideal} "
            f"| {of(cell, cells.OVERLAPPED) / adaptive:.2f} | {of(cell, cells.EAGER) / adaptive:.2f} "
            f"| {of(cell, cells.BOUND) / adaptive:.1%} | {run.peak if run else ''} |"
        )
    return lines
