"""Pipeline schedules: what each stage does, in which order."""

from __future__ import annotations

import operator
import queue
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ._errors import AgentUnavailable, ScheduleError
from ._planner import planner
from ._run import Numbers, Skips, Transfers, number_or_list, run_document

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from ._gateway import Gateway

_T = TypeVar("_T")
_OP = re.compile(r"([FBW])(\d+)\.(\d+)")

SCHEDULES = ("gpipe", "1f1b", "eager-1f1b", "interleaved-1f1b", "zb-h1", "adaptive")


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a stage.

    `kind` is "F" for a forward, "B" for a backward (of the inputs alone where the schedule has "W"), "W" for the
    gradient of the weights. `microbatch` counts from 0. `virtual_stage` is the part of the model, from 0 at the inputs
    to the number of parts less one at the loss; without interleaving it is the stage itself.
    """

    kind: Literal["F", "B", "W"]
    microbatch: int
    virtual_stage: int

    def __str__(self) -> str:
        return f"{self.kind}{self.microbatch}.{self.virtual_stage}"


class Schedule:
    """What each stage of a pipeline does. Made by `cm.schedule`, or by `Schedule.from_json`.

    It was checked when it was made: each operation is there once and in order, no stage waits for ever whether
    transfers block or overlap, and no stage holds more activations than the schedule promises.
    """

    def __init__(self, make: Callable[[Gateway], dict[str, Any]]) -> None:
        self._make = make
        self._gateway = planner()
        _release_forgotten(self._gateway)
        self._keep(make(self._gateway))
        self._stages: dict[int, tuple[Op, ...]] = {}

    def _keep(self, summary: dict[str, Any]) -> None:
        self._summary = summary
        self._number = int(summary["id"])
        # Forgotten by the JVM at the next request: a finalizer must not call it.
        weakref.finalize(self, _forgotten.put, (self._gateway, self._number)).atexit = False

    def _ask(self, question: Callable[[Gateway, int], _T]) -> _T:
        """Ask the planner about this schedule; a planner that is new makes it again, which gives the same."""
        try:
            return question(self._gateway, self._number)
        except AgentUnavailable:
            self._gateway = planner()
            self._keep(self._make(self._gateway))
            return question(self._gateway, self._number)

    @property
    def name(self) -> str:
        """The name it was asked for by; "custom" for lists that somebody else made."""
        return str(self._summary["name"])

    @property
    def stages(self) -> int:
        """The number of stages."""
        return int(self._summary["stages"])

    @property
    def microbatches(self) -> int:
        """The number of micro-batches of a step."""
        return int(self._summary["microbatches"])

    @property
    def virtual(self) -> int:
        """Parts of the model on each stage; part k lies on stage `k % stages`."""
        return int(self._summary["virtual"])

    @property
    def inference(self) -> bool:
        """Whether there are forwards only."""
        return bool(self._summary["inference"])

    @property
    def split(self) -> bool:
        """Whether weight gradients ("W") are operations of their own."""
        return bool(self._summary["split"])

    @property
    def digest(self) -> str:
        """64 hexadecimal digits, equal for schedules that run the same on every stage, in whatever process.

        SHA-256 of the ASCII text of these lines, each ended by a line feed: `crossmesh-schedule-1`; the numbers of
        stages, micro-batches and parts on a stage, with spaces between; for each stage its operations as `str(op)`
        writes them, with spaces between.
        """
        return str(self._summary["digest"])

    def stage(self, stage: int) -> tuple[Op, ...]:
        """The operations of a stage, in the order in which it runs them.

        **Raises:** `ScheduleError` if there is no such stage.
        """
        stage = operator.index(stage)
        if stage not in self._stages:
            texts = self._ask(lambda gateway, number: gateway.schedule_stage(number, stage))
            self._stages[stage] = tuple(_op(text) for text in texts)
        return self._stages[stage]

    def warmup(self, stage: int) -> int:
        """How many forwards a stage runs before its first backward."""
        ops = self.stage(stage)
        return next((number for number, op in enumerate(ops) if op.kind == "B"), len(ops))

    def to_json(self) -> str:
        """The whole schedule as JSON text, for `from_json`."""
        return self._ask(lambda gateway, number: gateway.schedule_json(number))

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """The schedule that `to_json` wrote, or lists of your own (name "custom"), checked.

        **Raises:** `ScheduleError` if the lists are no schedule, naming the operation that is wrong.
        """
        return cls(lambda gateway: gateway.schedule_load(text))

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Schedule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the order of the operations, as `Simulation.plot`, where a whole backward takes as long as two forwards.

        **Arguments:**

        - `path`: the file to write; its ending says the format (.png, .svg, .pdf). `None` writes nothing.

        **Returns:** the `matplotlib.figure.Figure`, which a notebook shows.

        **Raises:** `ImportError` without matplotlib; `ScheduleError` for a format that matplotlib does not write.
        """
        from ._schedule_plot import draw
        from ._timeline_text import evenly

        return draw(evenly(self), None if path is None else Path(path), "forwards")

    def __rich__(self) -> RenderableType:
        from ._timeline_text import schedule_page

        return schedule_page(self)

    def _repr_html_(self) -> str:
        from ._timeline_text import schedule_html

        return schedule_html(self)

    def __repr__(self) -> str:
        parts = f" of {self.virtual} parts" if self.virtual > 1 else ""
        what = ", inference" if self.inference else ""
        return (
            f"<Schedule {self.name} {self.digest[:12]}: {self.stages} stages{parts}, "
            f"{self.microbatches} micro-batches{what}>"
        )


_forgotten: queue.SimpleQueue[tuple[Gateway, int]] = queue.SimpleQueue()


def _release_forgotten(current: Gateway) -> None:
    while True:
        try:
            gateway, number = _forgotten.get_nowait()
        except queue.Empty:
            return
        if gateway is current:
            gateway.schedule_release(number)


def schedule(
    name: str,
    *,
    stages: int,
    microbatches: int,
    virtual: int | None = None,
    inference: bool = False,
    forward: Numbers | None = None,
    backward: Numbers | None = None,
    weight: Numbers | None = None,
    transfer: Transfers = 0.0,
    skips: Skips | None = None,
    memory: Numbers | None = None,
    activation: Numbers = 1.0,
    residual: Numbers | None = None,
    overlap: bool = True,
    exchange: bool = False,
    half_duplex: bool = False,
    hosts: Sequence[str] | None = None,
) -> Schedule:
    """Make a pipeline schedule. The same arguments give the same schedule and digest on every host.

    **Arguments:**

    - `name`: `"gpipe"`, `"1f1b"`, `"eager-1f1b"`, `"interleaved-1f1b"`, `"zb-h1"`, or `"adaptive"`, which chooses the
        warm-up of each stage and where weight gradients run from the times below, and in the simulator is never slower
        than a fixed schedule of as many parts that fits `memory`.
    - `stages`, `microbatches`: any numbers; with virtual stages, micro-batches that `stages` divides.
    - `virtual`: parts of the model on each stage, part k on stage `k % stages`. Default 2 for `"interleaved-1f1b"`
        and 1 for `"adaptive"`; the others have 1.
    - `inference`: forwards only.
    - `memory`: the most that each stage may hold, one number or a list, in the unit of `activation`. Default: no limit.
    - `activation`, `residual`: what a micro-batch holds on a stage until its backward, and from its backward to its
        weight gradient where that runs apart; one number or a list. Default 1, so that `memory` counts micro-batches;
        `residual` is `activation` if not given.
    - `forward`, `backward`, `weight`, `transfer`, `skips`, `overlap`, `exchange`, `half_duplex`, `hosts`: as in
        `cm.simulate`, for `"adaptive"`; the others do not look at times.

    **Raises:**

    `ScheduleError` for a name or size that cannot be, lists of the wrong length, or a schedule that needs more than
    `memory`; `AgentUnavailable` if the planner cannot be started.

    !!! Example

        ```python
        s = cm.schedule("eager-1f1b", stages=4, microbatches=16)
        for op in s.stage(0):
            print(op.kind, op.microbatch)
        ```
    """
    if not isinstance(name, str):
        raise ScheduleError(f"A schedule is asked for by name, got {name!r}. The schedules are {', '.join(SCHEDULES)}.")
    timed = forward is not None and (backward is not None or inference)
    if name == "adaptive" and not timed:
        raise ScheduleError("adaptive chooses by times: state forward=, backward= and transfer=, in seconds.")
    request: dict[str, Any] = {
        "v": 1,
        "name": name,
        "stages": _integer("stages", stages),
        "microbatches": _integer("microbatches", microbatches),
        "virtual": _virtual(name) if virtual is None else _integer("virtual", virtual),
        "inference": bool(inference),
        "memory": None if memory is None else number_or_list("memory", memory),
        "run": run_document(
            forward=0.0 if forward is None else forward,
            backward=0.0 if backward is None else backward,
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
    }
    return Schedule(lambda gateway: gateway.schedule(request))


def _virtual(name: str) -> int:
    return 2 if name == "interleaved-1f1b" else 1


def _integer(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ScheduleError(f"{name} is a whole number, got {value!r}.") from None
    if not -(2**31) <= number < 2**31:
        raise ScheduleError(f"{name} is a number of things in one step, got {number}. Use a smaller one.")
    return number


def _op(text: str) -> Op:
    match = _OP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    kind, microbatch, virtual_stage = match.groups()
    return Op(kind, int(microbatch), int(virtual_stage))  # type: ignore[arg-type]


op_of_text = _op
