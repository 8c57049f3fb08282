"""The computing of one stage: its operations, compiled once each, and what a micro-batch leaves between them.

Importing it imports JAX. Every call waits until what it computes is there, so that its time is its own and what is
handed to a channel can leave at once; while it waits, other threads of the process run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._jax_arrays import assemble
from .._mesh import Mesh
from .._sender import AT_ONCE_BYTES_MAX
from .._sharding import Sharding
from .graph import Pipeline
from .layouts import jax_mesh, param_layouts, partition, value_layouts
from .shapes import abstract, axis_names, on_mesh, path_text
from .stage import LOSS, Stage
from .trained import Trained, bits_of, like, trains
from .whole import Compiled, compile_whole

Arrays = dict[str, Any]
REST = "\0rest"
"""Under this name parameters that do not train go among the inputs that have no gradient."""


class Part:
    """A stage that computes. `params` and the optimizer's state are its own; gradients sum up from step to step.

    Parameters without a gradient are inputs to what is compiled: neither donated nor differentiated nor updated.
    """

    def __init__(self, pipeline: Pipeline, index: int, *, seed: int, optimizer: Any, split: bool) -> None:
        stage = pipeline.stages[index]
        assert isinstance(stage, Stage)
        self.index = index
        self.name = stage.name
        self._stage = stage
        self.mesh = jax_mesh(stage.mesh)
        self._devices = {device: index for index, device in enumerate(self.mesh.devices.flat)}
        self._named_mesh = Mesh(stage.mesh.shape, axis_names(stage.mesh), devices=stage.mesh.devices)
        self.layouts = value_layouts(pipeline, index, self.mesh)
        self._data = pipeline.data_of(index)
        self._values = pipeline.values
        self._differentiated = [v.name for v in pipeline.incoming(index) if v.has_gradient]
        self._graded = [v.name for v in pipeline.outgoing(index) if v.has_gradient and v.name != LOSS]
        self._takers = {v.name: len(v.consumers) for v in pipeline.outgoing(index)}
        self._optimizer = optimizer
        abstracts = pipeline.abstract_params[index]
        self._all = Trained(abstracts)
        self._param_layouts = param_layouts(stage, self.mesh, abstracts)
        self._trained_layouts = self._all.of(self._param_layouts)
        self._made = made = pipeline.compiled
        started = ("init", index)
        init: Any = made.get(started)
        init = init or made.setdefault(started, jax.jit(stage.init, out_shardings=self._param_layouts))
        # Every stage draws from a key of its own, whichever process it is in.
        self.params = init(jax.random.fold_in(jax.random.key(seed), index))
        self.opt_state = self._placed_state(optimizer.init(self._trained))
        self.sums = jax.tree.map(jnp.zeros_like, self._trained)
        self._ops: Compiled
        key = (index, optimizer)
        self._update: Callable[..., Any] = made.get(key) or made.setdefault(key, self._compile_update())
        self._kept: dict[int, Any] = {}
        self._rest: dict[int, Any] = {}
        self._placed: dict[int, Arrays] = {}
        self._meanwhile: Callable[[], None] | None = None
        self.use_split(split=split)

    @property
    def params(self) -> Any:
        """The parameters, those that do not train among them."""
        return self._all.whole(self._trained, self._rest_of_params)

    @params.setter
    def params(self, params: Any) -> None:
        self._trained, self._rest_of_params = self._all.of(params), self._all.rest(params)

    @property
    def live(self) -> int:
        """The micro-batches held now, from their forward to their last gradient."""
        return len(self._kept) + len(self._rest)

    def place(self, batch: Mapping[str, Any], microbatch: int) -> Arrays:
        """The data of one micro-batch, on the devices.

        That of the next one is placed while this one's forward computes.
        """
        if not self._data:
            return {}
        placed = self._placed.pop(microbatch, None)
        following = microbatch + 1
        if following < len(batch[self._data[0].name]):
            self._meanwhile = lambda: self._placed.update({following: self._place(batch, following)})
        return self._place(batch, microbatch) if placed is None else placed

    def _place(self, batch: Mapping[str, Any], microbatch: int) -> Arrays:
        return {v.name: put(batch[v.name][microbatch], self.layouts[v.name], v.spec.shape) for v in self._data}

    def place_value(self, name: str, value: Any) -> Any:
        """An input or a gradient as this stage computes with it."""
        return put(value, self.layouts[name], self._values[name].spec.shape)

    def export(self, value: Any) -> Any:
        """An output or a gradient as it is sent: what is small as tiles, which a channel copies at once.

        An array of JAX is read on a thread of the channel, since it may not be computed yet. Here it is, and waking a
        thread takes longer than copying a little.
        """
        if value.nbytes > AT_ONCE_BYTES_MAX:
            return value
        return {self._devices[shard.device]: np.asarray(shard.data) for shard in value.addressable_shards}

    def forward(self, microbatch: int, inputs: Arrays) -> Arrays:
        """The outputs of a micro-batch."""
        outputs, self._kept[microbatch] = self._ops.forward(self._trained, *self._sorted(inputs))
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return dict(_ready(outputs))

    def backward(self, microbatch: int, gradients: Mapping[str, tuple[Any, ...]]) -> Arrays:
        """The gradients of the inputs, and of the parameters where they are not apart.

        **Arguments:**

        - `gradients`: for each output, what came back from each stage that took it.
        """
        cut = self._ops.weight is not None
        kept = self._kept.pop(microbatch)
        result, more = self._ops.backward(self._trained, kept, dict(gradients), None if cut else self.sums)
        if cut:
            self._rest[microbatch] = more
        else:
            self.sums = more
        _ready(result or jax.tree.leaves(self.sums)[:1])
        return dict(result)

    def weight(self, microbatch: int) -> None:
        """The gradients of the parameters, where they are apart; else nothing is left to do."""
        if self._ops.weight is not None:
            self.sums = self._ops.weight(self._trained, self._rest.pop(microbatch), self.sums)
            _ready(jax.tree.leaves(self.sums)[:1])

    def forget(self) -> None:
        """Drop what the micro-batches of a step that failed have left."""
        self._kept.clear()
        self._rest.clear()
        self._placed.clear()
        self.sums = jax.tree.map(jnp.zeros_like, self.sums)

    def square_norm(self, microbatches: int, without: frozenset[str]) -> float:
        """The sum of squares of the mean gradient, leaving out parameters that another stage counts."""
        leaves = jax.tree_util.tree_flatten_with_path(self.sums)[0]
        return float(_squares([leaf for path, leaf in leaves if path_text(path) not in without], microbatches))

    def update(self, microbatches: int, scale: float) -> None:
        """Apply the optimizer to the mean of the gradients, times `scale`; sums start again from 0."""
        state = (self._trained, self.opt_state, self.sums)
        self._trained, self.opt_state, self.sums = self._update(*state, np.float32(microbatches), np.float32(scale))
        _ready(jax.tree.leaves(self._trained)[:1])

    def has_gradient(self, path: str) -> bool:
        """Whether the parameter at a path trains."""
        return trains(_leaf(self.params, path))

    def parameter(self, path: str) -> Any:
        """The parameter at a path, random keys as their bits."""
        return bits_of(_leaf(self.params, path))

    def gradient(self, path: str) -> Any:
        """The sum of its gradients so far."""
        return _leaf(self.sums, path)

    def parameter_sharding(self, path: str) -> Sharding:
        """Its layout on the stage's mesh."""
        return Sharding(self._named_mesh, _leaf(self._param_layouts, path).spec).padded(self.parameter(path).ndim)

    def placed(self, path: str, value: Any) -> Any:
        """A value that came from another holder, in the layout of the parameter here."""
        return put(value, _leaf(self._param_layouts, path), self.parameter(path).shape)

    def set_parameter(self, path: str, value: Any) -> None:
        """Take another value for a parameter. A copy: what arrives lies in memory that is not this stage's."""
        self.params = _replaced(self.params, path, like(_leaf(self.params, path), jnp.copy(value)))

    def set_gradient(self, path: str, terms: list[Any]) -> None:
        """Take the sum of these, in their order, as the gradient."""
        total = jnp.copy(terms[0])
        for term in terms[1:]:
            total = total + term
        self.sums = _replaced(self.sums, path, total)

    def use_split(self, *, split: bool) -> None:
        """Whether weight gradients are an operation of their own. What was compiled before is used again."""
        key = (self.index, split)
        new = key not in self._made
        if new:
            self._made[key] = self._compile(split=split)
        self._ops = self._made[key]
        if new:
            self._rehearse()

    def _rehearse(self) -> None:
        """Run each operation once on zeros, so that no step has to compile."""
        ins = (*self._differentiated, *(n for n in self.layouts if n in self._stage.inputs))
        zeros = {name: self._zeros(name) for name in dict.fromkeys(ins)}
        outputs = self.forward(-1, zeros)
        self.backward(-1, {name: (outputs[name],) * self._takers[name] for name in self._graded})
        self.weight(-1)
        self.forget()

    def _zeros(self, name: str) -> Any:
        spec = self._values[name].spec
        return jax.device_put(np.zeros(spec.shape, spec.dtype), self.layouts[name])

    def _sorted(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        through = {name: inputs[name] for name in self._differentiated}
        others = {name: value for name, value in inputs.items() if name not in through}
        return through, others | ({REST: self._rest_of_params} if self._rest_of_params else {})

    def _compile(self, *, split: bool) -> Compiled:
        outs = {name: self.layouts[name] for name in self._stage.outputs}
        graded = [*self._graded, *([LOSS] if LOSS in outs else [])]
        # Not self: what is compiled outlives its first trainer.
        fn, mesh, whole = self._stage.fn, self.mesh.abstract_mesh, self._all.whole

        def run(params: Any, through: Arrays, others: Arrays) -> tuple[Arrays, Arrays]:
            inputs = {**through, **others}
            with on_mesh(mesh):
                made = fn(whole(params, inputs.pop(REST, ())), inputs)
            made = {name: _constrained(made[name], outs[name]) for name in outs}
            return {name: made[name] for name in graded}, {n: v for n, v in made.items() if n not in graded}

        loss = self._values[LOSS].spec.dtype if LOSS in outs else None
        remat = self._stage.remat
        ins = {name: self.layouts[name] for name in self._stage.inputs}
        if not split:
            grads_in = {name: ins[name] for name in self._differentiated}
            return compile_whole(run, loss, grads_in, self._trained_layouts, remat=remat)
        from .backward import Layouts
        from .cut import compile_cut

        shapes = {name: abstract(self._values[name].spec) for name in ins}
        return compile_cut(
            run, self._trained, *self._sorted(shapes), Layouts(self._trained_layouts, ins, outs), loss, remat=remat
        )

    def _placed_state(self, state: Any) -> Any:
        """Each leaf on the whole mesh: like the parameter it was made from, or replicated."""
        everywhere = jax.sharding.NamedSharding(self.mesh, partition())

        def place(leaf: Any) -> Any:
            mine = isinstance(leaf, jax.Array) and isinstance(leaf.sharding, jax.sharding.NamedSharding)
            return leaf if mine else jax.device_put(leaf, everywhere)

        return jax.tree.map(place, state)

    def _compile_update(self) -> Callable[..., Any]:
        optimizer = self._optimizer

        def update(params: Any, state: Any, sums: Any, count: Any, scale: Any) -> Any:
            gradient = jax.tree.map(lambda g: (g / count.astype(g.dtype)) * scale.astype(g.dtype), sums)
            updates, state = optimizer.update(gradient, state, params)
            params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
            return params, state, jax.tree.map(jnp.zeros_like, sums)

        shardings = jax.tree.map(lambda leaf: leaf.sharding, self.opt_state)
        outs = (self._trained_layouts, shardings, self._trained_layouts)
        return jax.jit(update, out_shardings=outs, donate_argnums=(0, 1, 2))


@jax.jit
def _squares(totals: list[Any], count: Any) -> Any:
    means = [jnp.abs(total).astype(jnp.float32) / count for total in totals]  # of complex numbers too
    return sum((jnp.sum(mean * mean) for mean in means), jnp.zeros((), jnp.float32))


def put(value: Any, layout: Any, shape: tuple[int, ...]) -> Any:
    """Tiles by device, or an array in any layout, as an array in this layout."""
    if isinstance(value, dict):
        return assemble(value, layout, shape)
    if isinstance(value, np.ndarray):
        return jax.make_array_from_callback(shape, layout, lambda box: value[box])
    return jax.device_put(value, layout)


def _leaf(tree: Any, path: str) -> Any:
    return next(leaf for at, leaf in jax.tree_util.tree_flatten_with_path(tree)[0] if path_text(at) == path)


def _replaced(tree: Any, path: str, value: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda at, leaf: value if path_text(at) == path else leaf, tree)


_ready: Any = jax.block_until_ready
_constrained: Any = jax.lax.with_sharding_constraint
