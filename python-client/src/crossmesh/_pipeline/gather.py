"""What the processes of a pipeline tell each other: one row from each, all rows to all, over a channel.

The source is a matrix with a row on each process, the destination the same matrix whole on each of them: an all-gather
is a reshard. Every process takes part in this channel, so it is also where the loss of any of them shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._agent import Agent
from .._mesh import Mesh
from .._sharding import Sharding
from .._spec import TensorSpec
from .._transfer import Transfer
from .graph import Process


class Gather:
    """An all-gather of rows of `width` elements among the processes of a pipeline."""

    def __init__(
        self, agent: Agent, name: str, processes: Sequence[Process], mine: int, width: int, dtype: Any, timeout: float
    ) -> None:
        self._count = len(processes)
        self._mine = mine
        mesh = Mesh((self._count,), devices=[(process.host, process.devices[0]) for process in processes])
        spec = TensorSpec((self._count, width), dtype)
        self.row: npt.NDArray[Any] = np.zeros((1, width), spec.dtype)
        stated: dict[str, Any] = {"depth": 2, "timeout": timeout, "devices": [mine]}
        self._sender = agent.sender(name, spec, Sharding(mesh, "S0 R"), **stated)
        self._receiver = agent.receiver(name, spec, Sharding(mesh, "R R"), **stated)
        self._next: Transfer | None = None

    def post(self) -> Transfer:
        """Ask for the next rows ahead of `send`; the transfer fails when a process is lost or ends."""
        if self._next is None:
            self._next = self._receiver.recv()
        return self._next

    def send(self, row: npt.NDArray[Any]) -> Transfer:
        """Give this process's row; the result of the transfer are the rows of all, by `rows`."""
        arriving = self.post()
        self._next = None
        self._sender.send({self._mine: np.ascontiguousarray(row).reshape(self.row.shape)})
        return arriving

    def rows(self, arrived: Any) -> npt.NDArray[Any]:
        """A copy of the rows that a transfer brought, in the order of the processes."""
        return np.array(arrived[self._mine])

    def exchange(self, row: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give a row and wait for those of all.

        **Raises:** `PeerLost`, `TransferCancelled` with the reason of whoever ended, `TransferTimeout`.
        """
        return self.rows(self.send(row).result())

    def wait_open(self, timeout: float) -> None:
        """Wait until all processes have opened it: from then on each hears how another ends.

        **Raises:** what kept it from opening.
        """
        self._sender.wait_open(timeout)
        self._receiver.wait_open(timeout)

    def abort(self, reason: str) -> None:
        """End it for all processes, who get the reason."""
        self._sender.abort(reason)
        self._receiver.abort(reason)

    def close(self) -> None:
        """End this side. A second call does nothing."""
        self._sender.close()
        self._receiver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort(f"{type(error).__name__}: {error}")
        self.close()
