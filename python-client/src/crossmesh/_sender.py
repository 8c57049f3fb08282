"""The end that sends: tiles are laid in staging sets of the arena, on a thread of its own, and the agent is told."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import numpy as np

from ._channel import ChannelEnd, fresh
from ._errors import CrossmeshError, TransferCancelled
from ._events import Delivered, Opened, Sent, Tile
from ._places import Array, Places, tile_shape
from ._source import check_source, read_tile
from ._spec import Leaf
from ._transfer import Transfer

AT_ONCE_BYTES_MAX = 1 << 18
"""What `send` copies itself: about 20 microseconds of the caller's time."""


@dataclass(eq=False)
class _Lent:
    """A staging set that the caller builds a step in, the address where it starts, and the arrays over its tiles."""

    number: int
    start: int = 0
    arrays: list[ref[Array]] = field(default_factory=list)


Index = tuple[slice, ...] | None
"""What a tile is of its whole tensor; `None` for all of it."""


def copy_tile(place: Array, source: Array) -> None:
    """Lay a tile of the same shape and type at its place."""
    place[...] = source


class Sender(ChannelEnd):
    """The end that sends. Made by `Agent.sender`."""

    _side = "src"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._work: queue.SimpleQueue[tuple[Transfer, list[Any]] | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._lent: dict[int, _Lent] = {}
        self._cancelled_early: list[tuple[int, str]] = []
        self._queued = 0
        self._places: Places | None = None
        self._tiles: list[tuple[Tile, Index]] = []
        self._staging: dict[int, list[tuple[Tile, Index, Array]]] = {}
        super().__init__(*arguments, **named)
        stated = zip(self._leaves, self._boxes, strict=True)
        self._stated = [(leaf.shape, leaf.dtype, leaf, boxes) for leaf, boxes in stated]
        self._stager = threading.Thread(target=self._stage_all, name=f"crossmesh-stage-{self.name}", daemon=True)
        self._stager.start()

    def send(self, x: Any, step: int | None = None) -> Transfer:
        """Send the tensors of one step. Does not wait, neither for `x` to be computed nor for the network.

        **Arguments:**

        - `x`: a tree of the stated structure; at a leaf a `jax.Array`, `{index of a device of this process: ndarray}`,
          or a NumPy array of the whole tensor. Its bytes must stay as they are until `read()` of the result returns.
        - `step`: the step's number, larger than the last one; by default the next.

        **Returns:**

        A `Transfer`: `read()` waits until `x` may be donated or overwritten, `result()` until every receiver has it.
        An array that was donated or deleted before it was read cancels the step for all parties.

        **Raises:**

        `LayoutError` if `x` is not what the channel states; `StepMismatch` for a step that is not larger; what ended
        the channel, if it is over.

        !!! Example

            ```python
            t = tx.send({"h": h})
            t.read()        # h may be donated now
            t.result(30)
            ```
        """
        self._session.origin.check()
        values = self._treedef.flatten_up_to(x)
        for value, (shape, dtype, leaf, boxes) in zip(values, self._stated, strict=True):
            if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
                check_source(value, leaf, boxes, self._devices)
        with self._lock:
            transfer = self._new_transfer(step)
            at_once = self._set_at_once(values)
            if at_once is None:
                self._queued += 1
                self._work.put((transfer, values))
            else:
                self._stage_one(transfer, values, at_once)
        return transfer

    def _set_at_once(self, values: list[Any]) -> int | None:
        """A free set if staging takes less than waking the thread that does it: little, computed, nothing before it."""
        if self._queued or self._lent or self._opened is None or self._opened.set_bytes > AT_ONCE_BYTES_MAX:
            return None
        for value in values:
            if type(value) is np.ndarray:
                continue
            if not isinstance(value, dict) or any(type(part) is not np.ndarray for part in value.values()):
                return None
        try:
            chosen = self._free.get_nowait()
        except queue.Empty:
            return None
        if chosen < 0:
            self._free.put(chosen)
            return None
        return chosen

    def arrays(self, timeout: float | None = None) -> Any:
        """Arrays in the agent's memory to build a step in: `send` copies nothing then.

        Waits for the channel to open and for memory that no step on its way needs.

        **Arguments:**

        - `timeout`: seconds, or `None` to wait for as long as it takes.

        **Returns:**

        A tree of the stated structure with `{device index: ndarray}` at its leaves, not initialised, for the devices
        whose tiles leave from this process; those of others are not read. Devices that hold the same tile share one
        array. From `send` on they are the channel's: ask for new ones for the next step. Those
        that are never sent go back when they are collected.

        **Raises:** `TimeoutError` if no memory becomes free in time; what ended the channel, if it is over.

        !!! Example

            ```python
            x = tx.arrays()
            np.matmul(a, b, out=x[0])
            tx.send(x)
            ```
        """
        opened = self.wait_open(timeout)
        places = self._places
        assert places is not None
        if not opened.set_bytes:
            return self._treedef.unflatten([{} for _ in self._leaves])
        return self._treedef.unflatten(places.by_device(self._lend(opened, places, self._take_free(timeout))))

    def _lend(self, opened: Opened, places: Places, chosen: int) -> list[Array]:
        """Arrays over a staging set, which is free again when nobody holds any of them, unless it was sent."""
        lent = _Lent(chosen)
        memory = self._session.arena.owned(opened.sets[chosen], opened.set_bytes, lambda: self._take_back(lent))
        arrays = places.over(memory)
        lent.start = memory.ctypes.data
        lent.arrays = [ref(array) for array in arrays]
        with self._lock:
            self._lent[lent.start] = lent
        return arrays

    def _lent_with(self, values: list[Any], opened: Opened) -> _Lent | None:
        """The lent set that the first tile lies in at its place, which is the channel's from now on."""
        if not self._lent or not opened.tiles:
            return None
        first = opened.tiles[0]
        source = read_tile(values[first.tensor], self._leaves[first.tensor], first)
        return self._lent.pop(source.ctypes.data - first.offset, None)

    def _take_back(self, lent: _Lent) -> None:
        # A finalizer: it may run while this very thread holds any lock, so it takes none.
        if self._lent.get(lent.start) is lent:
            del self._lent[lent.start]
            self._free.put(lent.number)

    def _take_free(self, timeout: float | None = None) -> int:
        try:
            chosen = self._free.get_nowait()
        except queue.Empty:
            chosen = self._await_free(timeout)
        if chosen < 0:
            self._free.put(chosen)
            raise fresh(self._error or TransferCancelled(f"Channel {self.name!r} is closed."))
        return chosen

    def _await_free(self, timeout: float | None) -> int:
        try:
            with self._session.wanting_a_set():
                return self._free.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(
                f"Channel {self.name!r} had no free memory within {timeout} s; steps are on it."
            ) from None

    def _begin_close(self) -> None:
        self._work.put(None)

    def _tell_cancelled(self, step: int, text: str, opened: bool) -> None:
        with self._lock:
            if self._opened is None:
                self._cancelled_early.append((step, text))
                return
        super()._tell_cancelled(step, text, opened)

    def _stage_all(self) -> None:
        while (item := self._work.get()) is not None:
            self._stage_one(*item)
            del item  # the caller's arrays are the caller's again
            with self._lock:
                self._queued -= 1
        if not self._over.is_set():
            self._close_channel()

    def _stage_one(self, transfer: Transfer, values: list[Any], taken: int | None = None) -> None:
        try:
            self._stage(transfer, values, taken)
        except CrossmeshError as error:
            with self._lock:
                alive = self._transfers.pop(transfer.step, None) is not None
            if alive:
                transfer._fail(error)
                self._tell_cancelled(transfer.step, f"the sending process failed: {error}", self._opened is not None)
        except Exception as error:  # noqa: BLE001  (whatever reading the caller's arrays raises)
            self._cancel(
                transfer,
                f"the tensors could not be read ({type(error).__name__}: {error}). An array must not be donated, "
                "deleted or closed before read() of its transfer has returned",
            )

    def _stage(self, transfer: Transfer, values: list[Any], taken: int | None) -> None:
        opened = self._opened or self.wait_open()
        if taken is None and transfer.done():
            return
        lent = self._lent_with(values, opened) if taken is None else None
        chosen = taken if taken is not None else self._take_free() if lent is None else lent.number
        sent = False
        try:
            if transfer.done():
                return
            if opened.set_bytes:
                self._lay(values, self._staging_of(chosen, opened), lent)
            transfer._take()
            with self._lock:
                if transfer.done():
                    return
                self._session.control.send(self._session.number, self._channel, transfer.step, chosen)
                sent = True
        finally:
            if not sent:
                self._free.put(chosen)

    def _lay(self, values: list[Any], staging: list[tuple[Tile, Index, Array]], lent: _Lent | None) -> None:
        """Copy what does not lie at its place yet."""
        if lent is None:
            for tile, index, place in staging:
                value = values[tile.tensor]
                if type(value) is np.ndarray:
                    copy_tile(place, value if index is None else value[index])
                else:
                    copy_tile(place, read_tile(value, self._leaves[tile.tensor], tile))
            return
        for (tile, _, place), built in zip(staging, lent.arrays, strict=True):
            source = read_tile(values[tile.tensor], self._leaves[tile.tensor], tile)
            if built() is not source and source.ctypes.data != place.ctypes.data:
                copy_tile(place, source)

    def _staging_of(self, chosen: int, opened: Opened) -> list[tuple[Tile, Index, Array]]:
        """Each tile that this process stages, what it is of its tensor, and where it lies in a staging set."""
        staging = self._staging.get(chosen)
        if staging is None:
            assert self._places is not None
            arrays = self._places.over(self._session.arena.root(opened.sets[chosen], opened.set_bytes))
            staging = [(*tile, array) for tile, array in zip(self._tiles, arrays, strict=True)]
            self._staging[chosen] = staging
        return staging

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        self._places = Places(event.tiles, self._leaves)
        self._tiles = [(tile, _index_of(tile, self._leaves[tile.tensor])) for tile in event.tiles]
        for number in range(len(event.sets) or self._depth):
            self._free.put(number)
        with self._lock:
            super().on_open(event)
            early, self._cancelled_early = self._cancelled_early, []
        for step, text in early:
            super()._tell_cancelled(step, text, True)

    def on_sent(self, event: Sent) -> None:
        """See `Listener`."""
        self._free.put(event.set)

    def on_delivered(self, event: Delivered) -> None:
        """See `Listener`."""
        with self._lock:
            transfer = self._transfers.pop(event.step, None)
        if transfer is not None:
            transfer._finish(None)

    def on_failed(self, error: CrossmeshError) -> None:
        """See `Listener`."""
        super().on_failed(error)
        self._free.put(-1)
        self._work.put(None)


def _index_of(tile: Tile, leaf: Leaf) -> Index:
    if tile_shape(tile) == leaf.shape:
        return None
    return tuple(slice(lo, hi) for lo, hi in tile.box)
