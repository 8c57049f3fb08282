"""The future of one step of a channel."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import FINISHED
from typing import Any, Protocol

from ._beside import Flag
from ._errors import AgentUnavailable, CrossmeshError, TransferCancelled
from ._numbers import wait_seconds

_log = logging.getLogger(__name__)

_RLock: Any = type(threading.RLock())


class _Lock(_RLock):  # type: ignore[misc]
    """What a future takes for its condition, of which `Transfer` needs the lock alone: it waits elsewhere.

    A signal's handler may raise where Python code takes or gives back a lock, as that of `threading.Condition` does,
    and the lock stays held for good. This lock is taken and given back in C.
    """

    def notify_all(self) -> None:
        """Nobody waits for it."""


class _End(Protocol):
    name: str
    _lacks: str

    def _cancel(self, transfer: Transfer, reason: str) -> None: ...

    def _check_process(self) -> None: ...

    def _wait(self, transfer: Transfer, until: Callable[[], bool], timeout: float | None, what: str) -> bool: ...

    @property
    def _on_own_thread(self) -> bool: ...


class Transfer(Future[Any]):
    """One step on its way: a `concurrent.futures.Future`.

    `result(timeout)` of a send ends when every receiver has the step; of a receive it returns the tree that arrived.
    When the time runs out it raises `TimeoutError` and the transfer lives on; a transfer that is dead raises its own
    error. Callbacks run on a thread of crossmesh or on one that waits for a result, and must not block.
    """

    def __init__(self, end: _End) -> None:
        super().__init__()
        self._condition = _Lock()
        self._end = end
        self._step = -1  # until the call has taken a number
        self._called = 0.0
        self._taken = False
        self._told = False  # the agent may know of it
        self._abandoned = False  # an exception came out of the call: nobody knows of this
        self._settled: Flag | None = None  # made by who waits for it, as hardly anybody does
        self._ended: Flag | None = None
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
        if self._state != FINISHED:
            self._wait_over(timeout)
        if self._exception is not None:
            raise self._exception
        return self._result

    def _wait_over(self, timeout: float | None) -> None:
        limit = wait_seconds(timeout, "timeout of a result")
        if not self._end._wait(self, self.done, limit, f"{self._label} {self._end._lacks}"):
            raise TimeoutError(f"S{self._label[1:]} {self._end._lacks} after {limit:g} s. It lives on: wait again.")

    @property
    def _label(self) -> str:
        return f"step {self._step} of channel {self._end.name!r}"

    def _park(self, seconds: float) -> None:
        """Wait while another thread hears events."""
        if self._ended is None:
            self._ended = Flag()
        ended = self._ended
        if self._state != FINISHED:
            ended.wait(seconds)

    def read(self, timeout: float | None = None) -> None:
        """Wait until the bytes of `x` are taken: from then on it may be donated or overwritten.

        **Arguments:**

        - `timeout`: seconds, or `None` to wait for as long as it takes.

        **Raises:**

        `TimeoutError` if they are not taken in time; the transfer's own error if it failed before they were.
        """
        if self._taken:
            return
        self._check_process()
        limit = wait_seconds(timeout, "timeout of a read")
        if self._state != FINISHED and not self._await_settled(limit):
            raise TimeoutError(f"The tensors of {self._label} were not read within {limit:g} s. The send goes on.")
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
        if self._state != FINISHED:
            self._wait_over(timeout)
        return self._exception

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Have a function called with this transfer when it is over, or now if it is; see the class for the thread.

        What it raises is logged.
        """
        super().add_done_callback(_Callback(self._end, fn))

    def _check_process(self) -> None:
        """Refuse in a forked child, where nothing ends a transfer; one that is over can be read."""
        try:
            self._end._check_process()
        except AgentUnavailable:
            if self._state != FINISHED:
                raise
            self._condition = _Lock()  # another thread of the parent may have held it

    def _await_settled(self, timeout: float | None) -> bool:
        if self._settled is None:
            self._settled = Flag()
        settled = self._settled
        if self._taken or self._state == FINISHED:
            return True
        return self._end._wait(self, settled.is_set, timeout, f"{self._label} is not read")

    def _settle(self) -> None:
        if self._settled is not None:
            self._settled.set()
        if self._ended is not None and self._state == FINISHED:
            self._ended.set()
        if self._awaited is not None and self._state == FINISHED:
            self._awaited()

    def _take(self) -> None:
        self._taken = True
        self._settle()

    def _park_read(self, seconds: float) -> None:
        if self._settled is not None:
            self._settled.wait(seconds)

    def _finish(self, value: Any) -> None:
        try:
            self.set_result(value)
        except InvalidStateError:
            self._tell_again()
        self._settle()

    def _fail(self, error: CrossmeshError) -> None:
        # Each future raises an exception of its own: tracebacks of several threads must not mix.
        own = type(error)(str(error))
        own.__cause__ = error.__cause__
        try:
            self.set_exception(own)
        except InvalidStateError:
            self._tell_again()
        self._settle()

    def _tell_again(self) -> None:
        """It was over before, perhaps by a call in which an exception came: who waits is told what he was not."""
        self._invoke_callbacks()  # type: ignore[attr-defined]


class _Callback:
    """A function to call once, whatever it raises."""

    def __init__(self, end: _End, function: Callable[[Future[Any]], object]) -> None:
        self._end = end
        self._function = function
        self._called = False

    def __call__(self, transfer: Future[Any]) -> None:
        if self._called:
            return
        self._called = True
        try:
            self._function(transfer)
        except Exception:  # noqa: BLE001  (as every future)
            _log.exception("A callback of %r raised.", transfer)
        except BaseException:
            if not self._end._on_own_thread:
                raise  # an interrupt, which is meant for who called us
            _log.exception("A callback of %r raised.", transfer)
