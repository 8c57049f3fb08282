"""Ray's tensor transport with Gloo: what one actor's method returns is another's argument.

One process, the driver, stands for all hosts; the hosts are actors.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from .boxes import Array, Box, Work, values
from .peer import Exchange, Peer

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray
import torch
from ray.experimental.collective import create_collective_group


class _Tiles(Exchange):
    """The packing, without a transport."""

    def step(self) -> None:
        """Nothing: the driver moves."""


@ray.remote
class _Host:
    """One host's tiles."""

    def __init__(self, host: str, hosts: list[str]) -> None:
        self._exchange = _Tiles(host, hosts, {}, "")
        self._host = host
        torch.set_num_threads(1)

    def open(self, said: dict[str, Any]) -> None:
        """Makes the tiles of a case."""
        work = Work.from_json(said)
        held = {box: values(work.shape, box, np.dtype(work.dtype)) for box in work.held.get(self._host, ())}
        self._exchange.open(work, held)
        self._out = {m.number: m for m in self._exchange.outgoing}
        self._in = {m.number: m for m in self._exchange.incoming}

    @ray.method(tensor_transport="gloo")
    def take(self, number: int) -> Any:
        """A slice as a tensor."""
        return torch.from_numpy(self._exchange.outgoing_bytes(self._out[number]))

    def put(self, number: int, data: Any) -> float:
        """Lays it where it belongs; the time when it was there."""
        self._exchange.landing_bytes(self._in[number])[:] = data.numpy()
        self._exchange.landed(self._in[number])
        return time.perf_counter()

    def exact(self, said: dict[str, Any]) -> bool:
        """Whether every tile is what it should be; forgets them."""
        work = Work.from_json(said)
        good = all(
            np.array_equal(tile, values(work.shape, box, np.dtype(work.dtype)))
            for box, tile in self._exchange.tiles().items()
        )
        for tile in self._exchange.tiles().values():
            tile.fill(0)
        return good


class Ray(Peer):
    """Actors in one collective group."""

    def meet(self, hellos: dict[str, Any]) -> None:
        """Starts Ray on this machine, without its dashboard."""
        ray.init(num_cpus=len(self.hosts), include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        self._actors = {host: _Host.remote(host, self.hosts) for host in self.hosts}
        create_collective_group(list(self._actors.values()), backend="torch_gloo")

    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """See `Peer`."""
        self._work = work
        ray.get([actor.open.remote(work.to_json()) for actor in self._actors.values()])

    def step(self) -> None:
        """See `Peer`."""
        ends = []
        for m in self._work.messages:
            slice_ = self._actors[m.sender].take.remote(m.number)
            ends += [self._actors[host].put.remote(m.number, slice_) for host in m.receivers]
        self.end = max(ray.get(ends))

    def tiles(self) -> dict[Box, Array]:
        """Nothing here: see `exact`."""
        return {}

    def exact(self) -> bool:
        """Asks the actors."""
        said = self._work.to_json()
        return all(ray.get([self._actors[host].exact.remote(said) for host in self._work.wanted]))
