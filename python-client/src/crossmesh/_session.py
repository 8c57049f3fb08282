"""The threads of one connection to an agent: one hears its events, one gives received memory back."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ._arena import Arena, Bytes
from ._control import (
    ChannelFailed,
    Closed,
    Control,
    Delivered,
    Event,
    Opened,
    Received,
    Sent,
    StepFailed,
)
from ._errors import AgentUnavailable, CrossmeshError

WAIT_MILLIS = 1000
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
        self._pid = os.getpid()
        self.number = control.open_session(self._pid, f"process {self._pid}")
        self._listeners: dict[int, Listener] = {}
        self._lock = threading.Lock()
        self._out = 0
        self._closing = False
        self._ended = False
        self._failure: CrossmeshError | None = None
        self._copier: ThreadPoolExecutor | None = None
        self._returns: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._pump = threading.Thread(target=self._hear, name=f"crossmesh-events-{host}", daemon=True)
        self._returner = threading.Thread(target=self._give_back, name=f"crossmesh-returns-{host}", daemon=True)
        self._pump.start()
        self._returner.start()

    def open(self, request: dict[str, Any], listener: Listener) -> None:
        """Begin to open a channel; the listener hears the rest."""
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
        with self._lock:
            self._out += 1
        returns, ticket = self._returns, (event.channel, event.receipt)
        return self.arena.owned(event.base, nbytes, lambda: returns.put(ticket))

    def copy_later(self, job: Callable[[], None]) -> None:
        """Run something that takes long beside the pump."""
        with self._lock:
            if self._copier is None:
                self._copier = ThreadPoolExecutor(1, thread_name_prefix=f"crossmesh-copies-{self.host}")
            copier = self._copier
        copier.submit(job)

    def close(self) -> None:
        """Close; arrays that were received stay good, and the agent keeps their memory, until they are collected."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            idle = self._out == 0
        if idle:
            self._end()

    def _hear(self) -> None:
        while not self._ended:
            try:
                events = self.control.next_events(self.number, WAIT_MILLIS)
            except CrossmeshError as error:
                if not self._ended:
                    self._lost(error)
                return
            for event in events:
                with self._lock:
                    listener = self._listeners.get(event.channel)
                if listener is None:
                    self._unheard(event)
                else:
                    _tell(listener, event)
            # The last event must not keep what it carries alive while we wait for the next one.
            events = ()

    def _unheard(self, event: Event) -> None:
        if isinstance(event, Received):
            with contextlib.suppress(CrossmeshError):
                self.control.release(self.number, event.channel, event.receipt)

    def _lost(self, error: CrossmeshError) -> None:
        with self._lock:
            self._failure = error
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener.on_failed(error)

    def _give_back(self) -> None:
        while True:
            ticket = self._returns.get()
            if ticket is None:
                return
            if self._failure is None:
                with contextlib.suppress(CrossmeshError):
                    self.control.release(self.number, *ticket)
            with self._lock:
                self._out -= 1
                last = self._closing and self._out == 0
            if last:
                self._end()
                return

    def _end(self) -> None:
        self._ended = True
        if os.getpid() != self._pid:
            return
        with contextlib.suppress(CrossmeshError):
            self.control.close_session(self.number)
        self._returns.put(None)
        if self._copier is not None:
            self._copier.shutdown(wait=False)
        for thread in (self._pump, self._returner):
            if thread is not threading.current_thread():
                thread.join(JOIN_SECONDS_MAX)
        self._on_end()


def _tell(listener: Listener, event: Event) -> None:
    match event:
        case Opened():
            listener.on_open(event)
        case Sent():
            listener.on_sent(event)
        case Delivered():
            listener.on_delivered(event)
        case Received():
            listener.on_received(event)
        case StepFailed():
            listener.on_step_failed(event)
        case ChannelFailed():
            listener.on_failed(event.error)
        case Closed():
            listener.on_closed()
