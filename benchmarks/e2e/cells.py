"""What is run: the paper's models over a boundary of a stated ratio, by methods that differ in one thing each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import crossmesh as cm
import crossmesh.pipeline as pp

RHOS = (0.15, 0.3, 0.6, 1.0, 1.3)
"""2c / T: c is the time of a boundary at the line rate, T what a micro-batch computes on a stage."""
MICROBATCHES = 32
COMPUTE_SECONDS = 0.03
"""T of a timed stage, unless told otherwise: forward, input gradient and weight gradient take a third each."""
SCALE = 256
"""Bytes of a timed boundary are the paper's over this."""


def memory(stages: int) -> int:
    """Micro-batches that a stage may hold in every method: what eager-1F1B needs, and two more at two stages."""
    return max(5, 2 * stages - 1)


@dataclass(frozen=True)
class Method:
    """How a step is run: its schedule, whether transfers block, how they are planned."""

    name: str
    schedule: str
    strategy: str = "auto"
    blocking: bool = False
    token: bool = False
    """Only a token moves: what no network could better."""


METHODS = (
    Method("blocking 1F1B, send/recv", "1f1b", "send_recv", blocking=True),
    Method("blocking 1F1B, local all-gather (Alpa)", "1f1b", "local_all_gather", blocking=True),
    Method("blocking 1F1B, broadcast", "1f1b", "broadcast", blocking=True),
    Method("overlapped 1F1B", "1f1b"),
    Method("eager-1F1B", "eager-1f1b"),
    Method("adaptive, delayed weight gradients", "adaptive"),
    Method("no communication", "adaptive", token=True),
)
ALPA, OVERLAPPED, EAGER, ADAPTIVE, BOUND = (METHODS[index] for index in (1, 3, 4, 5, 6))
LONG = (OVERLAPPED, EAGER, ADAPTIVE, BOUND)
"""The methods at more than two stages."""


@dataclass(frozen=True)
class Model:
    """What crosses each boundary of a model in one micro-batch, and the mesh of a stage."""

    name: str
    tensors: dict[str, tuple[tuple[int, ...], str]]
    mesh: tuple[int, int]

    @property
    def boundary_bytes(self) -> int:
        """What crosses a boundary in one micro-batch."""
        return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self.tensors.values())

    def mesh_on(self, host: str) -> cm.Mesh:
        """The mesh of a stage on a host."""
        return cm.Mesh(self.mesh, hosts=[host])

    def specs(self, host: str, token: bool) -> dict[str, cm.TensorSpec]:
        """The values as a stage on that host makes them: the batch over axis 0 of its mesh, as Alpa chose."""
        mesh = self.mesh_on(host)
        tensors = {"token": ((1,), "float32")} if token else self.tensors
        return {
            name: cm.TensorSpec(shape, dtype, cm.Sharding(mesh, layout(shape, token)))
            for name, (shape, dtype) in tensors.items()
        }


def layout(shape: tuple[int, ...], token: bool) -> str:
    """The batch over the data-parallel axis, the rest whole on each device."""
    return "R" * len(shape) if token else "S0" + "R" * (len(shape) - 1)


GPT = Model("GPT-3 2.6B", {"h": ((16, 64, 160), "float16")}, (2, 2))
"""(16, 1024, 2560) on two devices by two: 80 MiB."""
U_TRANSFORMER = Model(
    "U-Transformer 2B",
    {
        "h": ((1, 2, 2, 2688), "float32"),
        "skip2": ((1, 4, 4, 2688), "float32"),
        "skip1": ((1, 8, 8, 1344), "float32"),
        "skip0": ((1, 16, 16, 672), "float32"),
    },
    (1, 4),
)
"""Batch 64 and sides 4, 8, 16, 32 on four devices that hold all of it: 304.5 MiB."""
MODELS = {"gpt": GPT, "u_transformer": U_TRANSFORMER}


def timed_pipeline(model: Model, hosts: list[str], token: bool, compute: float = COMPUTE_SECONDS) -> pp.Pipeline:
    """A chain of stages, one on each host, that wait; the values of each boundary have names of their own."""
    third = compute / 3
    stages = []
    for number, host in enumerate(hosts):
        inputs: dict[str, Any] = {}
        outputs: dict[str, cm.TensorSpec] = {}
        for name, spec in model.specs(host, token).items():
            if number:
                inputs[f"{name}{number - 1}"] = layout(spec.shape, token)
            if number < len(hosts) - 1:
                outputs[f"{name}{number}"] = spec
        stages.append(
            pp.TimedStage(
                host,
                mesh=model.mesh_on(host),
                inputs=inputs,
                outputs=outputs,
                forward=third,
                backward=third,
                weight=third,
            )
        )
    return pp.Pipeline(stages)


GAUGE_SECONDS = 0.005
"""What each operation of a blocking method's gauge takes."""
GAUGE_MICROBATCHES = 8
OVERLAPPED_MICROBATCHES = 16
"""Of the steps from which it is known how long a transfer takes among others."""


def gauge_of(method: Method) -> Method:
    """The method whose steps tell how long a transfer takes: `adaptive` runs ahead, as eager-1F1B does."""
    return EAGER if method.schedule == "adaptive" else method


def gauge_pipeline(made: pp.Pipeline) -> pp.Pipeline:
    """Two stages that wait shortly, between which moves what moves over the first boundary of another pipeline.

    From its steps it is found what a blocking transfer takes.
    """
    values = made.pairs[0][2]
    specs = {v.name: cm.TensorSpec(v.spec.shape, v.spec.dtype, made.layout(0, v)) for v in values}
    layouts = {value.name: made.layout(1, value).spec for value in values}
    none: dict[str, Any] = {}
    first, second = (stage.mesh for stage in made.stages[:2])
    times: dict[str, float] = {"forward": GAUGE_SECONDS, "backward": GAUGE_SECONDS}
    return pp.Pipeline(
        [
            pp.TimedStage("first", mesh=first, inputs=none, outputs=specs, **times),
            pp.TimedStage("second", mesh=second, inputs=layouts, outputs=none, **times),
        ]
    )
