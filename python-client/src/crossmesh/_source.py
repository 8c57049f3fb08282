"""Reading the tiles of a step out of what the caller sends: arrays of JAX, arrays by device, whole arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._errors import LayoutError
from ._events import Tile
from ._jax_seen import explicit_transfer, is_jax_array
from ._sharding import Box
from ._spec import Leaf


def check_source(value: Any, leaf: Leaf, boxes: list[Box], devices: frozenset[int]) -> None:
    """Refuse at the call what cannot be the stated tensor; costs no look at the bytes.

    **Raises:** `LayoutError` naming the tensor, what was stated and what came.
    """
    if type(value) is np.ndarray and value.shape == leaf.shape and value.dtype == leaf.dtype:
        return
    if isinstance(value, Mapping):
        for device, tile in value.items():
            _check_tile(device, tile, leaf, boxes, devices)
    elif is_jax_array(value) or isinstance(value, np.ndarray):
        if tuple(value.shape) != leaf.shape or value.dtype != leaf.dtype:
            raise LayoutError(
                f"The channel states {leaf.label}, got one of shape {tuple(value.shape)} and type {value.dtype}. "
                "Send what was stated, or open a channel for this."
            )
    else:
        raise LayoutError(
            f"For {leaf.label} send a jax.Array, a NumPy array of the whole tensor or {{device index: ndarray}}, "
            f"got {type(value).__name__}."
        )


def _check_tile(device: Any, tile: Any, leaf: Leaf, boxes: list[Box], devices: frozenset[int]) -> None:
    if device not in devices:
        raise LayoutError(
            f"{leaf.label}: device {device!r} is not one of those of this process, {sorted(devices)}, "
            f"in {leaf.sharding!r}. Send only tiles of these."
        )
    expected = tuple(hi - lo for lo, hi in boxes[device])
    if not isinstance(tile, np.ndarray):
        tile = np.asarray(tile)
    if tile.shape != expected or tile.dtype != leaf.dtype:
        raise LayoutError(
            f"{leaf.label}: the tile of device {device} has the shape {expected} in the layout {leaf.sharding}, "
            f"got {tile.shape} of type {tile.dtype}. Use sharding.shards(shape) for the bounds."
        )


def read_tile(value: Any, leaf: Leaf, tile: Tile) -> np.ndarray[Any, Any]:
    """The bytes of a tile, waiting for them to be computed. No copy where the array lies in host memory.

    **Raises:** `LayoutError` if the value does not hold that tile.
    """
    if isinstance(value, np.ndarray):
        whole: np.ndarray[Any, Any] = value[tuple([slice(lo, hi) for lo, hi in tile.box])]
        return whole
    if isinstance(value, Mapping):
        for device in tile.devices:
            if device in value:
                with explicit_transfer():
                    return np.asarray(value[device])
        raise LayoutError(
            f"{leaf.label}: none of the devices {list(tile.devices)}, which hold the slice {list(tile.box)}, was sent. "
            f"Send a tile for one of them, got {sorted(value)}."
        )
    for shard in value.addressable_shards:
        bounds = tuple(s.indices(n)[:2] for s, n in zip(shard.index, leaf.shape, strict=True))
        if all(lo <= first and last <= hi for (lo, hi), (first, last) in zip(bounds, tile.box, strict=True)):
            with explicit_transfer():
                data = np.asarray(shard.data)
            if bounds == tile.box:
                return data
            within: np.ndarray[Any, Any] = data[
                tuple([slice(first - lo, last - lo) for (lo, _), (first, last) in zip(bounds, tile.box, strict=True)])
            ]
            return within
    raise LayoutError(
        f"{leaf.label} was stated in the layout {leaf.sharding} and came in {value.sharding}, none of whose shards has "
        f"the slice {list(tile.box)}. Put it into the stated sharding first: jax.device_put(x, sharding)."
    )
