"""The calls that all processes of a job make together: numbered, compared, and given up together.

Each call is a step of one channel that joins all processes: an all-gather of rows, one from each (`_statement.py`).
A step is whole when every process has made its call of that number. So all processes see the same rows, and find the
same of them, without another word.

A process that gives a call up ends the channel for all. The next call opens another one, where numbers begin anew.
Calls that a process has posted ahead, without waiting, are posted there once more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._agent import Agent
from ._channel import ChannelEnd
from ._errors import CrossmeshError, PeerLost, PlanMismatch, TransferCancelled, TransferTimeout
from ._jax_private import Store
from ._mesh import Mesh
from ._sharding import Sharding
from ._spec import TensorSpec
from ._statement import ROW_BYTES, Row, Stated, after_failure, disagreement, last_failed, refusal_row
from ._transfer import Transfer

CHANNEL_SECONDS = 30 * 24 * 3600.0
"""The timeout of the channel. It stands for as long as the job; each call brings a timeout of its own."""

CLOSE_SECONDS = 10.0
DEPTH = 4
AHEAD_MAX = 64
"""Calls that a process without shards may be ahead of the slowest process. After those it waits."""

ASK_SECONDS_FIRST = 0.1
ASK_SECONDS_MAX = 2.0
"""How often a process that waits looks at the coordinator for what a channel that is not open yet cannot tell."""

WHAT = "cm.jax.reshard"

_log = logging.getLogger("crossmesh.reshard")


@dataclass(eq=False)
class Call:
    """One call of this process."""

    row: Row
    tensors: Sequence[Stated]
    numbers: _Numbers
    number: int = 0
    arrived: Transfer | None = None
    told: int = 0  # the generation in which the coordinator was told of it

    @property
    def done(self) -> bool:
        """Whether the rows of all processes are there, or never will be."""
        return self.arrived is not None and self.arrived.done()


@dataclass(eq=False)
class _Numbers:
    """Calls that are numbered together: one channel, from its opening to the first call that was given up."""

    generation: int
    sender: Any
    receiver: Any
    count: int = 0
    failed: int = 0
    ahead: list[Call] = field(default_factory=list)
    posted: float = field(default_factory=time.monotonic)  # when this process last made a call, by its clock

    @property
    def ends(self) -> tuple[ChannelEnd, ChannelEnd]:
        return self.sender, self.receiver

    @property
    def over(self) -> bool:
        return any(end._over.is_set() for end in self.ends)

    @property
    def is_open(self) -> bool:
        return self.receiver._opened is not None

    def post(self, call: Call, rank: int) -> None:
        """Number a call and give its row."""
        call.numbers, call.number = self, self.count + 1
        self.sender.send({rank: after_failure(call.row, self.failed).reshape(1, ROW_BYTES)}, call.number)
        call.arrived = self.receiver.recv(call.number)
        self.count = call.number
        self.posted = time.monotonic()
        self.ahead.append(call)


class Calls:
    """The calls of one process of a job.

    **Arguments:**

    - `job`: the name of the job.
    - `store`: its key-value store, if it has one.
    - `agent`: the agent of this process.
    - `rank`: the number of this process.
    - `places`: host and local device index of a device of each process.
    """

    def __init__(
        self, job: str, store: Store | None, agent: Agent, rank: int, places: Sequence[tuple[str, int]]
    ) -> None:
        self.job = job
        self._store = store
        self._agent = agent
        self._rank = rank
        self._places = list(places)
        self._lock = threading.RLock()
        self._numbers: _Numbers | None = None
        self._closed = False
        self._timeout = 0.0
        self._watcher: threading.Thread | None = None
        self._left = threading.Event()  # calls that this process does not wait for

    def post(self, row: Row, tensors: Sequence[Stated], timeout: float) -> Call:
        """Say that this process makes a call. Waits only if it is more than `AHEAD_MAX` calls ahead of the others."""
        with self._lock:
            self._timeout = timeout
            numbers = self._current()
            call = Call(row, tensors, numbers)
            try:
                numbers.post(call, self._rank)
            except CrossmeshError:
                if not numbers.over:
                    raise
                self._current().post(call, self._rank)
            oldest = call.numbers.ahead[0]
        if len(call.numbers.ahead) > AHEAD_MAX:
            self.agree(oldest, timeout)
        return call

    def post_and_leave(self, row: Row, tensors: Sequence[Stated], timeout: float) -> None:
        """As `post`, for a process that does not wait for the others. They learn of the call all the same."""
        self.post(row, tensors, timeout)
        with self._lock:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch_all, name="crossmesh-calls", daemon=True)
                self._watcher.start()
        self._left.set()

    def refuse(self, error: BaseException, timeout: float) -> None:
        """Tell the others that this process does not make the call that they wait for, and why."""
        with contextlib.suppress(CrossmeshError):
            self.post_and_leave(refusal_row(str(error) or type(error).__name__), (), timeout)

    def epoch(self, call: Call) -> str:
        """What tells channels that stand apart from those that ended with a call that failed."""
        return f"{self.job}/{call.numbers.generation}.{call.numbers.failed}"

    def fail(self, call: Call, error: BaseException) -> None:
        """This process failed in a call that it has made."""
        with self._lock:
            call.numbers.failed = max(call.numbers.failed, call.number)
        reason = f"{type(error).__name__}: {error}"
        self._put(f"failed/{call.numbers.generation}.{call.number}/{self._rank}", reason)

    def await_open(self, call: Call, ends: Iterable[ChannelEnd]) -> None:
        """Wait for channels that all processes open in a call, since no channel tells yet who failed in it.

        **Raises:** `TransferCancelled` if another process did; what ended a channel.
        """
        pause = ASK_SECONDS_FIRST
        for end in ends:
            while not end._settled.wait(pause):
                pause = min(2 * pause, ASK_SECONDS_MAX)
                for rank, reason in self._find(f"failed/{call.numbers.generation}.{call.number}").items():
                    raise TransferCancelled(
                        f"Call {call.number} of {WHAT} moves nothing: {self._named([int(rank)])} failed in it: {reason}"
                    )

    def agree(self, call: Call, timeout: float) -> Row:
        """Wait until all processes have made a call, and compare.

        **Returns:** the rows of all processes.

        **Raises:**

        `PlanMismatch` if they differ, `TransferCancelled` if a process refused it, `TransferTimeout` if one did not
        make it in time, `PeerLost` if one ended or is lost. All but the first two end these numbers.
        """
        deadline = time.monotonic() + timeout
        pause = min(ASK_SECONDS_FIRST, timeout / 4)
        while True:
            left = deadline - time.monotonic()
            arrived = call.arrived
            assert arrived is not None
            try:
                rows = np.array(arrived.result(max(0.0, min(left, pause)))[self._rank])
                break
            except CrossmeshError as error:
                self._broken(call, error)
            except TimeoutError:
                if left <= pause:
                    self._give_up(call, timeout)
                self._say_called(call)
                if not call.numbers.is_open:
                    self._look(call)
                pause = min(2 * pause, ASK_SECONDS_MAX)
        self._settle(call, rows)
        return rows

    def close(self) -> None:
        """Leave the job. What was posted is delivered first, as far as the others come for it."""
        with contextlib.suppress(CrossmeshError):
            self._deliver(time.monotonic() + self._timeout)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            numbers = self._numbers
        self._left.set()
        if numbers is None:
            return
        self._put(f"ended/{self._rank}", "ended")
        if not all(call.done for call in numbers.ahead):
            self._abort(numbers, f"process {self._rank} has ended")
        for end in numbers.ends:
            with contextlib.suppress(CrossmeshError):
                end.close_within(CLOSE_SECONDS)

    def _deliver(self, deadline: float) -> None:
        """Wait until the others have made the calls that this process did not wait for."""
        while time.monotonic() < deadline:
            with self._lock:
                numbers = self._numbers
                if numbers is None or not numbers.ahead or self._closed:
                    return
                if numbers.over:
                    if numbers.ahead[-1].number <= self._failed(numbers)[0]:
                        return
                    numbers = self._renew()
                waiting = [call.arrived for call in numbers.ahead if not call.done]
            if not waiting:
                return
            with contextlib.suppress(CrossmeshError, TimeoutError):
                if waiting[0] is not None:
                    waiting[0].result(ASK_SECONDS_FIRST)

    def _current(self) -> _Numbers:
        numbers = self._numbers
        if numbers is None or numbers.over or self._given_up(numbers):
            return self._renew()
        self._settle_ahead(numbers)
        return numbers

    def _given_up(self, numbers: _Numbers) -> bool:
        """Whether others gave up the call that this process is about to make, as far as they can have done so.

        The rows of the others may be here already, and the end of the channel still on its way: the row of this process
        would make the step whole, with the values of a call that nobody makes any more. Others wait for at least a
        timeout after the last call that all made, so this asks the coordinator only after half of that.
        """
        if time.monotonic() - numbers.posted < self._timeout / 2:
            return False
        return str(numbers.generation) in self._find("over")

    def _renew(self) -> _Numbers:
        """Number anew, and post there what was posted after the call that failed."""
        old = self._numbers
        generation = 1
        again: list[Call] = []
        if old is not None:
            failed, why = self._failed(old)
            self._put_over(old, failed, why)
            again = [call for call in old.ahead if call.number > failed]
            old.ahead = [call for call in old.ahead if call.number <= failed]
            self._settle_ahead(old)
            for end in old.ends:
                end.abort("its calls are numbered anew")
            generation = old.generation + 1
            _log.warning("Calls of %s are numbered anew after call %d: %s", WHAT, failed, why)
        generation = max([generation, *(int(number) + 1 for number in self._find("over"))])
        name = f"{WHAT}/{self.job}/calls/{generation}"
        mesh = Mesh((len(self._places),), devices=self._places)
        spec = TensorSpec((len(self._places), ROW_BYTES), "uint8")
        stated: dict[str, Any] = {"depth": DEPTH, "timeout": CHANNEL_SECONDS, "devices": [self._rank]}
        sender = self._agent.sender(name, spec, Sharding(mesh, "S0 R"), **stated)
        receiver = self._agent.receiver(name, spec, Sharding(mesh, "R R"), **stated)
        self._numbers = numbers = _Numbers(generation, sender, receiver)
        for call in again:
            numbers.post(call, self._rank)
        return numbers

    def _settle(self, call: Call, rows: Row) -> None:
        """Take note of what all processes said."""
        with self._lock:
            numbers = call.numbers
            numbers.ahead = [other for other in numbers.ahead if other.number > call.number]
            numbers.failed = max(numbers.failed, last_failed(rows))
            wrong = disagreement(rows, call.tensors)
            if wrong is None:
                return
            numbers.failed = max(numbers.failed, call.number)
        why, refused = wrong
        if refused:
            raise TransferCancelled(f"Call {call.number} of {WHAT} moves nothing: {why}")
        raise PlanMismatch(
            f"Call {call.number} of {WHAT} moves nothing: {why}. Make the same call on every process of the job."
        )

    def _settle_ahead(self, numbers: _Numbers) -> None:
        """Hear of calls that this process did not wait for."""
        while numbers.ahead and numbers.ahead[0].done:
            call = numbers.ahead[0]
            assert call.arrived is not None
            try:
                self._settle(call, np.array(call.arrived.result(0)[self._rank]))
            except CrossmeshError as error:
                if numbers.ahead and numbers.ahead[0] is call:
                    return  # the channel is over
                _log.warning("%s", error)

    def _failed(self, numbers: _Numbers) -> tuple[int, str]:
        """The last call of this process that ended with its numbers, and why they ended.

        A process that others gave up has not made the call that they gave up: what it calls comes after it.
        """
        found = self._find("over").get(str(numbers.generation))
        if found is not None:
            over = json.loads(found)
            return int(over["call"]) - (self._rank in over["late"]), str(over["why"])
        error = numbers.receiver._error or numbers.sender._error
        return (numbers.ahead[0].number if numbers.ahead else numbers.count), str(error)

    def _broken(self, call: Call, error: CrossmeshError) -> None:
        """The channel of a call is over: it goes on in the next one, if it is not the call that ended it.

        **Raises:** what ended it.
        """
        with self._lock:
            if not call.done:
                return  # another thread has posted it again
            numbers = call.numbers
            failed, why = self._failed(numbers)
            self._put_over(numbers, failed, why)
            if call.number > failed:
                self._renew()
                return
            numbers.ahead = [other for other in numbers.ahead if other.number > failed]
            for end in numbers.ends:
                end.abort(why)
        ended = sorted(int(rank) for rank in self._find("ended"))
        if ended:
            raise PeerLost(f"Call {call.number} of {WHAT} cannot be made: {self._named(ended)} ended before it.")
        if isinstance(error, PeerLost):
            raise PeerLost(f"Call {call.number} of {WHAT} cannot be made by all processes: {why}")
        raise TransferCancelled(f"Call {call.number} of {WHAT} was given up: {why}")

    def _look(self, call: Call) -> None:
        """Hear what a channel that is not open cannot tell: that others gave up or ended.

        **Raises:** what it is.
        """
        found = self._find("over").get(str(call.numbers.generation))
        ended = sorted(int(rank) for rank in self._find("ended"))
        if ended:
            why = f"{self._named(ended)} ended before it."
            self._abort(call.numbers, why)
            raise PeerLost(f"Call {call.number} of {WHAT} cannot be made: {why}")
        if found is not None:
            self._abort(call.numbers, json.loads(found)["why"])

    def _give_up(self, call: Call, timeout: float) -> None:
        self._say_called(call)
        called = self._find(f"called/{call.numbers.generation}.{call.number}")
        missing = [rank for rank in range(len(self._places)) if str(rank) not in called and rank != self._rank]
        who = self._named(missing) if missing and self._store is not None else "Some process"
        why = f"{who} did not make it within {timeout:g} s. Every process of the job makes the same calls."
        self._put_over(call.numbers, call.number, why, missing)
        self._abort(call.numbers, why)
        with self._lock:
            call.numbers.ahead = [other for other in call.numbers.ahead if other.number > call.number]
        raise TransferTimeout(f"Call {call.number} of {WHAT} was given up: {why}")

    def _abort(self, numbers: _Numbers, why: str) -> None:
        self._put_over(numbers, numbers.ahead[0].number if numbers.ahead else numbers.count, why)
        for end in numbers.ends:
            end.abort(why)

    def _put_over(self, numbers: _Numbers, call: int, why: str, late: Sequence[int] = ()) -> None:
        """Say with which call numbers ended. What is said first holds for all."""
        self._put(f"over/{numbers.generation}", json.dumps({"call": call, "why": why, "late": list(late)}))

    def _watch_all(self) -> None:
        """Beside a process that does not wait: say that it has called, and post its calls again where need be."""
        while not self._closed:
            self._left.wait()
            time.sleep(ASK_SECONDS_FIRST)
            with self._lock, contextlib.suppress(CrossmeshError):
                numbers = self._numbers
                if numbers is None or self._closed or (all(call.done for call in numbers.ahead) and not numbers.over):
                    self._left.clear()
                elif numbers.over:
                    self._left.clear()
                    if numbers.ahead and numbers.ahead[-1].number > self._failed(numbers)[0]:
                        self._renew()
                        self._left.set()
                else:
                    for call in numbers.ahead:
                        self._say_called(call)
                    if not numbers.is_open:
                        self._look(numbers.ahead[0])

    def _say_called(self, call: Call) -> None:
        if call.told != call.numbers.generation:
            call.told = call.numbers.generation
            self._put(f"called/{call.numbers.generation}.{call.number}/{self._rank}", "called")

    def _named(self, ranks: Sequence[int]) -> str:
        names = [f"{rank} (host {self._places[rank][0]!r})" for rank in ranks]
        return f"Process{'' if len(names) == 1 else 'es'} {', '.join(names)}"

    def _put(self, key: str, value: str) -> None:
        if self._store is not None:
            with contextlib.suppress(Exception):  # the coordinator is gone, and so is the job
                self._store.put(f"crossmesh/{self.job}/{key}", value)

    def _find(self, folder: str) -> dict[str, str]:
        if self._store is not None:
            with contextlib.suppress(Exception):  # as above
                return self._store.find(f"crossmesh/{self.job}/{folder}")
        return {}
