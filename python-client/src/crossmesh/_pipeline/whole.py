"""The backward in one piece: gradients of inputs and parameters by one call. Importing it imports JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .stage import LOSS

Run = Callable[[Any, dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]
"""(params, inputs with a gradient, other inputs) -> (outputs with a gradient, other outputs)."""


class Compiled(NamedTuple):
    """The operations of a stage.

    `forward(params, through, others) -> (outputs, kept)`; `backward(params, kept, gradients, sums) -> (gradients of
    inputs, sums)`. With `weight`, `backward` gives what `weight(params, rest, sums) -> sums` needs instead of sums.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    weight: Callable[..., Any] | None
    uncut: str | None = None
    """Why the backward is whole though it was asked for in two; `None` if it is not."""


def compile_whole(run: Run, loss: Any, grads_in: dict[str, Any], grads_params: Any, *, remat: bool) -> Compiled:
    """The operations with the backward in one piece.

    **Arguments:**

    - `run`: the stage.
    - `remat`: keep only the inputs between forward and backward.
    - `loss`: the type of the loss, whose gradient is 1, or `None` if the stage makes none.
    - `grads_in`, `grads_params`: layouts of the gradients.
    """

    def differentiated(params: Any, through: Any, others: Any) -> Any:
        return jax.vjp(lambda p, x: run(p, x, others), params, through, has_aux=True)

    @jax.jit
    def forward(params: Any, through: Any, others: Any) -> Any:
        outputs, pullback, plain = differentiated(params, through, others)
        return {**outputs, **plain}, pullback

    @jax.jit
    def forward_only(params: Any, through: Any, others: Any) -> Any:
        outputs, plain = run(params, through, others)
        return {**outputs, **plain}

    def finish(pullback: Any, gradients: Any, sums: Any) -> Any:
        params, through = pullback(cotangents(gradients, loss))
        return through, jax.tree.map(jnp.add, sums, params)

    shardings = (grads_in, grads_params)

    def backward(pullback: Any, gradients: Any, sums: Any) -> Any:
        return finish(pullback, gradients, sums)

    def backward_again(params: Any, kept: Any, gradients: Any, sums: Any) -> Any:
        _, pullback, _ = differentiated(params, *kept)
        return finish(pullback, gradients, sums)

    if remat:
        again = jax.jit(backward_again, out_shardings=shardings, donate_argnums=3)
        return Compiled(lambda p, x, o: (forward_only(p, x, o), (x, o)), again, None)
    once = jax.jit(backward, out_shardings=shardings, donate_argnums=2)
    return Compiled(forward, lambda _, kept, gradients, sums: once(kept, gradients, sums), None)


def cotangents(gradients: dict[str, tuple[Any, ...]], loss: Any) -> dict[str, Any]:
    """The gradient of each output: the sum of what the stages that took it sent back, and 1 for the loss."""
    found = {}
    for name, parts in gradients.items():
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        found[name] = total
    return found if loss is None else {**found, LOSS: jnp.ones((), loss)}
