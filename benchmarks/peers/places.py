"""Loopback: all hosts at one address."""

from __future__ import annotations

from typing import Final

import crossmesh as cm

TCP_ONLY: Final = {"UCX_TLS": "tcp,self"}
"""Every peer crosses TCP, as between hosts; shared memory would say nothing about a network."""

MPI_OPTIONS: Final = ("--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1")


class Loopback:
    """The hosts of a cluster of agents on this machine."""

    def __init__(self, cluster: cm.LocalCluster) -> None:
        self._cluster = cluster
        self.addresses = dict.fromkeys(cluster.hosts, "127.0.0.1")

    def inside(self, host: str) -> list[str]:
        """Nothing: it runs here."""
        return [] if host in self.addresses else ["false"]

    def env(self, host: str) -> dict[str, str]:
        """The way to the agent, and TCP for all."""
        return self._cluster.env(host) | TCP_ONLY | {"GLOO_SOCKET_IFNAME": "lo", "UCX_NET_DEVICES": "lo"}

    def mpi(self) -> list[str]:
        """TCP over loopback."""
        return [*MPI_OPTIONS, "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"]
