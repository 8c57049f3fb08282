"""mpi4py over Open MPI: a message for each intersection, or a broadcast for each slice that several hosts need."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from .boxes import Work
from .peer import Exchange


class MpiSendRecv(Exchange):
    """Isend and Irecv."""

    def prepare(self) -> None:
        """Posts the receives."""
        comm = MPI.COMM_WORLD
        self._arriving = [
            (m, comm.Irecv(self.landing_bytes(m), source=self.hosts.index(m.sender), tag=m.number))
            for m in self.incoming
            if self.apart(m.receivers)
        ]

    def apart(self, receivers: tuple[str, ...]) -> bool:
        """Whether each receiver gets a message of its own."""
        return not self.groups or len(receivers) == 1

    def step(self) -> None:
        """See `Peer`."""
        comm = MPI.COMM_WORLD
        sent = [
            comm.Isend(data, dest=self.hosts.index(host), tag=m.number)
            for m in self.outgoing
            if self.apart(m.receivers)
            for data in [self.outgoing_bytes(m)]
            for host in m.receivers
        ]
        self.together()
        for message, request in self._arriving:
            request.Wait()
            self.landed(message)
        MPI.Request.Waitall(sent)

    def together(self) -> None:
        """What goes to several hosts at once."""


class MpiBcast(MpiSendRecv):
    """Bcast among the sender and the receivers of a slice, in one order everywhere."""

    groups = True

    def agree(self, work: Work) -> None:
        """Makes a communicator for each set of hosts."""
        world = MPI.COMM_WORLD.Get_group()
        self._comms: dict[tuple[str, ...], Any] = {}
        for m in work.messages:
            parties = (m.sender, *m.receivers)
            if not self.apart(m.receivers) and self.host in parties and parties not in self._comms:
                group = world.Incl([self.hosts.index(host) for host in parties])
                self._comms[parties] = MPI.COMM_WORLD.Create_group(group, m.number)

    def together(self) -> None:
        """See `MpiSendRecv`."""
        both = sorted((m for m in (*self.outgoing, *self.incoming) if not self.apart(m.receivers)), key=_number)
        for m in both:
            mine = m.sender == self.host
            data = self.outgoing_bytes(m) if mine else self.landing_bytes(m)
            self._comms[m.sender, *m.receivers].Bcast(data, root=0)
            if not mine:
                self.landed(m)

    def close(self) -> None:
        """Frees the communicators."""
        for comm in self._comms.values():
            comm.Free()
        self._comms = {}


def _number(message: Any) -> int:
    return int(message.number)
