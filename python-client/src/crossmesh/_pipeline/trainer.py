"""The trainer: one process of a pipeline, its step, its end."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._agent import Agent, connect
from .._errors import CrossmeshError, LayoutError, PlanMismatch, StepMismatch, TransferCancelled
from .._schedule import Schedule
from .._topology import Topology
from .core import Core, clip_scale
from .errors import BatchRefused, NonFiniteLoss
from .fate import Fate
from .gather import Gather
from .graph import Pipeline
from .hello import compare
from .links import DEPTH_MAX, Boundaries, Links, Wait
from .runner import Record
from .running import Choosing, Memory, Running, Times, first_schedule, measured
from .stage import Stage
from .stats import ProcessTimes, RowLayout, StepStats, stage_stats

_log = logging.getLogger("crossmesh.pipeline")

START_SECONDS = 600.0
TRANSFER_SECONDS = 300.0
STEPS_KEPT = 16
"""Steps whose times a trainer remembers, for the trace and for what it measures."""
RESUMABLE_STEPS = 64
REFUSAL_SECONDS = 10.0
"""How long a process that cannot begin waits for the others, to tell them why."""
REFUSAL_BYTES_MAX = 4096
"""Of the reason for which a process refuses a batch, as the others hear it."""


class Trainer:
    """One process of a pipeline: holds its stages, runs its operations, exchanges with the others. A context manager.

    Every process makes one with the same arguments but for `stage` and `agent`. Making it compares what all processes
    state, compiles the stages, and opens the channels.

    **Arguments:**

    - `pipeline`: the stages.
    - `stage`: the name of a stage of this process.
    - `agent`: the connection to the agent of this host; by default `cm.connect()`, closed with the trainer.
    - `schedule`: the name of a schedule of `cm.schedule`, or a `cm.Schedule`. `"adaptive"` measures the first steps,
        with the backward cut and whole, and then chooses.
    - `microbatches`: how many a step has.
    - `optimizer`: an optax optimizer; each stage has its own state. What looks at more than one parameter at a time
        (as `optax.clip_by_global_norm`) would see its stage alone: use `clip_norm`.
    - `clip_norm`: the largest global norm of the mean gradients of all stages.
    - `memory`: the most micro-batches that a stage may hold; a number, or a list for the processes.
    - `seed`: of the parameters; stage k draws with `fold_in(key(seed), k)`.
    - `backward`: `"cut"` runs weight gradients apart where the schedule has them; `"whole"` with the backward always.
    - `depth`: steps of each channel on the wire.
    - `timeout`: seconds that a tensor may take, from the moment it is asked for or sent: at least a step.
    - `start_timeout`: seconds for all processes to start and to compile, and from step to step.
    - `name`: what the channels' names begin with; pipelines that run at the same agents at once have different ones.
    - `strategy`, `order`, `topology`: how what travels between stages is planned, as in `cm.plan`.
    - `boundaries`: `fn(links, wait)` makes what steps take and give through instead of `links`: for baselines, which
        exchange in another way.

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
        memory: Memory = None,
        seed: int = 0,
        backward: str = "cut",
        depth: int | None = None,
        timeout: float = TRANSFER_SECONDS,
        start_timeout: float = START_SECONDS,
        name: str = "pipeline",
        strategy: str | None = None,
        order: str | None = None,
        topology: Topology | None = None,
        boundaries: Callable[[Links, Wait], Boundaries] | None = None,
    ) -> None:
        if backward not in ("cut", "whole"):
            raise ValueError(f'backward is "cut" or "whole", got {backward!r}.')
        self.pipeline = pipeline
        self.process = pipeline.process_of(pipeline.index(stage))
        self._microbatches, self._clip_norm, self._memory, self._name = microbatches, clip_norm, memory, name
        try:
            self._running = Running.of(pipeline, first_schedule(pipeline, schedule, microbatches, memory))
        except CrossmeshError as error:
            _tell_refusal(error, agent, name, pipeline, self.process)
            raise
        self._choosing: Choosing | None = None
        self._may_cut = backward == "cut"
        cut = self._may_cut and self._running.schedule.split
        if schedule == "adaptive":
            whole = cut and any(isinstance(stage, Stage) for stage in pipeline.stages)
            self._choosing = Choosing(pipeline, microbatches, memory, self._running.schedule, whole=whole)
        self._rows = RowLayout(pipeline, microbatches)
        self._told: deque[tuple[int, list[ProcessTimes]]] = deque(maxlen=STEPS_KEPT)
        self._step = 0
        self._error: CrossmeshError | None = None
        self._core: Core | None = None
        self._gather: Gather | None = None
        self._start_timeout = start_timeout
        self._owned = agent is None
        self._agent = connect() if agent is None else agent
        try:
            self._check_host()
            statements = pipeline.statements | {
                "the schedule": self._running.schedule.digest,
                "seed, clip_norm, memory": f"{seed} {clip_norm} {memory} {schedule == 'adaptive'}",
            }
            self._clock = compare(self._agent, name, pipeline.processes, self.process, statements, start_timeout)
            self._gather = self._joined("steps", self._rows.width)
            self._fate = Fate(pipeline, self._gather)
            self._gather.wait_open(start_timeout)  # so that all hear of what fails from here on
            self._core = Core(
                pipeline,
                pipeline.processes[self.process].parts,
                optimizer=optimizer,
                seed=seed,
                split=cut,
                agent=self._agent,
                name=name,
                depth=min(microbatches, DEPTH_MAX) if depth is None else depth,
                timeout=timeout,
                planning={"strategy": strategy, "order": order, "topology": topology},
            )
            if self._choosing is not None and cut:
                for split in (False, True):  # so that no step has to compile
                    self._core.use_split(split=split)
            self._exchange(self._gather, None, 0.0, 0.0)  # all have compiled, or this hears who cannot
            self._core.open(self._fate.wait, start_timeout)
            if boundaries is not None:
                self._core.stand_around(boundaries, self._fate.wait)
        except BaseException as error:
            cause = self._ended(error)
            self.close()
            if cause is not error:
                raise cause from error
            raise
        _log.info("process %d begins: %r by %s", self.process, pipeline, self._running.schedule.name)

    @property
    def schedule(self) -> Schedule:
        """The schedule that the next step runs."""
        return self._running.schedule

    @property
    def step_number(self) -> int:
        """The number of the next step: how many have been made."""
        return self._step

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the stages of this process, by the name of the stage."""
        return self._alive().params

    def step(self, batch: Mapping[str, Any] | None = None) -> StepStats:
        """Train on one batch. All processes call it.

        **Arguments:**

        - `batch`: for each data value that the stages of this process take an array whose first axis are the
            micro-batches; what others take may be missing.

        **Returns:** the loss and where the time went; see `StepStats`.

        **Raises:**

        `BatchRefused` (a `LayoutError`) on every process, with the reason, if the batch of one is not what the pipeline
        states, and `NonFiniteLoss` on every process: the parameters are as before, and the next step may follow.
        `PeerLost` naming the stage that is gone, `TransferCancelled`
        with the reason of a process that failed, `TransferTimeout`; after these the trainer is over: make another one
        and `resume`.
        """
        core, running, gather = self._alive(), self._running, self._gather
        assert gather is not None
        data, refusal = self._checked(core, {} if batch is None else batch)
        begin = time.perf_counter()
        try:
            gather.post()
            ops = running.lists[self.process]
            record = core.run(ops, data, self._microbatches, running.ahead, self._fate.wait)
            core.sum_tied(self._fate.wait)
            square = 0.0 if self._clip_norm is None else core.square_norm(self._microbatches)
            rows = self._exchange(gather, record, begin, square, len(refusal))
            headers = [self._rows.header(row) for row in rows]
            self._compare(headers)
            self._check_refused(gather, refusal, [int(header["refused"]) for header in headers])
            loss = sum(header["loss"] for header in headers)
            square = sum(header["square_norm"] for header in headers)
            self._check_finite(core, loss, square)
            core.update(self._microbatches, clip_scale(square, self._clip_norm))
            told = self._rows.read(rows, running.lists)
            self._told.append((self._step, told))
            self._step += 1
            self._adapt(gather)
        except (NonFiniteLoss, BatchRefused):
            raise
        except BaseException as error:
            cause = self._ended(error)
            if cause is not error:
                raise cause from error
            raise
        makespan, stages = stage_stats(self.pipeline, running.needs, told)
        norm = None if self._clip_norm is None else square**0.5
        seconds = time.perf_counter() - begin
        name = running.schedule.name
        return StepStats(self._step - 1, loss, seconds, makespan, norm, name, stages, self.process)

    def times(self) -> Times:
        """What operations and transfers took in the last steps that ran the schedule of the last one.

        **Raises:** `ValueError` before the first step.
        """
        if not self._told:
            raise ValueError("Nothing has been measured. Call step first.")
        last = [times.ops for times in self._told[-1][1]]
        same = [told for _, told in self._told if [times.ops for times in told] == last]
        return measured(self.pipeline, same[1:] or same)

    def trace(self, path: str | Path) -> None:
        """Write the last steps of all processes, up to 16, for Perfetto or chrome://tracing, on one clock.

        Every process can write it, and all write the same.
        """
        from .trace import write_trace

        write_trace(Path(path), self.pipeline, list(self._told))

    def save(self, directory: str | Path, *, keep: int = 2) -> None:
        """Write parameters, the optimizer's state and the number of steps. All processes call it after the same step.

        **Arguments:**

        - `directory`: a folder on this host or on a disk that all share; each process writes the files of its stages.
        - `keep`: the saves that stay, 2 or more: the last one of a process that dies while it saves is not whole.

        **Raises:** `OSError` if it cannot be written.
        """
        from .saving import drop_old, save_parts

        if keep < 2:
            raise ValueError(f"keep is 2 or more, so that one save is whole while the next is written; got {keep}.")
        parts, digests = self._alive().saveable(), self._digests()
        save_parts(Path(directory), self._step, parts, digests)
        drop_old(Path(directory), list(parts), keep)

    def resume(self, directory: str | Path) -> int:
        """Go on from the last save that all processes have. All processes call it.

        **Returns:** the number of steps that were made: the number of the next one.

        **Raises:** `FileNotFoundError` on every process if there is none; `LayoutError` if it is of another pipeline,
        and on the others `TransferCancelled` with that reason. Then the parameters of all are as before.
        """
        from .saving import read_parts, saved_steps, use_saved

        core = self._alive()
        parts = core.saveable()
        have = saved_steps(Path(directory), list(parts))[-RESUMABLE_STEPS:]
        row = np.full(RESUMABLE_STEPS, -1, np.int64)
        row[: len(have)] = have
        with self._joined("resume", RESUMABLE_STEPS, "int64") as joined:
            told = joined.exchange(row)
            common = set.intersection(*(set(row.tolist()) for row in told)) - {-1}
            if common:
                saved = read_parts(Path(directory), max(common), parts, self._digests())
                joined.exchange(row)  # all can read theirs, or nobody takes what was read
        if not common:
            raise FileNotFoundError(f"No step was saved by all processes in {directory}. This one has {have}.")
        use_saved(parts, saved)
        self._step = max(common)
        return self._step

    def close(self) -> None:
        """End this process's part of the pipeline. A second call does nothing."""
        if self._error is None:
            self._error = TransferCancelled("It was closed here.")
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
        # All processes raise it, from the same rows: who aborts could be ahead of one that has not read them.
        if error is not None and not isinstance(error, NonFiniteLoss | BatchRefused):
            self._abort(error)
        self.close()

    def _alive(self) -> Core:
        if self._error is not None:
            raise type(self._error)(f"This trainer is over: make another one and resume. {self._error}")
        assert self._core is not None
        return self._core

    def _joined(self, what: str, width: int, dtype: str = "float64") -> Gather:
        processes = self.pipeline.processes
        return Gather(self._agent, f"{self._name}/{what}", processes, self.process, width, dtype, self._start_timeout)

    def _digests(self) -> dict[str, str]:
        statements = self.pipeline.statements
        return {stage.name: statements[f"stage {stage.name!r}"] for stage in self.pipeline.stages}

    def _check_host(self) -> None:
        mine = self.pipeline.processes[self.process]
        if mine.host != self._agent.name:
            raise LayoutError(
                f"The stages {[self.pipeline.stages[part].name for part in mine.parts]} lie on {mine.host!r}, and this "
                f"process is connected to the agent of {self._agent.name!r}. Start it there, or name another stage."
            )

    def _check_finite(self, core: Core, loss: float, square: float) -> None:
        if not math.isfinite(loss) or not math.isfinite(square):
            core.forget()
            maker = self.pipeline.stages[self.pipeline.loss_part].name
            norm = "" if self._clip_norm is None else f", and the norm of the gradients is {math.sqrt(square)}"
            raise NonFiniteLoss(
                f"The loss of step {self._step} is {loss}, made by stage {maker!r}{norm}. The parameters are as before "
                "the step: lower the learning rate, look at the batch, or resume from the last save."
            )

    def _checked(self, core: Core, batch: Any) -> tuple[Mapping[str, Any], bytes]:
        """The data of a step, and why they are refused.

        A process that refuses its batch runs the step with zeros: so the channels of all processes stay at one step,
        and all of them drop it at its end.
        """
        try:
            core.check_batch(batch, self._microbatches)
        except Exception as error:  # noqa: BLE001  (a batch that is read when it is looked at may raise anything)
            text = str(error) if isinstance(error, BatchRefused) else f"{type(error).__name__}: {error}"
            _log.warning("step %d is dropped: %s", self._step, text, exc_info=not isinstance(error, BatchRefused))
            return core.blank_batch(self._microbatches), (text or "no reason").encode()[:REFUSAL_BYTES_MAX]
        return batch, b""

    def _check_refused(self, gather: Gather, refusal: bytes, lengths: Sequence[int]) -> None:
        """Drop the step that a process refuses, and hear why: as many rows as the longest text needs."""
        if not any(lengths):
            return
        width = gather.row.nbytes
        texts = [b""] * len(lengths)
        for begin in range(0, max(lengths), width):
            row = np.zeros(width, np.uint8)
            piece = np.frombuffer(refusal[begin : begin + width], np.uint8)
            row[: len(piece)] = piece
            rows = gather.rows(self._fate.wait(gather.send(row.view(gather.row.dtype))))
            texts = [text + bytes(rows[number]) for number, text in enumerate(texts)]
        self._alive().forget()
        reasons = [
            f"process {number} refused its batch: {text[:length].decode(errors='replace')}"
            for number, (text, length) in enumerate(zip(texts, lengths, strict=True))
            if length
        ]
        raise BatchRefused(
            f"Step {self._step} was dropped by all, and the parameters are as before it: {' '.join(reasons)}"
        )

    def _exchange(
        self, gather: Gather, record: Record | None, begin: float, square: float, refused: int = 0
    ) -> npt.NDArray[Any]:
        """Tell all processes what this one knows of the step, and hear the same of them."""
        core = self._alive()
        losses = [] if record is None else [float(np.asarray(loss)) for loss in record.losses]
        header = {
            "step": self._step,
            "loss": sum(losses) / len(losses) if losses else 0.0,
            "square_norm": square,
            "schedule": int(self._running.schedule.digest[:12], 16),
            "begin": begin + self._clock,
            "end": time.perf_counter() + self._clock,
            "peak": 0 if record is None else record.peak,
            "refused": refused,
        }
        times = [] if record is None else [t + self._clock for t in (record.reached, record.start, record.end)]
        arrivals = [] if record is None else [np.array(c.arrivals) + self._clock for c in core.links.incoming]
        self._rows.write(gather.row[0], header, times, arrivals)
        return gather.rows(self._fate.wait(gather.send(gather.row[0])))

    def _compare(self, headers: Sequence[Mapping[str, float]]) -> None:
        for number, header in enumerate(headers):
            if header["step"] != self._step:
                raise StepMismatch(f"Process {number} is at step {header['step']:.0f}, this one at {self._step}.")
            if header["schedule"] != headers[0]["schedule"]:
                raise PlanMismatch(f"Process {number} runs another schedule than process 0. Use one crossmesh version.")

    def _adapt(self, gather: Gather) -> None:
        """After the measured steps: every process chooses from the times that all have told, and all compare."""
        following = None if self._choosing is None else self._choosing.after_step(self.times)
        if self._choosing is None or following is None:
            return
        if self._choosing.over:
            self._choosing = None
        self._running = Running.of(self.pipeline, following)
        _log.info("from step %d on: %r", self._step, following)
        self._compare([self._rows.header(row) for row in self._exchange(gather, None, 0.0, 0.0)])
        self._alive().use_split(split=self._may_cut and following.split)

    def _ended(self, error: BaseException) -> BaseException:
        """The cause of an error, which ends this process's part and, with the reason, that of all others."""
        if self._error is None:
            cause = self._fate.cause(error) if self._gather is not None else error
            text = f"{type(cause).__name__}: {cause}"
            self._error = cause if isinstance(cause, CrossmeshError) else CrossmeshError(text)
            _log.warning("the trainer of process %d is over: %s", self.process, text)
            self._abort(cause)
            return cause
        return error

    def _abort(self, error: BaseException) -> None:
        names = [self.pipeline.stages[part].name for part in self.pipeline.processes[self.process].parts]
        reason = f"stage {', '.join(map(repr, names))}: {type(error).__name__}: {error}"
        for end in (self._core, self._gather):
            if end is not None:
                end.abort(reason)


def _tell_refusal(error: CrossmeshError, agent: Agent | None, name: str, pipeline: Pipeline, process: int) -> None:
    """Let the other processes, which would wait for this one, know why it does not begin; as far as they are there."""
    _log.warning("process %d does not begin, and tells the others: %s", process, error)
    with suppress(CrossmeshError):
        told = connect(timeout=REFUSAL_SECONDS) if agent is None else agent
        try:
            text = f"{type(error).__name__}: {error}"
            statements = pipeline.statements | dict.fromkeys(("the schedule", "seed, clip_norm, memory"), "-" * 16)
            compare(told, name, pipeline.processes, process, statements, REFUSAL_SECONDS, refusal=text)
        finally:
            if agent is None:
                told.close()
