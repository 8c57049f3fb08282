"""Reading a jaxpr equation by equation: the one place that knows how JAX writes programs down.

A jaxpr is evaluated by binding its primitives again, so that what is evaluated can be traced, compiled or cut. The
equations' fields are those of `jax.extend.core`; `get_bind_params` and `ctx` are used as JAX's own evaluator does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import jax
from jax.extend import core

Values = MutableMapping[core.Var, Any]
"""What each variable holds."""

_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint"})
"""Primitives whose meaning is that of the jaxpr they carry."""

_REMAT = frozenset({"remat2", "checkpoint"})


def flatten(closed: core.ClosedJaxpr) -> core.ClosedJaxpr:
    """The same program with the bodies of calls in their callers' places, so that it can be cut inside of them.

    What rematerialises keeps a barrier before its arguments: without, XLA could compute again before the cotangent has
    come, and hold all of it.
    """

    def evaluate(*arguments: Any) -> list[Any]:
        return _evaluate(closed.jaxpr, closed.consts, arguments)

    struct: Any = jax.ShapeDtypeStruct
    avals = [struct(v.aval.shape, v.aval.dtype, sharding=_sharding(v)) for v in closed.jaxpr.invars]
    return jax.make_jaxpr(evaluate)(*avals)


def run(equations: Iterable[core.JaxprEqn], values: Values) -> None:
    """Evaluate equations in their order; what they define is added to `values`."""
    for equation in equations:
        results = _bind(equation, [read(v, values) for v in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))


def read(atom: Any, values: Values) -> Any:
    """What a variable or a literal stands for."""
    return atom.val if isinstance(atom, core.Literal) else values[atom]


def variables(atoms: Iterable[Any]) -> Iterator[core.Var]:
    """Those atoms that are variables."""
    return (atom for atom in atoms if isinstance(atom, core.Var))


def needed(equations: Sequence[core.JaxprEqn], wanted: set[core.Var]) -> list[bool]:
    """For each equation whether a wanted variable depends on it. `wanted` grows by all they read on the way."""
    marks = [False] * len(equations)
    for index in range(len(equations) - 1, -1, -1):
        equation = equations[index]
        if not wanted.isdisjoint(equation.outvars):
            marks[index] = True
            wanted.update(variables(equation.invars))
    return marks


def _evaluate(jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    values: Values = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        inputs = [read(v, values) for v in equation.invars]
        body = _body(equation)
        if body is None:
            results = _bind(equation, inputs)
        else:
            if equation.primitive.name in _REMAT and equation.params.get("prevent_cse"):
                barrier: Any = jax.lax.optimization_barrier
                inputs = list(barrier(tuple(inputs)))
            results = _evaluate(body.jaxpr, body.consts, inputs)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(v, values) for v in jaxpr.outvars]


def _body(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The program of a call that adds nothing to it, else `None`: a jit may state shardings, which must stay."""
    if equation.primitive.name not in _CALLS:
        return None
    stated = (*equation.params.get("in_shardings", ()), *equation.params.get("out_shardings", ()))
    if any(type(sharding).__name__ != "UnspecifiedValue" for sharding in stated):
        return None
    body = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    return core.ClosedJaxpr(body, ()) if isinstance(body, core.Jaxpr) else body


def _bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
    primitive: Any = equation.primitive
    parameters, functions = primitive.get_bind_params(equation.params), ()
    if isinstance(parameters, tuple):  # until JAX 0.9: the functions that it calls apart from its parameters
        functions, parameters = parameters
    with equation.ctx.manager:
        results = primitive.bind(*functions, *inputs, **parameters)
    return results if primitive.multiple_results else [results]


def _sharding(variable: core.Var) -> Any:
    """The sharding in a type, which only meshes with explicit axes have."""
    sharding = getattr(variable.aval, "sharding", None)
    return sharding if sharding is not None and not sharding.mesh.empty else None
