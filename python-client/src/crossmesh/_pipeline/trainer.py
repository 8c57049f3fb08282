"""The trainer: one process of a pipeline, its step, its end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np

from .._agent import TIMEOUT_SECONDS, Agent, connect
from .._errors import CrossmeshError, LayoutError, PeerLost, PlanMismatch, ScheduleError, StepMismatch
from .._schedule import Op, Schedule
from .._schedule import schedule as make_schedule
from .._topology import Topology
from .core import Core, clip_scale
from .errors import NonFiniteLoss
from .gather import Gather
from .graph import Pipeline
from .hello import compare
from .links import DEPTH_MAX
from .runner import Record, most_held, patient
from .stats import RowLayout, StepStats, stage_stats

START_SECONDS = 600.0
CAUSE_SECONDS = 5.0
"""How long a process that saw something end waits to hear why from the channel that joins all processes."""


class Trainer:
    """One process of a pipeline: holds its stages, runs its operations, exchanges with the others. A context manager.

    Every process makes one with the same arguments but for `stage` and `agent`. Making it compiles the stages, compares
    what all processes state, and opens the channels.

    **Arguments:**

    - `pipeline`: the stages.
    - `stage`: the name of a stage of this process.
    - `agent`: the connection to the agent of this host; by default `cm.connect()`, closed with the trainer.
    - `schedule`: the name of a schedule of `cm.schedule`, or a `cm.Schedule`.
    - `microbatches`: how many a step has.
    - `optimizer`: an optax optimizer; each stage has its own state. What looks at more than one parameter at a time
        (as `optax.clip_by_global_norm`) would see its stage alone: use `clip_norm`.
    - `clip_norm`: the largest global norm of the mean gradients of all stages.
    - `memory`: the most micro-batches that a stage may hold; a number, or a list for the processes.
    - `seed`: of the parameters; stage k draws with `fold_in(key(seed), k)`.
    - `depth`: steps of each channel on the wire.
    - `timeout`: seconds that a tensor may take, from the moment it is asked for or sent.
    - `start_timeout`: seconds for all processes to start and to compile.
    - `name`: what the channels' names begin with; pipelines that run at the same agents at once have different ones.
    - `strategy`, `order`, `topology`: how what travels between stages is planned, as in `cm.plan`.

    **Raises:**

    Before any step: `PlanMismatch` on every process if they state different things, `ScheduleError` for a schedule that
    cannot be or needs more than `memory`, `LayoutError` for layouts that do not fit, `TransferTimeout` if a process
    does not come, `PeerLost` if one is gone.

    !!! Example

        ```python
        with pp.Trainer(pipeline, stage="embed", microbatches=8, optimizer=optax.adam(1e-3)) as trainer:
            for batch in batches:
                stats = trainer.step(batch)
        ```
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stage: str,
        *,
        agent: Agent | None = None,
        schedule: str | Schedule = "1f1b",
        microbatches: int,
        optimizer: Any = None,
        clip_norm: float | None = None,
        memory: float | Sequence[float] | None = None,
        seed: int = 0,
        depth: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
        start_timeout: float = START_SECONDS,
        name: str = "pipeline",
        strategy: str | None = None,
        order: str | None = None,
        topology: Topology | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.process = pipeline.process_of(pipeline.index(stage))
        self._microbatches = microbatches
        self._clip_norm = clip_norm
        self._schedule = _schedule(pipeline, schedule, microbatches, memory)
        self._rows = RowLayout(pipeline, microbatches)
        self._step = 0
        self._error: CrossmeshError | None = None
        self._core: Core | None = None
        self._gather: Gather | None = None
        self._owned = agent is None
        self._agent = connect() if agent is None else agent
        try:
            self._check_host()
            statements = pipeline.statements | {
                "the schedule": self._schedule.digest,
                "seed, clip_norm": f"{seed} {clip_norm}",
            }
            mine = pipeline.processes[self.process]
            self._clock = compare(self._agent, name, pipeline.processes, self.process, statements, start_timeout)
            self._gather = Gather(
                self._agent,
                f"{name}/steps",
                pipeline.processes,
                self.process,
                self._rows.width,
                "float64",
                start_timeout,
            )
            self._wait = patient(self._check_alive)
            self._core = Core(
                pipeline,
                mine.parts,
                optimizer=optimizer,
                seed=seed,
                split=self._schedule.split,
                agent=self._agent,
                name=name,
                depth=min(microbatches, DEPTH_MAX) if depth is None else depth,
                timeout=timeout,
                planning={"strategy": strategy, "order": order, "topology": topology},
            )
            self._core.open(self._wait, start_timeout)
            self._gather.post()
        except BaseException as error:
            self._abort(error)
            self.close()
            raise

    @property
    def schedule(self) -> Schedule:
        """The schedule that runs."""
        return self._schedule

    @property
    def step_number(self) -> int:
        """The number of the next step: how many have been made."""
        return self._step

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the stages of this process, by the name of the stage."""
        return self._running().params

    def step(self, batch: Mapping[str, Any] | None = None) -> StepStats:
        """Train on one batch. All processes call it.

        **Arguments:**

        - `batch`: for each data value that the stages of this process take an array whose first axis are the
            micro-batches; what others take may be missing.

        **Returns:** the loss and where the time went; see `StepStats`.

        **Raises:**

        `LayoutError` for a batch that is not what the pipeline states, before anything is sent. `NonFiniteLoss` on
        every process, the parameters being as before. `PeerLost` naming the stage that is gone, `TransferCancelled`
        with the reason of a process that failed, `TransferTimeout`; after these the trainer is over: make another one
        and `resume`.
        """
        core, gather = self._running(), self._gather
        assert gather is not None
        core.check_batch(batch or {}, self._microbatches)
        begin = time.perf_counter()
        try:
            lists = [self._schedule.stage(number) for number in range(len(self.pipeline.processes))]
            record = core.run(
                lists[self.process], batch or {}, self._microbatches, _ahead(self.pipeline, lists), self._wait
            )
            core.sum_tied(self._wait)
            square = 0.0 if self._clip_norm is None else core.square_norm(self._microbatches)
            rows = self._exchange(gather, record, begin, square)
            gather.post()
            headers = [self._rows.header(row) for row in rows]
            self._compare(headers)
            loss = sum(header["loss"] for header in headers)
            if not math.isfinite(loss):
                core.forget()
                raise NonFiniteLoss(
                    f"The loss of step {self._step} is {loss}, made by stage "
                    f"{self.pipeline.stages[self.pipeline.loss_part].name!r}. The parameters are as before the step: "
                    "lower the learning rate, look at the batch, or resume from the last save."
                )
            square = sum(header["square_norm"] for header in headers)
            core.update(self._microbatches, clip_scale(square, self._clip_norm))
        except NonFiniteLoss:
            raise
        except BaseException as error:
            raise self._ended(error) from error
        makespan, stages = stage_stats(self.pipeline, self._rows.read(rows, lists))
        self._step += 1
        return StepStats(
            self._step - 1,
            loss,
            time.perf_counter() - begin,
            makespan,
            None if self._clip_norm is None else square**0.5,
            self._schedule.name,
            stages,
            self.process,
        )

    def close(self) -> None:
        """End this process's part of the pipeline. A second call does nothing."""
        for end in (self._core, self._gather):
            if end is not None:
                end.close()
        if self._owned:
            self._agent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abort(error)
        self.close()

    def _running(self) -> Core:
        if self._error is not None:
            raise type(self._error)(str(self._error))
        assert self._core is not None
        return self._core

    def _check_host(self) -> None:
        mine = self.pipeline.processes[self.process]
        if mine.host != self._agent.name:
            raise LayoutError(
                f"The stages {[self.pipeline.stages[part].name for part in mine.parts]} lie on {mine.host!r}, and this "
                f"process is connected to the agent of {self._agent.name!r}. Start it there, or name another stage."
            )

    def _exchange(self, gather: Gather, record: Record, begin: float, square: float) -> Any:
        core = self._running()
        losses = [float(np.asarray(loss)) for loss in record.losses]
        shift = self._clock
        header = {
            "step": self._step,
            "loss": sum(losses) / len(losses) if losses else 0.0,
            "square_norm": square,
            "failed": 0.0,
            "schedule": int(self._schedule.digest[:12], 16),
            "begin": begin + shift,
            "end": time.perf_counter() + shift,
            "peak": max(part.peak for part in core.parts.values()),
        }
        times = [column + shift for column in (record.reached, record.start, record.end)]
        arrivals = [np.array(channel.arrivals) + shift for channel in core.links.incoming]
        row = gather.row[0]
        self._rows.write(row, {key: float(value) for key, value in header.items()}, times, arrivals)
        return gather.rows(self._wait(gather.send(row)))

    def _compare(self, headers: Sequence[Mapping[str, float]]) -> None:
        for number, header in enumerate(headers):
            if header["step"] != self._step:
                raise StepMismatch(f"Process {number} is at step {header['step']:.0f}, this one at {self._step}.")
            if header["schedule"] != headers[0]["schedule"]:
                raise PlanMismatch(
                    f"Process {number} runs another schedule than process 0. Use one version of crossmesh."
                )

    def _check_alive(self) -> None:
        """Raise what ended the pipeline for all, if something did."""
        if self._gather is not None:
            waiting = self._gather.post()
            if waiting.done() and waiting.exception() is not None:
                waiting.result()

    def _ended(self, error: BaseException) -> BaseException:
        """The cause of an error, which ends this process's part and, with the reason, that of all others."""
        cause = error
        if isinstance(error, CrossmeshError) and self._gather is not None:
            with suppress(TimeoutError, CrossmeshError):
                heard = _failure_of(self._gather.post(), CAUSE_SECONDS)
                if isinstance(heard, CrossmeshError):
                    cause = heard
        if isinstance(cause, PeerLost):
            cause = PeerLost(self._naming(str(cause)))
        self._error = cause if isinstance(cause, CrossmeshError) else CrossmeshError(f"{type(cause).__name__}: {cause}")
        self._abort(cause)
        return cause

    def _naming(self, text: str) -> str:
        """The text of a loss with the stages of the host that it names."""
        gone = [
            f"stage {self.pipeline.stages[part].name!r}"
            for process in self.pipeline.processes
            if f"'{process.host}'" in text
            for part in process.parts
        ]
        return f"{', '.join(gone)}: {text} Start it again and resume from the last save." if gone else text

    def _abort(self, error: BaseException) -> None:
        names = [self.pipeline.stages[part].name for part in self.pipeline.processes[self.process].parts]
        reason = f"stage {', '.join(map(repr, names))}: {type(error).__name__}: {error}"
        for end in (self._core, self._gather):
            if end is not None:
                end.abort(reason)


def _failure_of(waiting: Future[Any], seconds: float) -> BaseException | None:
    return waiting.exception(seconds)


def _schedule(
    pipeline: Pipeline, wanted: str | Schedule, microbatches: int, memory: float | Sequence[float] | None
) -> Schedule:
    """The schedule that is asked for, of the pipeline's processes and parts."""
    if isinstance(wanted, Schedule):
        made = wanted
    else:
        virtual = None if pipeline.virtual == 1 and wanted != "interleaved-1f1b" else pipeline.virtual
        made = make_schedule(
            wanted, stages=len(pipeline.processes), microbatches=microbatches, virtual=virtual, memory=memory
        )
    shape = (made.stages, made.virtual, made.microbatches)
    if shape != (len(pipeline.processes), pipeline.virtual, microbatches) or made.inference:
        raise ScheduleError(
            f"{made!r} is for {made.stages} processes of {made.virtual} stages and {made.microbatches} micro-batches; "
            f"the pipeline has {len(pipeline.processes)} of {pipeline.virtual}, and a step {microbatches}. Training "
            "needs backwards too."
        )
    return made


def _ahead(pipeline: Pipeline, lists: Sequence[Sequence[Op]]) -> dict[int, int]:
    parts = range(len(pipeline.stages))
    return {part: most_held(lists[pipeline.process_of(part)], part) for part in parts}
