"""Stages that compute: the models of the examples in sizes for one core a stage. Importing it imports JAX."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

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
            hidden=96, layers=4, heads=4, sequence=64, vocabulary=256, micro_batch=4, learning_rate=LEARNING_RATE
        )
    else:
        from u_transformer import config, layouts

        config.SIZES[SIZE] = config.Config(
            channels=8, widths=(1, 2), image=16, micro_batch=4, learning_rate=LEARNING_RATE
        )
    made = layouts.pipeline(SIZE, len(hosts))
    places = {process.host: host for process, host in zip(made.processes, hosts, strict=True)}
    stages: list[Any] = [replace(stage, mesh=_moved(stage.mesh, places)) for stage in made.stages]
    data = {value.name: value.spec for value in made.values.values() if value.producer is None}
    return pp.Pipeline(stages, data, made.tied)


def batch(made: pp.Pipeline, microbatches: int) -> dict[str, Any]:
    """Random data: what it is does not matter to the time it takes."""
    import numpy as np

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
    """The links of a stage that computes, over which only a token moves: what arrives is zeros that lie here."""

    def __init__(self, tokens: Any, made: pp.Pipeline, part: Any) -> None:
        self._tokens = tokens
        self._made = made
        self._zeros = {name: part._zeros(name) for name in part.layouts if made.values[name].producer is not None}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokens, name)

    def inputs(self, part: int, microbatch: int, wait: Any) -> dict[str, Any]:
        """Zeros, when the token is here."""
        self._tokens.inputs(part, microbatch, wait)
        return {value.name: self._zeros[value.name] for value in self._made.incoming(part)}

    def gradients(self, part: int, microbatch: int, wait: Any) -> dict[str, tuple[Any, ...]]:
        """Zeros, when the token is back."""
        self._tokens.gradients(part, microbatch, wait)
        graded = [v for v in self._made.outgoing(part) if v.has_gradient and v.consumers]
        return {value.name: (self._zeros[value.name],) * len(value.consumers) for value in graded}

    def send_outputs(self, part: int, microbatch: int, _outputs: Any) -> None:
        """A token for what was made."""
        self._tokens.send_outputs(part, microbatch, _Token())

    def send_gradients(self, part: int, microbatch: int, _gradients: Any) -> None:
        """A token for what goes back."""
        self._tokens.send_gradients(part, microbatch, _Token())


class _Token(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        import numpy as np

        return np.zeros(1, np.float32)
