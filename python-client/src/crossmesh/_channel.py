"""What the two ends of a channel share: the opening, the numbering of steps, the end.

Opening does not wait: several ends can be opened one after the other by one thread, and what goes wrong comes out of
the first transfer, `plan` or `wait_open`. Nothing here moves a byte between hosts; the agent does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from ._beside import Flag, Outcome, holding, silent
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
from ._numbers import STEP_MAX, wait_seconds, whole
from ._plan import Plan, plan_held
from ._session import LATE_SECONDS_MAX, Session
from ._spec import Leaf
from ._transfer import Transfer
from ._tree import TreeDef

_log = logging.getLogger(__name__)

ABORT_SECONDS_MAX = 10.0
"""How long `abort` waits for the agent to take it."""


_LOSSES = (PeerLost, AgentUnavailable, TransferTimeout, TransferCorrupted)
"""How a channel ends that nobody ended."""


class ChannelEnd:
    """What both ends share: the opening, the numbering of steps, the end."""

    _side = ""
    _lacks = "is not over"
    """What messages say of a step that is not over."""

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
        self._step_timeout: float | None = request["step_timeout"]
        self._depth = int(request["depth"])
        self._lock = threading.RLock()
        self._transfers: dict[int, Transfer] = {}
        self._last_step = -1
        self._opened: Opened | None = None
        self._error: CrossmeshError | None = None
        self._plan: Plan | None = None
        self._cancelled_early: list[tuple[int, str]] = []  # before the channel was open
        self._closing = False
        self._close_begun = False
        self._settled = Flag()  # open, failed or closed
        self._over = Flag()
        self._channel = -1
        self._due = time.monotonic() + self._timeout
        _log.debug("%s of channel %r opens on %r", type(self).__name__, name, session.host)
        session.ends.add(self)
        try:
            session.open(request, self, self._timeout)
        except BaseException as error:
            interrupted = TransferCancelled(f"An exception ended the opening of channel {name!r}. Open it again.")
            self.on_failed(error if isinstance(error, CrossmeshError) else interrupted)
            session.undo_open(self)
            raise

    @property
    def agent_name(self) -> str:
        """The host of the agent behind this end."""
        return self._session.host

    @property
    def depth(self) -> int:
        """The number of steps that may be on the wire."""
        return self._depth

    @property
    def channel(self) -> int:
        """See `Listener`."""
        return self._channel

    def is_over(self) -> bool:
        """Whether it is closed, or failed."""
        return self._over.is_set()

    @property
    def plan(self) -> Plan:
        """The plan that every host of the channel made. Waits for the channel to open.

        **Raises:** what ended the channel, if it did not open.
        """
        opened = self.wait_open()
        if self._plan is None:
            ask = partial(plan_held, self._session.control, opened.plan)
            self._plan = self._session.calls.run(ask, self._timeout, f"the plan of channel {self.name!r} is not there")
        return self._plan

    def wait_open(self, timeout: float | None = None) -> Opened:
        """Wait until the channel is open.

        **Raises:** `TimeoutError` after `timeout` seconds; what ended the channel, if it did not open.
        """
        self._session.origin.check()
        limit = wait_seconds(timeout, "timeout of an opening")
        what = f"channel {self.name!r} is not open"
        if not self._settled.is_set() and not self._session.wait(
            self._settled.is_set, self._settled.wait, limit, what, self._due
        ):
            raise TimeoutError(f"Channel {self.name!r} is not open after {limit:g} s; the opening goes on.")
        return self._opening()

    def _opening(self) -> Opened:
        opened, error = self._opened, self._error
        if opened is not None:
            return opened
        if error is not None:
            raise fresh(error)
        raise TransferCancelled(f"Channel {self.name!r} was closed before it opened. Open it again.")

    def abort(self, reason: str) -> None:
        """End the channel for all parties, who get `TransferCancelled` with the reason."""
        self._session.origin.check()
        told = self._begin_abort(reason)
        if told is not None and not self._session.in_callback:
            told.wait(ABORT_SECONDS_MAX)

    def _begin_abort(self, reason: str) -> Outcome | None:
        if self._error is not None or self._over.is_set():
            return None
        told = self._tell_aborted(reason)
        self.on_failed(TransferCancelled(f"Channel {self.name!r} was aborted here: {reason}"))
        return told

    def _tell_aborted(self, reason: str) -> Outcome:
        session = self._session
        return session.calls.later(partial(session.control.abort, session.number, self._channel, reason))

    def close(self) -> None:
        """End this side in order: steps that were sent are delivered first, for as long as the channel's timeout says.

        A second call does nothing, nor does one in a forked child. One in a callback begins the end, and waits for
        nothing.

        **Raises:**

        `TransferTimeout` if steps were not delivered in time, and they are given up; `AgentUnavailable` if the agent
        does not answer.
        """
        self.close_within(self._timeout)

    def close_within(self, seconds: float) -> None:
        """As `close`, for a channel whose timeout is longer than its closing may take."""
        if not self._session.origin.here:
            return
        self._start_close()
        if not self._session.in_callback:
            self._await_closed(time.monotonic() + seconds)

    def _start_close(self) -> None:
        self._closing = True
        if not self._close_begun and not self._over.is_set():
            self._begin_close()
            self._close_begun = True

    def _await_closed(self, deadline: float) -> None:
        over = self._over
        left = max(0.0, deadline - time.monotonic()) + LATE_SECONDS_MAX
        try:
            closed = over.is_set() or self._session.wait(
                over.is_set, over.wait, left, f"channel {self.name!r} is not closed", deadline
            )
        except AgentUnavailable as error:
            self.on_failed(error)
            raise
        if not closed:
            self._give_up()

    def _give_up(self) -> None:
        late = sorted(self._transfers)
        self._tell_aborted("it was closed, and its steps were not over in time")
        if not late:
            self.on_failed(TransferCancelled(f"Channel {self.name!r} is closed. Open it again."))
            return
        error = TransferTimeout(
            f"Channel {self.name!r} is closed, and step {late[0]} {self._lacks} after {self._timeout:g} s"
            + (f", nor are {len(late) - 1} after it" if len(late) > 1 else "")
            + ". It was given up. Wait for result() before you close, or open the channel with a larger timeout."
        )
        self.on_failed(error)
        raise fresh(error)

    def _begin_close(self) -> None:
        self._session.calls.later(self._close_channel)

    def _close_channel(self) -> None:
        try:
            self._session.control.close_channel(self._session.number, self._channel)
        except CrossmeshError as error:
            self.on_failed(error)

    def _step_number(self, step: Any) -> int | None:
        """A step as the caller gives it."""
        if step is None or (type(step) is int and -STEP_MAX <= step <= STEP_MAX):
            return step
        return whole(step, -STEP_MAX, STEP_MAX, f"Channel {self.name!r}: the number of a step")

    def _number(self, transfer: Transfer, step: int | None) -> None:
        """Number a step. Holds the lock at the caller's."""
        if self._error is not None:
            raise fresh(self._error)
        if self._closing:
            raise TransferCancelled(f"Channel {self.name!r} is closed on this side. Open it again.")
        number = self._last_step + 1 if step is None else step
        if number <= self._last_step:
            raise StepMismatch(
                f"Channel {self.name!r}: step {number} comes after step {self._last_step} on this side. "
                "Steps grow; leave out `step` to have them counted."
            )
        transfer._called = time.monotonic()
        transfer._step = self._last_step = number  # on one line: whoever has the number is known to have it
        self._transfers[number] = transfer

    def _check_process(self) -> None:
        self._session.origin.check()

    @property
    def _on_own_thread(self) -> bool:
        return threading.current_thread() is not threading.main_thread() and self._session.in_callback

    def _cancel(self, transfer: Transfer, reason: str) -> None:
        told = self._tell_cancelled(transfer.step, self._cancellation(transfer, reason))
        self._end_step(transfer, TransferCancelled(self._cancellation(transfer, reason)))
        if told is None or self._session.in_callback:
            return
        if not told.wait(self._timeout):
            raise silent(self._session.host, self._timeout, f"step {transfer.step} is cancelled here only")

    def _cancellation(self, transfer: Transfer, reason: str) -> str:
        return f"Channel {self.name!r}, step {transfer.step}: {reason}."

    def _end_step(self, transfer: Transfer, error: CrossmeshError) -> None:
        transfer._fail(error)
        self._transfers.pop(transfer.step, None)

    def _tell_cancelled(self, step: int, text: str) -> Outcome | None:
        """Have a step ended for all parties, once the channel is open."""
        if holding(self._lock, self._cancel_later, step, text):
            return None
        session = self._session
        return session.calls.later(
            partial(session.control.cancel, session.number, self._channel, step, "TransferCancelled", text)
        )

    def _cancel_later(self, step: int, text: str) -> bool:
        if self._opened is None:
            self._cancelled_early.append((step, text))
        return self._opened is None

    def _wait(self, transfer: Transfer, until: Callable[[], bool], timeout: float | None, what: str) -> bool:
        """Wait for a transfer, or for its bytes to be read."""
        limit = self._step_timeout
        due = None if limit is None else transfer._called + limit
        transfer._awaited = self._session.wake_waiter
        park = transfer._park if until == transfer.done else transfer._park_read
        return self._session.wait(until, park, timeout, what, due)

    def on_bound(self, channel: int) -> None:
        """See `Listener`."""
        self._channel = channel

    def on_open(self, event: Opened) -> None:
        """See `Listener`."""
        with self._lock:
            self._opened = event
            early, self._cancelled_early = self._cancelled_early, []
        self._settled.set()
        _log.info("%s of channel %r is open on %r", type(self).__name__, self.name, self.agent_name)
        for step, text in early:
            self._tell_cancelled(step, text)

    def on_sent(self, event: Sent) -> None:
        """See `Listener`."""

    def on_delivered(self, event: Delivered) -> None:
        """See `Listener`."""

    def on_received(self, event: Received) -> None:
        """See `Listener`."""

    def on_step_failed(self, event: StepFailed) -> None:
        """See `Listener`."""
        transfer = self._transfers.get(event.step)
        if transfer is not None:
            self._end_step(transfer, event.error)

    def on_failed(self, error: CrossmeshError) -> None:
        """See `Listener`."""
        first = holding(self._lock, self._note_failure, error)
        self._settled.set()
        self._over.set()
        for transfer in list(self._transfers.values()):
            self._end_step(transfer, error)
        self._session.forget(self._channel)
        if first:
            level = logging.WARNING if isinstance(error, _LOSSES) and not self._closing else logging.INFO
            _log.log(level, "%s of channel %r is over: %s", type(self).__name__, self.name, error)

    def _note_failure(self, error: CrossmeshError) -> bool:
        first = self._error is None
        if first:
            self._error = error
        return first

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
