"""What the two ends of a channel share: the opening, the numbering of steps, the end.

Opening does not wait: several ends can be opened one after the other by one thread, and what goes wrong comes out of
the first transfer, `plan` or `wait_open`. Nothing here moves a byte between hosts; the agent does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from ._errors import (
    AgentUnavailable,
    CrossmeshError,
    PeerLost,
    StepMismatch,
    TransferCancelled,
    TransferCorrupted,
    TransferTimeout,
)
from ._events import Delivered, Opened, Received, Sent, StepFailed
from ._plan import Plan, plan_held
from ._session import Session
from ._spec import Leaf
from ._transfer import Transfer
from ._tree import TreeDef

_log = logging.getLogger(__name__)

CLOSE_SECONDS_EXTRA = 10.0


_LOSSES = (PeerLost, AgentUnavailable, TransferTimeout, TransferCorrupted)
"""How a channel ends that nobody ended."""


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
        _log.debug("%s of channel %r opens on %r", type(self).__name__, name, session.host)
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
        self._session.origin.check()
        opened = self.wait_open()
        with self._lock:
            if self._plan is None:
                self._plan = plan_held(self._session.control, opened.plan)
            return self._plan

    def wait_open(self, timeout: float | None = None) -> Opened:
        """Wait until the channel is open.

        **Raises:** `TimeoutError` after `timeout` seconds; what ended the channel, if it did not open.
        """
        self._session.origin.check()
        if not self._settled.wait(timeout):
            raise TimeoutError(f"Channel {self.name!r} is not open after {timeout} s; the opening goes on.")
        with self._lock:
            if self._error is not None and self._opened is None:
                raise fresh(self._error)
            if self._opened is None:
                raise TransferCancelled(f"Channel {self.name!r} was closed before it opened. Open it again.")
            return self._opened

    def abort(self, reason: str) -> None:
        """End the channel for all parties, who get `TransferCancelled` with the reason."""
        self._session.origin.check()
        with self._lock:
            if self._error is not None or self._over.is_set():
                return
            with contextlib.suppress(CrossmeshError):
                self._session.control.abort(self._session.number, self._channel, reason)
        self.on_failed(TransferCancelled(f"Channel {self.name!r} was aborted here: {reason}"))

    def close(self) -> None:
        """End this side in order. A second call does nothing, nor does one in a forked child."""
        self.close_within(self._timeout + CLOSE_SECONDS_EXTRA)

    def close_within(self, seconds: float) -> None:
        """As `close`, for a channel whose timeout is longer than its closing may take."""
        if not self._session.origin.here:
            return
        with self._lock:
            first = not self._closing
            self._closing = True
        if first and not self._over.is_set():
            self._begin_close()
        self._over.wait(seconds)
        self.on_failed(TransferCancelled(f"Channel {self.name!r} is closed. Open it again."))

    def _begin_close(self) -> None:
        self._close_channel()

    def _close_channel(self) -> None:
        try:
            self._session.control.close_channel(self._session.number, self._channel)
        except CrossmeshError as error:
            self.on_failed(error)

    def _new_transfer(self, step: int | None) -> Transfer:
        """Number a step. Holds the lock at the caller's."""
        if self._error is not None:
            raise fresh(self._error)
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

    def _check_process(self) -> None:
        self._session.origin.check()

    def _cancel(self, transfer: Transfer, reason: str) -> None:
        text = f"Channel {self.name!r}, step {transfer.step}: {reason}"
        with self._lock:
            self._transfers.pop(transfer.step, None)
            opened = self._opened is not None
        transfer._fail(TransferCancelled(text + "."))
        self._tell_cancelled(transfer.step, text, opened)

    def _attend(self, transfer: Transfer, timeout: float | None) -> AbstractContextManager[None]:
        return self._session.attend(transfer, timeout)

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
        _log.info("%s of channel %r is open on %r", type(self).__name__, self.name, self.agent_name)

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
            first = self._error is None
            if self._error is None:
                self._error = error
            waiting = list(self._transfers.values())
            self._transfers.clear()
        self._settled.set()
        self._over.set()
        for transfer in waiting:
            transfer._fail(error)
        self._session.forget(self._channel)
        if first:
            level = logging.WARNING if isinstance(error, _LOSSES) and not self._closing else logging.INFO
            _log.log(level, "%s of channel %r is over: %s", type(self).__name__, self.name, error)

    def on_closed(self) -> None:
        """See `Listener`."""
        self.on_failed(TransferCancelled(f"Channel {self.name!r} is closed. Open it again."))

    def __enter__(self) -> Self:
        self._session.origin.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._session.origin.here:
            self.abort(f"{type(error).__name__}: {error}")
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._over.is_set() else "open" if self._opened is not None else "opening"
        return f"<{type(self).__name__} {self.name!r} on {self.agent_name!r}, {state}>"


def fresh(error: CrossmeshError) -> CrossmeshError:
    """The same error to raise once more, without the traceback of the first time."""
    return type(error)(str(error))
