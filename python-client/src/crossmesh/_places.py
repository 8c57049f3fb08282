"""Where the tiles of a step lie in a set, worked out once, and arrays over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arena import Bytes
from ._events import Tile
from ._spec import Leaf

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Run:
    """Tiles of one shape and type, as far from each other as the next: one array holds them all.

    Iterating over that makes an array for each in a tenth of the time that a constructor takes.
    """

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    strides: tuple[int, ...]

    def over(self, memory: Bytes) -> Array:
        if self.count == 1:
            return np.ndarray(self.shape, self.dtype, memory, self.offset)
        return np.ndarray((self.count, *self.shape), self.dtype, memory, self.offset, self.strides)


class Places:
    """The tiles of a process in a set of the arena.

    **Arguments:**

    - `tiles`: as the agent told them.
    - `leaves`: the tensors of the channel.
    - `shared`: whether the arrays over a tile are read-only, since others read the same memory; by default none.
    """

    def __init__(
        self, tiles: Sequence[Tile], leaves: Sequence[Leaf], shared: Callable[[Tile], bool] | None = None
    ) -> None:
        kinds = [(tile_shape(tile), leaves[tile.tensor].dtype, shared is not None and shared(tile)) for tile in tiles]
        self._runs: list[tuple[_Run, bool]] = []
        start = 0
        while start < len(tiles):
            count = _count(tiles, kinds, start)
            shape, dtype, frozen = kinds[start]
            self._runs.append((_run(tiles[start : start + count], shape, dtype), frozen))
            start += count
        recipes: list[list[tuple[int, int]]] = [[] for _ in leaves]
        for number, tile in enumerate(tiles):
            recipes[tile.tensor].extend((device, number) for device in tile.devices)
        self._recipes = [sorted(recipe) for recipe in recipes]
        self._single = [recipe[0] for recipe in self._recipes if len(recipe) == 1]

    def over(self, memory: Bytes) -> list[Array]:
        """An array for each tile over the memory of a set."""
        arrays: list[Array] = []
        for run, frozen in self._runs:
            block = run.over(memory)
            if frozen:
                block.flags.writeable = False
            if run.count == 1:
                arrays.append(block)
            else:
                arrays.extend(block)
        return arrays

    def by_device(self, arrays: list[Array]) -> list[dict[int, Array]]:
        """For each tensor the arrays of `over` by device, ascending."""
        if len(self._single) == len(self._recipes):
            return [{device: arrays[number]} for device, number in self._single]
        return [{device: arrays[number] for device, number in recipe} for recipe in self._recipes]


def tile_shape(tile: Tile) -> tuple[int, ...]:
    """The extents of a tile."""
    return tuple(hi - lo for lo, hi in tile.box)


def _count(tiles: Sequence[Tile], kinds: Sequence[tuple[tuple[int, ...], np.dtype[Any], bool]], start: int) -> int:
    """How many tiles, from one on, make a run."""
    end = start + 1
    # Rows of an array of one dimension would be scalars; what has no bytes has no place.
    if kinds[start][0] and tiles[start].bytes and end < len(tiles):
        pitch = tiles[end].offset - tiles[start].offset
        while (
            end < len(tiles)
            and kinds[end] == kinds[start]
            and tiles[end].offset - tiles[end - 1].offset == pitch >= tiles[start].bytes
        ):
            end += 1
    return end - start


def _run(tiles: Sequence[Tile], shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Run:
    first = tiles[0]
    pitch = tiles[1].offset - first.offset if len(tiles) > 1 else first.bytes
    return _Run(
        len(tiles),
        shape,
        dtype,
        first.offset if first.bytes else 0,
        (pitch, *_contiguous(shape, dtype.itemsize)),
    )


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of an array whose rows follow each other."""
    strides = [itemsize]
    for extent in shape[:0:-1]:
        strides.append(strides[-1] * extent)
    return tuple(reversed(strides))
