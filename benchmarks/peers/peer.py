"""What a peer is to the runner, and what the peers that exchange messages have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import numpy as np

from .boxes import Array, Box, Message, Work, contains, extents, within


class CannotDo(Exception):
    """The peer cannot do this case; the text says why."""


class Peer(Protocol):
    """One process of a peer, which stands for one host: its tiles lie in this process's own memory."""

    def __init__(self, host: str, hosts: list[str], addresses: dict[str, str], directory: str) -> None:
        self.host, self.hosts, self.addresses, self.directory = host, hosts, addresses, directory

    def hello(self) -> Any:
        """What the other processes have to know of this one before they open anything."""
        return None

    def meet(self, hellos: dict[str, Any]) -> None:
        """What all of them said."""

    @abstractmethod
    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """Gets ready for a case; `held` are this host's tiles. Every process is told, also those without a part in it.

        Returns:
            what the others have to know before the first step, as JSON's own types.

        Raises:
            CannotDo: in every process alike.
        """

    def opened(self, offers: dict[str, Any]) -> None:
        """What `open` returned everywhere."""

    def prepare(self) -> None:
        """Before a step, untimed: posts what a program would have posted ahead."""

    @abstractmethod
    def step(self) -> None:
        """Moves everything; returns when the tiles that this host wants can be read and those it sent be reused."""

    @abstractmethod
    def tiles(self) -> dict[Box, Array]:
        """What arrived, untimed."""

    def close(self) -> None:
        """Lets go of the case."""


class Exchange(Peer):
    """Sends box intersections as contiguous bytes: packed and unpacked only where they are not contiguous already."""

    groups = False
    """Whether a slice for several hosts goes by one call for all of them."""

    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """See `Peer`."""
        if self.groups and all(len(m.receivers) == 1 for m in work.messages):
            raise CannotDo("no slice has several receivers")
        self._held = held
        dtype = np.dtype(work.dtype)
        self._tiles = {box: np.empty(extents(box), dtype) for box in work.wanted.get(self.host, ())}
        self.outgoing = [m for m in work.messages if m.sender == self.host]
        self.incoming = [m for m in work.messages if self.host in m.receivers]
        self._landing = {m.number: self._landing_of(m, dtype) for m in self.incoming}
        self._packed = {m.number: np.empty(extents(m.box), dtype) for m in self.outgoing if not self._source(m)[1]}
        self.agree(work)

    def agree(self, work: Work) -> None:
        """What all processes do together at the opening of a case."""

    def tiles(self) -> dict[Box, Array]:
        """See `Peer`."""
        return self._tiles

    def outgoing_bytes(self, message: Message) -> Array:
        """The slice as contiguous bytes."""
        view, contiguous = self._source(message)
        if not contiguous:
            np.copyto(self._packed[message.number], view)
        return self.outgoing_place(message)

    def outgoing_place(self, message: Message) -> Array:
        """Where those bytes lie, which have yet to be packed."""
        view, contiguous = self._source(message)
        return _bytes(view if contiguous else self._packed[message.number])

    def landing_bytes(self, message: Message) -> Array:
        """Where the bytes of the slice go."""
        return _bytes(self._landing[message.number])

    def landed(self, message: Message) -> None:
        """Puts what has come into the tiles that want it, unless it came into the only one."""
        landing = self._landing[message.number]
        for box, tile in self._tiles.items():
            if contains(box, message.box):
                place = tile[within(message.box, box)]
                if not np.shares_memory(place, landing, 1):
                    np.copyto(place, landing)

    def _source(self, message: Message) -> tuple[Array, bool]:
        box = next(box for box in self._held if contains(box, message.box))
        view = self._held[box][within(message.box, box)]
        return view, bool(view.flags.c_contiguous)

    def _landing_of(self, message: Message, dtype: np.dtype[Any]) -> Array:
        box = next(box for box in self._tiles if contains(box, message.box))
        place = self._tiles[box][within(message.box, box)]
        return place if place.flags.c_contiguous else np.empty(extents(message.box), dtype)


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
