"""torch.distributed with Gloo: a message for each intersection, or a broadcast for what several hosts need."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import torch
import torch.distributed as dist

from .boxes import Array, Work
from .peer import Exchange

TIMEOUT: Final = dt.timedelta(seconds=60)


def tensor(data: Array) -> Any:
    """The same memory."""
    return torch.from_numpy(data)


class GlooSendRecv(Exchange):
    """isend and irecv."""

    def meet(self, hellos: dict[str, Any]) -> None:
        """Joins the process group; the store is a file that all see."""
        torch.set_num_threads(1)
        store = f"file://{self.directory}/{type(self).__name__}"
        rank = self.hosts.index(self.host)
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=len(hellos), timeout=TIMEOUT)

    def apart(self, receivers: tuple[str, ...]) -> bool:
        """Whether each receiver gets a message of its own."""
        return not self.groups or len(receivers) == 1

    def prepare(self) -> None:
        """Posts the receives."""
        self._arriving = [
            (m, dist.irecv(tensor(self.landing_bytes(m)), self.hosts.index(m.sender), tag=m.number))
            for m in self.incoming
            if self.apart(m.receivers)
        ]

    def step(self) -> None:
        """See `Peer`."""
        sent = [
            dist.isend(tensor(data), self.hosts.index(host), tag=m.number)
            for m in self.outgoing
            if self.apart(m.receivers)
            for data in [self.outgoing_bytes(m)]
            for host in m.receivers
        ]
        self.together()
        for message, request in self._arriving:
            request.wait()
            self.landed(message)
        for request in sent:
            request.wait()

    def together(self) -> None:
        """What goes to several hosts at once."""


class GlooBroadcast(GlooSendRecv):
    """broadcast among the sender and the receivers of a slice."""

    groups = True

    def meet(self, hellos: dict[str, Any]) -> None:
        """As there."""
        super().meet(hellos)
        self._made: dict[tuple[str, ...], Any] = {}

    def agree(self, work: Work) -> None:
        """Makes a process group for each set of hosts; every process has to take part in each."""
        for m in work.messages:
            parties = tuple(sorted((m.sender, *m.receivers)))
            if not self.apart(m.receivers) and parties not in self._made:
                self._made[parties] = dist.new_group([self.hosts.index(host) for host in parties], backend="gloo")

    def together(self) -> None:
        """See `GlooSendRecv`."""
        both = [m for m in (*self.outgoing, *self.incoming) if not self.apart(m.receivers)]
        running = []
        for m in sorted(both, key=lambda m: m.number):
            mine = m.sender == self.host
            data = self.outgoing_bytes(m) if mine else self.landing_bytes(m)
            group = self._made[tuple(sorted((m.sender, *m.receivers)))]
            running.append((m, dist.broadcast(tensor(data), self.hosts.index(m.sender), group=group, async_op=True)))
        for m, request in running:
            request.wait()
            if m.sender != self.host:
                self.landed(m)
