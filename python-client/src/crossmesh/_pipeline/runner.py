"""Runs the operations of one process in the order of its schedule, and notes when."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._schedule import Op
from .links import Boundaries, Wait


class Computes(Protocol):
    """A stage that can run: `Part`, or `TimedPart`."""

    index: int
    name: str

    @property
    def live(self) -> int:
        """The micro-batches held now, from their forward to their last gradient."""

    def place(self, batch: Mapping[str, Any], microbatch: int, /) -> dict[str, Any]:
        """The data of one micro-batch."""

    def forward(self, microbatch: int, inputs: dict[str, Any], /) -> dict[str, Any]:
        """The outputs."""

    def backward(self, microbatch: int, gradients: Mapping[str, tuple[Any, ...]], /) -> dict[str, Any]:
        """The gradients of the inputs."""

    def weight(self, microbatch: int) -> None:
        """The gradients of the parameters, where they are apart."""


@dataclass
class Record:
    """When the operations of one process ran in a step, in the order of its list; seconds of this host's clock.

    `reached`: the process had nothing else to do; `start`: everything was there; `end`: it was computed.
    """

    ops: Sequence[Op]
    reached: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    losses: list[Any] = field(default_factory=list)
    peak: int = 0

    @classmethod
    def of(cls, ops: Sequence[Op]) -> Record:
        """Room for a list of operations."""
        return cls(ops, np.zeros(len(ops)), np.zeros(len(ops)), np.zeros(len(ops)))


def run_ops(
    ops: Sequence[Op], parts: Mapping[int, Computes], links: Boundaries, batch: Mapping[str, Any], loss: str, wait: Wait
) -> Record:
    """One step's operations.

    **Arguments:**

    - `ops`: of this process, in order.
    - `parts`: the stages that it holds.
    - `links`: their boundaries, begun.
    - `batch`: the data, micro-batches along the first axis.
    - `loss`: the name of the loss among the outputs.
    - `wait`: waits for a tensor, or raises what ended the pipeline.
    """
    record = Record.of(ops)
    clock = time.perf_counter
    for number, op in enumerate(ops):
        part, microbatch = parts[op.virtual_stage], op.microbatch
        if op.kind == "F":
            data = part.place(batch, microbatch)
            record.reached[number] = clock()
            inputs = data | links.inputs(part.index, microbatch, wait)
            record.start[number] = clock()
            outputs = part.forward(microbatch, inputs)
            record.end[number] = clock()
            record.peak = max(record.peak, sum(held.live for held in parts.values()))
            links.send_outputs(part.index, microbatch, outputs)
            if loss in outputs:
                record.losses.append(outputs[loss])
        elif op.kind == "B":
            record.reached[number] = clock()
            arrived = links.gradients(part.index, microbatch, wait)
            record.start[number] = clock()
            gradients = part.backward(microbatch, arrived)
            record.end[number] = clock()
            links.send_gradients(part.index, microbatch, gradients)
        else:
            record.reached[number] = record.start[number] = clock()
            part.weight(microbatch)
            record.end[number] = clock()
    return record


def most_held(ops: Sequence[Op], part: int) -> int:
    """The most micro-batches that a stage holds, from their forward to their backward."""
    held = most = 0
    for op in ops:
        if op.virtual_stage == part:
            held += {"F": 1, "B": -1, "W": 0}[op.kind]
            most = max(most, held)
    return most
