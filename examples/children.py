"""Child processes whose lines arrive in one place and which never outlive their parent's block."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

GRACE_SECONDS: Final = 10.0
"""How long a child may take to end after it was asked to, before it is killed."""


class ChildrenError(RuntimeError):
    """A child ended with another status than 0, or did not end in time."""


class Children:
    """A group of processes that succeed together or are ended together.

    Their standard error goes where the parent's goes, so a child's traceback is seen as it is written.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._events: queue.SimpleQueue[tuple[str, str | int]] = queue.SimpleQueue()
        self._running: set[str] = set()
        self._watchers: list[threading.Thread] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts ``command``; ``name`` is what it is called in errors."""
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        self._processes[name] = process
        self._running.add(name)
        watcher = threading.Thread(target=self._watch, args=(name, process), daemon=True)
        self._watchers.append(watcher)
        watcher.start()

    def lines(self) -> Iterator[str]:
        """Yields what the children write to standard output, line by line, until all have ended.

        Raises:
            ChildrenError: one ended with another status than 0, or they did not all end within the timeout.
        """
        deadline = time.monotonic() + self._timeout
        while self._running:
            try:
                name, event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                late = " and ".join(sorted(self._running))
                raise ChildrenError(f"{late} did not end within {self._timeout:g} s: see --timeout") from None
            if isinstance(event, str):
                yield event
            elif event == 0:
                self._running.remove(name)
            else:
                how = f"status {event}" if event > 0 else f"signal {signal.Signals(-event).name}"
                raise ChildrenError(f"{name} ended with {how}: what it wrote is above")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()  # harmless to one that has ended
        for process in self._processes.values():
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for watcher in self._watchers:
            watcher.join()

    def _watch(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._events.put((name, line))
        self._events.put((name, process.wait()))
