"""A stage's backward pass in two parts: what the gradients of its inputs need, and the gradients of its weights.

The stage before waits for the input gradients only, so a schedule may put the weight gradients where the device would
be idle. `jax.vjp` computes both at once, and two calls of it (one for each) compute what they share twice. Here the
*program* of the backward pass is cut: an equation belongs to the first part if an input gradient depends on it, else to
the second, which gets what the first has computed. Nothing is computed twice; what crosses the cut is held in between.

Bodies of loops (`scan`, `while`, `cond`) and of `shard_map` are not looked into: where such an equation yields both
kinds of gradients, it belongs to the first part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from . import _equations

Tree = Any
"""A pytree of arrays."""
StageFunction = Callable[[Tree, dict[str, Any]], dict[str, Any]]
"""`fn(params, inputs) -> outputs`, pure, for one micro-batch."""
Residuals = tuple[jax.Array, ...]
"""What the forward pass leaves for the backward pass. Parameters in it are the very buffers of the parameters."""
Rest = tuple[jax.Array, ...]
"""What the first part of the backward pass leaves for the second."""


@dataclass(frozen=True)
class Backward:
    """The compiled functions of one stage. See `backward`."""

    forward: Callable[[Tree, dict[str, Any]], tuple[dict[str, Any], Residuals]]
    """`(params, inputs) -> (outputs, residuals)`."""
    input_grads: Callable[[Residuals, dict[str, Any]], tuple[dict[str, Any], Rest]]
    """`(residuals, cotangents of the outputs in `of`) -> (gradients of the inputs in `wrt`, rest)`."""
    weight_grads: Callable[[Rest], Tree]
    """`rest -> gradients of the parameters`."""
    add_weight_grads: Callable[[Tree, Rest], Tree]
    """`(sum, rest) -> sum + gradients of the parameters`; the buffers of `sum` are donated."""
    wrt: tuple[str, ...]
    """The inputs that have a gradient."""
    of: tuple[str, ...]
    """The outputs that need a cotangent."""
    whole: str | None
    """`None` if the backward pass is cut, else why not: then `input_grads` computes all of it."""
    residual_bytes: int
    """What a micro-batch holds between forward and backward, without parameters."""
    rest_bytes: int
    """What a micro-batch holds between the two parts, without parameters."""


@dataclass(frozen=True)
class Layouts:
    """Where a stage's arrays lie: trees of `jax.sharding.Sharding` (`None`: as XLA chooses) for each kind."""

    params: Tree = None
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None

    def of_inputs(self, names: Collection[str]) -> dict[str, Any]:
        """The layouts of some inputs."""
        return {name: None if self.inputs is None else self.inputs.get(name) for name in names}

    def of_outputs(self, names: Collection[str]) -> dict[str, Any]:
        """The layouts of some outputs."""
        return {name: None if self.outputs is None else self.outputs.get(name) for name in names}


def backward(
    fn: StageFunction,
    params: Tree,
    inputs: Mapping[str, Any],
    *,
    wrt: Collection[str] | None = None,
    of: Collection[str] | None = None,
    cut: bool = True,
    remat: bool = False,
    layouts: Layouts | None = None,
) -> Backward:
    """Compile the forward pass of a stage and its backward pass, cut in two.

    **Arguments:**

    - `fn`: the stage.
    - `params`, `inputs`: arrays or `jax.ShapeDtypeStruct`s, with the shapes of one micro-batch.
    - `wrt`: names of the inputs whose gradients somebody waits for. Default: all that are floating.
    - `of`: names of the outputs that get a cotangent. Default: all that are floating.
    - `cut`: `False` for the whole backward pass at once: `rest` then is the gradients themselves.
    - `remat`: save the inputs only and compute the forward pass again in the first part.
    - `layouts`: gradients get the layouts of what they are gradients of.

    **Returns:**

    A `Backward`.

    **Raises:**

    `ValueError` for names that the stage does not have, or that are not floating; `TypeError` for parameters that are
    not floating.
    """
    layouts = layouts or Layouts()
    traced = _Traced(jax.checkpoint(fn) if remat else fn, params, inputs, wrt, of)
    parts, whole = _parts(traced) if cut else (None, "It was asked for whole.")
    return _whole(traced, layouts, whole) if parts is None else _cut(traced, layouts, parts)


class _Traced:
    """A stage as two programs: forward to (outputs, residuals), and (residuals, cotangents) to gradients."""

    def __init__(
        self,
        fn: StageFunction,
        params: Tree,
        inputs: Mapping[str, Any],
        wrt: Collection[str] | None,
        of: Collection[str] | None,
    ) -> None:
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if not _floating(leaf):
                name = jax.tree_util.keystr(path)
                raise TypeError(f"Parameter {name} is {leaf.dtype}, which has no gradient. Pass it as an input.")
        self.wrt = _names("input", inputs, wrt)
        outputs = jax.eval_shape(fn, params, dict(inputs))
        self.of = _names("output", outputs, of)
        fixed = [name for name in inputs if name not in self.wrt]

        def forward(params: Tree, inputs: dict[str, Any]) -> tuple[dict[str, Any], Tree]:
            def of_floats(params: Tree, moving: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
                result = fn(params, moving | {name: inputs[name] for name in fixed})
                return {name: result[name] for name in self.of}, {n: v for n, v in result.items() if n not in self.of}

            moving = {name: inputs[name] for name in self.wrt}
            differentiated, vjp, others = jax.vjp(of_floats, params, moving, has_aux=True)
            return differentiated | others, vjp

        program, (outputs, vjp) = jax.make_jaxpr(forward, return_shape=True)(params, dict(inputs))
        self.outputs = sorted(outputs)
        self.forward_program = program
        self.residuals, self._vjp = jax.tree.flatten(vjp)
        self.output_tree: Any = jax.tree.structure(outputs)
        cotangents = {name: outputs[name] for name in self.of}

        def pull(residuals: list[Any], cotangents: dict[str, Any]) -> tuple[dict[str, Any], Tree]:
            of_params, of_inputs = jax.tree.unflatten(self._vjp, residuals)(cotangents)
            return of_inputs, of_params

        self.program, (of_inputs, of_params) = jax.make_jaxpr(pull, return_shape=True)(self.residuals, cotangents)
        self.input_tree: Any = jax.tree.structure(of_inputs)
        self.param_tree: Any = jax.tree.structure(of_params)
        arguments = {v: index for index, v in enumerate(program.jaxpr.invars)}
        kept = program.jaxpr.outvars[len(jax.tree.leaves(outputs)) :]
        self.origin = [arguments.get(v) if isinstance(v, core.Var) else None for v in kept]
        """For each residual the leaf of `(params, inputs)` that it is, if it is one."""
        count = len(jax.tree.leaves(params))
        self.is_param = [index is not None and index < count for index in self.origin]

    def forward(self, layouts: Layouts) -> Callable[..., tuple[dict[str, Any], Residuals]]:
        evaluate, count = core.jaxpr_as_fun(self.forward_program), self.output_tree.num_leaves

        def compute(leaves: list[Any]) -> tuple[dict[str, Any], list[Any]]:
            results = evaluate(*leaves)
            made = [r for r, origin in zip(results[count:], self.origin, strict=True) if origin is None]
            return jax.tree.unflatten(self.output_tree, results[:count]), made

        compiled = jax.jit(compute, out_shardings=(layouts.of_outputs(self.outputs), None))

        def forward(params: Tree, inputs: dict[str, Any]) -> tuple[dict[str, Any], Residuals]:
            leaves = jax.tree.leaves((params, inputs))
            outputs, made = compiled(leaves)
            rest = iter(made)
            return outputs, tuple(next(rest) if origin is None else leaves[origin] for origin in self.origin)

        return forward

    def residual_bytes(self) -> int:
        return sum(_bytes(leaf) for leaf, is_param in zip(self.residuals, self.is_param, strict=True) if not is_param)


@dataclass(frozen=True)
class _Parts:
    """The program of a backward pass, cut. Residuals are numbered; both parts read those that they need."""

    program: core.ClosedJaxpr
    first: list[core.JaxprEqn]
    second: list[core.JaxprEqn]
    read_first: list[int]
    """Residuals that the first part reads."""
    read_second: list[int]
    """Residuals that the second part reads: the beginning of `rest`."""
    crossing: list[core.Var]
    """What else the second part reads, cotangents too: the end of `rest`."""


def _parts(traced: _Traced) -> tuple[_Parts | None, str | None]:
    """The two parts, or why there are not two."""
    if not traced.wrt:
        return None, "No input has a gradient, so that nobody waits for the first part alone."
    if traced.program.jaxpr.effects:
        return None, f"The backward pass has effects, whose order must stay: {traced.program.jaxpr.effects}."
    try:
        program = _equations.flatten(traced.program)
    except (AttributeError, KeyError, TypeError, NotImplementedError) as error:
        return None, f"JAX {jax.__version__} has equations that cannot be bound again: {error}."
    jaxpr, count = program.jaxpr, traced.input_tree.num_leaves
    wanted = set(_equations.variables(jaxpr.outvars[:count]))
    marks = _equations.needed(jaxpr.eqns, wanted)
    first = [e for e, mark in zip(jaxpr.eqns, marks, strict=True) if mark]
    others = [e for e, mark in zip(jaxpr.eqns, marks, strict=True) if not mark]
    left = set(_equations.variables(jaxpr.outvars[count:]))
    second = [e for e, mark in zip(others, _equations.needed(others, left), strict=True) if mark]
    if not second:
        makers = sorted({e.primitive.name for e in first if not left.isdisjoint(e.outvars)})
        return None, f"Input gradients need all of it: {', '.join(makers)} yields both kinds of gradients."
    arguments = len(traced.residuals)
    made = [v for e in first for v in e.outvars if v in left] + [v for v in jaxpr.invars[arguments:] if v in left]
    return _Parts(
        program,
        first,
        second,
        [index for index, v in enumerate(jaxpr.invars[:arguments]) if v in wanted],
        [index for index, v in enumerate(jaxpr.invars[:arguments]) if v in left],
        list(dict.fromkeys(made)),
    ), None


def _cut(traced: _Traced, layouts: Layouts, parts: _Parts) -> Backward:
    jaxpr, consts = parts.program.jaxpr, parts.program.consts
    count, given = traced.input_tree.num_leaves, len(traced.residuals)
    held = [jaxpr.invars[index] for index in parts.read_second] + parts.crossing

    def first(residuals: list[jax.Array], cotangents: dict[str, Any]) -> tuple[dict[str, Any], list[jax.Array]]:
        values = dict(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip((jaxpr.invars[index] for index in parts.read_first), residuals, strict=True))
        values.update(zip(jaxpr.invars[given:], jax.tree.leaves(cotangents), strict=True))
        _equations.run(parts.first, values)
        grads = [_equations.read(v, values) for v in jaxpr.outvars[:count]]
        return jax.tree.unflatten(traced.input_tree, grads), [values[v] for v in parts.crossing]

    def second(rest: Rest) -> Tree:
        values = dict(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(held, rest, strict=True))
        _equations.run(parts.second, values)
        return jax.tree.unflatten(traced.param_tree, [_equations.read(v, values) for v in jaxpr.outvars[count:]])

    compiled = jax.jit(first, out_shardings=(layouts.of_inputs(traced.wrt), None))

    def input_grads(residuals: Residuals, cotangents: dict[str, Any]) -> tuple[dict[str, Any], Rest]:
        grads, crossing = compiled([residuals[index] for index in parts.read_first], cotangents)
        return grads, (*(residuals[index] for index in parts.read_second), *crossing)

    kept = sum(_bytes(traced.residuals[index]) for index in parts.read_second if not traced.is_param[index])
    return Backward(
        forward=traced.forward(layouts),
        input_grads=input_grads,
        weight_grads=jax.jit(second, out_shardings=layouts.params),
        add_weight_grads=jax.jit(partial(_add, second), out_shardings=layouts.params, donate_argnums=0),
        wrt=traced.wrt,
        of=traced.of,
        whole=None,
        residual_bytes=traced.residual_bytes(),
        rest_bytes=kept + sum(_bytes(v.aval) for v in parts.crossing),
    )


def _whole(traced: _Traced, layouts: Layouts, why: str | None) -> Backward:
    evaluate, count = core.jaxpr_as_fun(traced.program), traced.input_tree.num_leaves

    def both(residuals: Residuals, cotangents: dict[str, Any]) -> tuple[dict[str, Any], Tree]:
        results = evaluate(*residuals, *jax.tree.leaves(cotangents))
        trees = traced.input_tree, traced.param_tree
        return jax.tree.unflatten(trees[0], results[:count]), jax.tree.unflatten(trees[1], results[count:])

    compiled = jax.jit(both, out_shardings=(layouts.of_inputs(traced.wrt), layouts.params))

    def input_grads(residuals: Residuals, cotangents: dict[str, Any]) -> tuple[dict[str, Any], Rest]:
        grads, of_params = compiled(residuals, cotangents)
        return grads, tuple(jax.tree.leaves(of_params))

    def weight_grads(rest: Rest) -> Tree:
        return jax.tree.unflatten(traced.param_tree, rest)

    return Backward(
        forward=traced.forward(layouts),
        input_grads=input_grads,
        weight_grads=weight_grads,
        add_weight_grads=jax.jit(partial(_add, weight_grads), out_shardings=layouts.params, donate_argnums=0),
        wrt=traced.wrt,
        of=traced.of,
        whole=why,
        residual_bytes=traced.residual_bytes(),
        rest_bytes=sum(_bytes(v.aval) for v in traced.program.jaxpr.outvars[count:]),
    )


def _add(weight_grads: Callable[[Rest], Tree], total: Tree, rest: Rest) -> Tree:
    return jax.tree.map(jnp.add, total, weight_grads(rest))


def _names(kind: str, values: Mapping[str, Any], wanted: Collection[str] | None) -> tuple[str, ...]:
    """The names of the floating values, or those wanted, which must be."""
    floating = [name for name in sorted(values) if all(map(_floating, jax.tree.leaves(values[name])))]
    for name in wanted or ():
        if name not in floating:
            problem = "does not have" if name not in values else "has, but whose type is not floating"
            raise ValueError(
                f"{name!r} is an {kind} that the stage {problem}. "
                f"Name some of its floating {kind}s: {', '.join(floating) or 'there are none'}."
            )
    return tuple(floating if wanted is None else sorted(wanted))


def _floating(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def _bytes(leaf: Any) -> int:
    return int(leaf.size) * int(leaf.dtype.itemsize)
