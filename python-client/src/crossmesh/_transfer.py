"""The future of one step of a channel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import FINISHED
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ._errors import AgentUnavailable, CrossmeshError, TransferCancelled


class _Canceller(Protocol):
    def _cancel(self, transfer: Transfer, reason: str) -> None: ...

    def _check_process(self) -> None: ...

    def _attend(self, transfer: Transfer, timeout: float | None) -> AbstractContextManager[None]: ...


class Transfer(Future[Any]):
    """One step on its way: a `concurrent.futures.Future`.

    `result(timeout)` of a send ends when every receiver has the step; of a receive it returns the tree that arrived.
    When the time runs out it raises `TimeoutError` and the transfer lives on; a transfer that is dead raises its own
    error. Callbacks run on a thread of crossmesh or on one that waits for a result, and must not block.
    """

    def __init__(self, end: _Canceller, step: int) -> None:
        super().__init__()
        self._end = end
        self._step = step
        self._taken = False
        self._settled: threading.Event | None = None  # made by who waits for it, as hardly anybody does
        self._cancelled_here = False
        self._awaited: Callable[[], None] | None = None  # ends the wait of a thread that reads events meanwhile

    @property
    def step(self) -> int:
        """The step's number."""
        return self._step

    @property
    def progress(self) -> float:
        """0 before the bytes are taken, 0.5 on the way, 1 when the step is over."""
        if self.done():
            return 1.0
        return 0.5 if self._taken else 0.0

    def done(self) -> bool:
        """Whether it is over."""
        return self._state == FINISHED

    def running(self) -> bool:
        """Whether it is not over: a step is on its way from the call on."""
        return not self.done()

    def result(self, timeout: float | None = None) -> Any:
        """What the transfer brings; waits for it.

        **Arguments:**

        - `timeout`: seconds, or `None` to wait for as long as it takes.

        **Raises:** `TimeoutError` if it is not over in time, and it lives on; its own error if it failed.
        """
        self._check_process()
        if self.done():
            return super().result(0)
        start = time.monotonic()
        with self._end._attend(self, timeout):
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - start))
            return super().result(timeout)

    def read(self, timeout: float | None = None) -> None:
        """Wait until the bytes of `x` are taken: from then on it may be donated or overwritten.

        **Arguments:**

        - `timeout`: seconds, or `None` to wait for as long as it takes.

        **Raises:**

        `TimeoutError` if they are not taken in time; the transfer's own error if it failed before they were.
        """
        self._check_process()
        if not self._await_settled(timeout):
            raise TimeoutError(f"The tensors of step {self._step} were not read within {timeout} s; the send goes on.")
        if not self._taken:
            failure = self.exception(0)
            if failure is not None:
                raise failure

    def cancel(self) -> bool:
        """End this step for all parties: the others get `TransferCancelled`.

        **Returns:** whether it was not over already.
        """
        self._check_process()
        if self.done():
            return False
        self._cancelled_here = True
        self._end._cancel(self, "it was cancelled by the process that waits for it")
        return True

    def cancelled(self) -> bool:
        """Whether `cancel` ended it."""
        return self._cancelled_here and self.done() and isinstance(self.exception(0), TransferCancelled)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error of a transfer that failed, `None` if it did not; waits for it as `result`."""
        self._check_process()
        return super().exception(timeout)

    def _check_process(self) -> None:
        """Refuse in a forked child, where nothing ends a transfer; one that is over can be read."""
        try:
            self._end._check_process()
        except AgentUnavailable:
            if self._state != FINISHED:
                raise
            self._condition = threading.Condition()  # another thread of the parent may have held it

    def _await_settled(self, timeout: float | None) -> bool:
        with self._condition:
            if self._settled is None:
                self._settled = threading.Event()
        if self._taken or self.done():
            return True
        return self._settled.wait(timeout)

    def _settle(self) -> None:
        if self._settled is not None:
            self._settled.set()

    def _take(self) -> None:
        self._taken = True
        self._settle()

    def _finish(self, value: Any) -> None:
        try:
            self.set_result(value)
        except InvalidStateError:
            return  # Cancelled meanwhile: the one who cancelled has been told.
        finally:
            self._over()

    def _fail(self, error: CrossmeshError) -> None:
        # Each future raises an exception of its own: tracebacks of several threads must not mix.
        own = type(error)(str(error))
        own.__cause__ = error.__cause__
        try:
            self.set_exception(own)
        except InvalidStateError:
            return
        finally:
            self._over()

    def _over(self) -> None:
        self._settle()
        if self._awaited is not None:
            self._awaited()
