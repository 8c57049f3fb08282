"""Schedules and their simulations on a terminal and in a notebook: a row for each stage, its operations in time."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from ._schedule_plot import COLOURS, NAMES
from ._schedule_text import STAGES_SHOWN, amount, report, time
from ._simulation import OpSpan, Simulation, simulate

if TYPE_CHECKING:
    from ._schedule import Schedule

SVG_OPS_MAX = 4000
SVG_WIDTH = 900
SVG_ROW = 24
LABEL_PIXELS_MIN = 22


@dataclass(frozen=True)
class Timeline:
    """The operations of each stage along a line of the terminal's width: `F3` begins the forward of micro-batch 3."""

    result: Simulation
    clock: Callable[[float], str] = time

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stages = _by_stage(self.result)
        heads = [f"stage {number} " for number in range(len(stages))]
        pad = max(map(len, heads))
        width = options.max_width - pad
        if width < 1 or not self.result.makespan:
            return
        for head, spans in zip(heads, stages, strict=True):
            yield Text(head.ljust(pad), no_wrap=True) + _bar(spans, self.result.makespan, width)
        kinds = dict.fromkeys(span.op.kind for spans in stages for span in spans)
        legend = ", ".join(f"{kind} {NAMES[kind]}" for kind in COLOURS if kind in kinds)
        yield Text(f"{legend}; {self.clock(self.result.makespan)} across", style="dim")


def simulation_page(result: Simulation) -> RenderableType:
    """What a schedule takes: its table and its timeline."""
    return Group(report(result), "", Timeline(result))


def schedule_page(schedule: Schedule) -> RenderableType:
    """The order of a schedule, with operations of one length."""
    return Group(Text(repr(schedule).strip("<>"), style="bold"), Timeline(evenly(schedule), amount), _lengths(schedule))


def evenly(schedule: Schedule) -> Simulation:
    """The schedule where a forward takes 1, the whole backward 2, and transfers nothing."""
    if schedule.inference:
        return simulate(schedule, forward=1.0)
    if schedule.split:
        return simulate(schedule, forward=1.0, backward=1.0, weight=1.0)
    return simulate(schedule, forward=1.0, backward=2.0)


def _lengths(schedule: Schedule) -> Text:
    backward = "that of a backward and of a weight gradient 1 each" if schedule.split else "that of a backward 2"
    lengths = "" if schedule.inference else f", {backward}"
    shared = ", shared by the parts of a stage" if schedule.virtual > 1 else ""
    return Text(f"The length of a forward is 1{lengths}{shared}.", style="dim")


def _by_stage(result: Simulation) -> list[list[OpSpan]]:
    stages: list[list[OpSpan]] = [[] for _ in range(min(result.schedule.stages, STAGES_SHOWN))]
    for span in result.ops:
        if span.stage < len(stages):
            stages[span.stage].append(span)
    return stages


def _bar(spans: Sequence[OpSpan], makespan: float, width: int) -> Text:
    """One stage's line. An operation that has no room for its number shows its kind."""
    letters, colours = [" "] * width, [""] * width
    for span in sorted(spans, key=lambda span: span.start):
        first = min(width - 1, round(span.start / makespan * width))
        last = max(first + 1, round(span.end / makespan * width))
        name = f"{span.op.kind}{span.op.microbatch}"
        shown = (name if len(name) <= last - first else span.op.kind).ljust(last - first, "=")
        for at, letter in zip(range(first, min(last, width)), shown, strict=False):
            letters[at], colours[at] = letter, COLOURS[span.op.kind]
    line = Text()
    for letter, colour in zip(letters, colours, strict=True):
        line.append(letter, style=f"black on {colour}" if colour else None)
    return line


def simulation_html(result: Simulation) -> str:
    """What a schedule takes, for a notebook."""
    made = result.schedule
    title = (
        f"{made.name}: {made.stages} stages, {made.microbatches} micro-batches, {time(result.makespan)} a step, "
        f"{result.bubble_fraction:.1%} bubble"
    )
    heads = ("stage", "work", "bubble", "exposed", "micro-batches held")
    seconds = zip(result.work, result.bubbles, result.exposed, strict=True)
    held = result.peak_activations
    rows = [(stage, *map(time, some), held[stage]) for stage, some in enumerate(seconds) if stage < STAGES_SHOWN]
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><tr>{head}</tr>{body}</table>"
    return f"<div><b>{html.escape(title)}</b>{timeline_svg(result)}{_legend(made)}{table}{_more(made)}</div>"


def schedule_html(schedule: Schedule) -> str:
    """The order of a schedule, for a notebook."""
    title = html.escape(repr(schedule).strip("<>"))
    picture = timeline_svg(evenly(schedule), amount)
    lengths = f"<p>{html.escape(_lengths(schedule).plain)}</p>"
    return f"<div><b>{title}</b>{picture}{_legend(schedule)}{lengths}{_more(schedule)}</div>"


def _legend(schedule: Schedule) -> str:
    kinds = ("F",) if schedule.inference else ("F", "B", "W") if schedule.split else ("F", "B")
    chips = (
        f"<span style='background:{COLOURS[kind]};color:#000'>&nbsp;{kind}&nbsp;</span> {NAMES[kind]}" for kind in kinds
    )
    return f"<div>{' '.join(chips)}</div>"


def _more(schedule: Schedule) -> str:
    more = schedule.stages - STAGES_SHOWN
    return f"<p>... and {more:,} more stages</p>" if more > 0 else ""


def timeline_svg(result: Simulation, clock: Callable[[float], str] = time) -> str:
    """The operations as a picture inside of HTML; nothing where they are too many to be told apart."""
    stages = _by_stage(result)
    if not result.makespan or sum(map(len, stages)) > SVG_OPS_MAX:
        return ""
    left, scale = 70, (SVG_WIDTH - 72) / result.makespan
    parts = []
    for number, spans in enumerate(stages):
        y = number * SVG_ROW
        parts.append(f"<text x='{left - 6}' y='{y + 16}' text-anchor='end' fill='currentColor'>stage {number}</text>")
        for span in spans:
            x, wide = left + span.start * scale, (span.end - span.start) * scale
            part = f" of part {span.op.virtual_stage}" if result.schedule.virtual > 1 else ""
            name = f"{NAMES[span.op.kind]}{part} of micro-batch {span.op.microbatch}"
            name += f", {clock(span.start)} to {clock(span.end)}"
            parts.append(
                f"<rect x='{x:.2f}' y='{y + 2}' width='{wide:.2f}' height='{SVG_ROW - 4}' stroke='#222' "
                f"stroke-width='0.5' fill='{COLOURS[span.op.kind]}'><title>{name}</title></rect>"
            )
            if wide >= LABEL_PIXELS_MIN:
                at = f"x='{x + wide / 2:.2f}' y='{y + 16}'"
                parts.append(f"<text {at} text-anchor='middle' fill='#000'>{span.op.kind}{span.op.microbatch}</text>")
    size = f"width='{SVG_WIDTH}' height='{len(stages) * SVG_ROW}'"
    style = "font-size='12' font-family='sans-serif' style='display:block'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style}>{''.join(parts)}</svg>"
