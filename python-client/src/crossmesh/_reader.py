"""Who reads the events of a session: a thread of its own, or one that waits for what they bring."""

from __future__ import annotations

import contextlib
import inspect
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from ._beside import holding
from ._control import Asks

# Without the names that the wrappers look up of what was set before, which takes longer than setting it.
_setsignal = inspect.unwrap(signal.signal)
_getsignal = inspect.unwrap(signal.getsignal)

WAIT_MILLIS = 1000
LINGER_SECONDS = 0.005
"""How long the reading thread leaves events to whoever waited last: who waits in a loop wakes no other thread."""

HELD_BACK = (signal.SIGINT, signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals whose handlers people let raise."""

T = TypeVar("T")


class Reader:
    """Reads events and tells them, on one thread at a time.

    A thread that waits for a transfer reads by itself meanwhile, since waking the reading thread, which then wakes the
    waiting one, takes twice as long. One does so at a time; others wait as for any future.

    What was taken is told, whatever happens: a signal's handler is heard while a thread waits for events, and held back
    while it tells them. Where an exception comes all the same, the reading thread tells that event again.

    **Arguments:**

    - `wait`: waits up to so many milliseconds for events, takes none.
    - `tell`: takes the events that are there and tells them; false when none will ever come again. Its argument says
        whether this is the reading thread, which alone may ask the agent; for others, `Asks` leaves the rest to it.
    - `nudge`: ends a present `wait`, or the next; false where that cannot be done.
    """

    def __init__(self, wait: Callable[[int], None], tell: Callable[[bool], bool], nudge: Callable[[], bool]) -> None:
        self._wait = wait
        self._tell = tell
        self._nudge = nudge
        self._turn: Any = threading.RLock()  # of which a thread can tell whether it holds it
        self._guard = threading.Lock()
        self._changed = threading.Condition(self._guard)
        self._waiter: object | None = None
        self._beside: set[object] = set()  # who waits for a future while another thread reads
        self._left = 0.0
        self._over = False

    def run(self, until: Callable[[], bool]) -> None:
        """Read until the end; the work of the reading thread."""
        while not self._over and not until():
            with self._turn:
                self._wait(WAIT_MILLIS)
                if not self._over and not self._tell(True):
                    self._over = True
            with self._changed:
                while self._waiter is not None or self._lingers():
                    self._changed.wait(LINGER_SECONDS)

    def _lingers(self) -> bool:
        return not self._beside and time.monotonic() - self._left < LINGER_SECONDS

    @property
    def reading(self) -> bool:
        """Whether this very thread reads and tells events just now."""
        return bool(self._turn._is_owned())

    def until(self, done: Callable[[], bool], timeout: float | None) -> None:
        """Read on the calling thread until something is done, if nobody else that waits does so.

        Returns early when the time is over, no events will come, or the next is left to the reading thread.
        """
        me = object()
        shield = _Shield()
        try:
            shield.put_up()
            if holding(self._guard, self._enter, me):
                with contextlib.suppress(Asks):
                    self._read_until(done, None if timeout is None else time.monotonic() + timeout, shield)
            self._leave(me)
            shield.take_down()
        except BaseException:
            self._leave(me)
            shield.take_down()
            shield.hear()
            raise
        shield.hear()

    def _enter(self, me: object) -> bool:
        if self._waiter is not None or self._over:
            return False
        self._waiter = me
        return True

    def _read_until(self, done: Callable[[], bool], deadline: float | None, shield: _Shield) -> None:
        if not self._take_turn(deadline):
            return
        while not done() and not self._over:
            left = WAIT_MILLIS if deadline is None else int(1000 * (deadline - time.monotonic()))
            if left <= 0:
                return
            try:
                shield.lift()
                self._wait(min(left, WAIT_MILLIS))
            finally:
                shield.drop()
            if not self._over and not self._tell(False):
                self._over = True

    def _leave(self, me: object) -> None:
        """Let others read. Harmless when it is done twice."""
        if self._waiter is me:
            if self._turn._is_owned():
                self._turn.release()
            holding(self._guard, self._free, me)

    def _free(self, me: object) -> None:
        if self._waiter is me:
            self._left = time.monotonic()
            if self._beside:
                self._changed.notify_all()
            self._waiter = None

    def beside(self, wait: Callable[[], T]) -> T:
        """Wait for something that another thread's reading brings: the reading thread is woken for it."""
        me = object()
        try:
            holding(self._guard, self._join, me)
            result = wait()
            self._beside.discard(me)
        except BaseException:
            self._beside.discard(me)
            raise
        return result

    def _join(self, me: object) -> None:
        self._beside.add(me)
        if self._waiter is None:
            self._changed.notify_all()

    @property
    def waited_elsewhere(self) -> bool:
        """Whether a thread other than this one reads while it waits for something."""
        return self._waiter is not None and not self.reading

    def _take_turn(self, deadline: float | None) -> bool:
        if self._turn.acquire(blocking=False):
            return True
        return self._nudge() and bool(
            self._turn.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic()))
        )


class _Shield:
    """Holds signals back on the main thread, which alone hears them; elsewhere it does nothing."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._lifted = False
        self._down = False
        self._held: list[int] = []

    def put_up(self) -> None:
        """From now on they are held back."""
        if threading.current_thread() is threading.main_thread():
            for number in HELD_BACK:
                present = _getsignal(number)
                if callable(present):
                    self._handlers[number] = present
                    _setsignal(number, self._hear)

    def take_down(self) -> None:
        """The handlers are as they were before. Harmless when it is done twice."""
        self._down = True
        for number, handler in self._handlers.items():
            _setsignal(number, handler)

    def lift(self) -> None:
        """They are heard from now on, also those that were held back."""
        self._lifted = True
        self.hear()

    def drop(self) -> None:
        """They are held back again."""
        self._lifted = False

    def hear(self) -> None:
        """Let the handlers have what was held back."""
        while self._held:
            number = self._held.pop(0)
            self._handlers[number](number, None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._lifted or self._down:
            self._handlers[number](number, frame)
        else:
            self._held.append(number)
