"""The timeline of a simulated step as a picture, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import ScheduleError
from ._figure import picture, written
from ._schedule_text import amount, time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._simulation import Simulation

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = {"F": "#56B4E9", "B": "#009E73", "W": "#F0E442"}
NAMES = {"F": "forward", "B": "backward", "W": "weight gradient"}
SENT = {"F": "#0072B2", "B": "#D55E00"}
SENT_NAMES = {"F": "sends activations", "B": "sends gradients"}
LINE = "#222222"

STAGES_MAX = 64
LABELLED_MAX = 700  # operations; more of them leave no room for numbers
ROW, THIN = 0.56, 0.15


def draw(result: Simulation, path: Path | None, unit: str | None = None) -> Figure:
    """Draw a row for each stage with its operations, and under it what the stage sends forward and backward.

    **Arguments:**

    - `unit`: what the times of the simulation count, if not seconds.
    """
    made = result.schedule
    rows = min(made.stages, STAGES_MAX)
    figure = picture(12, 1.6 + 0.62 * max(rows, 2), path, ScheduleError)
    from matplotlib.patches import Patch

    axes = figure.add_subplot()
    end = result.makespan
    scale, shown = (1.0, "s") if end >= 1 else (1e3, "ms") if end >= 1e-3 else (1e6, "us")
    scale, shown = (scale, shown) if unit is None else (1.0, unit)
    step = time(end) if unit is None else f"{amount(end)} {unit}"
    kinds = _operations(axes, result, rows, scale)
    sent = _transfers(axes, result, rows, scale)
    axes.set_yticks([row + ROW / 2 for row in range(rows)], [f"stage {row}" for row in range(rows)])
    axes.set_ylim(rows, -0.08)
    axes.set_xlim(0, 1.002 * end * scale or 1)  # the frame of the last bar too
    axes.set_xlabel(f"time in {shown}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    parts = f", {made.virtual} parts on each" if made.virtual > 1 else ""
    more = f" (first {rows} shown)" if rows < made.stages else ""
    axes.set_title(
        f"{made.name}: {made.stages} stages{parts}{more}, {made.microbatches} micro-batches, {step} a step, "
        f"{result.bubble_fraction:.0%} bubble",
        loc="left",
    )
    patches = [Patch(facecolor=COLOURS[kind], edgecolor=LINE, label=NAMES[kind]) for kind in COLOURS if kind in kinds]
    patches += [Patch(facecolor=SENT[kind], label=SENT_NAMES[kind]) for kind in SENT if kind in sent]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, frameon=False)
    return written(figure, path)


def _operations(axes: Axes, result: Simulation, rows: int, scale: float) -> set[str]:
    spans = [span for span in result.ops if span.stage < rows]
    edge = 0.5 if len(spans) <= 4 * LABELLED_MAX else 0.0
    for kind in COLOURS:
        for part in range(result.schedule.virtual):
            chosen = [s for s in spans if s.op.kind == kind and s.op.virtual_stage // result.schedule.stages == part]
            # Later parts of the model are paler, so that they can be told from the first.
            _bars(
                axes,
                ((s.stage, s.start * scale, (s.end - s.start) * scale) for s in chosen),
                0.0,
                ROW,
                COLOURS[kind],
                alpha=1 - 0.5 * part / max(1, result.schedule.virtual - 1),
                edge=edge,
            )
    if len(spans) <= LABELLED_MAX:
        least = 0.011 * result.makespan
        for span in spans:
            if span.end - span.start >= least:
                axes.text(
                    (span.start + span.end) / 2 * scale,
                    span.stage + ROW / 2,
                    str(span.op.microbatch),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=LINE,
                    clip_on=True,
                )
    return {span.op.kind for span in spans}


def _transfers(axes: Axes, result: Simulation, rows: int, scale: float) -> set[str]:
    spans = [span for span in result.transfers if span.sender < rows and span.end > span.start]
    for kind, offset in (("F", ROW + 0.03), ("B", ROW + 0.05 + THIN)):
        bars = ((s.sender, s.start * scale, (s.end - s.start) * scale) for s in spans if s.op.kind == kind)
        _bars(axes, bars, offset, THIN, SENT[kind])
    return {span.op.kind for span in spans}


def _bars(
    axes: Axes,
    bars: Iterable[tuple[int, float, float]],
    offset: float,
    height: float,
    colour: str,
    alpha: float = 1.0,
    edge: float = 0.0,
) -> None:
    by_stage: dict[int, list[tuple[float, float]]] = {}
    for stage, start, length in bars:
        by_stage.setdefault(stage, []).append((start, length))
    for stage, ranges in by_stage.items():
        axes.broken_barh(
            ranges,
            (stage + offset, height),
            facecolor=colour,
            alpha=alpha,
            edgecolor=LINE if edge else "none",
            linewidth=edge,
        )
