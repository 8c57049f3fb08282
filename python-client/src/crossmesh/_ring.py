"""The hot path to an agent: two rings of records in a file that both map, and a named pipe to wake either side.

The layout is in docs/agent.md. A command or an event costs no system call while the other side is awake.

Ordering: on x86-64, the only machine that has the transport, stores are seen in the order in which they are made; a
store before a load of another word needs a fence, which taking and giving back a lock is.
"""

from __future__ import annotations

import mmap
import os
import select
import threading
import time
import weakref
from typing import Any

from . import _fork
from ._beside import holding
from ._errors import AgentUnavailable

RECORDS = 4096
MAGIC = int.from_bytes(b"CMRING01", "little")

# In words of 8 bytes.
_COMMANDS_TAIL = 8
_COMMANDS_HEAD = 16
_AGENT_SLEEPS = 24
_EVENTS_TAIL = 32
_EVENTS_HEAD = 40
_CLIENT_SLEEPS = 48
_EVENTS_WAIT = 56
_OVER = 64
_SETS_WANTED = 72
_COMMANDS = 512
_RECORD = 8
_EVENTS = _COMMANDS + RECORDS * _RECORD
_END = _EVENTS + RECORDS * _RECORD

SEND, RECV, RELEASE = 1, 2, 3
SENT, DELIVERED, RECEIVED, ASK = 1, 2, 3, 4

ROOM_SECONDS_MAX = 60.0
ROOM_SECONDS_BETWEEN = 0.0002

Record = tuple[int, int, int, int, int, int]
"""Kind, channel, step, and three values of the kind."""


class RingOver(Exception):
    """The agent has ended the session, or is gone."""


class Ring:
    """The client's side. Any thread may put commands; one thread takes events.

    **Arguments:** paths of the file, of the pipe that wakes us, and of the one that wakes the agent.

    **Raises:** `AgentUnavailable` if they cannot be opened, or are of another version.
    """

    def __init__(self, ring: str, bell: str, agent_bell: str) -> None:
        self._origin = _fork.Origin()
        self._lock: Any = threading.RLock()  # of which a thread can tell whether it holds it
        self._fence = threading.Lock()
        self._tail = 0
        self._head = 0
        self._hung_up = False
        self._wanting = 0
        files: list[int] = []
        try:
            files.append(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
            files.append(os.open(bell, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            files.append(os.open(agent_bell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            file = os.open(ring, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._words = memoryview(mmap.mmap(file, _END * 8)).cast("q")
            finally:
                os.close(file)
            if self._words[0] != MAGIC or self._words[1] != RECORDS:
                raise ValueError("the agent is of another version; update crossmesh on both sides")
        except (OSError, ValueError) as error:
            _close(files)
            raise AgentUnavailable(
                f"The ring of this connection, {ring}, cannot be used: {error}. "
                "Run this process as the user who started the agent, on the same host."
            ) from None
        self._nudged, self._bell, self._agent_bell = files
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._poll.register(self._nudged, select.POLLIN)
        self._files = files
        weakref.finalize(self, _close, files).atexit = False
        _fork.watch(self)

    def put(self, kind: int, channel: int, number: int, staging_set: int = 0) -> None:
        """Leave a command, and wake the agent if it sleeps. Waits while the ring is full.

        **Raises:** `RingOver`; `AgentUnavailable` in a forked child, or when no room comes.
        """
        self._origin.check()
        holding(self._lock, self._put, kind, channel, number, staging_set)
        self._wake_if_asleep()

    def try_put(self, kind: int, channel: int, number: int) -> bool:
        """As `put`, but waits for nothing, not even for another thread; whether the command was left.

        **Raises:** `RingOver`; `AgentUnavailable` in a forked child.
        """
        self._origin.check()
        lock = self._lock
        if lock._is_owned():
            return False  # a finalizer in the middle of this thread's own command
        try:
            if not lock.acquire(blocking=False):
                return False
            self._check()
            room = not self._full()
            if room:
                self._write(kind, channel, number, 0)
            lock.release()
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        if room:
            self._wake_if_asleep()
        return room

    def _put(self, kind: int, channel: int, number: int, staging_set: int) -> None:
        self._check()
        if self._full():
            self._wait_for_room()
        self._write(kind, channel, number, staging_set)

    def _full(self) -> bool:
        return bool(self._tail - self._words[_COMMANDS_HEAD] >= RECORDS)

    def _write(self, kind: int, channel: int, number: int, staging_set: int) -> None:
        words, tail = self._words, self._tail
        at = _COMMANDS + (tail % RECORDS) * _RECORD
        words[at] = kind
        words[at + 1] = channel
        words[at + 2] = number
        words[at + 3] = staging_set
        self._tail = words[_COMMANDS_TAIL] = tail + 1

    def _wake_if_asleep(self) -> None:
        # Giving the lock back was the fence between our record and the agent's word.
        words = self._words
        if words[_AGENT_SLEEPS]:
            words[_AGENT_SLEEPS] = 0
            self._wake_agent()

    def wait(self, wait_millis: int) -> None:
        """Wait up to `wait_millis` for events, or until a nudge. One thread at a time."""
        self._origin.check()
        words = self._words
        words[_CLIENT_SLEEPS] = 1
        if holding(self._fence, self._quiet):
            for file, what in self._poll.poll(wait_millis):
                if what & select.POLLIN:
                    os.read(file, 4096)
                else:
                    self._hung_up = True
        words[_CLIENT_SLEEPS] = 0

    def _quiet(self) -> bool:
        return bool(self._words[_EVENTS_TAIL] == self._head and not self._words[_OVER])

    def peek(self) -> Record | None:
        """The next event, which stays the next until `told`; `None` if there is none yet.

        **Raises:** `RingOver` once nothing is left to take; `AgentUnavailable` in a forked child.
        """
        self._origin.check()
        words, head = self._words, self._head
        tail = words[_EVENTS_TAIL]
        if tail == head:
            if self._hung_up or words[_OVER]:
                raise RingOver
            return None
        if not head < tail <= head + RECORDS:
            raise RingOver
        at = _EVENTS + (head % RECORDS) * _RECORD
        return tuple(words[at : at + 6])  # type: ignore[return-value]

    def told(self) -> None:
        """The next event has been told: its record is the agent's again."""
        self._head = self._words[_EVENTS_HEAD] = self._head + 1

    def made_room(self) -> None:
        """After events were taken: the agent may have more, for which there was no room."""
        if holding(self._fence, self._waiting):
            self._wake_agent()

    def _waiting(self) -> bool:
        return bool(self._words[_EVENTS_WAIT])

    def want_sets(self, more: int) -> None:
        """So many more threads wait for a staging set, or fewer: only then the agent wakes us for one.

        Those that are free already may lie here untaken, so who reads is woken, too.
        """
        self._origin.check()
        holding(self._lock, self._want, more)
        if more > 0:
            self.nudge()

    def _want(self, more: int) -> None:
        self._wanting += more
        self._words[_SETS_WANTED] = self._wanting

    def nudge(self) -> None:
        """End a present `wait`, or the next. Any thread may call it."""
        self._origin.check()
        os.eventfd_write(self._nudged, 1)

    def forked(self) -> None:
        """See `Forking`. The child shares the memory: a record of its own would be taken for one of the parent's."""
        for file in self._files:
            _fork.cut_off(file)

    def _wait_for_room(self) -> None:
        deadline = time.monotonic() + ROOM_SECONDS_MAX
        while self._full():
            self._check()
            if time.monotonic() > deadline:
                raise AgentUnavailable(
                    f"The agent has taken no command for {ROOM_SECONDS_MAX:g} s. Look at its log, or start it again."
                )
            self._wake_agent()
            time.sleep(ROOM_SECONDS_BETWEEN)

    def _wake_agent(self) -> None:
        try:
            os.write(self._agent_bell, b"\0")
        except BlockingIOError:
            return  # a pipe that is full has been rung often enough
        except BrokenPipeError:
            raise RingOver from None

    def _check(self) -> None:
        if self._words[_OVER]:
            raise RingOver


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())
