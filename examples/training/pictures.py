"""The loss curve of a training and the timeline of one of its steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS: Final = {"F": "#56B4E9", "B": "#009E73", "W": "#F0E442", "exposed": "#D55E00"}
NAMES: Final = {"F": "forward", "B": "backward", "W": "weight gradient", "exposed": "waits for network"}
SENT: Final = {"F": "#0072B2", "B": "#CC79A7"}
SENT_NAMES: Final = {"F": "sends activations", "B": "sends gradients"}
LINE: Final = "#222222"

OPERATION: Final = re.compile(r"([FBW])(\d+)\.(\d+)")
"""As the trace names an operation: kind, micro-batch, stage."""

SMOOTHED: Final = 0.05
"""The part of the steps over which the thick line of the loss is a mean."""

LABELLED: Final = 0.012
"""A bar as long as this part of the step has room for its number."""


def loss_curve(steps: Sequence[int], losses: Sequence[float], name: str, path: Path) -> None:
    """Draws the loss of each step, and over it the mean of the steps around."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, losses, color=COLOURS["F"], linewidth=0.8, alpha=0.7)
    window = max(1, round(SMOOTHED * len(losses)))
    if window > 1:
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        offset = (window - 1) / 2
        axes.plot(steps[0] + offset + np.arange(len(mean)), mean, color="#0072B2", linewidth=2)
    axes.set_xlabel("step")
    axes.set_ylabel(name)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, axis="y", linewidth=0.5, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def timeline(trace: Path, path: Path) -> None:
    """Draws the typical step of a trace: of those that it holds, the one whose length is the median.

    A row for each process: its operations with the numbers of their micro-batches, and where it waits for the network.
    Under it what it has sent, from when that was made until it arrived.
    """
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    tracks = {
        event["tid"]: event["args"]["name"]
        for event in events
        if event["name"] == "thread_name" and processes[event["pid"]] == "stages"
    }
    spans = [event for event in events if event["ph"] == "X" and processes[event["pid"]] == "stages"]
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for span in spans:
        if OPERATION.fullmatch(span["name"]):
            steps.setdefault(span["args"]["step"], []).append(span)
    bounds = {
        step: (min(span["ts"] for span in ops), max(span["ts"] + span["dur"] for span in ops))
        for step, ops in steps.items()
    }
    typical = median_low_key({step: end - start for step, (start, end) in bounds.items()})
    start, end = bounds[typical]
    waits = [span for span in spans if span["name"] == "exposed" and start <= span["ts"] < end]

    figure = Figure(figsize=(11, 1.5 + 0.85 * len(tracks)), layout="constrained")
    axes = figure.add_subplot()
    kinds = _bars(axes, [*steps[typical], *waits], start, end)
    sent = _transfers(axes, [event for event in events if event["ph"] in "be"], typical, start, len(tracks))
    axes.set_yticks(list(tracks), [name.replace(" on ", "\non ") for name in tracks.values()])
    axes.set_ylim(len(tracks) - 0.45, -0.4)
    axes.set_xlim(0, (end - start) / 1e3)
    axes.set_xlabel("ms")
    axes.set_title(f"step {typical}: {(end - start) / 1e3:.0f} ms", loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    patches = [Patch(facecolor=COLOURS[kind], edgecolor=LINE, label=NAMES[kind]) for kind in COLOURS if kind in kinds]
    patches += [Patch(facecolor=SENT[kind], label=SENT_NAMES[kind]) for kind in SENT if kind in sent]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(path, dpi=110)


def median_low_key(lengths: Mapping[int, float]) -> int:
    """The key whose value is nearest to the median of all."""
    middle = median(lengths.values())
    return min(lengths, key=lambda key: abs(lengths[key] - middle))


def _bars(axes: Axes, spans: Sequence[Mapping[str, Any]], start: float, end: float) -> set[str]:
    """Draws spans in their rows; returns which kinds there were. Later stages of a process are paler."""
    parts = sorted({int(match[3]) for span in spans if (match := OPERATION.fullmatch(span["name"]))})
    rows = len({span["tid"] for span in spans})
    found = set()
    for span in spans:
        match = OPERATION.fullmatch(span["name"])
        kind = match[1] if match else "exposed"
        found.add(kind)
        at, length = (span["ts"] - start) / 1e3, span["dur"] / 1e3
        depth = int(match[3]) // rows / max(1, len(parts) // rows - 1) if match and len(parts) > rows else 0.0
        height = 0.6 if match else 0.3
        axes.broken_barh(
            [(at, length)],
            (span["tid"] - height / 2, height),
            facecolor=COLOURS[kind],
            alpha=1 - 0.5 * depth,
            edgecolor=LINE if match else "none",
            linewidth=0.5,
        )
        if match and span["dur"] > LABELLED * (end - start):
            axes.text(at + length / 2, span["tid"], match[2], ha="center", va="center", fontsize=7, color=LINE)
    return found


def _transfers(axes: Axes, events: Sequence[Mapping[str, Any]], step: int, start: float, rows: int) -> set[str]:
    """Draws the transfers of a step under the rows of their senders; returns which kinds there were."""
    ends = {event["id"]: event["ts"] for event in events if event["ph"] == "e"}
    found = set()
    for event in events:
        match = OPERATION.fullmatch(event["name"])
        if event["ph"] == "b" and match and event["id"].startswith(f"{step}."):
            kind, row = match[1], int(match[3]) % rows
            found.add(kind)
            at, length = (event["ts"] - start) / 1e3, (ends[event["id"]] - event["ts"]) / 1e3
            axes.broken_barh([(at, length)], (row + (0.33 if kind == "F" else 0.41), 0.06), facecolor=SENT[kind])
    return found
