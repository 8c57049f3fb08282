"""A trainer's connection to the agent of its host."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ._arena import Arena
from ._beside import wait_for_all
from ._channel import ABORT_SECONDS_MAX, ChannelEnd
from ._control import Control
from ._errors import AgentUnavailable, AuthError, CrossmeshError, LayoutError
from ._foreign import agent_host_known
from ._gateway import Gateway
from ._jax_seen import is_abstract, jax_if_imported
from ._numbers import DEPTH_MAX, seconds, whole
from ._receiver import Receiver
from ._sender import Sender
from ._session import Session
from ._sharding import json_tables
from ._spec import Leaf, resolve
from ._tls import AUTHORITY, Tls, open_door
from ._topology import Topology

PROTOCOL = 1
_log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
HELLO_SECONDS_MIN = 0.1
PROBE_SECONDS_MAX = 1.0
SECONDS_BETWEEN = 0.1
STATUS_SECONDS = 10.0

_End = TypeVar("_End", bound=ChannelEnd)


class Agent:
    """A connection to an agent. Made by `cm.connect` and `LocalCluster.agent`; a context manager."""

    def __init__(self, name: str, control: Control, arena: Arena, *, status: Any = None, on_close: Any = None) -> None:
        self._name = name
        self._control = control
        self._status = status
        self._session = Session(control, arena, name, on_close or (lambda: None))

    @property
    def name(self) -> str:
        """The host's name in meshes."""
        return self._name

    def sender(
        self,
        name: str,
        tree: Any,
        src: Any = None,
        *,
        depth: int = 4,
        timeout: float | None = None,
        strategy: str | None = None,
        order: str | None = None,
        topology: Topology | None = None,
        devices: Sequence[int] | None = None,
        hosts: Sequence[str] | None = None,
        verify: bool = False,
    ) -> Sender:
        """Open the sending end of a channel. Does not wait for the other parties.

        Every process that holds devices of the source mesh opens it, and states the same layout. The channel is open
        when all devices of both meshes are claimed; every host then plans by itself and compares digests.

        **Arguments:**

        - `name`: what both sides call the channel.
        - `tree`: a pytree of anything with `.shape` and `.dtype`; the whole tensors.
        - `src`: the layout on this side: a `cm.Sharding` or `jax.sharding.NamedSharding`, a tree prefix of them, or
            `None` for the leaves' own.
        - `depth`: how many steps may be on the wire.
        - `timeout`: seconds for the opening, and for each step from its call. By default the opening has 60 s, and a
            step as long as it takes: only the loss of a host or a process ends it, not one that is slow, compiles or
            stands in a debugger. `result(timeout)` bounds a wait, and the step lives on.
        - `strategy`, `order`, `topology`: as in `cm.plan`; `None` leaves it to the other parties.
        - `devices`: the device indices of this process, if several processes of this host share the mesh. By
            default those of this JAX process (`NamedSharding`), or all of this host.
        - `hosts`: the host of each JAX process, as in `Sharding.from_jax`.
        - `verify`: whether the tiles of each step are compared, by digests, with what was sent before they are handed
            over, copies inside a host too. It is enough that one process of either side says so. A step that is
            unlike ends with `TransferCorrupted`, for all.

        **Returns:** a `Sender`, which is a context manager.

        **Raises:** `LayoutError` if the layout does not fit; `AgentUnavailable` if the agent is gone.

        !!! Example

            ```python
            with agent.sender("act/0-1", jax.ShapeDtypeStruct((8, 16), "float32"), sharding) as tx:
                tx.send(x).result()
            ```
        """
        return self._open(Sender, name, tree, src, depth, timeout, strategy, order, topology, devices, hosts, verify)

    def receiver(
        self,
        name: str,
        tree: Any,
        dst: Any = None,
        *,
        depth: int = 4,
        timeout: float | None = None,
        strategy: str | None = None,
        order: str | None = None,
        topology: Topology | None = None,
        devices: Sequence[int] | None = None,
        hosts: Sequence[str] | None = None,
        verify: bool = False,
    ) -> Receiver:
        """Open the receiving end of a channel. Does not wait for the other parties.

        **Arguments:** as `sender`, with the layout of the destination.

        **Returns:** a `Receiver`, which is a context manager.

        **Raises:**

        `LayoutError` if the layout does not fit, or was stated as a `NamedSharding` that JAX cannot hold (uneven
        shards, 64-bit types without x64); `AgentUnavailable` if the agent is gone.

        !!! Example

            ```python
            with agent.receiver("act/0-1", jax.ShapeDtypeStruct((8, 16), "float32"), sharding) as rx:
                x = rx.recv().result()
            ```
        """
        return self._open(Receiver, name, tree, dst, depth, timeout, strategy, order, topology, devices, hosts, verify)

    def status(self, timeout: float = STATUS_SECONDS) -> dict[str, Any]:
        """What the agent is doing: channels, peers, bytes sent and received, use of the arena.

        **Raises:** `AgentUnavailable` if it does not answer within `timeout` seconds.
        """
        if self._status is None:
            return {}
        self._session.origin.check()
        limit = seconds(timeout, "timeout of a status")
        return dict(self._session.calls.run(self._status, limit, "its status is not known"))

    def close(self) -> None:
        """Close all channels in order, and the connection. Arrays that were received stay good.

        In a forked child it does nothing: the connection is the parent's.

        **Raises:** as `close` of a channel; all are closed nevertheless.
        """
        if not self._session.origin.here:
            return
        failure: CrossmeshError | None = None
        ends = list(self._session.ends)
        for end in ends:
            end._start_close()
        start = time.monotonic()
        for end in ends:
            try:
                if not self._session.in_callback:
                    end._await_closed(start + end._timeout)
            except CrossmeshError as error:
                failure = failure or error
        self._session.close()
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        self._session.origin.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._session.origin.here:
            told = [end._begin_abort(f"{type(error).__name__}: {error}") for end in list(self._session.ends)]
            wait_for_all([one for one in told if one is not None], ABORT_SECONDS_MAX)
        self.close()

    def __repr__(self) -> str:
        return f"<Agent {self._name!r}>"

    def _open(
        self,
        kind: type[_End],
        name: str,
        tree: Any,
        layout: Any,
        depth: int,
        timeout: float | None,
        strategy: str | None,
        order: str | None,
        topology: Topology | None,
        devices: Sequence[int] | None,
        hosts: Sequence[str] | None,
        verify: bool,
    ) -> _End:
        self._session.origin.check()
        depth = whole(depth, 1, DEPTH_MAX, f"Channel {name!r}: depth")
        limit = None if timeout is None else seconds(timeout, f"Channel {name!r}: timeout")
        side = "source" if kind._side == "src" else "destination"
        leaves, treedef = resolve(tree, layout, side, self._hosts_of_jax(hosts))
        if not leaves:
            raise LayoutError(f"Channel {name!r} has no tensors: the tree {tree!r} has no leaves.")
        mine = self._devices_of(leaves, side, devices)
        if kind._side == "dst":
            for leaf in leaves:
                if leaf.named is not None:
                    from ._jax_arrays import check_holdable

                    check_holdable(leaf)
        meshes, layouts, where = json_tables([leaf.sharding for leaf in leaves])
        request = {
            "name": name,
            "side": kind._side,
            "meshes": meshes,
            "layouts": layouts,
            "tensors": [
                {"key": leaf.key, "shape": list(leaf.shape), "dtype": leaf.dtype.name, "layout": number}
                for leaf, number in zip(leaves, where, strict=True)
            ],
            "devices": list(mine),
            "depth": depth,
            "timeout": TIMEOUT_SECONDS if limit is None else limit,
            "step_timeout": limit,
            "strategy": strategy,
            "order": order,
            "topology": None if topology is None else topology._to_json(),
            "verify": verify,
        }
        self._check_only(kind, name, mine)
        return kind(self._session, name, leaves, treedef, mine, request)

    def _check_only(self, kind: type[ChannelEnd], name: str, devices: Sequence[int]) -> None:
        """Refuse a second end of a channel beside the first, which would get what is meant for this one."""
        if self._same_end(kind, name, devices):
            gc.collect()  # an end and its pending steps refer to each other
        if self._same_end(kind, name, devices):
            raise LayoutError(
                f"Channel {name!r} is open in this process already, on the same side and for the same devices. Close "
                "that end first, or give this one another name. (A name or a traceback may still refer to an end that "
                "was interrupted.)"
            )

    def _same_end(self, kind: type[ChannelEnd], name: str, devices: Sequence[int]) -> bool:
        return any(
            end.name == name and type(end) is kind and not end.is_over() and not end._devices.isdisjoint(devices)
            for end in list(self._session.ends)
        )

    def _hosts_of_jax(self, hosts: Sequence[str] | None) -> Sequence[str] | None:
        jax = jax_if_imported()
        if hosts is not None or os.environ.get("CROSSMESH_HOSTS") or jax is None:
            return hosts
        return [self._name] if jax.process_count() == 1 else None

    def _devices_of(self, leaves: Sequence[Leaf], side: str, stated: Sequence[int] | None) -> tuple[int, ...]:
        first = leaves[0].sharding.mesh
        for leaf in leaves:
            if leaf.sharding.mesh.devices != first.devices:
                raise LayoutError(
                    f"The tensors of one side lie on the same devices: {leaf.label} lies on {leaf.sharding.mesh!r}, "
                    f"{leaves[0].label} on {first!r}. Open a channel for each."
                )
        here = first.devices_of(self._name)
        if not here:
            raise LayoutError(
                f"The {side} mesh {first!r} has no device on {self._name!r}, the host of this agent. "
                "Open this end at an agent of one of its hosts, or correct the mesh."
            )
        if stated is not None:
            alien = [device for device in stated if device not in here]
            if alien or not stated:
                raise LayoutError(
                    f"devices={list(stated)} are not devices on {self._name!r}, which has {list(here)} of {first!r}."
                )
            return tuple(sorted(set(stated)))
        named = next((leaf.named for leaf in leaves if leaf.named is not None), None)
        if named is None or is_abstract(named):
            return here
        from ._jax_arrays import local_devices

        mine = local_devices(named)
        if not set(mine) <= set(here):
            raise LayoutError(
                f"This JAX process has the devices {list(mine)} of {first!r}, which are not all on {self._name!r}, the "
                "host of this agent. Connect to the agent of this host, or correct hosts= (or CROSSMESH_HOSTS)."
            )
        return mine


def connect(
    address: str | None = None,
    *,
    token: str | None = None,
    tls: Tls | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Agent:
    """Connect to the agent of this host.

    **Arguments:**

    - `address`: `"host:port"` of the agent's Flight door; by default `$CROSSMESH_AGENT`.
    - `token`: the cluster's token; by default `$CROSSMESH_TOKEN`.
    - `tls`: certificates, if the agents were started with some; by default those of the environment (`cm.Tls`).
    - `timeout`: seconds to wait for an agent that is still starting, and for its answer.

    **Returns:** an `Agent`, which is a context manager.

    **Raises:**

    `AgentUnavailable` if no agent answers in that time, or the one that does is not on this host; `AuthError` for a
    wrong token.

    !!! Example

        ```python
        with cm.connect() as agent:
            rx = agent.receiver("act/0-1", spec, layout)
        ```
    """
    where = address or os.environ.get("CROSSMESH_AGENT")
    if not where:
        raise AgentUnavailable(
            'No agent is named. Pass connect("host:port") or set CROSSMESH_AGENT to the address of its Flight door.'
        )
    secret = token if token is not None else os.environ.get("CROSSMESH_TOKEN", "")
    hello = _hello(where, secret, timeout, tls)
    info = _read_info(hello, where)
    gateway = gateway_of(info)
    agent = local_agent(info, gateway, on_close=gateway.close)
    agent_host_known(agent.name)
    _log.info("connected to the agent of host %r at %s", agent.name, where)
    return agent


def _hello(address: str, token: str, timeout: float, tls: Tls | None) -> dict[str, Any]:
    """What the agent says about itself; waits while nobody listens at its address."""
    start = time.monotonic()
    listening = False
    while True:
        left = max(HELLO_SECONDS_MIN, start + timeout - time.monotonic())
        try:
            body = {"v": 1, "protocol": PROTOCOL}
            return flight_action(address, token, "hello", body, left, tls, since=start)
        except AgentUnavailable:
            if time.monotonic() + SECONDS_BETWEEN > start + timeout:
                raise
            # The agent may have begun to listen after it was asked, so it is asked once more.
            if listening and not _is_silent(address):
                raise
            listening = not _is_silent(address)
        time.sleep(SECONDS_BETWEEN)


def _is_silent(address: str) -> bool:
    """Whether nobody listens at an address yet; false if waiting would not mend that."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS_MAX).close()
    except (ValueError, socket.gaierror):
        return False
    except OSError:
        return True
    return False


def gateway_of(info: dict[str, Any], why_gone: Any = None) -> Gateway:
    """The Py4J door that a private info file tells of."""
    door, label = info["gateway"], f"Agent {info['name']!r}"
    named = {} if why_gone is None else {"why_gone": why_gone}
    return Gateway(door["port"], door["token"], label, trainers=door["trainers"], **named)


def local_agent(info: dict[str, Any], gateway: Gateway, on_close: Any = None) -> Agent:
    """An agent on this host, from its private info file."""
    arena = Arena(info["arena"]["path"], int(info["arena"]["bytes"]))
    return Agent(info["name"], gateway, arena, status=gateway.status, on_close=on_close)


def flight_action(
    address: str,
    token: str,
    action: str,
    body: dict[str, Any],
    timeout: float,
    tls: Tls | None = None,
    *,
    since: float | None = None,
) -> dict[str, Any]:
    """Ask an agent by its Flight door; the answer is one JSON document.

    **Arguments:**

    - `since`: when the caller began to ask, for the message; by default now.

    **Raises:** `AuthError`, `AgentUnavailable`.
    """
    from pyarrow import ArrowException, flight

    start = time.monotonic() if since is None else since
    options = flight.FlightCallOptions(timeout=timeout, headers=[(b"authorization", b"Bearer " + token.encode())])
    try:
        with open_door(address, tls or Tls.from_env()) as client:
            results = list(client.do_action(flight.Action(action, json.dumps(body).encode()), options))
        return dict(json.loads(results[0].body.to_pybytes()))
    except CrossmeshError:
        raise
    except (flight.FlightUnauthenticatedError, flight.FlightUnauthorizedError) as error:
        raise AuthError(
            f"The agent at {address} refused the token. Pass token= or set CROSSMESH_TOKEN to the one that it was "
            f"started with. [{_short(error)}]"
        ) from None
    except (ArrowException, OSError, ValueError, IndexError) as error:
        raise AgentUnavailable(
            f"No agent answered at {address} in {time.monotonic() - start:.1f} s. Start one there, correct the address "
            f"or the certificates, if it was started with some (cm.Tls, {AUTHORITY}). "
            f"[{_short(error)}]"
        ) from None


def _read_info(hello: dict[str, Any], address: str) -> dict[str, Any]:
    name, path = hello.get("name"), Path(str(hello.get("info_file")))
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise AuthError(
            f"Agent {name!r} at {address} belongs to another user: {path} cannot be read. "
            "Run the agent and the trainer as one user."
        ) from None
    except (OSError, ValueError):
        info = {}
    if info.get("epoch") != hello.get("epoch"):
        raise AgentUnavailable(
            f"Agent {name!r} at {address} is not on this host: a trainer's tensors go through the shared memory of "
            "its own host's agent. Connect to that one, or use Arrow Flight from here (docs/flight.md)."
        )
    return info


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
