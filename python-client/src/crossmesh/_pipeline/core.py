"""The stages of one process, and what a step does to them. Shared by the trainer and its single-process reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._agent import TIMEOUT_SECONDS, Agent
from .._schedule import Op
from .batch import check_batch
from .graph import Pipeline
from .links import Boundaries, Links, Wait
from .runner import Computes, Record, run_ops
from .stage import LOSS, Stage, TimedStage
from .timed import TimedPart


class Core:
    """The stages of one process with their boundaries."""

    def __init__(
        self,
        pipeline: Pipeline,
        numbers: Sequence[int],
        *,
        optimizer: Any,
        seed: int,
        split: bool,
        agent: Agent | None = None,
        name: str = "",
        depth: int = 1,
        timeout: float = TIMEOUT_SECONDS,
        planning: Mapping[str, Any] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.parts: dict[int, Any] = {}
        self._tied: Any = None
        if any(isinstance(pipeline.stages[number], Stage) for number in numbers):
            self._make_parts(numbers, optimizer, seed, split)
        for number in numbers:
            if isinstance(pipeline.stages[number], TimedStage):
                self.parts[number] = TimedPart(pipeline, number, split=split)
        self.links = Links(pipeline, numbers, self._place, self._export, agent, name, depth, timeout, planning)
        self._boundaries: Boundaries = self.links
        try:
            if pipeline.tied:
                from .tied import TiedParameters

                self._tied = TiedParameters(pipeline, self.parts, agent, name, timeout)
        except BaseException:
            self.close()
            raise

    def _make_parts(self, numbers: Sequence[int], optimizer: Any, seed: int, split: bool) -> None:
        if optimizer is None:
            raise ValueError("Stages that compute need optimizer=, for example optax.adam(1e-3).")
        from .part import Part

        for number in numbers:
            if isinstance(self.pipeline.stages[number], Stage):
                self.parts[number] = Part(self.pipeline, number, seed=seed, optimizer=optimizer, split=split)

    def open(self, wait: Wait, timeout: float) -> None:
        """Wait for all channels, and give tied parameters their one value."""
        self.links.wait_open(timeout)
        if self._tied is not None:
            self._tied.wait_open(timeout)
            self._tied.share_values(wait)

    def blank_batch(self, microbatches: int) -> dict[str, Any]:
        """Zeros of the stated shapes, for a step that runs only so that all processes end it together."""
        values = {value.name: value.spec for number in self.parts for value in self.pipeline.data_of(number)}
        return {
            name: np.broadcast_to(np.zeros((), spec.dtype), (microbatches, *spec.shape))
            for name, spec in values.items()
        }

    def check_batch(self, batch: Any, microbatches: int) -> None:
        """Refuse a batch that is not what the pipeline states.

        **Raises:** `BatchRefused` naming the value, what came and what is wanted.
        """
        for number, part in self.parts.items():
            if not isinstance(part, TimedPart):
                check_batch(part.name, self.pipeline.data_of(number), batch, microbatches)

    def run(
        self, ops: Sequence[Op], batch: Mapping[str, Any], microbatches: int, ahead: Mapping[int, int], wait: Wait
    ) -> Record:
        """The operations of one step; leaves the sums of the gradients. `ahead` as in `Links.begin`."""
        self._boundaries.begin(microbatches, ahead)
        parts: Mapping[int, Computes] = self.parts
        return run_ops(ops, parts, self._boundaries, batch, LOSS, wait)

    def stand_around(self, make: Callable[[Links, Wait], Boundaries], wait: Wait) -> None:
        """From now on steps take and give through what is made around the links."""
        self._boundaries = make(self.links, wait)

    def sum_tied(self, wait: Wait) -> None:
        """Sum the gradients of tied parameters over all who hold them."""
        if self._tied is not None:
            self._tied.sum_gradients(wait)

    def square_norm(self, microbatches: int) -> float:
        """The sum of squares of the mean gradients of this process, tied parameters counted once in all processes."""
        return float(
            sum(
                part.square_norm(microbatches, self._tied.counted_elsewhere(number) if self._tied else frozenset())
                for number, part in self.parts.items()
                if not isinstance(part, TimedPart)
            )
        )

    def update(self, microbatches: int, scale: float) -> None:
        """Let the optimizer take its step."""
        for part in self.parts.values():
            if not isinstance(part, TimedPart):
                part.update(microbatches, scale)

    def use_split(self, *, split: bool) -> None:
        """From the next step on the schedule runs weight gradients apart, or does not."""
        for part in self.parts.values():
            part.use_split(split=split)

    def saveable(self) -> dict[str, Any]:
        """The stages that have something to save, by name."""
        return {part.name: part for part in self.parts.values() if not isinstance(part, TimedPart)}

    def forget(self) -> None:
        """Drop the gradients of a step that will not be applied."""
        for part in self.parts.values():
            if not isinstance(part, TimedPart):
                part.forget()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of each stage here, by its name."""
        return {part.name: part.params for part in self.parts.values() if not isinstance(part, TimedPart)}

    def abort(self, reason: str) -> None:
        """End all channels for all parties."""
        self.links.abort(reason)
        if self._tied is not None:
            self._tied.abort(reason)

    def close(self) -> None:
        """End this side of all channels. A second call does nothing."""
        self.links.close()
        if self._tied is not None:
            self._tied.close()

    def _export(self, number: int, value: Any) -> Any:
        part = self.parts[number]
        return value if isinstance(part, TimedPart) else part.export(value)

    def _place(self, number: int, name: str, value: Any) -> Any:
        part = self.parts[number]
        return None if isinstance(part, TimedPart) else part.place_value(name, value)


def clip_scale(square_norm: float, clip_norm: float | None) -> float:
    """What gradients are multiplied with so that their global norm is at most `clip_norm`."""
    norm = square_norm**0.5
    return 1.0 if clip_norm is None or norm <= clip_norm else clip_norm / norm
