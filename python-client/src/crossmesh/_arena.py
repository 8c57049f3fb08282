"""The agent's shared memory, as NumPy sees it."""

from __future__ import annotations

import atexit
import mmap
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np

from ._errors import AgentUnavailable

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

ALIGNMENT = 64
"""What XLA wants of host memory that it aliases. Tiles in a set and sets in the arena have it."""


_numbers = count()
_owned: dict[int, tuple[ref[Bytes], Callable[[], object]]] = {}
"""Of arrays whose end is told, and how; it may be told twice. A tenth of what `weakref.finalize` costs, for every step
that is received."""


class Arena:
    """The mapping of an agent's arena. Lives as long as any array over it."""

    def __init__(self, path: str | Path, nbytes: int) -> None:
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._memory = mmap.mmap(file, nbytes)
            finally:
                os.close(file)
        except (OSError, ValueError) as error:
            raise AgentUnavailable(
                f"The agent's arena {path} cannot be mapped: {error}. "
                "Run this process as the user who started the agent, on the same host."
            ) from None

    def root(self, base: int, nbytes: int) -> Bytes:
        """A new array over a part of the arena.

        Views of it, and JAX arrays that alias those, keep it alive: its finalizer tells when the memory is free. (A
        finalizer on a JAX array would fire while computations that were dispatched still read the memory.)
        """
        if nbytes == 0:
            return np.empty(0, np.uint8)
        return np.frombuffer(self._memory, np.uint8, nbytes, base)

    def owned(self, base: int, nbytes: int, release: Callable[[], object]) -> Bytes:
        """As `root`; `release` is called when nothing reads the memory any more, perhaps twice. It must not block."""
        root = self.root(base, nbytes)
        number = next(_numbers)

        def let_go(_: object) -> None:
            release()
            _owned.pop(number, None)

        _owned[number] = ref(root, let_go), release
        return root


def sweep() -> None:
    """Tell once more of arrays that nothing reads any more: an exception may have come in the middle of telling it."""
    for number, (array, release) in list(_owned.items()):
        if array() is None and _owned.pop(number, None) is not None:
            release()


# At the end of the interpreter the modules go before what names still hold. The agent learns it by our end.
atexit.register(_owned.clear)


def aligned(nbytes: int) -> Bytes:
    """Fresh memory outside the arena, aligned as the arena is."""
    memory: Bytes = np.empty(nbytes + ALIGNMENT, np.uint8)
    skip = -memory.ctypes.data % ALIGNMENT
    return memory[skip : skip + nbytes]
