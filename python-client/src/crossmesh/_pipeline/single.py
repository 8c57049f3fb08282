"""The same pipeline in one process, one micro-batch after the other: what a pipeline's training is held against."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from .._schedule import Op
from .core import Core, clip_scale
from .errors import NonFiniteLoss
from .graph import Pipeline


class Single:
    """A pipeline that trains in this process, without agent, channel or schedule. Made by `single`."""

    def __init__(
        self, pipeline: Pipeline, *, microbatches: int, optimizer: Any, clip_norm: float | None = None, seed: int = 0
    ) -> None:
        self._microbatches = microbatches
        self._clip_norm = clip_norm
        numbers = range(len(pipeline.stages))
        self._core = Core(pipeline, numbers, optimizer=optimizer, seed=seed, split=False)
        self._core.open(_present, 0.0)
        self._ops: list[Op] = []
        for microbatch in range(microbatches):
            self._ops += [Op("F", microbatch, part) for part in numbers]
            self._ops += [Op("B", microbatch, part) for part in reversed(numbers)]
        self.seconds = 0.0

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of each stage, by its name."""
        return self._core.params

    def step(self, batch: Mapping[str, Any]) -> float:
        """Train on one batch, as `Trainer.step`; returns the loss.

        **Raises:** `BatchRefused` for a batch that does not fit; `NonFiniteLoss`.
        """
        self._core.check_batch(batch, self._microbatches)
        begin = time.perf_counter()
        record = self._core.run(self._ops, batch, self._microbatches, {}, _present)
        self._core.sum_tied(_present)
        loss = sum(float(np.asarray(loss)) for loss in record.losses) / self._microbatches
        if not math.isfinite(loss):
            self._core.forget()
            raise NonFiniteLoss(f"The loss is {loss}. Lower the learning rate, or look at the batch.")
        square = 0.0 if self._clip_norm is None else self._core.square_norm(self._microbatches)
        self._core.update(self._microbatches, clip_scale(square, self._clip_norm))
        self.seconds = time.perf_counter() - begin
        return loss


def single(
    pipeline: Pipeline, *, microbatches: int, optimizer: Any, clip_norm: float | None = None, seed: int = 0
) -> Single:
    """The pipeline in one process: same functions, same parameters, same order of sums, no transfer.

    All stages share the first devices of this process, so it needs as many as the largest stage.

    **Arguments:** as in `Trainer`.

    !!! Example

        ```python
        reference = pp.single(pipeline, microbatches=8, optimizer=optax.adam(1e-3))
        loss = reference.step(batch)
        ```
    """
    return Single(pipeline, microbatches=microbatches, optimizer=optimizer, clip_norm=clip_norm, seed=seed)


def _present(arriving: Future[Any]) -> Any:
    return arriving.result(0)
