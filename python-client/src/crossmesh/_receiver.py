"""The end that receives: the agent tells where in the arena a step lies, and arrays are laid over it."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from ._arena import Bytes, aligned
from ._beside import holding
from ._channel import ChannelEnd
from ._errors import CrossmeshError, LayoutError, TooManySteps, TransferCancelled
from ._events import Opened, Received
from ._places import Places
from ._spec import Leaf
from ._transfer import Transfer

POSTED_STEPS_MAX = 16_384
"""How many steps of a channel may be asked for and not over."""


class Receiver(ChannelEnd):
    """The end that receives. Made by `Agent.receiver`."""

    _side = "dst"
    _lacks = "has not arrived"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unposted: list[int] = []
        self._abandoned: deque[Transfer] = deque()  # of calls that an exception ended
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

        `StepMismatch` for a step that is not larger; `TooManySteps` beyond 16,384 that are not over; what ended the
        channel, if it is over. After any other exception, as from an interrupt, the step is cancelled for all parties.

        !!! Example

            ```python
            pending = [rx.recv() for _ in range(4)]
            h = pending[0].result(timeout=30)
            ```
        """
        self._session.origin.check()
        number = self._step_number(step)
        transfer = Transfer(self)
        try:
            holding(self._lock, self._ask, transfer, number)
            return transfer
        except BaseException:
            if transfer.step >= 0:
                self._abandoned.append(transfer)
                self._session.calls.later(self._settle_abandoned)
            raise

    def _ask(self, transfer: Transfer, step: int | None) -> None:
        if self._abandoned:
            self._settle()
        if len(self._transfers) >= POSTED_STEPS_MAX:
            raise TooManySteps(
                f"Channel {self.name!r}: {len(self._transfers)} steps are asked for and have not arrived, which is as "
                "many as may be. Wait for some results before you ask for more."
            )
        self._number(transfer, step)
        if self._opened is None:
            self._unposted.append(transfer.step)
        else:
            self._post(transfer.step)

    def _post(self, step: int) -> None:
        try:
            self._session.control.recv(self._session.number, self._channel, step)
        except CrossmeshError as error:
            transfer = self._transfers.get(step)
            if transfer is not None:
                self._end_step(transfer, error)

    def _settle_abandoned(self) -> None:
        holding(self._lock, self._settle)

    def _settle(self) -> None:
        """End steps for all parties whose calls an exception ended; the agent may know of them or not."""
        while self._abandoned:
            transfer = self._abandoned[0]
            step = transfer.step
            if self._opened is not None:
                self._post(step)  # so that none is missing between those before and after
            elif step not in self._unposted:
                self._unposted.append(step)
            text = self._cancellation(transfer, "an exception ended recv() before it was done")
            self._tell_cancelled(step, text)
            self._end_step(transfer, TransferCancelled(text))
            self._abandoned.popleft()

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        with self._lock:
            twice = [_boxes_held_twice(leaf, self._session.host) for leaf in self._leaves]
            self._places = Places(event.tiles, self._leaves, lambda tile: tile.box in twice[tile.tensor])
            self._named = [number for number, leaf in enumerate(self._leaves) if leaf.named is not None]
            for step in self._unposted:
                self._post(step)
            self._unposted.clear()
            super().on_open(event)

    def on_received(self, event: Received) -> None:
        """See `Listener`."""
        opened = self._opened
        transfer = self._transfers.get(event.step)
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
        np.copyto(memory, self._session.copied(event, opened.set_bytes))
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
        self._transfers.pop(transfer.step, None)

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
