"""The paper's two figures for one lab: bandwidth over the number of receivers, and over the many-to-many cases."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .cases import Variant
from .measure import Record, Result
from .report import cases_of, find, find_any, variants_of

RECEIVERS = {"m1": 1, "m2": 2, "m3": 3, "m4": 4, "m5": 4, "m6": 6, "m7": 8, "m8": 16}
ONE_HOST = ("m1", "m2", "m3", "m4")
INK, GRID = "#333333", "#dddddd"


def gbit(record: Record) -> float:
    """Effective bandwidth as the paper has it: the tensor's bytes over the time, in Gbit/s."""
    return record.bytes * 8 / record.median / 1e9


def draw(result: Result, directory: Path) -> list[Path]:
    """Write `lab-receivers-RATE.svg` and `lab-cases-RATE.svg`, those for which there are records."""
    mpl.rcParams.update({"font.family": "sans-serif", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "lab"})
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    names = cases_of(result)
    many = [name for name in names if name not in RECEIVERS]
    ones = [name for name in names if name in RECEIVERS]
    for label, cases, painter in (("receivers", ones, _receivers), ("cases", many, _cases)):
        if cases:
            figure = Figure(figsize=(8.4, 3.4), layout="constrained")
            painter(result, cases, figure)
            rate = f"{result.shape.rate / 1e6:g}"
            written.append(directory / f"lab-{label}-{rate}.svg")
            figure.savefig(written[-1], metadata={"Date": None})
    return written


def _colours(variants: list[Variant]) -> dict[Variant, str]:
    palette = ["#9aa5b1", "#c8a66b", "#8c6d46", "#b3cde3", "#7fb0d6", "#4a86b8", "#23608f", "#d1495b"]
    return {variant: palette[i % len(palette)] for i, variant in enumerate(variants[:-1])} | {variants[-1]: "#d1495b"}


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _line_rate(axes: Axes, result: Result) -> None:
    rate = result.rate * 8 / 1e9
    axes.axhline(rate, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="one NIC, by iperf3")


def _receivers(result: Result, cases: list[str], figure: Figure) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    variants = variants_of(result)
    colours = _colours(variants)
    groups = (
        (left, [c for c in cases if c in ONE_HOST], "one receiving host"),
        (right, [c for c in cases if c not in ONE_HOST], "two receivers a host, the last with four"),
    )
    for axes, names, title in groups:
        for variant in variants:
            points = [(RECEIVERS[c], r) for c in names if (r := find(result, c, variant)) is not None]
            axes.plot(
                [x for x, _ in points],
                [gbit(record) for _, record in points],
                marker="o",
                markersize=4,
                linewidth=1.6,
                color=colours[variant],
                label=variant.name,
            )
        if names:
            axes.set_xticks([RECEIVERS[c] for c in names])
        axes.set_xlabel("receiving devices")
        _line_rate(axes, result)
        _finish(axes, title)
    left.set_ylabel("effective Gbit/s")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)


def _cases(result: Result, cases: list[str], figure: Figure) -> None:
    axes = figure.subplots()
    variants = variants_of(result)
    colours = _colours(variants)
    width = 0.84 / len(variants)
    for i, variant in enumerate(variants):
        offset = (i - (len(variants) - 1) / 2) * width
        heights = [gbit(r) if (r := find(result, c, variant)) is not None else math.nan for c in cases]
        places = [x + offset for x in range(len(cases))]
        axes.bar(places, heights, width * 0.92, color=colours[variant], label=variant.name)
    bounds = [find_any(result, case) for case in cases]
    axes.hlines(
        [record.bytes * 8 / record.bound_seconds / 1e9 for record in bounds],
        [x - 0.46 for x in range(len(cases))],
        [x + 0.46 for x in range(len(cases))],
        color=INK,
        linewidth=1.0,
        label="no plan is above",
    )
    axes.set_xticks(range(len(cases)), cases)
    axes.set_xlabel("case")
    axes.set_ylabel("effective Gbit/s")
    _finish(axes, "the tensor's bits over the time of a step")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
