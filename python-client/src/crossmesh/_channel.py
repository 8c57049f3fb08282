"""The two ends of a channel as a trainer sees them.

Opening does not wait: several ends can be opened one after the other by one thread, and what goes wrong comes out of
the first transfer, `plan` or `wait_open`. Nothing here moves a byte between hosts; the agent does. A sender lays
tiles in staging sets of the arena, on a thread of its own, and tells the agent; a receiver is told where a step lies.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from ._arena import Bytes, aligned, tile_view
from ._control import Delivered, Opened, Received, Sent, StepFailed
from ._errors import CrossmeshError, LayoutError, StepMismatch, TransferCancelled
from ._plan import Plan, plan_from_document
from ._session import Session
from ._source import check_source, read_tile
from ._spec import Leaf
from ._transfer import Transfer
from ._tree import TreeDef

CLOSE_SECONDS_EXTRA = 10.0


class ChannelEnd:
    """What both ends share: the opening, the numbering of steps, the end."""

    _side = ""

    def __init__(
        self,
        session: Session,
        name: str,
        leaves: Sequence[Leaf],
        treedef: TreeDef,
        devices: Sequence[int],
        request: dict[str, Any],
    ) -> None:
        self.name = name
        self._session = session
        self._leaves = leaves
        self._treedef = treedef
        self._devices = frozenset(devices)
        self._boxes = [leaf.sharding.boxes(leaf.shape) for leaf in leaves]
        self._timeout = float(request["timeout"])
        self._depth = int(request["depth"])
        self._lock = threading.RLock()
        self._transfers: dict[int, Transfer] = {}
        self._last_step = -1
        self._opened: Opened | None = None
        self._error: CrossmeshError | None = None
        self._plan: Plan | None = None
        self._closing = False
        self._settled = threading.Event()  # open, failed or closed
        self._over = threading.Event()
        self._channel = -1
        session.open(request, self)

    @property
    def agent_name(self) -> str:
        """The host of the agent behind this end."""
        return self._session.host

    @property
    def depth(self) -> int:
        """The number of steps that may be on the wire."""
        return self._depth

    @property
    def plan(self) -> Plan:
        """The plan that every host of the channel made. Waits for the channel to open.

        **Raises:** what ended the channel, if it did not open.
        """
        opened = self.wait_open()
        with self._lock:
            if self._plan is None:
                control = self._session.control
                self._plan = plan_from_document(control, opened.plan, control.plan_json(opened.plan))
            return self._plan

    def wait_open(self, timeout: float | None = None) -> Opened:
        """Wait until the channel is open.

        **Raises:** `TimeoutError` after `timeout` seconds; what ended the channel, if it did not open.
        """
        if not self._settled.wait(timeout):
            raise TimeoutError(f"Channel {self.name!r} is not open after {timeout} s; the opening goes on.")
        with self._lock:
            if self._error is not None and self._opened is None:
                raise _fresh(self._error)
            if self._opened is None:
                raise TransferCancelled(f"Channel {self.name!r} was closed before it opened. Open it again.")
            return self._opened

    def abort(self, reason: str) -> None:
        """End the channel for all parties, who get `TransferCancelled` with the reason."""
        with self._lock:
            if self._error is not None or self._over.is_set():
                return
            with contextlib.suppress(CrossmeshError):
                self._session.control.abort(self._session.number, self._channel, reason)
        self.on_failed(TransferCancelled(f"Channel {self.name!r} was aborted here: {reason}"))

    def close(self) -> None:
        """End this side in order. A second call does nothing."""
        with self._lock:
            first = not self._closing
            self._closing = True
        if first and not self._over.is_set():
            self._begin_close()
        self._over.wait(self._timeout + CLOSE_SECONDS_EXTRA)
        self.on_failed(TransferCancelled(f"Channel {self.name!r} is closed. Open it again."))

    def _begin_close(self) -> None:
        raise NotImplementedError

    def _close_channel(self) -> None:
        try:
            self._session.control.close_channel(self._session.number, self._channel)
        except CrossmeshError as error:
            self.on_failed(error)

    def _new_transfer(self, step: int | None) -> Transfer:
        """Number a step. Holds the lock at the caller's."""
        if self._error is not None:
            raise _fresh(self._error)
        if self._closing:
            raise TransferCancelled(f"Channel {self.name!r} is closed on this side. Open it again.")
        number = self._last_step + 1 if step is None else int(step)
        if number <= self._last_step:
            raise StepMismatch(
                f"Channel {self.name!r}: step {number} comes after step {self._last_step} on this side. "
                "Steps grow; leave out `step` to have them counted."
            )
        self._last_step = number
        transfer = Transfer(self, number)
        self._transfers[number] = transfer
        return transfer

    def _cancel(self, transfer: Transfer, reason: str) -> None:
        text = f"Channel {self.name!r}, step {transfer.step}: {reason}"
        with self._lock:
            self._transfers.pop(transfer.step, None)
            opened = self._opened is not None
        transfer._fail(TransferCancelled(text + "."))
        self._tell_cancelled(transfer.step, text, opened)

    def _tell_cancelled(self, step: int, text: str, opened: bool) -> None:
        if opened:
            with contextlib.suppress(CrossmeshError):
                self._session.control.cancel(self._session.number, self._channel, step, "TransferCancelled", text + ".")

    def on_bound(self, channel: int) -> None:
        """See `Listener`."""
        self._channel = channel

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        with self._lock:
            self._opened = event
        self._settled.set()

    def on_sent(self, event: Sent) -> None:
        """See `Listener`."""

    def on_delivered(self, event: Delivered) -> None:
        """See `Listener`."""

    def on_received(self, event: Received) -> None:
        """See `Listener`."""

    def on_step_failed(self, event: StepFailed) -> None:
        """See `Listener`."""
        with self._lock:
            transfer = self._transfers.pop(event.step, None)
        if transfer is not None:
            transfer._fail(event.error)

    def on_failed(self, error: CrossmeshError) -> None:
        """See `Listener`."""
        with self._lock:
            if self._error is None:
                self._error = error
            waiting = list(self._transfers.values())
            self._transfers.clear()
        self._settled.set()
        self._over.set()
        for transfer in waiting:
            transfer._fail(error)
        self._session.forget(self._channel)

    def on_closed(self) -> None:
        """See `Listener`."""
        self.on_failed(TransferCancelled(f"Channel {self.name!r} is closed. Open it again."))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort(f"{type(error).__name__}: {error}")
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._over.is_set() else "open" if self._opened is not None else "opening"
        return f"<{type(self).__name__} {self.name!r} on {self.agent_name!r}, {state}>"


class Sender(ChannelEnd):
    """The end that sends. Made by `Agent.sender`."""

    _side = "src"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._work: queue.SimpleQueue[tuple[Transfer, list[Any]] | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._cancelled_early: list[tuple[int, str]] = []
        super().__init__(*arguments, **named)
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
        values = self._treedef.flatten_up_to(x)
        for value, leaf, boxes in zip(values, self._leaves, self._boxes, strict=True):
            check_source(value, leaf, boxes, self._devices)
        with self._lock:
            transfer = self._new_transfer(step)
            self._work.put((transfer, values))
        return transfer

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
        if not self._over.is_set():
            self._close_channel()

    def _stage_one(self, transfer: Transfer, values: list[Any]) -> None:
        try:
            self._stage(transfer, values)
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

    def _stage(self, transfer: Transfer, values: list[Any]) -> None:
        opened = self.wait_open()
        if transfer.done():
            return
        chosen = self._free.get()
        if chosen < 0:
            self._free.put(chosen)
            raise _fresh(self._error or TransferCancelled(f"Channel {self.name!r} is closed."))
        sent = False
        try:
            if transfer.done():
                return
            if opened.set_bytes:
                memory = self._session.arena.root(opened.sets[chosen], opened.set_bytes)
                for tile in opened.tiles:
                    leaf = self._leaves[tile.tensor]
                    source = read_tile(values[tile.tensor], leaf, tile)
                    np.copyto(tile_view(memory, tile, leaf.dtype), source, casting="no")
            transfer._take()
            with self._lock:
                if transfer.done():
                    return
                self._session.control.send(self._session.number, self._channel, transfer.step, chosen)
                sent = True
        finally:
            if not sent:
                self._free.put(chosen)

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
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


class Receiver(ChannelEnd):
    """The end that receives. Made by `Agent.receiver`."""

    _side = "dst"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unposted: list[int] = []
        self._copies = 0
        super().__init__(*arguments, **named)
        self._shared = [_boxes_held_twice(leaf, self._session.host) for leaf in self._leaves]

    @property
    def copies(self) -> int:
        """The steps that were copied out of the arena because it had no spare memory for the channel."""
        return self._copies

    def recv(self, step: int | None = None) -> Transfer:
        """Ask for the tensors of one step. Does not wait; steps may be asked for far ahead.

        **Arguments:**

        - `step`: the step's number, larger than the last one; by default the next.

        **Returns:**

        A `Transfer` whose `result()` is a tree of the stated structure: a `jax.Array` of that very sharding where the
        layout was stated as a `NamedSharding`, else `{device index: ndarray}` for the devices of this process, each
        array aligned to 64 bytes. Devices that hold the same tile share one read-only array. The memory is the
        agent's and goes back to it when the arrays are collected.

        **Raises:**

        `StepMismatch` for a step that is not larger; what ended the channel, if it is over.

        !!! Example

            ```python
            pending = [rx.recv() for _ in range(4)]
            h = pending[0].result(timeout=30)
            ```
        """
        with self._lock:
            transfer = self._new_transfer(step)
            if self._opened is None:
                self._unposted.append(transfer.step)
            else:
                self._post(transfer.step)
        return transfer

    def _post(self, step: int) -> None:
        try:
            self._session.control.recv(self._session.number, self._channel, step)
        except CrossmeshError as error:
            transfer = self._transfers.pop(step, None)
            if transfer is not None:
                transfer._fail(error)

    def _begin_close(self) -> None:
        self._close_channel()

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        with self._lock:
            super().on_open(event)
            for step in self._unposted:
                if step in self._transfers:
                    self._post(step)
            self._unposted.clear()

    def on_received(self, event: Received) -> None:
        """See `Listener`."""
        opened = self._opened
        with self._lock:
            transfer = self._transfers.pop(event.step, None)
        assert opened is not None
        if event.copy and transfer is not None:
            self._copies += 1
            self._session.copy_later(lambda: self._copy_out(transfer, event, opened))
            return
        memory = self._session.received(event, opened.set_bytes)
        if transfer is not None:
            self._hand_over(transfer, memory, opened)

    def _copy_out(self, transfer: Transfer, event: Received, opened: Opened) -> None:
        memory = aligned(opened.set_bytes)
        np.copyto(memory, self._session.received(event, opened.set_bytes))
        self._hand_over(transfer, memory, opened)

    def _hand_over(self, transfer: Transfer, memory: Bytes, opened: Opened) -> None:
        try:
            transfer._take()
            transfer._finish(self._arrange(memory, opened))
        except CrossmeshError as error:
            transfer._fail(error)
        except Exception as error:  # noqa: BLE001  (what JAX raises when it cannot take the tiles)
            failure = LayoutError(f"Channel {self.name!r}, step {transfer.step}: the tiles arrived, but {error!r}.")
            failure.__cause__ = error
            transfer._fail(failure)

    def _arrange(self, memory: Bytes, opened: Opened) -> Any:
        held: list[dict[int, np.ndarray[Any, Any]]] = [{} for _ in self._leaves]
        for tile in opened.tiles:
            array = tile_view(memory, tile, self._leaves[tile.tensor].dtype)
            if tile.box in self._shared[tile.tensor]:
                array.flags.writeable = False
            held[tile.tensor].update(dict.fromkeys(tile.devices, array))
        values: list[Any] = []
        for leaf, arrays in zip(self._leaves, held, strict=True):
            if leaf.named is None:
                values.append(dict(sorted(arrays.items())))
            else:
                from .jax import assemble

                values.append(assemble(arrays, leaf.named, leaf.shape))
        return self._treedef.unflatten(values)


def _fresh(error: CrossmeshError) -> CrossmeshError:
    return type(error)(str(error))


def _boxes_held_twice(leaf: Leaf, host: str) -> frozenset[tuple[tuple[int, int], ...]]:
    """The boxes that several devices of one host hold: their arrays are one memory, also across processes."""
    boxes = leaf.sharding.boxes(leaf.shape)
    here = [boxes[device] for device in leaf.sharding.mesh.devices_of(host)]
    return frozenset(box for box in here if here.count(box) > 1)
