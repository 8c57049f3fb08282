"""The planner JVM of this process: started on first use, ended with the process."""

from __future__ import annotations

import atexit
import os
import threading

from . import _fork
from ._gateway import Gateway
from ._jvm import PLANNER_HEAP, Jvm, make_class_cache

_lock = threading.Lock()
_running: tuple[int, Jvm, Gateway] | None = None
_parents: list[object] = []


def planner() -> Gateway:
    """The gateway of the planner.

    **Raises:** `AgentUnavailable` if the JVM cannot be started.
    """
    global _running
    with _lock:
        if _running is not None and not _running[1].alive():
            _close(_running)
            _running = None
        if _running is None:
            jvm = Jvm(["planner"], label="The planner", heap=PLANNER_HEAP)
            try:
                info = jvm.wait_ready()
                door = info["gateway"]
                gateway = Gateway(door["port"], door["token"], "The planner", jvm.post_mortem)
            except BaseException:
                jvm.close()
                raise
            _running = (os.getpid(), jvm, gateway)
            make_class_cache()
        return _running[2]


@atexit.register
def close_planner() -> None:
    """End the planner, if it runs; the next plan starts it again."""
    global _running
    with _lock:
        if _running is not None:
            _close(_running)
        _running = None


def _close(running: tuple[int, Jvm, Gateway]) -> None:
    _, jvm, gateway = running
    gateway.close()
    jvm.close()


def _after_fork() -> None:
    """A forked child starts a planner of its own. What it has of its parent's is kept, so no finalizer looks at it."""
    global _running, _lock
    _lock = threading.Lock()
    _parents.append(_running)
    _running = None


_fork.in_child(_after_fork)
