"""Stages that compute: the models of the examples in sizes for one core a stage. Importing it imports JAX.

What crosses a boundary is more than the lab's shapers let through at once, or its bytes would take no time.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import crossmesh as cm
import crossmesh.pipeline as pp

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIZE = "bench"
LEARNING_RATE = 1e-3


def pipeline(model: str, hosts: list[str]) -> pp.Pipeline:
    """The model in two stages or more, on these hosts."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    if model == "gpt":
        from gpt3 import config, layouts

        config.SIZES[SIZE] = config.Config(
            hidden=128, layers=2, heads=4, sequence=128, vocabulary=256, micro_batch=4, learning_rate=LEARNING_RATE
        )
    else:
        from u_transformer import config, layouts

        config.SIZES[SIZE] = config.Config(
            channels=32, widths=(1, 2), image=16, micro_batch=4, learning_rate=LEARNING_RATE
        )
    made = layouts.pipeline(SIZE, len(hosts))
    places = {process.host: host for process, host in zip(made.processes, hosts, strict=True)}
    stages: list[Any] = [replace(stage, mesh=_moved(stage.mesh, places)) for stage in made.stages]
    data = {value.name: value.spec for value in made.values.values() if value.producer is None}
    return pp.Pipeline(stages, data, made.tied)


def batch(made: pp.Pipeline, microbatches: int) -> dict[str, Any]:
    """Random data: what it is does not matter to the time it takes."""
    rng = np.random.default_rng(0)
    found = {}
    for value in made.values.values():
        if value.producer is None:
            shape = (microbatches, *value.spec.shape)
            whole = value.spec.dtype.kind in "iu"
            drawn = rng.integers(0, 256, shape) if whole else rng.standard_normal(shape)
            found[value.name] = drawn.astype(value.spec.dtype)
    return found


def _moved(mesh: cm.Mesh, places: dict[str, str]) -> cm.Mesh:
    devices = [(places[device.host], device.index) for device in mesh.devices]
    return cm.Mesh(mesh.shape, mesh.axis_names, devices=devices)


class TokenLinks:
    """The boundaries of one of two stages that compute, over which only a token moves: what arrives is zeros that lie
    here.
    """

    def __init__(self, links: pp.Links, made: pp.Pipeline, part: int, agent: cm.Agent, name: str) -> None:
        mesh = made.stages[part].mesh
        spec = cm.TensorSpec((1,), "float32", cm.Sharding(mesh, "R"))
        ways = [f"{name}/token/{'back' if back else 'there'}" for back in (part == 1, part == 0)]
        self._sender = agent.sender(ways[0], spec, depth=4)
        self._receiver = agent.receiver(ways[1], spec, depth=4)
        self._tokens = {device: np.zeros(1, np.float32) for device in range(mesh.size)}
        self._waiting: deque[cm.Transfer] = deque()
        self._part = part
        took = [value for value in made.incoming(part) if value.producer is not None]
        self._gave = [value for value in made.outgoing(part) if value.has_gradient and value.consumers]
        self._zeros = {
            value.name: links.place(part, value.name, np.zeros(value.spec.shape, value.spec.dtype))
            for value in (*took, *self._gave)
        }
        self._took = [value.name for value in took]

    def begin(self, microbatches: int, _ahead: Any) -> None:
        """Ask for the tokens of a step."""
        self._waiting.extend(self._receiver.recv() for _ in range(microbatches))

    def inputs(self, part: int, _microbatch: int, wait: Any) -> dict[str, Any]:
        """Zeros, when the token is here."""
        if part == 1:
            wait(self._waiting.popleft())
        return {name: self._zeros[name] for name in self._took}

    def gradients(self, part: int, _microbatch: int, wait: Any) -> dict[str, tuple[Any, ...]]:
        """Zeros, when the token is back."""
        if part == 0:
            wait(self._waiting.popleft())
        return {value.name: (self._zeros[value.name],) * len(value.consumers) for value in self._gave}

    def send_outputs(self, part: int, _microbatch: int, _outputs: Any) -> None:
        """A token for what was made."""
        if part == 0:
            self._sender.send(self._tokens)

    def send_gradients(self, part: int, _microbatch: int, _gradients: Any) -> None:
        """A token for what goes back."""
        if part == 1:
            self._sender.send(self._tokens)

    def close(self) -> None:
        """End its channels."""
        self._sender.close()
        self._receiver.close()
