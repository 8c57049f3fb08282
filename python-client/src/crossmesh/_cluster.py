"""Agents as processes on this machine."""

from __future__ import annotations

import atexit
import itertools
import secrets
import threading
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from . import _fork
from ._agent import TIMEOUT_SECONDS, Agent, gateway_of, local_agent
from ._errors import AgentUnavailable, AuthError, LayoutError, TransferCorrupted
from ._gateway import Gateway
from ._jvm import Jvm, make_class_cache
from ._receiver import Receiver
from ._sender import Sender
from ._sharding import Sharding
from ._spec import Leaf, resolve
from ._tls import Tls
from ._topology import Topology
from ._ucx import find_ucx

if TYPE_CHECKING:
    from ._certificates import Authority


TRANSPORTS = ("ucx", "flight")


class Wire(NamedTuple):
    """Tensor bytes that a host's transport has sent and received."""

    sent: int
    received: int


class LocalCluster:
    """Agents of several hosts as processes on this machine; they end with this process, however it ends.

    **Arguments:**

    - `hosts`: the names of the hosts.
    - `transport`: `"ucx"`, or `"flight"`: streams at the agents' Flight doors, which need no UCX and are encrypted
        with `tls=True`.
    - `arena`: the shared memory of each agent, in bytes or as text (`"512MiB"`); pages are taken as they are used.
    - `arena_dir`: where it lies; by default `/dev/shm`.
    - `env`: additions to the agents' environment (`UCX_TLS` ...).
    - `tls`: whether Flight's connections are encrypted and both ends prove themselves, with certificates that are made
        for this cluster and thrown away with it (needs the extra `tls`). Tensors between agents are encrypted with
        `transport="flight"` only: UCX is not.
    - `checksums`: whether chunks are checked where they land, and sent again if they are damaged.
    - `agent_options`: more of the agents' command line, as `["--flight-calls", "64"]`.

    **Raises:**

    `AgentUnavailable` if Java or UCX is missing or an agent does not start, with what to install or what it said;
    `AuthError` if `tls` lacks its package.

    !!! Example

        ```python
        with cm.LocalCluster(hosts=["a", "b"]) as cluster:
            tiles = cluster.reshard(x, src, dst)
        ```
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        transport: str = "ucx",
        arena: str | int = "1GiB",
        arena_dir: str | None = None,
        env: dict[str, str] | None = None,
        tls: bool = False,
        checksums: bool = False,
        agent_options: Sequence[str] = (),
    ) -> None:
        names = tuple(hosts)
        if isinstance(hosts, str) or not names or len(set(names)) != len(names):
            raise LayoutError(f"hosts is a list of distinct names, got {hosts!r}.")
        if transport not in TRANSPORTS:
            raise LayoutError(f"There is no transport {transport!r}. Available: {', '.join(map(repr, TRANSPORTS))}.")
        self._transport = transport
        if transport == "ucx" and not (ucx := find_ucx()).available:
            raise AgentUnavailable(f"Agents cannot move bytes over UCX: {ucx.reason}; or use transport='flight'.")
        self._hosts = names
        self._token = secrets.token_urlsafe(32)
        self._jvms: dict[str, Jvm] = {}
        self._infos: dict[str, dict[str, Any]] = {}
        self._gateways: dict[str, Gateway] = {}
        self._agents: dict[str, Agent] = {}
        self._lock = threading.RLock()
        self._origin = _fork.Origin()
        self._closed = False
        self._numbers = itertools.count()
        self._authority = _authority() if tls else None
        self._tls = self._authority.issue("client") if self._authority else None
        _open.add(self)
        options = ["--transport", transport, "--arena", str(arena)]
        options += ["--arena-dir", arena_dir] if arena_dir else []
        options += ["--checksums", "on"] if checksums else []
        options += agent_options
        try:
            self._start(options, {"CROSSMESH_TOKEN": self._token} | (env or {}))
        except BaseException:
            self.close()
            raise

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts."""
        return self._hosts

    def agent(self, host: str) -> Agent:
        """A connection to the agent of a host, which the cluster closes.

        **Raises:** `LayoutError` if there is no such host; `AgentUnavailable` if its agent is gone.
        """
        self._origin.check()
        with self._lock:
            self._check(host)
            if host not in self._agents:
                self._agents[host] = local_agent(self._infos[host], self._gateways[host])
            return self._agents[host]

    def env(self, host: str) -> dict[str, str]:
        """What a process needs in its environment so that `cm.connect()` finds the agent of a host."""
        self._check(host)
        tls = self._tls.env() if self._tls else {}
        return {"CROSSMESH_AGENT": self._address(host), "CROSSMESH_TOKEN": self._token} | tls

    @property
    def tls(self) -> Tls | None:
        """A client's certificates, if the cluster was started with `tls=True`."""
        return self._tls

    def reshard(
        self,
        x: Any,
        src: Any,
        dst: Any,
        *,
        strategy: str = "auto",
        order: str = "optimal",
        topology: Topology | None = None,
        timeout: float = TIMEOUT_SECONDS,
        verify: bool = False,
    ) -> Any:
        """Move whole tensors from one layout to another, through the agents.

        **Arguments:**

        - `x`: a NumPy array, or a pytree of them: the whole tensors.
        - `src`, `dst`: layouts, as in `cm.plan`.
        - `strategy`, `order`, `topology`: as in `cm.plan`.
        - `timeout`: seconds.
        - `verify`: whether every tile that arrived is compared with `x`, byte by byte, whatever way it came.

        **Returns:** for each tensor `{device index in dst: ndarray}`, in the tree of `x`.

        **Raises:** `LayoutError`, and whatever ends the transfer; `TransferCorrupted` that names tensor and host if a
        tile is not what was sent.

        !!! Example

            ```python
            tiles = cluster.reshard(np.arange(32).reshape(4, 8), src, dst)
            ```
        """
        sources, _ = resolve(x, src, "source")
        destinations, treedef = resolve(x, dst, "destination")
        name = f"reshard/{next(self._numbers)}"
        ends: list[Sender | Receiver] = []
        named: dict[str, Any] = {"depth": 1, "timeout": timeout, "strategy": strategy, "order": order}
        named["topology"] = topology
        layouts = treedef.unflatten([leaf.sharding for leaf in sources])
        wanted = treedef.unflatten([leaf.sharding for leaf in destinations])
        try:
            senders = [self.agent(host).sender(name, x, layouts, **named) for host in _hosts(sources)]
            ends += senders
            receivers = [self.agent(host).receiver(name, x, wanted, **named) for host in _hosts(destinations)]
            ends += receivers
            sent = [sender.send(x) for sender in senders]
            arriving = [receiver.recv() for receiver in receivers]
            arrived = [transfer.result() for transfer in arriving]
            for transfer in sent:
                transfer.result()
        except BaseException as error:
            for end in ends:
                end.abort(f"{type(error).__name__}: {error}")
            raise
        finally:
            for end in ends:
                end.close()
        merged: list[dict[int, Any]] = [{} for _ in destinations]
        for tree in arrived:
            for tiles, more in zip(merged, treedef.flatten_up_to(tree), strict=True):
                tiles.update(more)
        if verify:
            for leaf, whole, tiles in zip(destinations, treedef.flatten_up_to(x), merged, strict=True):
                _verify(leaf, np.asarray(whole), tiles)
        return treedef.unflatten([dict(sorted(tiles.items())) for tiles in merged])

    def pid(self, host: str) -> int:
        """The process of a host's agent.

        **Raises:** `LayoutError` if there is no such host.
        """
        self._check(host)
        return self._jvms[host].pid

    def status(self) -> dict[str, dict[str, Any]]:
        """The status of each agent, by host."""
        return {host: self._gateways[host].status() for host in self._hosts}

    def wire_bytes(self) -> dict[str, Wire]:
        """Tensor bytes that each host's transport has sent and received so far."""
        return {host: _wire(status) for host, status in self.status().items()}

    def close(self) -> None:
        """End all agents. Arrays that were received stay good. A second call does nothing, nor a child's."""
        if not self._origin.here:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # The agents go first: channels that are open then need not be waited for.
        for jvm in self._jvms.values():
            jvm.let_go()
        for agent in self._agents.values():
            agent._session.close()
        for gateway in self._gateways.values():
            gateway.close()
        for jvm in self._jvms.values():
            jvm.close()
        if self._authority is not None:
            self._authority.close()

    def __enter__(self) -> Self:
        self._origin.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for agent in list(self._agents.values()):
                agent.close()
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCluster {list(self._hosts)}, {'closed' if self._closed else 'running'}>"

    def _start(self, options: list[str], env: dict[str, str]) -> None:
        for host in self._hosts:
            command = ["agent", "--name", host, *options, *self._certificates(host)]
            self._jvms[host] = Jvm(command, label=f"Agent {host!r}", with_ucx=self._transport == "ucx", env=env)
        for host, jvm in self._jvms.items():
            info = self._infos[host] = jvm.wait_ready()
            if not info["transport"]["available"]:
                raise AgentUnavailable(f"Agent {host!r} cannot move bytes: {info['transport'].get('reason')}")
            self._gateways[host] = gateway_of(info, jvm.post_mortem)
        peers = [(host, self._address(host)) for host in self._hosts]
        for gateway in self._gateways.values():
            gateway.join(peers)
        make_class_cache()

    def _certificates(self, host: str) -> list[str]:
        if self._authority is None:
            return []
        files = self._authority.issue(f"agent-{host}")
        return ["--tls-ca", str(files.ca), "--tls-cert", str(files.cert), "--tls-key", str(files.key)]

    def _address(self, host: str) -> str:
        door = self._infos[host]["flight"]
        return f"{door['host']}:{door['port']}"

    def _check(self, host: str) -> None:
        if self._closed:
            raise AgentUnavailable("The cluster is closed. Start another one.")
        if host not in self._infos:
            raise LayoutError(f"There is no host {host!r} in this cluster. Its hosts are {list(self._hosts)}.")


_open: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for cluster in list(_open):
        cluster.close()


def _authority() -> Authority:
    try:
        from ._certificates import Authority
    except ImportError:
        raise AuthError(
            "tls=True needs the package cryptography. Install it with: pip install 'crossmesh[tls]'"
        ) from None
    return Authority()


def _hosts(leaves: Sequence[Leaf]) -> list[str]:
    sharding: Sharding = leaves[0].sharding
    return list(sharding.mesh.hosts)


def _verify(leaf: Leaf, whole: Any, tiles: dict[int, Any]) -> None:
    """Compare tiles with the tensor that was sent, as bytes: a NaN is itself."""
    for device, place in leaf.sharding.shards(leaf.shape).items():
        sent = np.ascontiguousarray(whole[place])
        if sent.tobytes() != np.ascontiguousarray(tiles[device]).tobytes():
            host = leaf.sharding.mesh.devices[device][0]
            raise TransferCorrupted(
                f"The tile of device {device} of {leaf.label} arrived on host {host!r} with other bytes than were "
                "sent. Its memory or the way to it damages data: test both, and start agents with --checksums on."
            )


def _wire(status: dict[str, Any]) -> Wire:
    traffic = status["traffic"]
    return Wire(int(traffic["bulk_bytes_sent"]), int(traffic["bulk_bytes_received"]))
