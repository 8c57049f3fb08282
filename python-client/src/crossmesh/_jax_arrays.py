"""Tiles to arrays of JAX without a copy, and what JAX cannot hold. Importing it imports JAX."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ._errors import LayoutError
from ._jax_seen import explicit_transfer, is_abstract
from ._spec import Leaf


def assemble(
    tiles: Mapping[int, np.ndarray[Any, Any]], named: jax.sharding.NamedSharding, shape: tuple[int, ...]
) -> jax.Array:
    """As `array`, for a shape that is known."""
    return assemble_all([(tiles, named, shape)])[0]


Wanted = tuple[Mapping[int, np.ndarray[Any, Any]], "jax.sharding.NamedSharding", tuple[int, ...]]
"""The tiles of an array by device index, its sharding and its shape."""


def assemble_all(wanted: Sequence[Wanted]) -> list[jax.Array]:
    """As `array` for each."""
    return [_assembled(held, named, shape) for held, named, shape in wanted]


def _assembled(
    tiles: Mapping[int, np.ndarray[Any, Any]], named: jax.sharding.NamedSharding, shape: tuple[int, ...]
) -> jax.Array:
    expected, here = _placement(named, shape)
    by_start: dict[tuple[int, ...], np.ndarray[Any, Any]] = {}
    dtypes = set()
    for index, device, start in here:
        tile = tiles.get(index)
        if tile is None or tile.shape != expected:
            got = "no tile" if tile is None else f"a tile of shape {tile.shape}"
            raise LayoutError(
                f"Device {index} ({device}) has {got}, the sharding {named.spec} of shape {shape} wants {expected}. "
                "Pass one tile for each device of this process."
            )
        by_start[start] = tile
        dtypes.add(tile.dtype)
    if len(dtypes) > 1:
        raise LayoutError(f"The tiles of one array have several types: {sorted(map(str, dtypes))}.")
    # device_put of a list of tiles takes four times as long, nearly all of it in Python.
    with explicit_transfer():
        array = jax.make_array_from_callback(shape, named, lambda box: by_start[_start(box)])
    if {array.dtype} != dtypes:
        # jax.enable_x64() as a context holds for one thread only, and arrays are made on another one.
        raise LayoutError(
            f"JAX narrowed {dtypes.pop()} to {array.dtype} for the sharding {array.sharding} of shape {array.shape}. "
            "Set jax_enable_x64 for the whole process."
        )
    return array


@functools.lru_cache(maxsize=4096)
def _placement(
    named: jax.sharding.NamedSharding, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, jax.Device, tuple[int, ...]], ...]]:
    """The shape of a shard; index, device and where its shard begins, for each device of this process."""
    boxes = named.addressable_devices_indices_map(shape)
    devices = named.mesh.devices.flat
    return named.shard_shape(shape), tuple(
        (index, devices[index], _start(boxes[devices[index]])) for index in local_devices(named)
    )


def _start(box: tuple[slice, ...] | None) -> tuple[int, ...]:
    return tuple(part.start or 0 for part in box or ())


def local_devices(named: jax.sharding.NamedSharding) -> tuple[int, ...]:
    """The device indices of a sharding that belong to this process."""
    return tuple(
        index
        for index, device in enumerate(named.mesh.devices.flat)
        if device.process_index == device.client.process_index()
    )


def check_holdable(leaf: Leaf) -> None:
    """Refuse what a `jax.Array` of the stated sharding cannot hold.

    **Raises:** `LayoutError` for uneven shards, types that JAX lacks, and 64-bit types without x64.
    """
    what = f"{leaf.label} in the layout {leaf.named.spec} over {dict(leaf.named.mesh.shape)}"
    if is_abstract(leaf.named):
        raise LayoutError(
            f"An abstract mesh has no devices to put arrays on: {what}. State the layout on jax.devices()."
        )
    kept = jax.dtypes.canonicalize_dtype(leaf.dtype)
    if kept != leaf.dtype:
        raise LayoutError(
            f"JAX would narrow {leaf.dtype.name} to {kept.name}: {what}. Set jax_enable_x64, cast before sending, "
            "or state the layout as cm.Sharding to get ndarrays."
        )
    try:
        jax.eval_shape(lambda: jax.numpy.zeros((), leaf.dtype))
    except TypeError:
        raise LayoutError(
            f"JAX has no elements of type {leaf.dtype.name}: {what}. State the layout as cm.Sharding to get ndarrays."
        ) from None
    try:
        leaf.named.shard_shape(leaf.shape)
    except ValueError as error:
        raise LayoutError(
            f"JAX cannot hold uneven shards: {what} ({error}). "
            "Pad the tensor, choose axes that divide it, or state the layout as cm.Sharding to get ndarrays."
        ) from None
