"""The hosts of the network lab: a namespace each, behind shaped links."""

from __future__ import annotations

import shlex

from lab.hosts import Hosts

from .places import MPI_OPTIONS


class LabPlace:
    """The hosts of a lab whose agents run."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        network = hosts.network
        self.addresses = {host: network.address(host) for host in hosts.names}
        # What mpirun calls instead of ssh: its first argument is the host, the rest a command for a shell there.
        self._remote = network.directory / "remote-shell"
        inside = "\n".join(f"{self.addresses[h]}) inside='{shlex.join(network.inside(h))}';;" for h in hosts.names)
        self._remote.write_text(f'#!/bin/sh\ncase "$1" in\n{inside}\nesac\nshift\nexec $inside sh -c "$*"\n')
        self._remote.chmod(0o700)

    def inside(self, host: str) -> list[str]:
        """Into its namespace."""
        return self._hosts.network.inside(host)

    def env(self, host: str) -> dict[str, str]:
        """The way to the agent, and the network card."""
        return self._hosts.env(host) | {"GLOO_SOCKET_IFNAME": "eth0"}

    def mpi(self) -> list[str]:
        """TCP over the network card, one rank a host."""
        options = {
            "plm_rsh_agent": str(self._remote),
            "plm_rsh_no_tree_spawn": "1",
            "btl": "tcp,self",
            "btl_tcp_if_include": "eth0",
            "oob_tcp_if_include": "eth0",
        }
        slots = ",".join(f"{address}:1" for address in self.addresses.values())
        chosen = [word for name, value in options.items() for word in ("--mca", name, value)]
        return [*MPI_OPTIONS, *chosen, "--host", slots, "-x", "PYTHONPATH"]
