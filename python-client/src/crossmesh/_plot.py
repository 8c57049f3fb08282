"""The predicted timeline of a plan as a picture: a row for each NIC direction, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import LayoutError
from ._explain import seconds
from ._figure import picture, written
from ._timeline import LIMITS, track

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._plan import Plan

ROWS_MAX = 64
COLOURED_MAX = 8
LABELLED_MAX = 120
PIXELS = 3000  # intervals of one colour that are nearer than one of so many parts of the picture are drawn as one

# Okabe and Ito's colours, which people with any colour vision can tell apart; grey is for what has none of its own.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C6BB1")
REST = "#9A9A9A"
LINE = "#222222"
LABEL = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}


def draw(plan: Plan, timeline: Mapping[str, Any], path: Path | None) -> Figure:
    """Draw the timeline that the planner told, and into a file if there is a path; its ending says the format."""
    kinds = {"resource": int, "move": int, "start": float, "end": float}
    busy: list[Any] = [np.asarray(timeline[name], kind) for name, kind in kinds.items()]
    rows = _rows(timeline["resources"], busy)
    figure = picture(11, 1.9 + 0.34 * max(len(rows), 3), path, LayoutError)
    axes = figure.add_subplot()
    scale, unit = (1, "s") if plan.makespan >= 1 else (1e3, "ms") if plan.makespan >= 1e-3 else (1e6, "us")
    _bars(axes, plan, timeline["resources"], busy, rows, scale)
    _frame(axes, plan, timeline["resources"], rows, scale, unit)
    _legend(figure, axes, len(rows) < len(set(busy[0].tolist())))
    return written(figure, path)


def _rows(resources: Sequence[Mapping[str, Any]], busy: Sequence[Any]) -> list[int]:
    """The resources to show, from top to bottom: those that are ever busy, the busiest if they are too many."""
    total = np.bincount(busy[0], weights=busy[3] - busy[2], minlength=len(resources))
    used = [number for number in range(len(resources)) if total[number] > 0]
    if len(used) > ROWS_MAX:
        used = sorted(sorted(used, key=lambda number: -total[number])[:ROWS_MAX])
    return used


def _keys(plan: Plan) -> tuple[str, list[str]]:
    """What colours mean, and the name of each move's colour: its tensor, or with one tensor the host it comes from."""
    if len(plan.tensors) > 1:
        return "tensor", [move.tensor for move in plan.moves]
    return "comes from", [move.route[0] for move in plan.moves]


def _bars(
    axes: Axes, plan: Plan, resources: Sequence[Mapping[str, Any]], busy: Sequence[Any], rows: list[int], scale: float
) -> None:
    meaning, of_move = _keys(plan)
    resource, move, start, end = busy
    weight: dict[str, float] = {}
    for key, length in zip((of_move[m] for m in move), end - start, strict=True):
        weight[key] = weight.get(key, 0.0) + float(length)
    named = sorted(weight, key=lambda key: -weight[key])
    if len(named) > COLOURED_MAX:
        named = named[: COLOURED_MAX - 1]
    hosts = [resource["hosts"][0] for resource in resources]
    named = [key for key in dict.fromkeys((*hosts, *plan.tensors)) if key in set(named)]
    colour_of = {key: COLOURS[number] for number, key in enumerate(named)}
    colours = np.array([named.index(key) if key in colour_of else len(named) for key in of_move], int)
    place = {number: position for position, number in enumerate(rows)}
    for colour in range(len(named) + 1):
        chosen = np.flatnonzero(colours[move] == colour)
        name = named[colour] if colour < len(named) else f"{len(weight) - len(named)} others"
        shown = False
        for number in rows:
            mine = chosen[resource[chosen] == number]
            if not len(mine):
                continue
            # With few bars each is drawn by itself, so that the slices can be told apart.
            gap = plan.makespan / PIXELS if len(move) > LABELLED_MAX else -1.0
            spans = _merged(start[mine], end[mine], gap)
            axes.broken_barh(
                [(lo * scale, (hi - lo) * scale) for lo, hi in spans],
                (place[number] - 0.38, 0.76),
                facecolors=COLOURS[colour] if colour < len(named) else REST,
                edgecolors="white",
                linewidth=0.6 if len(move) <= LABELLED_MAX else 0,
                label=None if shown else f"{meaning} {name or '-'}",
            )
            shown = True
    if len(move) <= LABELLED_MAX:
        _labels(axes, plan, resources, busy, place, scale)


def _merged(start: Any, end: Any, gap: float) -> list[tuple[float, float]]:
    """Intervals of one row and colour, neighbours joined."""
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    first = np.concatenate(([True], start[1:] > end[:-1] + gap))
    last = np.concatenate((first[1:], [True]))
    return list(zip(start[first].tolist(), end[last].tolist(), strict=True))


def _labels(
    axes: Axes,
    plan: Plan,
    resources: Sequence[Mapping[str, Any]],
    busy: Sequence[Any],
    place: dict[int, int],
    scale: float,
) -> None:
    """In bars wide enough for it, the host at the other end."""
    for number, move, start, end in zip(*busy, strict=True):
        if number not in place or resources[number]["limit"] or end - start < 0.07 * plan.makespan:
            continue
        route = plan.moves[move].route
        at = route.index(resources[number]["hosts"][0])
        text = f"to {route[at + 1]}" if resources[number]["direction"] == "out" else f"from {route[at - 1]}"
        centre = ((start + end) / 2 * scale, place[number])
        axes.text(*centre, text, ha="center", va="center", fontsize=7, color=LINE, bbox=LABEL)


def _frame(
    axes: Axes, plan: Plan, resources: Sequence[Mapping[str, Any]], rows: list[int], scale: float, unit: str
) -> None:
    names = [track(resources[number]) for number in rows]
    axes.set_yticks(range(len(rows)), [name if group == LIMITS else f"{group} {name}" for group, name in names])
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    for position in range(1, len(rows)):
        if names[position][0] != names[position - 1][0]:
            axes.axhline(position - 0.5, color="#DDDDDD", linewidth=0.8, zorder=0)
    end = max(plan.makespan, plan.lower_bound)
    axes.set_xlim(0, end * scale * 1.02 or 1)
    axes.set_xlabel(f"predicted time, {unit}")
    if plan.lower_bound:
        axes.axvline(
            plan.lower_bound * scale, color=LINE, linestyle="--", linewidth=1.2,
            label=f"lower bound {seconds(plan.lower_bound)}",
        )  # fmt: skip
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    kinds = sorted({chosen.strategy for chosen in plan.strategy.values()})
    axes.set_title(
        f"makespan {seconds(plan.makespan)}, gap to the bound {100 * plan.gap:.2f} %   ({', '.join(kinds)})",
        loc="left", fontsize=11,
    )  # fmt: skip


def _legend(figure: Figure, axes: Axes, cut: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    if cut:
        axes.annotate(
            f"the {ROWS_MAX} busiest rows", (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=8
        )
