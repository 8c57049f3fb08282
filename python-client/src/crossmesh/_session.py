"""One connection to an agent: who hears its events, and how received memory goes back."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from . import _fork
from ._arena import Arena, Bytes
from ._control import Control
from ._errors import AgentUnavailable, CrossmeshError
from ._events import ChannelFailed, Closed, Delivered, Event, Opened, Received, Sent, StepFailed
from ._reader import WAIT_MILLIS, Reader
from ._transfer import Transfer

_log = logging.getLogger(__name__)

JOIN_SECONDS_MAX = 5.0


class Listener(Protocol):
    """A channel's end, told what happens. Called on the pump thread; must not block."""

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
    """What a process has at one agent. Ends when it is closed *and* every received array is collected."""

    def __init__(self, control: Control, arena: Arena, host: str, on_end: Callable[[], None] = lambda: None) -> None:
        self.control = control
        self.arena = arena
        self.host = host
        self._on_end = on_end
        self.origin = _fork.Origin()
        self.number = control.open_session(os.getpid(), f"process {os.getpid()}")
        self._listeners: dict[int, Listener] = {}
        self._lock = threading.Lock()
        self._out: set[tuple[int, int]] = set()  # receipts of sets that somebody may still read
        self._closing = False
        self._ended = False
        self._failure: CrossmeshError | None = None
        self._copier: ThreadPoolExecutor | None = None
        self._returns: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._returning = threading.Lock()
        self._ring = control.has_ring(self.number)
        self._reader = Reader(self._wait, self._hear, lambda: control.nudge(self.number))
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._pump = threading.Thread(target=self._pump_all, name=f"crossmesh-events-{host}", daemon=True)
        self._pump.start()

    def open(self, request: dict[str, Any], listener: Listener) -> None:
        """Begin to open a channel; the listener hears the rest."""
        self.origin.check()
        with self._lock:
            if self._failure is not None:
                raise type(self._failure)(str(self._failure))
            if self._closing:
                raise AgentUnavailable(f"The connection to agent {self.host!r} is closed. Connect again.")
            channel = self.control.open_channel(self.number, request)
            listener.on_bound(channel)
            self._listeners[channel] = listener

    def forget(self, channel: int) -> None:
        """Hear no more of a channel that is over."""
        with self._lock:
            self._listeners.pop(channel, None)

    def received(self, event: Received, nbytes: int) -> Bytes:
        """The memory of a received set, which goes back to the agent when nothing reads it any more."""
        ticket = (event.channel, event.receipt)
        self._out.add(ticket)
        return self.arena.owned(event.base, nbytes, partial(self._unread, ticket))

    def _unread(self, ticket: tuple[int, int]) -> None:
        # A finalizer: this very thread may hold any lock just now, so it waits for none.
        if not self.origin.here:
            return  # the parent may read the memory still
        self._returns.put(ticket)
        if not self._ring or not self._give_back() or self._closing:
            self._wake()

    def _wake_waiter(self) -> None:
        if self._reader.waited_elsewhere:
            self.control.nudge(self.number)

    def _wake(self) -> None:
        self._bell.put(None)
        self.control.nudge(self.number)

    def _give_back(self) -> bool:
        """Give back what nobody reads any more, as far as that is possible without waiting; whether all of it is."""
        while not self._returns.empty():
            if not self._returning.acquire(blocking=False):
                return False
            try:
                ticket = self._returns.get_nowait()
                if self._release(ticket):
                    self._out.discard(ticket)
                else:
                    self._returns.put(ticket)
                    return False
            except queue.Empty:
                return True
            finally:
                self._returning.release()
        return True

    def _release(self, ticket: tuple[int, int]) -> bool:
        if self._failure is not None or self._ended:
            return True
        try:
            return self.control.release(self.number, *ticket)
        except CrossmeshError:
            return True  # with the agent its memory is gone too

    def copy_later(self, job: Callable[[], None]) -> None:
        """Run something that takes long beside the pump."""
        with self._lock:
            if self._copier is None:
                self._copier = ThreadPoolExecutor(1, thread_name_prefix=f"crossmesh-copies-{self.host}")
            copier = self._copier
        copier.submit(job)

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

    def attend(self, transfer: Transfer, timeout: float | None) -> AbstractContextManager[None]:
        """Hear events on the calling thread until a transfer is over, or the time. Another thread may do so already.

        **Returns:** what to wait for the transfer in, after that.
        """
        self.origin.check()
        if not self._ring or threading.current_thread() is self._pump:
            return contextlib.nullcontext()
        # What ends elsewhere brings no event: a step that is copied out of the arena, one that cannot be read.
        transfer._awaited = self._wake_waiter
        self._reader.until(transfer.done, timeout)
        return contextlib.nullcontext() if transfer.done() else self._reader.beside()

    @contextlib.contextmanager
    def wanting_a_set(self) -> Iterator[None]:
        """What to wait in for a staging set to become free."""
        self.control.want_sets(self.number, 1)
        try:
            with self._reader.beside():
                yield
        finally:
            self.control.want_sets(self.number, -1)

    def _pump_all(self) -> None:
        self._reader.run(lambda: self._ended)
        while not self._ended:
            self._bell.get()  # the agent is gone: what is left is to notice the last array's end
            self._end_if_unread()

    def _end_if_unread(self) -> None:
        self._give_back()
        if self._closing and not self._out and threading.current_thread() is self._pump:
            self._end()

    def _wait(self, wait_millis: int) -> None:
        if self._ring:
            self.control.await_events(self.number, wait_millis)

    def _hear(self) -> bool:
        """Tell what has happened; false when nothing more will."""
        self._end_if_unread()
        if self._ended:
            return False
        try:
            events = self.control.next_events(self.number, 0 if self._ring else WAIT_MILLIS)
        except CrossmeshError as error:
            if not self._ended:
                self._lost(error)
            return False
        for event in events:
            with self._lock:
                listener = self._listeners.get(event.channel)
            if listener is None:
                self._unheard(event)
            else:
                _tell(listener, event)
        return True

    def _unheard(self, event: Event) -> None:
        if isinstance(event, Received):
            self._returns.put((event.channel, event.receipt))
            self._give_back()

    def _lost(self, error: CrossmeshError) -> None:
        with self._lock:
            self._failure = error
            listeners = list(self._listeners.values())
        if not self._closing:
            _log.warning("the agent of host %r is lost: %s", self.host, error)
        for listener in listeners:
            listener.on_failed(error)

    def _end(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        with contextlib.suppress(CrossmeshError):
            self.control.close_session(self.number)
        if self._copier is not None:
            self._copier.shutdown(wait=False)
        if threading.current_thread() is not self._pump:
            self._wake()
            self._pump.join(JOIN_SECONDS_MAX)
        self._on_end()


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
