"""Who reads the events of a session: a thread of its own, or one that waits for what they bring."""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

# Without the names that the wrappers look up of what was set before, which takes longer than setting it.
_setsignal = inspect.unwrap(signal.signal)
_getsignal = inspect.unwrap(signal.getsignal)

WAIT_MILLIS = 1000
LINGER_SECONDS = 0.005
"""How long the reading thread leaves events to whoever waited last: who waits in a loop wakes no other thread."""


class Reader:
    """Reads events and tells them, on one thread at a time.

    A thread that waits for a transfer reads by itself meanwhile, since waking the reading thread, which then wakes the
    waiting one, takes twice as long. One does so at a time; others wait as for any future.

    What was taken is told, whatever happens: an interrupt from the keyboard is heard while a thread waits for events,
    and held back while it tells them.

    **Arguments:**

    - `wait`: waits up to so many milliseconds for events, takes none.
    - `tell`: takes the events that are there and tells them, without waiting; false when none will ever come again.
    - `nudge`: ends a present `wait`, or the next; false where that cannot be done.
    """

    def __init__(self, wait: Callable[[int], None], tell: Callable[[], bool], nudge: Callable[[], bool]) -> None:
        self._wait = wait
        self._tell = tell
        self._nudge = nudge
        self._turn = threading.Lock()
        self._changed = threading.Condition(threading.Lock())
        self._waiter: int | None = None
        self._beside = 0  # threads that wait for a future while another one reads
        self._left = 0.0
        self._over = False

    def run(self, until: Callable[[], bool]) -> None:
        """Read until the end; the work of the reading thread."""
        while not self._over and not until():
            with self._turn:
                self._wait(WAIT_MILLIS)
                self._read()
            with self._changed:
                while self._waiter is not None or self._lingers():
                    self._changed.wait(LINGER_SECONDS)

    def _lingers(self) -> bool:
        return self._beside == 0 and time.monotonic() - self._left < LINGER_SECONDS

    def until(self, done: Callable[[], bool], timeout: float | None) -> None:
        """Read on the calling thread until something is done, if nobody else that waits does so.

        Returns early when the time is over or no events will come.
        """
        me = threading.get_ident()
        deadline = None if timeout is None else time.monotonic() + timeout
        with _Shield() as shield:
            with self._changed:
                if self._waiter is not None or self._over:
                    return
                self._waiter = me
            turn = False
            try:
                turn = self._take_turn(deadline)
                while turn and not done() and not self._over:
                    left = WAIT_MILLIS if deadline is None else int(1000 * (deadline - time.monotonic()))
                    if left <= 0:
                        return
                    try:
                        shield.lift()
                        self._wait(min(left, WAIT_MILLIS))
                    finally:
                        shield.drop()
                    self._read()
            finally:
                shield.drop()
                if turn:
                    self._turn.release()
                with self._changed:
                    self._waiter = None
                    self._left = time.monotonic()
                    if self._beside:
                        self._changed.notify_all()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Around waiting for a future that another thread's reading brings: who leaves wakes the reading thread."""
        with self._changed:
            self._beside += 1
            if self._waiter is None:
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._beside -= 1

    @property
    def waited_elsewhere(self) -> bool:
        """Whether a thread other than this one reads while it waits for something."""
        return self._waiter not in (None, threading.get_ident())

    def _take_turn(self, deadline: float | None) -> bool:
        if self._turn.acquire(blocking=False):
            return True
        return self._nudge() and self._turn.acquire(
            timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())
        )

    def _read(self) -> None:
        if not self._over and not self._tell():
            self._over = True


class _Shield:
    """Holds interrupts from the keyboard back on the main thread, which alone hears them; elsewhere it does nothing."""

    def __init__(self) -> None:
        self._handler: Any = None
        self._lifted = False
        self._held = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            present = _getsignal(signal.SIGINT)
            if callable(present):
                self._handler = present
                _setsignal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is not None:
            _setsignal(signal.SIGINT, self._handler)
            self.lift()

    def lift(self) -> None:
        """They are heard from now on, also the one that was held back."""
        self._lifted = True
        if self._held:
            self._hear(signal.SIGINT, None)

    def drop(self) -> None:
        """They are held back again."""
        self._lifted = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._held = not self._lifted
        if self._lifted:
            self._handler(number, frame)
