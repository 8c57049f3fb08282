"""JAX's own `device_put` between the processes of one `jax.distributed` job: where both layouts are equal."""

from __future__ import annotations

import socket
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .boxes import Array, Box, Work
from .peer import CannotDo, Peer

DEVICES_PER_HOST: Final = 4


class JaxPut(Peer):
    """The same call in every process; those without a shard pass an array without shards."""

    def hello(self) -> list[int]:
        """Free ports on this host: for the coordinator, of which there is one, and for transfers."""
        with socket.socket() as first, socket.socket() as second:
            for probe in (first, second):
                probe.bind((self.addresses[self.host], 0))
            return [first.getsockname()[1], second.getsockname()[1]]

    def meet(self, hellos: dict[str, Any]) -> None:
        """Joins the job."""
        jax.config.update("jax_num_cpu_devices", DEVICES_PER_HOST)
        first, address = self.hosts[0], self.addresses[self.host]
        jax.config.update("jax_cross_host_transfer_socket_address", f"{address}:{hellos[self.host][1]}")
        coordinator = f"{self.addresses[first]}:{hellos[first][0]}"
        jax.distributed.initialize(coordinator, len(self.hosts), self.hosts.index(self.host))

    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """See `Peer`."""
        if not work.equal_layouts:
            raise CannotDo("the layouts differ")
        self._shape, self._dtype = work.shape, np.dtype(work.dtype)
        self._src, self._dst = self._sharding(work, list(work.held)), self._sharding(work, list(work.wanted))
        here = self._src.addressable_devices_indices_map(work.shape)
        shards = [jax.device_put(held[self._box(index)], device) for device, index in here.items()]
        self._x = jax.make_array_from_single_device_arrays(work.shape, self._src, shards, dtype=self._dtype)
        self._y: Any = None
        self._involved = self.host in work.held or self.host in work.wanted

    def step(self) -> None:
        """See `Peer`."""
        if self._involved:
            self._y = jax.device_put(self._x, self._dst)
            jax.block_until_ready([shard.data for shard in self._y.addressable_shards])

    def tiles(self) -> dict[Box, Array]:
        """See `Peer`."""
        if self._y is None:
            return {}
        found = {self._box(shard.index): np.asarray(shard.data) for shard in self._y.addressable_shards}
        self._y = None
        return found

    def _sharding(self, work: Work, hosts: list[str]) -> NamedSharding:
        of = {p: [d for d in jax.devices() if d.process_index == p] for p in range(len(self.hosts))}
        rows = [of[self.hosts.index(host)][: work.mesh[1]] for host in hosts]
        axes = [f"axis{int(part[1:])}" if part != "R" else None for part in work.spec.split()]
        return NamedSharding(Mesh(np.array(rows), ("axis0", "axis1")), PartitionSpec(*axes))

    def _box(self, index: tuple[slice, ...]) -> Box:
        return tuple(part.indices(n)[:2] for part, n in zip(index, self._shape, strict=True))
