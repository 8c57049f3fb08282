"""Which parameters train, and how the others keep their values. Importing it imports JAX.

Parameters of floating types have gradients. Index tables, masks, counters and random keys have none: they keep the
values that `init` made, no optimizer sees them, and they are tied, saved and resumed like the others.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


class Trained:
    """The parameters of a stage, apart: those that train, and those that do not.

    The trees of parameters that train, of their gradients and of the optimizer's state have `None` in the place of
    every other parameter, as `equinox.partition` has it, so that an optimizer finds the paths that the model has.
    """

    def __init__(self, abstract: Tree) -> None:
        self._treedef: Any
        leaves, self._treedef = jax.tree.flatten(abstract)
        self._marks = [trains(leaf) for leaf in leaves]

    def of(self, params: Tree) -> Tree:
        """The tree with `None` for each parameter that does not train; of layouts too."""
        if all(self._marks):
            return params
        leaves = self._treedef.flatten_up_to(params)
        return self._treedef.unflatten(leaf if mark else None for leaf, mark in zip(leaves, self._marks, strict=True))

    def rest(self, params: Tree) -> tuple[Any, ...]:
        """The parameters that do not train, in their order."""
        leaves = self._treedef.flatten_up_to(params)
        return tuple(leaf for leaf, mark in zip(leaves, self._marks, strict=True) if not mark)

    def whole(self, trained: Tree, rest: tuple[Any, ...]) -> Tree:
        """The parameters, as the stage's function takes them."""
        if not rest:
            return trained
        moving, staying = iter(jax.tree.leaves(trained)), iter(rest)
        return self._treedef.unflatten(next(moving) if mark else next(staying) for mark in self._marks)


def trains(leaf: Any) -> bool:
    """Whether a parameter has a gradient: JAX gives one to what is floating or complex."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def is_key(leaf: Any) -> bool:
    """Whether these are typed random keys, whose bits only `jax.random.key_data` shows."""
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def bits_of(leaf: Any) -> Any:
    """An array that can travel and be written to a file: the bits of random keys, anything else as it is."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def like(leaf: Any, bits: Any) -> Any:
    """What `bits_of` gave, as keys again where `leaf` is keys."""
    return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf)) if is_key(leaf) else bits
