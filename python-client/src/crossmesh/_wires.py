"""What the benchmarks' `--transport` names: how the agents of one machine reach each other, and UCX's own benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._cluster import LocalCluster
from ._errors import LayoutError


@dataclass(frozen=True)
class Wire:
    """A way between two agents on loopback.

    `ucx_tls` is the value of `UCX_TLS` for the agents, and for `ucx_perftest`, which has no streams: beside those it
    runs over plain TCP.
    """

    name: str
    ucx_tls: str
    transport: str = "ucx"
    encrypted: bool = False

    def cluster(self, hosts: Sequence[str], arena: int, options: Sequence[str] = ()) -> LocalCluster:
        """Agents that reach each other so. `arena` is in bytes, of each; `options` are more of their command line."""
        env = {"UCX_TLS": self.ucx_tls} if self.transport == "ucx" else None
        return LocalCluster(
            hosts, transport=self.transport, arena=arena, env=env, tls=self.encrypted, agent_options=options
        )


WIRES = {
    wire.name: wire
    for wire in (
        Wire("tcp", "tcp,self"),
        Wire("shm", "tcp,sm,self"),
        Wire("flight", "tcp,self", transport="flight"),
        Wire("flight-tls", "tcp,self", transport="flight", encrypted=True),
    )
}


def wire(name: str) -> Wire:
    """The one of a name.

    **Raises:** `LayoutError` if there is none.
    """
    found = WIRES.get(name)
    if found is None:
        raise LayoutError(f"There is no transport {name!r}. Available: {', '.join(WIRES)}.")
    return found
