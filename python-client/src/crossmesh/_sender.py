"""The end that sends: tiles are laid in staging sets of the arena, on a thread of its own, and the agent is told."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import ref

import numpy as np

from ._beside import holding
from ._channel import ChannelEnd, fresh
from ._errors import CrossmeshError, TooManySteps, TransferCancelled
from ._events import Delivered, Opened, Sent, Tile
from ._numbers import wait_seconds
from ._places import Array, Places, tile_shape
from ._session import Session
from ._source import check_source, read_tile
from ._spec import Leaf
from ._transfer import Transfer

AT_ONCE_BYTES_MAX = 1 << 18
"""What `send` copies itself: about 20 microseconds of the caller's time."""

QUEUED_BYTES_MAX = 512 << 20
"""Of the tensors of steps that wait for memory to be laid in, so that fresh arrays do not pile up..."""
QUEUED_STEPS_MIN = 64
"""...but so many large steps may wait, as the micro-batches of a pipeline do..."""
QUEUED_STEPS_MAX = 16_384
"""...and no more than so many, however small."""

WAKE_SECONDS = 1.0


@dataclass(eq=False)
class _Lent:
    """A staging set that the caller builds a step in, the address where it starts, and the arrays over its tiles."""

    start: int = 0
    arrays: list[ref[Array]] = field(default_factory=list)
    claims: list[None] = field(default_factory=lambda: [None])

    def claim(self) -> bool:
        """Take it: true for the first who does, the finalizer of its arrays or the step that is sent."""
        try:
            self.claims.pop()
        except IndexError:
            return False
        return True


Index = tuple[slice, ...] | None
"""What a tile is of its whole tensor; `None` for all of it."""


def copy_tile(place: Array, source: Array) -> None:
    """Lay a tile of the same shape and type at its place."""
    place[...] = source


class Sender(ChannelEnd):
    """The end that sends. Made by `Agent.sender`."""

    _side = "src"
    _lacks = "is not delivered to every receiver"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._work: queue.SimpleQueue[Sender | None] = queue.SimpleQueue()
        self._queued: deque[tuple[Transfer, list[Any] | CrossmeshError]] = deque()  # an error: to end it with
        self._holders: list[Transfer | _Lent | None] = []  # who has each staging set; None: it is free
        self._wanting: set[object] = set()  # who waits for a set
        self._freed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lent: dict[int, _Lent] = {}
        self._places: Places | None = None
        self._tiles: list[tuple[Tile, Index]] = []
        self._staging: dict[int, list[tuple[Tile, Index, Array]]] = {}
        super().__init__(*arguments, **named)
        stated = zip(self._leaves, self._boxes, strict=True)
        self._stated = [(leaf.shape, leaf.dtype, leaf, boxes) for leaf, boxes in stated]
        self._step_bytes = sum(_bytes_of(leaf, {boxes[d] for d in self._devices}) for _, _, leaf, boxes in self._stated)
        self._queued_max = min(
            QUEUED_STEPS_MAX, max(QUEUED_STEPS_MIN, QUEUED_BYTES_MAX // max(1, self._step_bytes)) + self._depth
        )
        weakref.finalize(self, self._work.put, None).atexit = False
        stage = partial(_stage_all, self._work, self._session)
        threading.Thread(target=stage, name=f"crossmesh-stage-{self.name}", daemon=True).start()

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

        `LayoutError` if `x` is not what the channel states; `StepMismatch` for a step that is not larger;
        `TooManySteps` if too many wait, since receivers take none: beyond the channel's depth 512 MiB of this
        process's tiles may, or 64 steps if that is more, at most 16,384. What ended the channel, if it is over. After
        any other exception, as from an interrupt, the step is cancelled for all parties.

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
        number = self._step_number(step)
        transfer = Transfer(self)
        try:
            holding(self._lock, self._post, transfer, number, values)
            return transfer
        except BaseException:
            if transfer.step >= 0:
                transfer._abandoned = True
                text = self._cancellation(transfer, "an exception ended send() before it was done")
                self._end_in_turn(transfer, TransferCancelled(text))
            raise

    def _post(self, transfer: Transfer, step: int | None, values: list[Any]) -> None:
        if len(self._queued) >= self._queued_max:
            raise TooManySteps(
                f"Channel {self.name!r}: {len(self._queued)} steps of {self._step_bytes} bytes wait to be sent, and "
                f"{self._lacks_room()}. Wait for read() or result() of some before you send more."
            )
        self._number(transfer, step)
        if not self._send_at_once(transfer, values):
            self._queued.append((transfer, values))
            self._work.put(self)

    def _lacks_room(self) -> str:
        if self._opened is None:
            return "the channel is not open yet"
        return "no receiver has taken those before them"

    def _send_at_once(self, transfer: Transfer, values: list[Any]) -> bool:
        """Send if staging takes less than waking the thread that does it: little, computed, nothing before it."""
        opened = self._opened
        if self._queued or self._lent or opened is None or opened.set_bytes > AT_ONCE_BYTES_MAX:
            return False
        for value in values:
            if type(value) is np.ndarray:
                continue
            if not isinstance(value, dict) or any(type(part) is not np.ndarray for part in value.values()):
                return False
        chosen = self._hold(transfer)
        if chosen is None:
            return False
        try:
            if opened.set_bytes:
                self._lay(values, self._staging_of(chosen, opened), None)
        except CrossmeshError as error:
            self._end_in_turn(transfer, error)
            return True
        transfer._take()
        self._tell(transfer, chosen)
        return True

    def _end_in_turn(self, transfer: Transfer, error: CrossmeshError) -> None:
        """End a step for all parties, after those that were sent before it."""
        self._queued.append((transfer, error))
        self._work.put(self)

    def _tell(self, transfer: Transfer, chosen: int) -> None:
        """From here on the set is the agent's, until it says that the set is free, whatever comes of the call."""
        transfer._told = True
        try:
            self._session.control.send(self._session.number, self._channel, transfer.step, chosen)
        except CrossmeshError as error:
            self._end_in_turn(transfer, error)

    def _hold(self, holder: Transfer | _Lent) -> int | None:
        """Take a free staging set, if there is one. Holds the lock at the caller's."""
        if self._error is not None:
            raise fresh(self._error)
        try:
            chosen = self._holders.index(None)
        except ValueError:
            return None
        self._holders[chosen] = holder
        return chosen

    def _held(self, holder: Transfer | _Lent) -> list[int]:
        return [number for number, present in enumerate(self._holders) if present is holder]

    def _free(self, chosen: int, holder: Transfer | _Lent) -> None:
        """A set is free if it is still that holder's. Takes no lock: a finalizer calls it."""
        if self._holders[chosen] is holder:
            self._holders[chosen] = None
            if self._wanting:
                self._freed.put(None)

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
        limit = wait_seconds(timeout, "timeout of arrays")
        opened = self.wait_open(limit)
        places = self._places
        assert places is not None
        if not opened.set_bytes:
            return self._treedef.unflatten([{} for _ in self._leaves])
        lent = _Lent()
        try:
            self._await_free(lent, limit)
            return self._treedef.unflatten(places.by_device(self._lend(opened, places, lent)))
        except BaseException:
            self._take_back(lent)
            raise

    def _lend(self, opened: Opened, places: Places, lent: _Lent) -> list[Array]:
        """Arrays over a staging set, which is free again when nobody holds any of them, unless it was sent."""
        memory = self._session.arena.owned(
            opened.sets[self._held(lent)[0]], opened.set_bytes, lambda: self._take_back(lent)
        )
        arrays = places.over(memory)
        lent.start = memory.ctypes.data
        lent.arrays = [ref(array) for array in arrays]
        self._lent[lent.start] = lent
        return arrays

    def _lent_with(self, values: list[Any], opened: Opened) -> _Lent | None:
        """The lent set that the first tile lies in at its place, which is the channel's from now on."""
        if not self._lent or not opened.tiles:
            return None
        first = opened.tiles[0]
        source = read_tile(values[first.tensor], self._leaves[first.tensor], first)
        lent = self._lent.get(source.ctypes.data - first.offset)
        if lent is None or not lent.claim():
            return None
        del self._lent[lent.start]
        return lent

    def _take_back(self, lent: _Lent) -> None:
        # A finalizer: it may run while this very thread holds any lock, so it takes none.
        if lent.claim():
            if self._lent.get(lent.start) is lent:
                del self._lent[lent.start]
            for number in self._held(lent):
                self._free(number, lent)

    def _await_free(self, lent: _Lent, timeout: float | None) -> None:
        def taken() -> bool:
            return bool(self._held(lent)) or holding(self._lock, self._hold, lent) is not None

        if taken():
            return
        me = object()
        try:
            self._want(me)
            in_time = self._session.wait(taken, self._park, timeout, f"channel {self.name!r} has no free memory")
            self._want_no_more(me)
        except BaseException:
            self._want_no_more(me)
            raise
        if not in_time:
            raise TimeoutError(f"Channel {self.name!r} had no free memory within {timeout:g} s; steps are on it.")

    def _want(self, me: object) -> None:
        self._wanting.add(me)
        self._session.control.want_sets(self._session.number, 1)

    def _want_no_more(self, me: object) -> None:
        if me in self._wanting:
            self._wanting.discard(me)
            self._session.control.want_sets(self._session.number, -1)
            if self._wanting:
                self._freed.put(None)  # in case we had the news that was another's

    def _park(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._freed.get(timeout=seconds)

    def _begin_close(self) -> None:
        self._work.put(self)

    def _stage_queued(self) -> None:
        """Stage what is queued; the work of the thread beside the caller."""
        while self._queued:
            transfer, values = self._queued[0]
            if isinstance(values, list):
                self._stage_one(transfer, values)
            else:
                self._end_for_all(transfer, values)
            del transfer, values  # the caller's arrays are the caller's again
            self._queued.popleft()
        if self._closing and not self._over.is_set():
            self._close_channel()

    def _stage_one(self, transfer: Transfer, values: list[Any]) -> None:
        try:
            self._stage(transfer, values)
        except CrossmeshError as error:
            self._end_for_all(transfer, error)
        except BaseException as error:  # noqa: BLE001  (whatever reading the caller's arrays raises)
            text = self._cancellation(
                transfer,
                f"the tensors could not be read ({type(error).__name__}: {error}). An array must not be donated, "
                "deleted or closed before read() of its transfer has returned",
            )
            self._end_for_all(transfer, TransferCancelled(text))

    def _stage(self, transfer: Transfer, values: list[Any]) -> None:
        self._settled.wait()
        opened = self._opening()
        if transfer.done() or transfer._abandoned:
            return
        lent = self._lent_with(values, opened)
        if lent is None:
            chosen = self._await_set(transfer)
            if chosen is None:
                return
        else:
            chosen = self._held(lent)[0]
            self._holders[chosen] = transfer
        told = False
        try:
            if opened.set_bytes:
                self._lay(values, self._staging_of(chosen, opened), lent)
            transfer._take()
            if not transfer.done() and not transfer._abandoned:
                told = True
                self._tell(transfer, chosen)
        finally:
            if not told:
                self._free(chosen, transfer)

    def _await_set(self, transfer: Transfer) -> int | None:
        """A staging set for a step, or nothing if the step is over before there is one."""
        chosen = holding(self._lock, self._hold, transfer)
        if chosen is not None:
            return chosen
        me = object()
        self._want(me)
        try:
            while not transfer.done() and not transfer._abandoned:
                chosen = holding(self._lock, self._hold, transfer)
                if chosen is not None:
                    return chosen
                self._session.beside(partial(self._park, WAKE_SECONDS))
        finally:
            self._want_no_more(me)
        return None

    def _end_for_all(self, transfer: Transfer, error: CrossmeshError) -> None:
        """End a step for all parties; the agent may know of it or not."""
        awaited = not transfer.done()
        self._end_step(transfer, error)
        self._settled.wait()
        if self._opened is None or self._error is not None or not awaited:
            return
        text = str(error) if transfer._abandoned else f"The sending process failed: {error}"
        session = self._session
        try:
            session.control.cancel(session.number, self._channel, transfer.step, "TransferCancelled", text)
            for chosen in self._held(transfer):
                if transfer._told:
                    # If it was, the set is told free in its time; if not, it is refused, and told free at once.
                    session.control.send(session.number, self._channel, transfer.step, chosen)
                else:
                    self._free(chosen, transfer)
        except CrossmeshError as failure:
            self.on_failed(failure)  # nobody can tell which set is free

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
        if not self._holders:
            self._holders = [None] * (len(event.sets) or self._depth)
        super().on_open(event)

    def on_sent(self, event: Sent) -> None:
        """See `Listener`."""
        holder = self._holders[event.set]
        if type(holder) is Transfer and holder.step == event.step:
            self._free(event.set, holder)

    def on_delivered(self, event: Delivered) -> None:
        """See `Listener`."""
        transfer = self._transfers.get(event.step)
        if transfer is not None:
            transfer._finish(None)
            self._transfers.pop(event.step, None)

    def on_failed(self, error: CrossmeshError) -> None:
        """See `Listener`."""
        super().on_failed(error)
        if self._wanting:
            self._freed.put(None)
        self._work.put(None)


def _stage_all(work: queue.SimpleQueue[Sender | None], session: Session) -> None:
    """Serve a sender until it is over or nobody refers to it."""
    session.own_thread()
    try:
        while (sender := work.get()) is not None:
            sender._stage_queued()
            del sender
    finally:
        session.thread_over()


def _bytes_of(leaf: Leaf, boxes: set[Any]) -> int:
    cells: int = sum(math.prod(hi - lo for lo, hi in box) for box in boxes)
    return cells * int(leaf.dtype.itemsize)


def _index_of(tile: Tile, leaf: Leaf) -> Index:
    if tile_shape(tile) == leaf.shape:
        return None
    return tuple(slice(lo, hi) for lo, hi in tile.box)
