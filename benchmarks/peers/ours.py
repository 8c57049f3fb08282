"""crossmesh, through the ordinary client: a sender or a receiver in each process.

A peer sends from the memory in which its user has built the tiles. So does crossmesh where they were built in arrays of
`tx.arrays()`; what was built elsewhere it copies first, and is measured too.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import crossmesh as cm
from crossmesh._demo import Case, paper_cases

from .boxes import Array, Box, Work
from .peer import Peer


class Copying(Peer):
    """`send` of tiles in this process's own memory on the hosts of the source mesh, `recv` on those of the other."""

    def meet(self, hellos: dict[str, Any]) -> None:
        """Connects to the agent of this host."""
        self._agent = cm.connect()
        self._divide = int(os.environ["PEERS_DIVIDE"])

    def open(self, work: Work, held: dict[Box, Array]) -> None:
        """Opens this host's end."""
        case: Case = next(case for case in paper_cases(self._divide) if case.name == work.case)
        self._case, self._tx, self._rx = case, None, None
        self._tiles: dict[int, Array] = {}
        name = f"peers/{work.case}"
        if self.host in case.src.mesh.hosts:
            boxes = case.src.boxes(case.spec.shape)
            self._mine = {device: held[boxes[device]] for device in case.src.mesh.devices_of(self.host)}
            self._tx = self._agent.sender(f"{name}/{type(self).__name__}", case.spec, case.src, depth=1)
            self._tx.wait_open(60)
        if self.host in case.dst.mesh.hosts:
            self._rx = self._agent.receiver(f"{name}/{type(self).__name__}", case.spec, case.dst, depth=1)
            self._rx.wait_open(60)

    def prepare(self) -> None:
        """Posts the receive."""
        self._tiles = {}
        self._arriving = None if self._rx is None else self._rx.recv()

    def step(self) -> None:
        """See `Peer`."""
        if self._tx is not None:
            self._tx.send(self._mine).result(60)
        if self._arriving is not None:
            self._tiles = self._arriving.result(60)
            self._arriving = None

    def tiles(self) -> dict[Box, Array]:
        """See `Peer`."""
        boxes = self._case.dst.boxes(self._case.spec.shape)
        return {boxes[device]: tile for device, tile in self._tiles.items()}

    def close(self) -> None:
        """Closes the end."""
        self._tiles = {}
        for end in (self._tx, self._rx):
            if end is not None:
                end.close()


class InPlace(Copying):
    """The same with tiles that were built in the agent's memory, as a trainer builds them: nothing is copied."""

    def prepare(self) -> None:
        """Builds them."""
        super().prepare()
        if self._tx is not None:
            built = self._tx.arrays(60)
            for device, tile in built.items():
                np.copyto(tile, self._held[device])
            self._mine = built

    def open(self, work: Work, held: dict[Box, Array]) -> None:
        """As there."""
        super().open(work, held)
        if self._tx is not None:
            self._held = self._mine
