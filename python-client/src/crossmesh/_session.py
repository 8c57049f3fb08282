"""One connection to an agent: who hears its events, and how received memory goes back."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet, ref

from . import _fork
from ._arena import Arena, Bytes, sweep
from ._beside import Callers, Outcome, silent
from ._control import Asks, Control
from ._errors import AgentUnavailable, CallbackWaits, CrossmeshError
from ._events import ChannelFailed, Closed, Delivered, Event, Opened, Received, Sent, StepFailed
from ._reader import WAIT_MILLIS, Reader

JOIN_SECONDS_MAX = 5.0
END_SECONDS_MAX = 10.0
EVENTS_AT_ONCE_MAX = 4096

SWEEP_SECONDS = 1.0
SILENCE_SECONDS = 5.0
"""How long a wait lasts before the agent is asked whether it is there."""
ANSWER_SECONDS_MAX = 10.0
"""How long it may take to answer that."""
LATE_SECONDS_MAX = 1.2
"""As `ANSWER_SECONDS_MAX`, once the agent should have ended what is waited for."""

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """A channel's end, told what happens. Called on the pump thread; must not block."""

    @property
    def channel(self) -> int:
        """The channel's number, -1 until it has one."""

    def is_over(self) -> bool:
        """Whether it is told nothing more."""

    def on_bound(self, channel: int) -> None:
        """The channel has its number; before anything else is told."""

    def on_open(self, event: Opened) -> None:
        """The channel is open."""

    def on_sent(self, event: Sent) -> None:
        """A staging set is free."""

    def on_delivered(self, event: Delivered) -> None:
        """A step is everywhere."""

    def on_received(self, event: Received) -> None:
        """A step is here."""

    def on_step_failed(self, event: StepFailed) -> None:
        """A step is over."""

    def on_failed(self, error: CrossmeshError) -> None:
        """The channel is over."""

    def on_closed(self) -> None:
        """The channel is closed as asked."""


class Session:
    """What a process has at one agent. Ends when it is closed *and* every received array is collected.

    The ends of channels are heard for as long as somebody refers to them: one that is collected is closed.
    """

    def __init__(self, control: Control, arena: Arena, host: str, on_end: Callable[[], None] = lambda: None) -> None:
        self.control = control
        self.arena = arena
        self.host = host
        self.calls = Callers(host)
        self._on_end = on_end
        self.origin = _fork.Origin()
        self.number = control.open_session(os.getpid(), f"process {os.getpid()}")
        self._listeners: dict[int, ref[Listener]] = {}
        self.ends: WeakSet[Any] = WeakSet()  # of channels, for whoever closes them all
        self._undone: deque[Listener] = deque()
        self._collected: deque[int] = deque()  # channels whose end nobody refers to any more
        self._opening = threading.Lock()
        self._lock = threading.Lock()
        self._out: set[tuple[int, int]] = set()  # receipts of sets that somebody may still read
        self._closing = False
        self._ended = False
        self._failure: CrossmeshError | None = None
        self._copier: ThreadPoolExecutor | None = None
        self._own_threads: set[int] = set()
        self._pinged: tuple[Outcome, float] | None = None
        self._swept = 0.0
        self._telling: Event | None = None
        self._handing: tuple[tuple[int, int], Bytes] | None = None
        self._returns: deque[tuple[int, int]] = deque()
        self._returning: Any = threading.RLock()  # of which a thread can tell whether it holds it
        self._ring = control.has_ring(self.number)
        self._reader = Reader(self._wait, self._hear, lambda: control.nudge(self.number))
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._pump = threading.Thread(target=self._pump_all, name=f"crossmesh-events-{host}", daemon=True)
        self._pump.start()

    def open(self, request: dict[str, Any], listener: Listener, timeout: float) -> None:
        """Begin to open a channel; the listener hears the rest, for as long as somebody else refers to it."""
        self.origin.check()
        name = request["name"]
        self.calls.run(partial(self._open, request, listener), timeout, f"channel {name!r} is not open")

    def undo_open(self, listener: Listener) -> None:
        """An exception came in `open`: if the channel is open, or will be, it is closed before another is opened."""
        self._undone.append(listener)
        self.calls.later(self._undo_opens)

    def _undo_opens(self) -> None:
        with self._opening:
            self._close_collected()

    def _open(self, request: dict[str, Any], listener: Listener) -> None:
        with self._opening:
            self._close_collected()
            if listener.is_over():
                return
            if self._failure is not None:
                raise type(self._failure)(str(self._failure))
            if self._closing:
                raise AgentUnavailable(f"The connection to agent {self.host!r} is closed. Connect again.")
            channel = self.control.open_channel(self.number, request)
            listener.on_bound(channel)
            self._listeners[channel] = ref(listener, partial(self._end_collected, channel))
            if listener.is_over():
                self._undone.append(listener)
                self._close_collected()

    def _end_collected(self, channel: int, _: object) -> None:
        # A finalizer: this very thread may hold any lock just now, so it waits for none.
        if channel in self._listeners and self.origin.here:
            self._collected.append(channel)
            with contextlib.suppress(CrossmeshError):
                self._wake()

    def _close_collected(self) -> None:
        """Close the channels whose ends are gone. Holds the lock of openings at the caller's."""
        channels = [listener.channel for listener in self._undone]
        self._undone.clear()
        while self._collected:
            channels.append(self._collected.popleft())
        for channel in channels:
            self._listeners.pop(channel, None)
            if channel >= 0:
                with contextlib.suppress(CrossmeshError):
                    self.control.close_channel(self.number, channel)

    def forget(self, channel: int) -> None:
        """Hear no more of a channel that is over."""
        self._listeners.pop(channel, None)

    def received(self, event: Received, nbytes: int) -> Bytes:
        """The memory of a received set, which goes back to the agent when nothing reads it any more."""
        ticket = (event.channel, event.receipt)
        if self._handing is None or self._handing[0] != ticket:  # else the event is told again
            self._out.add(ticket)
            self._handing = ticket, self.arena.owned(event.base, nbytes, partial(self._unread, ticket))
        return self._handing[1]

    def copied(self, event: Received, nbytes: int) -> Bytes:
        """As `received`, for memory that is read out now."""
        ticket = (event.channel, event.receipt)
        self._out.add(ticket)
        return self.arena.owned(event.base, nbytes, partial(self._unread, ticket))

    def _unread(self, ticket: tuple[int, int]) -> None:
        # A finalizer: this very thread may hold any lock just now, so it waits for none.
        if not self.origin.here:
            return  # the parent may read the memory still
        self._returns.append(ticket)
        if not self._ring or not self._give_back() or self._closing:
            self._wake()

    def wake_waiter(self) -> None:
        """End the wait of a thread that hears events meanwhile: what it waits for has come without one."""
        if self._reader.waited_elsewhere:
            self.control.nudge(self.number)

    def _wake(self) -> None:
        self._bell.put(None)
        self.control.nudge(self.number)

    def _give_back(self) -> bool:
        """Give back what nobody reads any more, as far as that is possible without waiting; whether all of it is."""
        lock = self._returning
        if lock._is_owned():
            return False  # a finalizer in the middle of this
        try:
            if not lock.acquire(blocking=False):
                return False
            while self._returns:
                ticket = self._returns[0]
                if ticket in self._out and not self._release(ticket):
                    break
                self._out.discard(ticket)
                self._returns.popleft()
            lock.release()
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        return not self._returns

    def _release(self, ticket: tuple[int, int]) -> bool:
        if self._failure is not None or self._ended:
            return True
        try:
            return self.control.release(self.number, *ticket)
        except CrossmeshError:
            return True  # with the agent its memory is gone too

    def beside(self, wait: Callable[[], object]) -> None:
        """Wait for something that events bring; for threads that are not the caller's."""
        self._reader.beside(wait)

    def copy_later(self, job: Callable[[], None]) -> None:
        """Run something that takes long beside the pump."""
        with self._lock:
            if self._copier is None:
                name = f"crossmesh-copies-{self.host}"
                self._copier = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=self.own_thread)
            copier = self._copier
        copier.submit(job)

    def own_thread(self) -> None:
        """The calling thread is one that steps need to go on: a callback must not wait on it."""
        self._own_threads.add(threading.get_ident())

    def thread_over(self) -> None:
        """The calling thread, which said `own_thread`, ends."""
        self._own_threads.discard(threading.get_ident())

    @property
    def in_callback(self) -> bool:
        """Whether the calling thread tells events, or does what they need: nothing comes while it waits."""
        return self._reader.reading or threading.get_ident() in self._own_threads

    def close(self) -> None:
        """Close; arrays that were received stay good, and the agent keeps their memory, until they are collected.

        In a forked child it does nothing: the connection is the parent's.
        """
        if not self.origin.here:
            return
        with self._lock:
            if self._closing:
                return
            self._closing = True
        if self._out:
            self._wake()
        else:
            self._end()

    def wait(
        self,
        done: Callable[[], bool],
        park: Callable[[float], object],
        timeout: float | None,
        what: str,
        due: float | None = None,
    ) -> bool:
        """Wait until something is done; on the calling thread events are heard meanwhile.

        **Arguments:**

        - `park`: waits so many seconds for it while another thread hears events.
        - `timeout`: seconds, or `None` to wait for as long as the agent answers.
        - `what`: what is not so, in the words of messages.
        - `due`: when the agent would have ended it, on the monotonic clock, if it ends by itself.

        **Returns:** whether it is done.

        **Raises:** `AgentUnavailable` if the agent does not answer; `CallbackWaits` on a thread that hears events.
        """
        self.origin.check()
        if self.in_callback:
            raise CallbackWaits(
                f"A callback waits on a thread that its own connection needs, to agent {self.host!r}, and {what}: "
                "neither could go on. Wait on a thread of your own; a callback may look at what is done."
            )
        watch = _Watch(self, what, due)
        end = None if timeout is None else time.monotonic() + timeout
        while not done():
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            self._attend(done, park, watch.patience(now) if end is None else min(end - now, watch.patience(now)))
            if not done():
                watch.look()
        return True

    def _attend(self, done: Callable[[], bool], park: Callable[[float], object], seconds: float) -> None:
        start = time.monotonic()
        if self._ring:
            self._reader.until(done, seconds)
            if done():
                return
        left = start + seconds - time.monotonic()
        if left > 0:
            self._reader.beside(partial(park, left))

    def ping(self) -> tuple[Outcome, float]:
        """Ask the agent whether it is there; the answer, and when it was asked."""
        pinged = self._pinged
        if pinged is None or pinged[0].done():
            pinged = self._pinged = self.calls.later(self.control.ping), time.monotonic()
        return pinged

    def _pump_all(self) -> None:
        self._reader.run(lambda: self._ended)
        while not self._ended:
            self._bell.get()  # the agent is gone: what is left is to notice the last array's end
            self._end_if_unread()

    def _end_if_unread(self) -> None:
        if threading.current_thread() is self._pump and time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            sweep()
        self._give_back()
        if self._closing and not self._out and threading.current_thread() is self._pump:
            self._end()

    def _wait(self, wait_millis: int) -> None:
        if self._ring:
            self.control.await_events(self.number, wait_millis)

    def _hear(self, ask: bool) -> bool:
        """Tell what has happened; false when nothing more will."""
        if ask and self._collected:
            self.calls.later(self._undo_opens)
        self._end_if_unread()
        if self._ended:
            return False
        for _ in range(EVENTS_AT_ONCE_MAX):
            try:
                event = self.control.next_event(self.number, 0 if self._ring else WAIT_MILLIS, ask=ask)
            except CrossmeshError as error:
                if not self._ended:
                    self._lost(error)
                return False
            if event is None:
                break
            self._hear_one(event, ask=ask)
            self.control.event_told(self.number)
            self._telling = self._handing = None
            if not self._ring:
                break
        self.control.events_taken(self.number)
        return True

    def _hear_one(self, event: Event, *, ask: bool) -> None:
        """Tell an event, perhaps once more, where an exception came in the middle of it on another thread."""
        if self._telling is not None and self._telling != event:
            self._handing = None
        self._telling = event
        listener = self._listener_of(event, ask=ask)
        if listener is None:
            self._unheard(event)
        elif not ask:
            if isinstance(event, Received) and event.copy:
                raise Asks
            _tell(listener, event)
        else:
            try:
                _tell(listener, event)
            except BaseException as error:  # noqa: BLE001  (this thread must not end)
                _log.exception("Agent %r told %r, which failed here.", self.host, event)
                listener.on_failed(
                    CrossmeshError(f"What agent {self.host!r} told could not be taken: {type(error).__name__}: {error}")
                )

    def _listener_of(self, event: Event, *, ask: bool) -> Listener | None:
        found = self._listeners.get(event.channel)
        if found is None and self._opening.locked():
            if not ask:
                raise Asks
            with self._opening:  # the channel may get its number just now
                found = self._listeners.get(event.channel)
        return None if found is None else found()

    def _unheard(self, event: Event) -> None:
        """What is told of a channel whose end nobody has any more."""
        if isinstance(event, Received):
            ticket = (event.channel, event.receipt)
            self._out.add(ticket)
            self._returns.append(ticket)
            self._give_back()
        elif isinstance(event, Opened) and event.channel not in self._listeners:
            self.calls.later(partial(self.control.close_channel, self.number, event.channel))

    def _lost(self, error: CrossmeshError) -> None:
        self._failure = error
        if not self._closing:
            _log.warning("the agent of host %r is lost: %s", self.host, error)
        for found in list(self._listeners.values()):
            listener = found()
            if listener is not None:
                listener.on_failed(error)

    def _end(self) -> None:
        if threading.current_thread() is self._pump:
            self.calls.later(self._end_now)
        else:
            with contextlib.suppress(CrossmeshError):
                self.calls.run(self._end_now, END_SECONDS_MAX, "the connection is not closed")

    def _end_now(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        closing = self.calls.later(partial(self.control.close_session, self.number))
        closing.wait(JOIN_SECONDS_MAX)
        if self._copier is not None:
            self._copier.shutdown(wait=False)
        self._wake()
        self._pump.join(JOIN_SECONDS_MAX)
        self._on_end()
        self.calls.close()


class _Watch:
    """Looks after the agent while something is waited for: it may be stopped, and then nothing ends the wait."""

    __slots__ = ("_due", "_look", "_ping", "_session", "_what")

    def __init__(self, session: Session, what: str, due: float | None) -> None:
        self._session = session
        self._what = what
        self._due = due
        self._ping: tuple[Outcome, float] | None = None
        self._look = time.monotonic() + SILENCE_SECONDS
        if due is not None:
            self._look = min(self._look, due)

    def patience(self, now: float) -> float:
        """How long to wait before the next look."""
        return max(0.001, (self._look if self._ping is None else self._give_up()) - now)

    def look(self) -> None:
        """Ask the agent, or see what came of that.

        **Raises:** `AgentUnavailable` if it does not answer.
        """
        now = time.monotonic()
        if self._ping is None:
            if now >= self._look:
                self._ping = self._session.ping()
        elif self._ping[0].done():
            self._ping[0].result()
            self._ping, self._look = None, now + SILENCE_SECONDS
        elif now >= self._give_up():
            raise silent(self._session.host, now - self._ping[1], self._what)

    def _give_up(self) -> float:
        assert self._ping is not None
        latest = self._ping[1] + ANSWER_SECONDS_MAX
        if self._due is None:
            return latest
        return min(latest, max(self._due, self._ping[1]) + LATE_SECONDS_MAX)


def _tell(listener: Listener, event: Event) -> None:
    match event:
        case Received():
            listener.on_received(event)
        case Delivered():
            listener.on_delivered(event)
        case Sent():
            listener.on_sent(event)
        case Opened():
            listener.on_open(event)
        case StepFailed():
            listener.on_step_failed(event)
        case ChannelFailed():
            listener.on_failed(event.error)
        case Closed():
            listener.on_closed()
