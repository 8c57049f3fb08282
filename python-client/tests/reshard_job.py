"""One process of a `jax.distributed` job that reshards. Run as `python reshard_job.py RANK PORT SEED`."""

from __future__ import annotations

import os
import random
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import crossmesh as cm

ARRAYS_WITHOUT_SHARDS = (0, 7, 2)
"""Since this version of JAX."""

PROCESSES = 4
PAIRS = 30
DTYPES = ["float32", "bfloat16", "int8", "bool"]
SHAPES = [(8,), (8, 16), (16, 8, 8)]


def mesh_of(processes, shape):
    devices = [device for device in jax.devices() if device.process_index in processes]
    return Mesh(np.array(devices).reshape(shape), tuple("xyz"[: len(shape)]))


def random_spec(rng, mesh, rank):
    """Each axis of the mesh cuts some dimension, or none."""
    cuts = [[] for _ in range(rank)]
    for axis in rng.sample(mesh.axis_names, len(mesh.axis_names)):
        rng.choice([*cuts, []]).append(axis)
    return PartitionSpec(*(tuple(axes) or None for axes in cuts))


def whole(seed, shape, dtype):
    values = np.random.default_rng(seed).integers(0, 120, shape)
    return values.astype(jax.numpy.dtype(dtype))


def holds(named):
    return any(device.process_index == jax.process_index() for device in named.mesh.devices.flat)


def source(values, named):
    """The global array, or its description where this process holds none of it."""
    if not holds(named):
        return jax.ShapeDtypeStruct(values.shape, values.dtype, sharding=named)
    return jax.make_array_from_callback(values.shape, named, lambda index: values[index])


def check(array, values, named):
    assert array.sharding == named
    assert array.shape == values.shape
    assert array.dtype == values.dtype
    if isinstance(array, jax.ShapeDtypeStruct):
        assert jax.__version_info__ < ARRAYS_WITHOUT_SHARDS
        assert not holds(named)
        return
    assert isinstance(array, jax.Array)
    assert bool(array.addressable_shards) == holds(named)
    for shard in array.addressable_shards:
        np.testing.assert_array_equal(np.asarray(shard.data), values[shard.index])


def refused(x, named):
    """What `jax.device_put` says of the same call."""
    try:
        jax.device_put(x, named)
    except (ValueError, NotImplementedError) as error:
        return type(error).__name__
    return "nothing"


def random_pairs(rng):
    """Both ways between the meshes of two processes each, in any layout."""
    words = set()
    for number in range(PAIRS):
        ends = [(0, 1), (2, 3)]
        rng.shuffle(ends)
        meshes = [mesh_of(end, rng.choice([(8,), (2, 4), (2, 2, 2)])) for end in ends]
        shape = rng.choice(SHAPES)
        layouts = [NamedSharding(mesh, random_spec(rng, mesh, len(shape))) for mesh in meshes]
        try:
            [layout.shard_shape(shape) for layout in layouts]
        except ValueError:  # JAX holds no uneven shards: cut one dimension by all axes
            layouts = [NamedSharding(m, PartitionSpec(m.axis_names)) for m in meshes]
        values = whole(number, shape, rng.choice(DTYPES))
        x = source(values, layouts[0])
        if isinstance(x, jax.Array):
            words.add(refused(x, layouts[1]))
        check(cm.jax.reshard(x, layouts[1]), values, layouts[1])
    return words


def trees_overlap_and_return():
    """A tree of tensors between meshes that share a process, back again, donated, over channels that stand."""
    first, second = mesh_of((0, 1), (2, 4)), mesh_of((1, 2), (4, 2))
    src = {"a": NamedSharding(first, PartitionSpec("x", "y")), "b": [NamedSharding(first, PartitionSpec())]}
    dst = {
        "a": NamedSharding(second, PartitionSpec(None, "x")),
        "b": [NamedSharding(second, PartitionSpec(("y", "x")))],
    }
    for turn in range(3):
        values = {"a": whole(turn, (8, 8), "float32"), "b": [whole(turn + 1, (16,), "int8")]}
        x = jax.tree.map(source, values, src)
        y = cm.jax.reshard(x, dst, donate=True)
        jax.tree.map(check, y, values, dst)
        if holds(src["a"]):
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(x))
        back = cm.jax.reshard(y, src)
        jax.tree.map(check, back, values, src)
        assert cm.jax.reshard(back, src)["a"] is back["a"]


def bad_calls():
    """Every process hears of it, and the next call goes well."""
    here, there = (mesh_of(processes, (8,)) for processes in ((0, 1), (2, 3)))
    values = whole(7, (8, 3), "float32")
    src, dst = (NamedSharding(mesh, PartitionSpec("x")) for mesh in (here, there))
    x = source(values, src)
    with pytest.raises(cm.LayoutError, match="uneven"):
        cm.jax.reshard(x, NamedSharding(there, PartitionSpec(None, "x")))
    careless = jax.process_index() == 0
    forgot = jax.ShapeDtypeStruct(values.shape, values.dtype, sharding=src) if careless else x
    error = cm.LayoutError if careless else cm.TransferCancelled
    with pytest.raises(error, match="Process 0 holds shards"):
        cm.jax.reshard(forgot, dst, timeout=30)
    check(cm.jax.reshard(x, dst), values, dst)


def main(rank, port, seed):
    jax.distributed.initialize(f"127.0.0.1:{port}", PROCESSES, int(rank))
    words = random_pairs(random.Random(seed))
    trees_overlap_and_return()
    bad_calls()
    print("done", *sorted(words), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
