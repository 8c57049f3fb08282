"""The end that receives: the agent tells where in the arena a step lies, and arrays are laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arena import Bytes, aligned
from ._channel import ChannelEnd
from ._errors import CrossmeshError, LayoutError
from ._events import Opened, Received
from ._spec import Leaf
from ._transfer import Transfer


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tile lies in a set, and whose it is."""

    tensor: int
    devices: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    shared: bool

    def over(self, memory: Bytes) -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = np.ndarray(self.shape, self.dtype, memory, self.offset)
        if self.shared:
            array.flags.writeable = False
        return array


class Receiver(ChannelEnd):
    """The end that receives. Made by `Agent.receiver`."""

    _side = "dst"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unposted: list[int] = []
        self._copies = 0
        self._places: list[_Place] = []
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
            self._places = _places(event, self._leaves, self._session.host)
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
        held: list[dict[int, np.ndarray[Any, Any]]] = [{} for _ in self._leaves]
        for place in self._places:
            array = place.over(memory)
            arrays = held[place.tensor]
            for device in place.devices:
                arrays[device] = array
        values: list[Any] = [dict(sorted(arrays.items())) if len(arrays) > 1 else arrays for arrays in held]
        named = [number for number, leaf in enumerate(self._leaves) if leaf.named is not None]
        if named:
            from .jax import assemble_all

            leaves = self._leaves
            made = assemble_all([(held[n], leaves[n].named, leaves[n].shape) for n in named])
            for number, whole in zip(named, made, strict=True):
                values[number] = whole
        return self._treedef.unflatten(values)


def _places(opened: Opened, leaves: Sequence[Leaf], host: str) -> list[_Place]:
    """What every step needs of the tiles, worked out once."""
    twice = [_boxes_held_twice(leaf, host) for leaf in leaves]
    return [
        _Place(
            tile.tensor,
            tile.devices,
            tuple(hi - lo for lo, hi in tile.box),
            leaves[tile.tensor].dtype,
            tile.offset if tile.bytes else 0,
            tile.box in twice[tile.tensor],
        )
        for tile in opened.tiles
    ]


def _boxes_held_twice(leaf: Leaf, host: str) -> frozenset[tuple[tuple[int, int], ...]]:
    """The boxes that several devices of one host hold: their arrays are one memory, also across processes."""
    boxes = leaf.sharding.boxes(leaf.shape)
    here = [boxes[device] for device in leaf.sharding.mesh.devices_of(host)]
    return frozenset(box for box in here if here.count(box) > 1)
