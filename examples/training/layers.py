"""From Flax modules to the pure functions that a pipeline is made of.

A stage of a model is one ``flax.linen.Module`` whose call takes and returns a dictionary of arrays. What Flax
needs on top, the shapes that its first call sees, follows from the stages before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import linen as nn

Params = dict[str, Any]
Values = dict[str, jax.Array]
Shapes = Mapping[str, jax.ShapeDtypeStruct]


@dataclass(frozen=True)
class Part:
    """One stage of a model as functions.

    Attributes:
        apply: the stage, ``(params, inputs) -> outputs``, pure.
        init: its parameters from a key. Each is drawn from the key and its own path in the tree: with one key for all
            stages a layer starts the same in whichever stage it is, and copies of a shared parameter start equal.
        params, inputs, outputs: shapes and types.
    """

    apply: Callable[[Params, Values], Values]
    init: Callable[[jax.Array], Params]
    params: Params
    inputs: Shapes
    outputs: Shapes


def parts(modules: Sequence[nn.Module], names: Sequence[Sequence[str]], data: Shapes) -> list[Part]:
    """The stages of a model, in order.

    Args:
        modules: the module of each stage.
        names: for each stage the values it takes: data, or what an earlier stage returns.
        data: shapes of the data of one micro-batch.
    """
    values = dict(data)
    made = []
    for module, taken in zip(modules, names, strict=True):
        inputs = {name: values[name] for name in taken}
        outputs, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), inputs)
        made.append(Part(_apply(module), _init(module, inputs), variables["params"], inputs, outputs))
        values |= outputs
    return made


def compose(stages: Sequence[Part], params: Sequence[Params], data: Values) -> Values:
    """The whole model in one process: every stage in order, each with its own parameters. Returns all values."""
    values = dict(data)
    for stage, own in zip(stages, params, strict=True):
        values |= stage.apply(own, {name: values[name] for name in stage.inputs})
    return values


def drawn(part: Part, seed: int) -> Callable[[jax.Array], Params]:
    """The start of a stage as a pipeline takes it, but from a key that is the same for all stages."""

    def init(_of_the_stage: jax.Array) -> Params:
        return part.init(jax.random.key(seed))

    return init


def split(costs: Sequence[float], stages: int) -> list[range]:
    """Cuts layers into runs of which the dearest is as cheap as it can be; of equals, earlier runs are the longer.

    Raises:
        ValueError: there are fewer layers than stages, or no stages.
    """
    layers = len(costs)
    if not 1 <= stages <= layers:
        raise ValueError(f"{layers} layers cannot be cut into {stages} stages: take 1 to {layers}")
    # best[end]: the cheapest way to cut the layers before `end` into as many runs as the loop has come to.
    best: dict[int, tuple[float, list[range]]] = {0: (0.0, [])}
    for _ in range(stages):
        best = {
            end: min(
                ((max(dearest, sum(costs[start:end])), [*runs, range(start, end)]) for start, (dearest, runs) in items),
                key=lambda cut: (cut[0], [-len(run) for run in cut[1]]),
            )
            for end in range(1, layers + 1)
            if (items := [(start, found) for start, found in best.items() if start < end])
        }
    return best[layers][1]


def _apply(module: nn.Module) -> Callable[[Params, Values], Values]:
    def apply(params: Params, inputs: Values) -> Values:
        outputs: Values = module.apply({"params": params}, inputs)
        return outputs

    return apply


def _init(module: nn.Module, inputs: Shapes) -> Callable[[jax.Array], Params]:
    def init(key: jax.Array) -> Params:
        params: Params = module.lazy_init(key, dict(inputs))["params"]
        return params

    return init
