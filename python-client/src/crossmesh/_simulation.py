"""Timing a schedule: step time, bubbles, exposed communication, memory, and when what runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._run import Numbers, Skips, Transfers, run_document
from ._schedule import Op, Schedule, op_of_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class OpSpan:
    """An operation of a stage, `start` and `end` in seconds from the start of the step."""

    stage: int
    op: Op
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TransferSpan:
    """What `op` made, on its way from stage `sender` to `receiver`: ready at `posted`, sent from `start` to `end`."""

    sender: int
    receiver: int
    op: Op
    posted: float
    start: float
    end: float


class Simulation:
    """What a schedule takes. Made by `cm.simulate`; seconds, and a list has one item for each stage.

    On each stage `work`, `bubbles` and `exposed` add up to `makespan`.
    """

    def __init__(self, schedule: Schedule, run: dict[str, Any]) -> None:
        self.schedule = schedule
        self._run = run
        self._result = schedule._ask(lambda gateway, number: gateway.simulate(number, run))
        self._spans: tuple[tuple[OpSpan, ...], tuple[TransferSpan, ...]] | None = None

    @property
    def makespan(self) -> float:
        """Seconds of one step."""
        return float(self._result["makespan"])

    @property
    def work(self) -> list[float]:
        """Seconds in which a stage computes."""
        return [float(seconds) for seconds in self._result["work"]]

    @property
    def bubbles(self) -> list[float]:
        """Seconds in which a stage waits for other stages' computing, or is through."""
        return [float(seconds) for seconds in self._result["bubbles"]]

    @property
    def exposed(self) -> list[float]:
        """Seconds in which a stage does nothing though what it waits for is made but not here, or it is sending."""
        return [float(seconds) for seconds in self._result["exposed"]]

    @property
    def bubble_fraction(self) -> float:
        """Bubbles of all stages over their whole time."""
        total = self.makespan * len(self.bubbles)
        return sum(self.bubbles) / total if total else 0.0

    @property
    def peak_activations(self) -> list[int]:
        """The most micro-batches that a stage holds at once: from its forward to its last gradient.

        With virtual stages, of one part each.
        """
        return [int(count) for count in self._result["peak_activations"]]

    @property
    def peak_memory(self) -> list[float]:
        """The same in the unit of `activation` and `residual`."""
        return [float(size) for size in self._result["peak_memory"]]

    @property
    def ops(self) -> Sequence[OpSpan]:
        """Every operation with its times; read when first asked for."""
        return self._timeline()[0]

    @property
    def transfers(self) -> Sequence[TransferSpan]:
        """Every transfer between stages with its times; read when first asked for."""
        return self._timeline()[1]

    def _timeline(self) -> tuple[tuple[OpSpan, ...], tuple[TransferSpan, ...]]:
        if self._spans is None:
            told = self.schedule._ask(lambda gateway, number: gateway.simulate_timeline(number, self._run))
            self._spans = (
                tuple(OpSpan(stage, op_of_text(op), start, end) for stage, op, start, end in told["ops"]),
                tuple(
                    TransferSpan(sender, receiver, op_of_text(op), posted, start, end)
                    for sender, receiver, op, posted, start, end in told["transfers"]
                ),
            )
        return self._spans

    def explain(self, width: int = 100) -> str:
        """The result as a table, a line for each stage, in at most `width` columns."""
        from ._explain import text
        from ._schedule_text import report

        return text(report(self), width)

    def trace(self, path: str | Path) -> None:
        """Write the timeline for Perfetto or chrome://tracing: a track for each stage and for each way over a boundary.

        **Arguments:**

        - `path`: the JSON file to write.
        """
        links = sorted({(span.sender, span.receiver) for span in self.transfers})
        events: list[dict[str, Any]] = []
        for process, name in enumerate(("stages", "transfers")):
            events.append({"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}})
        events.extend(_track(0, stage, f"stage {stage}") for stage in range(self.schedule.stages))
        events.extend(_track(1, number, f"{a} to {b}") for number, (a, b) in enumerate(links))
        events.extend(
            _event(0, span.stage, str(span.op), span.start, span.end, {"kind": span.op.kind}) for span in self.ops
        )
        for sent in self.transfers:
            waited = {"waited_ms": (sent.start - sent.posted) * 1e3}
            lane = links.index((sent.sender, sent.receiver))
            events.append(_event(1, lane, f"{sent.op} sent", sent.start, sent.end, waited))
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the timeline: a row for each stage, and below it a thin one for what it sends. Needs `crossmesh[plot]`.

        **Arguments:**

        - `path`: the file to write; its ending says the format (.png, .svg, .pdf). `None` writes nothing.

        **Returns:** the `matplotlib.figure.Figure`, which a notebook shows.

        **Raises:** `ImportError` without matplotlib; `ScheduleError` for a format that matplotlib does not write.
        """
        from ._schedule_plot import draw

        return draw(self, None if path is None else Path(path))

    def __rich__(self) -> RenderableType:
        from ._timeline_text import simulation_page

        return simulation_page(self)

    def _repr_html_(self) -> str:
        from ._timeline_text import simulation_html

        return simulation_html(self)

    def __repr__(self) -> str:
        return (
            f"<Simulation of {self.schedule.name}: {self.makespan:.6g} s, bubbles {self.bubble_fraction:.1%}, "
            f"exposed up to {max(self.exposed):.6g} s, peak activations {max(self.peak_activations)}>"
        )


def simulate(
    schedule: Schedule,
    *,
    forward: Numbers,
    backward: Numbers = 0.0,
    weight: Numbers | None = None,
    transfer: Transfers = 0.0,
    skips: Skips | None = None,
    overlap: bool = True,
    exchange: bool = False,
    half_duplex: bool = False,
    hosts: Sequence[str] | None = None,
    activation: Numbers = 1.0,
    residual: Numbers | None = None,
) -> Simulation:
    """Time a schedule: run its own lists against seconds per operation and transfer, event by event.

    **Arguments:**

    - `schedule`: from `cm.schedule`.
    - `forward`, `backward`, `weight`: seconds of a micro-batch on a stage; one number, or a list for the stages (whose
        parts share it evenly) or for the parts. With `weight`, `backward` is the gradient of the inputs alone, and
        schedules that do not run weight gradients apart take both together; without, `backward` is whole.
    - `transfer`: seconds of a micro-batch one way over a boundary. A number; a tuple `(forward, backward)`, each a
        number or a list; or a list for the boundaries, each item a number or a tuple. With virtual stages one item more
        says the way from the last stage back to the first; if it is missing, it is as slow as the slowest boundary.
    - `skips`: `{(from, to): seconds}`, what a stage sends to one at least two further on, as a U-Net's encoder stages
        do; seconds of a micro-batch one way, or a tuple `(forward, backward)`. With virtual stages their numbers. Each
        two stages have a link of their own, or take the NICs of their `hosts`. Overlapped transfers only.
    - `overlap`: whether stages compute while they transfer. `False` is as Alpa runs it: a stage that has made something
        sends it before it does anything else, the other stage takes part once it has nothing else to do, and neither is
        at more than one transfer at a time.
    - `exchange`: with `overlap=False`, a stage may be at one send and one receive at a time, as in Megatron-LM.
    - `half_duplex`: a link carries one direction at a time.
    - `hosts`: the host of each stage. Each host has one NIC, which the boundaries of its stages share, and stages of
        one host need none. By default each boundary has a link of its own. Links and NICs carry one transfer a
        direction, in the order in which they were posted.
    - `activation`, `residual`: what a micro-batch holds on a stage until its backward, and from there to its weight
        gradient where that runs apart (default: the same); any unit.

    **Raises:** `ScheduleError` for times that cannot be, lists of the wrong length, a skip that skips no stage or
    blocks, or a schedule with weight gradients apart without `weight`.

    !!! Example

        ```python
        s = cm.schedule("eager-1f1b", stages=4, microbatches=16)
        r = cm.simulate(s, forward=0.01, backward=0.02, transfer=0.008)
        r.makespan, r.bubbles, r.exposed, r.peak_activations
        ```
    """
    return Simulation(
        schedule,
        run_document(
            forward=forward,
            backward=backward,
            weight=weight,
            transfer=transfer,
            skips=skips,
            overlap=overlap,
            exchange=exchange,
            half_duplex=half_duplex,
            hosts=hosts,
            activation=activation,
            residual=residual,
        ),
    )


def _track(process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": name}}


def _event(process: int, thread: int, name: str, start: float, end: float, args: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": start * 1e6, "dur": (end - start) * 1e6}
    return {"ph": "X", "pid": process, "tid": thread, "name": name, "args": args} | times
