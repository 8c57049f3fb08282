"""A stage whose computing is a wait: for measuring what the network and the schedule cost, without a model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._arena import aligned
from .graph import Pipeline, Value
from .stage import LOSS, TimedStage

SPIN_SECONDS = 0.0001
"""What a wait does not sleep but looks at the clock: how late the kernel may wake a sleeper."""
YIELD_SECONDS = 0.00003
"""How long it may take until a thread that let others run goes on."""


class TimedPart:
    """A stage that waits. What it sends are arrays of the stated shapes, made once."""

    def __init__(self, pipeline: Pipeline, index: int, *, split: bool) -> None:
        stage = pipeline.stages[index]
        assert isinstance(stage, TimedStage)
        self.index = index
        self.name = stage.name
        self._stage = stage
        self._split = split and stage.weight is not None
        self._outputs = {v.name: _tiles(pipeline, index, v) for v in pipeline.outgoing(index)}
        self._gradients = {v.name: _tiles(pipeline, index, v) for v in pipeline.incoming(index) if v.has_gradient}
        self._has_loss = index == pipeline.loss_part
        self._live: set[int] = set()

    @property
    def live(self) -> int:
        """The micro-batches held now, from their forward to their last gradient."""
        return len(self._live)

    def place(self, _batch: Mapping[str, Any], _microbatch: int) -> dict[str, Any]:
        """Nothing: a wait looks at no data."""
        return {}

    def forward(self, microbatch: int, _inputs: dict[str, Any]) -> dict[str, Any]:
        """Wait for the time of a forward."""
        self._live.add(microbatch)
        wait_for(self._stage.forward)
        return self._outputs | {LOSS: 0.0} if self._has_loss else self._outputs

    def backward(self, microbatch: int, _gradients: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        """Wait for the time of a backward: of the inputs alone where weight gradients are apart."""
        whole = self._stage.backward + (self._stage.weight or 0.0)
        wait_for(self._stage.backward if self._split else whole)
        if not self._split:
            self._live.discard(microbatch)
        return self._gradients

    def weight(self, microbatch: int) -> None:
        """Wait for the time of a weight gradient."""
        self._live.discard(microbatch)
        if self._split:
            wait_for(self._stage.weight or 0.0)

    def use_split(self, *, split: bool) -> None:
        """Whether the schedule runs weight gradients apart."""
        self._split = split and self._stage.weight is not None


def wait_for(seconds: float) -> None:
    """Wait to a few microseconds, without the processor for all but the end."""
    end = time.perf_counter() + seconds
    if seconds > SPIN_SECONDS:
        time.sleep(seconds - SPIN_SECONDS)
    while (left := end - time.perf_counter()) > 0:
        if left > YIELD_SECONDS:
            time.sleep(0)  # lets the threads run that move bytes


def _tiles(pipeline: Pipeline, part: int, value: Value) -> dict[int, np.ndarray[Any, Any]]:
    """An array for each device, full of ones; devices with the same tile share one."""
    made: dict[Any, np.ndarray[Any, Any]] = {}
    tiles = {}
    for device, box in enumerate(pipeline.layout(part, value).boxes(value.spec.shape)):
        if box not in made:
            shape = tuple(hi - lo for lo, hi in box)
            bytes_count = int(np.prod(shape, dtype=np.int64)) * value.spec.dtype.itemsize
            made[box] = aligned(bytes_count).view(value.spec.dtype).reshape(shape)
            made[box][...] = 1
        tiles[device] = made[box]
    return tiles
