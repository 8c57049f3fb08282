"""What a forked child must not share with its parent: connections to agents, and the files behind them.

A child has a copy of every object of its parent, and the same files behind them. Two rules keep it off the parent's
connections. Whoever makes a connection remembers in which process (`Origin`) and refuses in any other. And the child's
copies of the file descriptors lead to the null device (`cut_off`), so no finalizer reaches the other side, and the
other side sees the end of the parent although the child lives.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from ._errors import AgentUnavailable

generation = 0
"""How many forks lie between this process and the one that imported this module."""


making = threading.RLock()
"""Held while a file descriptor is made that a child must not keep, until it is told of: no fork comes between."""


class Forking(Protocol):
    """An object that is told, in the child, that its process was forked."""

    def forked(self) -> None:
        """Let go of what belongs to the parent. Must take no lock: another thread may have held it."""


_watched: weakref.WeakSet[Forking] = weakref.WeakSet()
_hooks: list[Callable[[], None]] = []


class Origin:
    """The process that made a connection, which it alone may use."""

    __slots__ = ("_generation",)

    def __init__(self) -> None:
        self._generation = generation

    @property
    def here(self) -> bool:
        """Whether this is that process."""
        return self._generation == generation

    def check(self) -> None:
        """Refuse in a forked child.

        **Raises:** `AgentUnavailable` that says how the child gets a connection of its own.
        """
        if self._generation != generation:
            raise AgentUnavailable(
                "This process was forked from one that is connected to an agent, and cannot use its connection. "
                "Connect again in the child: cm.connect(); with a LocalCluster, cluster.env(host) says where."
            )


def watch(forking: Forking) -> None:
    """Have an object told of a fork, in the child, for as long as it lives."""
    _watched.add(forking)


def in_child(hook: Callable[[], None]) -> None:
    """Have a function called in every forked child. It must take no lock."""
    _hooks.append(hook)


def cut_off(file: int) -> None:
    """Let this process's copy of a file descriptor lead to the null device. Nothing is said to the other end."""
    if file < 0:
        return
    with contextlib.suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.dup2(nothing, file, inheritable=False)
        finally:
            os.close(nothing)


def _after_fork() -> None:
    global generation, making
    making = threading.RLock()
    generation += 1
    for forking in list(_watched):
        forking.forked()
    _watched.clear()
    for hook in _hooks:
        hook()


def _before_fork() -> None:
    making.acquire()


def _after_fork_in_parent() -> None:
    making.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
