"""One number for a tensor's bits, the same in whatever layout it lies."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from model import Params


def checksums(mesh: Mesh, layouts: Params) -> Callable[[Params], jax.Array]:
    """A function from parameters in these layouts to a uint32 for each, in the order of the tree's leaves.

    Each element's bits are multiplied by an odd number that tells its place in the whole tensor, and summed modulo
    2**32: exact in any order, and different when two parts are exchanged or one is of another version. Every device
    sums what it holds; there is one exchange between hosts for all tensors together.
    """
    specs = [named.spec for named in jax.tree.leaves(layouts)]
    # A program for each layout, not one for the tree: the compiler's time is that of a few small ones.
    parts = {spec: _sum_of_tiles(spec, mesh) for spec in specs}
    add = jax.jit(
        lambda held: jnp.sum(jnp.stack(held), axis=1, dtype=jnp.uint32), out_shardings=NamedSharding(mesh, P())
    )
    return lambda params: add([parts[spec](leaf) for spec, leaf in zip(specs, jax.tree.leaves(params), strict=True)])


def _sum_of_tiles(spec: P, mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    """Each device's share of a tensor's sum; of devices that hold the same tile, the first counts."""
    axes = tuple(spec) + (None,) * 8
    others = [axis for axis in mesh.axis_names if axis not in axes]

    def summed(tile: jax.Array) -> jax.Array:
        shape = [n * (mesh.shape[axis] if axis else 1) for n, axis in zip(tile.shape, axes, strict=False)]
        places = jnp.zeros((), jnp.uint32)
        for d, n in enumerate(tile.shape):
            first = n * jax.lax.axis_index(axes[d]) if axes[d] else 0
            index = jax.lax.broadcasted_iota(jnp.uint32, tile.shape, d) + jnp.asarray(first, jnp.uint32)
            places = places + index * jnp.uint32(math.prod(shape[d + 1 :]))
        bits = jax.lax.bitcast_convert_type(tile, jnp.uint32)
        counts = jnp.all(jnp.array([jax.lax.axis_index(axis) == 0 for axis in others], bool))
        total = jnp.sum(bits * (2 * places + 1), dtype=jnp.uint32)
        return jnp.where(counts, total, jnp.uint32(0)).reshape(1)

    return jax.jit(jax.shard_map(summed, mesh=mesh, in_specs=spec, out_specs=P(mesh.axis_names), check_vma=False))
