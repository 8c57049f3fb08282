"""The end that receives: the agent tells where in the arena a step lies, and arrays are laid over it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arena import Bytes, aligned
from ._channel import ChannelEnd
from ._errors import CrossmeshError, LayoutError
from ._events import Opened, Received
from ._places import Places
from ._spec import Leaf
from ._transfer import Transfer


class Receiver(ChannelEnd):
    """The end that receives. Made by `Agent.receiver`."""

    _side = "dst"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unposted: list[int] = []
        self._copies = 0
        self._places: Places | None = None
        self._named: list[int] = []
        super().__init__(*arguments, **named)

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
        agent's and goes back to it when the arrays are collected; the `Transfer` holds them too.

        **Raises:**

        `StepMismatch` for a step that is not larger; what ended the channel, if it is over.

        !!! Example

            ```python
            pending = [rx.recv() for _ in range(4)]
            h = pending[0].result(timeout=30)
            ```
        """
        self._session.origin.check()
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

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        with self._lock:
            twice = [_boxes_held_twice(leaf, self._session.host) for leaf in self._leaves]
            self._places = Places(event.tiles, self._leaves, lambda tile: tile.box in twice[tile.tensor])
            self._named = [number for number, leaf in enumerate(self._leaves) if leaf.named is not None]
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
            self._hand_over(transfer, memory)

    def _copy_out(self, transfer: Transfer, event: Received, opened: Opened) -> None:
        memory = aligned(opened.set_bytes)
        np.copyto(memory, self._session.received(event, opened.set_bytes))
        self._hand_over(transfer, memory)

    def _hand_over(self, transfer: Transfer, memory: Bytes) -> None:
        try:
            transfer._take()
            transfer._finish(self._arrange(memory))
        except CrossmeshError as error:
            transfer._fail(error)
        except Exception as error:  # noqa: BLE001  (what JAX raises when it cannot take the tiles)
            failure = LayoutError(f"Channel {self.name!r}, step {transfer.step}: the tiles arrived, but {error!r}.")
            failure.__cause__ = error
            transfer._fail(failure)

    def _arrange(self, memory: Bytes) -> Any:
        places = self._places
        assert places is not None
        values: list[Any] = [*places.by_device(places.over(memory))]
        if self._named:
            from ._jax_arrays import assemble_all

            leaves = self._leaves
            made = assemble_all([(values[n], leaves[n].named, leaves[n].shape) for n in self._named])
            for number, whole in zip(self._named, made, strict=True):
                values[number] = whole
        return self._treedef.unflatten(values)


def _boxes_held_twice(leaf: Leaf, host: str) -> frozenset[tuple[tuple[int, int], ...]]:
    """The boxes that several devices of one host hold: their arrays are one memory, also across processes."""
    boxes = leaf.sharding.boxes(leaf.shape)
    here = [boxes[device] for device in leaf.sharding.mesh.devices_of(host)]
    return frozenset(box for box in here if here.count(box) > 1)
