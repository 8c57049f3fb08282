"""Calls that may block are made beside the caller, who waits for them as long as it says.

An interrupt, or a time that is over, reaches who waits and not the call: what was begun ends as it would have, and a
connection is never left in the middle of an answer.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ._errors import AgentUnavailable

THREADS_MAX = 8
"""Calls at a time. While an agent does not answer, each holds a thread until its connection gives up."""

T = TypeVar("T")


def holding(lock: Any, call: Callable[..., T], *arguments: Any) -> T:
    """Call something while holding a lock.

    On one line, as an exception that a debugger or a tracer raises where a `with` block ends would leave the lock held.
    """
    with lock: return call(*arguments)  # fmt: skip  # noqa: E701


class Flag:
    """Something that happens once, to wait for.

    As `threading.Event`, but a signal's handler may raise anywhere in `wait`: that leaves a condition of `threading`
    with its lock held, or a lock let go that was not.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: set[queue.SimpleQueue[None]] = set()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    def set(self) -> None:
        """Say so. Once more does no harm."""
        self._set = True
        for waiting in list(self._waiting):
            waiting.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it; whether it has happened."""
        if self._set:
            return True
        mine: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            self._waiting.add(mine)
            if not self._set:
                with contextlib.suppress(queue.Empty):
                    mine.get(timeout=timeout)
            self._waiting.discard(mine)
        except BaseException:
            self._waiting.discard(mine)
            raise
        return self._set


class Outcome:
    """What comes of a call that is made beside the caller."""

    def __init__(self, job: Callable[[], Any]) -> None:
        self._job: Callable[[], Any] | None = job
        self._over = Flag()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call, unless it was given up before."""
        try:
            job, self._job = self._job, None
            if job is not None:
                self._result = job()
        except BaseException as error:  # noqa: BLE001  (whoever waits raises it)
            self._error = error
        del job  # nothing it refers to lives on by it
        self._over.set()

    def give_up(self) -> None:
        """Nobody waits any more: not to be begun if it is not yet."""
        self._job = None

    def done(self) -> bool:
        """Whether it is over."""
        return self._over.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until it is over; whether it is."""
        return self._over.wait(timeout)

    def result(self) -> Any:
        """What a call that is over brought, or its error."""
        if self._error is not None:
            raise self._error
        return self._result


def wait_for_all(outcomes: Iterable[Outcome], timeout: float) -> None:
    """Wait until all are over, or the time."""
    deadline = time.monotonic() + timeout
    for outcome in outcomes:
        outcome.wait(max(0.0, deadline - time.monotonic()))


class Callers:
    """The threads that make calls to an agent. They are made when needed, and kept until `close`."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._jobs: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # a job may run inside, and call
        self._threads = 0
        self._unfinished = 0
        self._closed = False

    def later(self, job: Callable[[], Any]) -> Outcome:
        """Make a call and wait for nothing."""
        outcome = Outcome(job)
        holding(self._lock, self._add, outcome)
        return outcome

    def run(self, job: Callable[[], T], timeout: float, what: str) -> T:
        """Make a call and wait for it.

        **Raises:** what it raises; `AgentUnavailable` if it is not over in time. It may then still take effect.
        """
        outcome = self.later(job)
        if not outcome.wait(timeout):
            outcome.give_up()
            raise silent(self._host, timeout, what)
        result: T = outcome.result()
        return result

    def close(self) -> None:
        """Let the threads end when what is called has ended."""
        holding(self._lock, self._close)

    def _close(self) -> None:
        self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _add(self, outcome: Outcome) -> None:
        self._jobs.put(outcome)
        self._unfinished += 1
        if self._unfinished > self._threads and self._threads < THREADS_MAX:
            try:
                threading.Thread(target=self._work, name=f"crossmesh-calls-{self._host}", daemon=True).start()
            except RuntimeError:  # the interpreter ends, and starts no more threads
                self._jobs.put(None)
                self._work()
                return
            self._threads += 1
            if self._closed:
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            del job
            with self._lock:
                self._unfinished -= 1


def silent(host: str, seconds: float, what: str) -> AgentUnavailable:
    """The error of a wait that an agent's silence made too long."""
    return AgentUnavailable(
        f"Agent {host!r} does not answer: it has been silent for {seconds:.3g} s, and {what}. "
        "It may be stopped, swapped out or overloaded: look at its process and its log."
    )
