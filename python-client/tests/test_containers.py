"""Leaves that are containers: taken apart as JAX takes them apart, and put together with what they know besides."""

import importlib.util
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import crossmesh as cm
from crossmesh._spec import resolve
from crossmesh._tree import flatten

SECONDS_MAX = 30


@jax.tree_util.register_dataclass
@dataclass
class Quantised:
    """As quantised arrays are: a shape and a type of its own, over arrays of other types."""

    values: Any
    scale: Any

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.scale.dtype


@jax.tree_util.register_pytree_node_class
class Named:
    """As named arrays are: one array, and names as metadata. Its parts have no names of their own."""

    def __init__(self, array, axes):
        self.array, self.axes = array, axes

    @property
    def shape(self):
        return dict(zip(self.axes, self.array.shape, strict=True))

    @property
    def dtype(self):
        return self.array.dtype

    def tree_flatten(self):
        return [self.array], self.axes

    @classmethod
    def tree_unflatten(cls, axes, parts):
        return cls(parts[0], axes)


class Described(NamedTuple):
    """Only says what a tensor is."""

    shape: tuple
    dtype: str


def trees():
    quantised = {"w": Quantised(jnp.arange(64, dtype=jnp.int8).reshape(8, 8), jnp.ones((8,), ml_dtypes.bfloat16))}
    named = [Named(jnp.arange(16.0), ("embed",))]
    made = {"quantised": quantised, "named": named}
    if importlib.util.find_spec("flax"):
        from flax import linen, nnx

        state = nnx.state(nnx.Linear(8, 8, rngs=nnx.Rngs(0)))
        boxed = {"w": linen.Partitioned(jnp.arange(64.0).reshape(8, 8), names=("x", None))}
        made |= {"state": state, "parameter": state["kernel"], "boxed": boxed}
    return made


@pytest.mark.parametrize("name", sorted(trees()))
def test_containers_are_taken_apart_as_jax_does(name):
    tree = trees()[name]
    keys, leaves, treedef = flatten(tree)
    assert [id(leaf) for leaf in leaves] == [id(leaf) for leaf in jax.tree.leaves(tree)]
    assert len(set(keys)) == len(keys)
    assert jax.tree.structure(treedef.unflatten(leaves)) == jax.tree.structure(tree)


def test_what_only_describes_a_tensor_is_one():
    _, leaves, _ = flatten({"a": Described((2, 2), "int8"), "b": cm.TensorSpec((2,), "int8")})
    assert [tuple(leaf.shape) for leaf in leaves] == [(2, 2), (2,)]


def test_what_is_no_array_is_named_with_its_path():
    layout = cm.Sharding(cm.Mesh((1,), hosts=["a"]), PartitionSpec())
    tree = {"layers": [Quantised(np.zeros((2, 2), np.int8), 0.5)]}
    with pytest.raises(cm.LayoutError, match=r"A leaf at \['layers'\]\[0\]\.scale is float"):
        resolve(tree, layout, "source")


def test_a_process_alone_reshards_containers():
    mesh = Mesh(np.array(jax.devices()[:1]), ("x",))
    for tree in trees().values():
        moved = cm.jax.reshard(tree, NamedSharding(mesh, PartitionSpec()))
        assert jax.tree.structure(moved) == jax.tree.structure(tree)
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(moved), jax.tree.leaves(tree))


def test_a_channel_moves_containers_and_its_copies_are_explicit():
    """Arrays that lie whole on one device have every tile of another layout; no copy is one that nobody asked for."""
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        mesh = Mesh(np.array(jax.devices()[:1]), ("x",))
        named = NamedSharding(mesh, PartitionSpec())
        halves = cm.Sharding(cm.Mesh((2,), ("x",), hosts=["a"]), PartitionSpec("x"))
        for name, tree in trees().items():
            sender = cluster.agent("a").sender(name, tree, halves)
            receiver = cluster.agent("b").receiver(name, tree, named, hosts=["b"])
            jax.config.update("jax_transfer_guard", "disallow")
            try:
                with sender, receiver:
                    coming = receiver.recv()
                    sender.send(tree)
                    moved = coming.result(SECONDS_MAX)
            finally:
                jax.config.update("jax_transfer_guard", "allow")
            assert jax.tree.structure(moved) == jax.tree.structure(tree)
            jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(moved), jax.tree.leaves(tree))
