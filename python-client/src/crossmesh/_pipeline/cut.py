"""The backward in two operations, as `backward` cuts it: input gradients first, weight gradients when there is time.

Importing it imports JAX.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .backward import Layouts, backward
from .stage import LOSS
from .whole import Compiled, Run, compile_whole, cotangents


def compile_cut(
    run: Run, params: Any, through: dict[str, Any], others: dict[str, Any], made: Layouts, loss: Any, *, remat: bool
) -> Compiled:
    """The operations with weight gradients apart.

    A stage none of whose inputs has a gradient keeps nobody waiting: its backward does nothing, and the whole of it
    counts as weight gradients. A stage whose backward cannot be cut computes all of it in the backward.

    **Arguments:**

    - `run`, `loss`, `remat`: as for `compile_whole`.
    - `params`, `through`, `others`: shapes and types of what the stage takes.
    - `made`: the layouts of parameters, inputs and outputs.
    """
    whole = compile_whole(run, loss, made.of_inputs(list(through)), made.params, remat=remat)
    if not through:
        return _later(whole)

    def fn(params: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        outputs, plain = run(params, {n: inputs[n] for n in through}, {n: inputs[n] for n in others})
        return {**outputs, **plain}

    graded = list(jax.eval_shape(run, params, through, others)[0])
    cut = backward(fn, params, {**through, **others}, wrt=list(through), of=graded, remat=remat, layouts=made)
    if cut.whole is not None:
        return whole._replace(uncut=cut.whole)
    ones = None if loss is None else jnp.ones((), loss)

    def pull(_params: Any, kept: Any, gradients: Any, _sums: Any) -> Any:
        sums = {name: parts[0] if len(parts) == 1 else _added(parts) for name, parts in gradients.items()}
        return cut.input_grads(kept, sums if ones is None else {**sums, LOSS: ones})

    return Compiled(
        lambda p, x, o: cut.forward(p, {**x, **o}),
        pull,
        lambda _params, rest, sums: cut.add_weight_grads(sums, rest),
    )


def _later(whole: Compiled) -> Compiled:
    """The whole backward as the operation that nobody waits for."""

    def weight(params: Any, rest: Any, sums: Any) -> Any:
        return whole.backward(params, *rest, sums)[1]

    return Compiled(whole.forward, lambda _p, kept, gradients, _s: ({}, (kept, gradients)), weight)


@jax.jit
def _added(parts: tuple[Any, ...]) -> Any:
    return cotangents({"": parts}, None)[""]
