"""JAX's transfer server: the receiver pulls arrays that the sender has laid out for it.

It moves whole arrays, so the intersections are cut out by the sender and put together by the receiver.
"""

from __future__ import annotations

from typing import Any, Final

import jax
import numpy as np
from jax.experimental import transfer

from .boxes import Array, Box, Message, Work, contains, within
from .peer import Exchange

SOCKETS: Final = 4


class JaxTransfer(Exchange):
    """`await_pull` and `pull`."""

    def hello(self) -> str:
        """Where this process's server listens."""
        address = self.addresses[self.host]
        self._device = jax.devices()[0]
        self._server = transfer.start_transfer_server(self._device.client, f"{address}:0", [f"{address}:0"] * SOCKETS)
        self._steps = 0
        self._connections: dict[str, Any] = {}
        return str(self._server.address())

    def meet(self, hellos: dict[str, Any]) -> None:
        """Keeps the addresses of the others."""
        self._servers = hellos

    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """See `Peer`. The sender's tiles are arrays of JAX, as a program that uses this has them."""
        super().open(work, held)
        self._dtype = np.dtype(work.dtype)
        self._arrays = {box: jax.device_put(tile, self._device) for box, tile in held.items()}
        self._sharding = jax.sharding.SingleDeviceSharding(self._device)

    def step(self) -> None:
        """See `Peer`."""
        self._steps += 1
        receivers = sorted({host for m in self.outgoing for host in m.receivers})
        parts = {m.number: self._part(m) for m in self.outgoing}
        for host in receivers:
            arrays = [parts[m.number] for m in self.outgoing if host in m.receivers]
            self._server.await_pull(self._uuid(host), arrays)
        pulled = []
        for sender in sorted({m.sender for m in self.incoming}):
            some = [m for m in self.incoming if m.sender == sender]
            specs = [
                jax.ShapeDtypeStruct([hi - lo for lo, hi in m.box], self._dtype, sharding=self._sharding) for m in some
            ]
            if sender not in self._connections:
                self._connections[sender] = self._server.connect(self._servers[sender])
            pulled.append((some, self._connections[sender].pull(self._uuid(self.host), specs)))
        for some, arrays in pulled:
            for m, array in zip(some, arrays, strict=True):
                self._place(m, np.asarray(array))

    def _uuid(self, receiver: str) -> int:
        return self._steps * len(self.hosts) + self.hosts.index(receiver)

    def _part(self, message: Message) -> Any:
        box = next(box for box in self._arrays if contains(box, message.box))
        return self._arrays[box] if box == message.box else self._arrays[box][within(message.box, box)]

    def _place(self, message: Message, data: Array) -> None:
        for box in list(self._tiles):
            if box == message.box:
                self._tiles[box] = data  # the whole tile: no copy
            elif contains(box, message.box):
                np.copyto(self._tiles[box][within(message.box, box)], data)
