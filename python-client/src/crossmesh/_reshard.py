"""Arrays of a `jax.distributed` job from one mesh to another one, on other processes. Importing it imports JAX.

Every process makes the same decisions from the same arguments: which tensors move together, what their channel is
called, and which old channel makes room for it. So nothing is agreed on but what the agents agree on anyway.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from . import _fork
from ._agent import TIMEOUT_SECONDS, Agent, connect
from ._errors import LayoutError
from ._foreign import known_hosts
from ._jax_seen import is_named_sharding
from ._receiver import Receiver
from ._sender import Sender
from ._sharding import json_tables
from ._spec import Leaf, TensorSpec, resolve
from ._transfer import Transfer
from ._tree import flatten

CHANNELS_MAX = 16
"""Channels that stay open for further calls; the one used longest ago is closed for another one. Counted alike on
every process. Each holds memory for one step in the arenas of its hosts."""


def reshard(
    x: Any,
    dst: Any,
    *,
    hosts: Sequence[str] | None = None,
    donate: bool = False,
    timeout: float = TIMEOUT_SECONDS,
    agent: Agent | None = None,
) -> Any:
    """Move global arrays to another layout, on another mesh, whose devices may belong to other processes.

    What `jax.device_put` refuses in a `jax.distributed` job. **Every process of the job calls it**, with the same
    trees and layouts and in the same order, also those that hold nothing of either side. The meshes may overlap:
    what a device has already is not sent. Returns when this process has its shards and those that it sent are
    delivered. Plans and channels are kept for the next call with the same shapes and layouts.

    **Arguments:**

    - `x`: a pytree of global `jax.Array`s whose shardings are `NamedSharding`s. A process that holds no shard of an
        array passes a `jax.ShapeDtypeStruct` with the array's `sharding` in its place (or what an earlier call
        returned there).
    - `dst`: a `NamedSharding`, or a tree prefix of them, as `jax.device_put` takes it.
    - `hosts`: the agent's name for each process of the job; by default `$CROSSMESH_HOSTS`.
    - `donate`: delete the arrays of `x` on this process once their bytes are taken, so that their memory is free
        before the result is there.
    - `timeout`: seconds for the other processes to call it, and as many for the bytes to arrive.
    - `agent`: the connection to this host's agent; by default one made by `cm.connect()` at the first call and kept.

    **Returns:**

    `x` with arrays of the shardings in `dst`. On a process without devices of `dst` they have no shards.

    **Raises:**

    `LayoutError` on every process before a byte moves, if a layout does not fit or cannot be held;
    `TransferTimeout` if some process does not call it; `PeerLost`, `TransferCancelled` if one failed.

    !!! Example

        ```python
        x = w if jax.process_index() in (0, 1) else jax.ShapeDtypeStruct((1024, 1024), "bfloat16", sharding=trainer)
        y = cm.jax.reshard(x, NamedSharding(server_mesh, P(None, "model")), hosts=["a", "b", "c", "d"])
        ```
    """
    _, values, treedef = flatten(x)
    if jax.process_count() == 1 and all(isinstance(value, jax.Array) for value in values):
        return jax.device_put(x, dst, donate=donate)
    if agent is None:
        agent = _own_agent()
    names = known_hosts(hosts) or ([agent.name] if jax.process_count() == 1 else None)
    sources, _ = resolve(x, None, "source", names)
    targets, _ = resolve(x, dst, "destination", names)
    _check(sources, targets)
    results = list(values)
    groups: dict[Any, list[int]] = {}
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if source.sharding == target.sharding and source.named == target.named:
            continue
        groups.setdefault((source.sharding.mesh.devices, target.sharding.mesh.devices), []).append(index)
    moves: list[_Move] = []
    try:
        for indices in groups.values():
            pairs = [(sources[index], targets[index]) for index in indices]
            moves.append(_Move(_channel(agent, pairs, timeout, names), indices))
        for move in moves:
            move.start([values[index] for index in move.indices])
        if donate:
            for move in moves:
                move.donate([values[index] for index in move.indices])
        for move in moves:
            arrived = move.finish()
            for place, index in enumerate(move.indices):
                results[index] = _without_shards(targets[index]) if arrived is None else arrived[place]
    except BaseException as error:
        for move in moves:
            _forget(move.channel, f"{type(error).__name__}: {error}")
        raise
    return treedef.unflatten(results)


@dataclass(eq=False)
class _Channel:
    """This process's ends of a channel; both are there if it holds devices of both sides."""

    key: tuple[Agent, str]
    sender: Sender | None
    receiver: Receiver | None

    @property
    def ends(self) -> list[Sender | Receiver]:
        return [end for end in (self.sender, self.receiver) if end is not None]


class _Move:
    """One channel's part of one call."""

    def __init__(self, channel: _Channel, indices: list[int]) -> None:
        self.channel = channel
        self.indices = indices
        self._sent: Transfer | None = None
        self._arriving: Transfer | None = None

    def start(self, values: list[Any]) -> None:
        if self.channel.sender is not None:
            for value in values:
                if not (isinstance(value, jax.Array) and value.addressable_shards):
                    self.channel.sender.wait_open()  # so that all the others are there to hear of it
                    raise LayoutError(
                        f"Process {jax.process_index()} holds shards of an array of shape {tuple(value.shape)} in the "
                        f"layout {value.sharding}, but passed a {type(value).__name__}. Pass the global jax.Array."
                    )
            self._sent = self.channel.sender.send(values)
        if self.channel.receiver is not None:
            self._arriving = self.channel.receiver.recv()

    def donate(self, values: list[Any]) -> None:
        if self._sent is not None:
            self._sent.read()
            for value in values:
                value.delete()

    def finish(self) -> list[Any] | None:
        """The arrays that arrived, `None` if this process has no device of the destination.

        Waits without a limit of its own: the channel has one, and its error says who is missing.
        """
        arrived = None if self._arriving is None else list(self._arriving.result())
        if self._sent is not None:
            self._sent.result()
        return arrived


_lock = threading.Lock()
_channels: OrderedDict[tuple[Agent, str], _Channel] = OrderedDict()
_agents: list[Agent] = []


def _own_agent() -> Agent:
    with _lock:
        if not _agents:
            _agents.append(connect())
        return _agents[0]


def _after_fork() -> None:
    """A forked child makes a connection of its own. What it has of its parent's is kept, and never used."""
    global _lock
    _lock = threading.Lock()
    _parents.append((dict(_channels), list(_agents)))
    _channels.clear()
    _agents.clear()


_parents: list[object] = []
_fork.in_child(_after_fork)


@atexit.register
def _close() -> None:
    """The ends of the channels go in order, so that no other process takes this one for dead."""
    with _lock:
        for channel in _channels.values():
            for end in channel.ends:
                end.close()
        _channels.clear()
        while _agents:
            _agents.pop().close()


def _channel(agent: Agent, pairs: list[tuple[Leaf, Leaf]], timeout: float, hosts: Sequence[str] | None) -> _Channel:
    """The channel for tensors that go from the devices of one mesh to those of another, opened if it is new."""
    key = agent, _name(pairs, timeout)
    with _lock:
        found = _channels.pop(key, None)
        if found is None or any(end._over.is_set() for end in found.ends):
            while len(_channels) >= CHANNELS_MAX:
                _, oldest = _channels.popitem(last=False)
                for end in oldest.ends:
                    end.close()
            found = _open(agent, key[1], pairs, timeout, hosts)
        _channels[key] = found
        return found


def _open(
    agent: Agent, name: str, pairs: list[tuple[Leaf, Leaf]], timeout: float, hosts: Sequence[str] | None
) -> _Channel:
    from .jax import local_devices

    specs = [TensorSpec(source.shape, source.dtype) for source, _ in pairs]
    sources, targets = ([pair[side].named for pair in pairs] for side in (0, 1))
    sender = receiver = None
    if local_devices(sources[0]):
        sender = agent.sender(name, specs, sources, depth=1, timeout=timeout, hosts=hosts)
    if local_devices(targets[0]):
        receiver = agent.receiver(name, specs, targets, depth=1, timeout=timeout, hosts=hosts)
    return _Channel((agent, name), sender, receiver)


def _forget(channel: _Channel, reason: str) -> None:
    """End a channel that failed for all its parties, who open it again when they next need it."""
    with _lock:
        _channels.pop(channel.key, None)
    for end in channel.ends:
        end.abort(reason)


def _name(pairs: list[tuple[Leaf, Leaf]], timeout: float) -> str:
    """What every process calls the channel: a digest of tensors and layouts."""
    tensors = [[source.key, source.shape, source.dtype.name] for source, _ in pairs]
    tables = [json_tables([pair[side].sharding for pair in pairs]) for side in (0, 1)]
    text = json.dumps([tensors, tables, float(timeout)])
    return f"cm.jax.reshard/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _check(sources: Sequence[Leaf], targets: Sequence[Leaf]) -> None:
    """Refuse on every process what one of them could not do."""
    from .jax import check_holdable

    for leaf in (*sources, *targets):
        if not is_named_sharding(leaf.named):
            raise LayoutError(
                f"The layout {leaf.sharding!r} of {leaf.label} is not a NamedSharding. Arrays of JAX lie in one: "
                "NamedSharding(mesh, PartitionSpec(...))."
            )
        check_holdable(leaf)


def _without_shards(leaf: Leaf) -> Any:
    """The array of a process that has none of its devices."""
    make: Any = jax.make_array_from_single_device_arrays
    try:
        return make(leaf.shape, leaf.named, [], dtype=leaf.dtype)
    except TypeError:  # until JAX 0.5 there is no array without shards
        struct: Any = jax.ShapeDtypeStruct
        return struct(leaf.shape, leaf.dtype, sharding=leaf.named)
