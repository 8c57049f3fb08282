"""Arrays of a `jax.distributed` job from one mesh to another one, on other processes. Importing it imports JAX.

Every process makes the same decisions from the same arguments: which tensors move together, what their channel is
called, and which old channel makes room for it. That they have the same arguments is what they agree on for each call
(`_calls.py`), before any of them gets a value.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from . import _fork
from ._agent import TIMEOUT_SECONDS, Agent, connect
from ._calls import Call, Calls
from ._errors import AgentUnavailable, CrossmeshError, LayoutError
from ._foreign import known_hosts, process_places
from ._jax_arrays import assemble, check_holdable, local_devices
from ._jax_private import Store, job_id, job_store, with_weak_type
from ._jax_seen import is_named_sharding
from ._moves import Channels, Group, Move
from ._spec import Leaf, resolve
from ._statement import WEAK_TENSORS_MAX, Row, Stated, call_row, is_weak
from ._tree import TreeDef, flatten_leaves, structure

DEVICES_SHOWN_MAX = 64
JOBS_ALONE_MAX = 4
KNOWN_MAX = 64
"""Calls whose layouts are kept for the next call of the same."""


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

    `x` with arrays of the shardings in `dst`. On a process without devices of `dst` they have no shards; before
    JAX 0.7.2 there are `ShapeDtypeStruct`s in their place.

    **Raises:**

    Calls are numbered, and all processes compare what they call under a number before any of them gets a value.

    - `LayoutError` before a byte moves, if a layout does not fit or cannot be held. The other processes get
        `TransferCancelled` with its text, unless they refuse the call themselves.
    - `PlanMismatch` on every process if they call it with other trees, shapes, types, layouts or timeouts.
    - `TransferTimeout` if some process does not call it in time, which names the process.
    - `PeerLost` if a process ended or is lost, `TransferCancelled` if one failed.

    The next call that all processes make alike succeeds. A process that holds shards of neither side does not wait: it
    logs a warning where the others get an error.

    !!! Example

        ```python
        x = w if jax.process_index() in (0, 1) else jax.ShapeDtypeStruct((1024, 1024), "bfloat16", sharding=trainer)
        y = cm.jax.reshard(x, NamedSharding(server_mesh, P(None, "model")), hosts=["a", "b", "c", "d"])
        ```
    """
    if jax.process_count() == 1 and _all_arrays(x):
        return jax.device_put(x, dst, donate=donate)
    if jax.process_count() > 1 and not _origin.here:
        raise AgentUnavailable(
            "This process was forked from a process of a jax.distributed job, and is none itself. Call "
            "cm.jax.reshard in the processes of the job, or start this one with a job of its own (spawn)."
        )
    if agent is None:
        agent = _own_agent()
    return _job(agent, known_hosts(hosts)).reshard(x, dst, donate, timeout)


def _all_arrays(x: Any) -> bool:
    return all(isinstance(value, jax.Array) for value in jax.tree_util.tree_leaves(x))


@dataclass(eq=False)
class _Known:
    """What a call states, worked out once. It holds the shardings that it is known by."""

    kept: list[Any]
    sources: list[Leaf]
    targets: list[Leaf]
    groups: list[Group]
    tensors: list[Stated]
    row: Row
    concerned: bool
    givers: list[int]
    """For each tensor a process that holds shards of the source."""


class _Job:
    """What this process keeps of the calls of one job over one agent."""

    def __init__(self, agent: Agent, hosts: list[str] | None, store: Store | None) -> None:
        self.agent = agent
        self.store = store
        self._hosts = hosts or ([agent.name] if jax.process_count() == 1 else None)
        self._channels = Channels(agent)
        self._known: OrderedDict[Any, _Known] = OrderedDict()
        self._calls: Calls | None = None
        self._alone = _alone()
        self._count = 0
        self._stated_hosts = hosts
        if jax.process_count() > 1:
            places = process_places(jax.devices(), jax.process_count(), self._hosts)
            self._calls = Calls(job_id(store), store, agent, jax.process_index(), places)

    def is_of(self, agent: Agent, hosts: list[str] | None, client: Any) -> bool:
        """Whether it is the job of these."""
        own = None if self.store is None else self.store.client
        return self.agent is agent and self._stated_hosts == hosts and own is client

    def reshard(self, x: Any, dst: Any, donate: bool, timeout: float) -> Any:
        """One call."""
        try:
            if not timeout > 0:
                raise LayoutError(f"timeout is a positive number of seconds, got {timeout!r}.")
            values, treedef = flatten_leaves(x)
            known = self._look_up(x, dst, values, treedef, timeout)
            _check_values(known, values)
        except BaseException as error:
            if self._calls is not None:
                self._calls.refuse(error, timeout)
            raise
        if self._calls is None:
            self._count += 1
            results = self._move(known, values, None, donate, timeout)
        elif known.concerned:
            call = self._calls.post(known.row, known.tensors, timeout)
            results = self._move(known, values, call, donate, timeout)
        else:
            self._calls.post_and_leave(known.row, known.tensors, timeout)
            results = {
                index: _without_shards(known.targets[index], _states_weak(values[index]))
                for group in known.groups
                for index in group.indices
            }
        return treedef.unflatten(
            results[index] if index in results else _relabelled(value, known.targets[index])
            for index, value in enumerate(values)
        )

    def close(self) -> None:
        """End everything in order, so that no other process takes this one for dead."""
        if self._calls is not None:
            self._calls.close()
        self._channels.close()

    def _move(
        self, known: _Known, values: list[Any], call: Call | None, donate: bool, timeout: float
    ) -> dict[int, Any]:
        """What arrives, by the number of the tensor."""
        moves: list[Move] = []
        rows: Row | None = None
        number = self._count if call is None else call.number
        try:
            epoch = self._epoch(call)
            if call is not None and self._calls is not None:
                if all(self._channels.standing(epoch, group, timeout) for group in known.groups):
                    # The bytes travel beside the agreement, which decides whether anybody gets them.
                    self._begin(moves, known, values, epoch, number, timeout)
                rows = self._calls.agree(call, timeout)
                number = call.number
            if len(moves) < len(known.groups) or self._epoch(call) != epoch:
                self._forget(moves, "another call failed")
                self._begin(moves, known, values, self._epoch(call), number, timeout)
                if call is not None and self._calls is not None:
                    self._calls.await_open(call, [end for move in moves for end in move.channel.ends])
            if donate:
                for move in moves:
                    move.donate()
            return {index: made for move in moves for index, made in _finish(move, known, values, rows)}
        except BaseException as error:
            if call is not None and self._calls is not None:
                self._calls.fail(call, error)
            else:
                self._alone = _alone()
            self._forget(moves, f"{type(error).__name__}: {error}")
            raise

    def _epoch(self, call: Call | None) -> str:
        return self._alone if call is None or self._calls is None else self._calls.epoch(call)

    def _begin(
        self, moves: list[Move], known: _Known, values: list[Any], epoch: str, number: int, timeout: float
    ) -> None:
        for group in known.groups:
            channel = self._channels.open(epoch, group, timeout, self._hosts)
            moves.append(Move(group, channel))
            moves[-1].start(number, values)

    def _forget(self, moves: list[Move], reason: str) -> None:
        for move in moves:
            self._channels.forget(move.channel, reason)
        moves.clear()

    def _look_up(self, x: Any, dst: Any, values: list[Any], treedef: TreeDef, timeout: float) -> _Known:
        """What the call states. It is known by all that it depends on, and by its shardings as objects."""
        wanted, layout = jax.tree_util.tree_flatten(dst)
        key = (
            treedef,
            layout,
            tuple(map(id, wanted)),
            tuple((type(v), getattr(v, "shape", None), getattr(v, "dtype", None), _states_weak(v)) for v in values),
            tuple(id(getattr(value, "sharding", None)) for value in values),
            float(timeout),
            jax.config.jax_enable_x64,  # type: ignore[attr-defined]
        )
        try:
            known = self._known.pop(key, None)
        except TypeError:  # a tree whose metadata has no hash
            return _described(x, dst, values, timeout, self._hosts, wanted)
        if known is None:
            known = _described(x, dst, values, timeout, self._hosts, wanted)
            while len(self._known) >= KNOWN_MAX:
                self._known.popitem(last=False)
        self._known[key] = known
        return known


def _described(
    x: Any, dst: Any, values: list[Any], timeout: float, hosts: list[str] | None, wanted: list[Any]
) -> _Known:
    sources, _ = resolve(x, None, "source", hosts)
    targets, _ = resolve(x, dst, "destination", hosts)
    _check(sources, targets)
    groups: dict[Any, list[int]] = {}
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if _cut(source) != _cut(target):
            groups.setdefault((source.sharding.mesh.devices, target.sharding.mesh.devices), []).append(index)
    tensors = [
        Stated(
            source.key,
            str(list(source.shape)),
            source.dtype.name,
            _layout_text(source),
            _layout_text(target),
            _states_weak(value),
        )
        for source, target, value in zip(sources, targets, values, strict=True)
    ]
    return _Known(
        kept=[*wanted, *(source.named for source in sources)],
        sources=sources,
        targets=targets,
        groups=[
            Group(
                indices,
                [sources[index] for index in indices],
                [targets[index] for index in indices],
                local_devices(sources[indices[0]].named),
                local_devices(targets[indices[0]].named),
            )
            for indices in groups.values()
        ],
        tensors=tensors,
        row=call_row(structure(x), tensors, float(timeout)),
        concerned=any(local_devices(leaf.named) for leaf in (*sources, *targets)),
        givers=[min(device.process_index for device in source.named.mesh.devices.flat) for source in sources],
    )


def _cut(leaf: Leaf) -> Any:
    return leaf.sharding.mesh.shape, leaf.sharding.mesh.devices, leaf.sharding.spec


def _layout_text(leaf: Leaf) -> str:
    """A layout in words that are equal for equal cuts on equal devices, whatever the axes are called."""
    mesh = leaf.sharding.mesh
    devices = ",".join(f"{host}:{index}" for host, index in mesh.devices)
    shown = devices if len(devices) <= DEVICES_SHOWN_MAX else hashlib.sha256(devices.encode()).hexdigest()[:8]
    return f"{str(leaf.sharding) or 'whole'!r} on the {'x'.join(map(str, mesh.shape))} mesh {shown}"


def _check_values(known: _Known, values: list[Any]) -> None:
    """Refuse at the call what this process holds and does not give."""
    for source, value in zip(known.sources, values, strict=True):
        if not local_devices(source.named):
            continue
        if not isinstance(value, jax.Array):
            raise LayoutError(
                f"Process {jax.process_index()} holds shards of an array of shape {tuple(value.shape)} in the "
                f"layout {value.sharding}, but passed a {type(value).__name__}. Pass the global jax.Array."
            )
        if value.is_deleted():
            raise LayoutError(
                f"Process {jax.process_index()} passed a {source.label} that was deleted or donated. "
                "Pass an array that lives."
            )


def _finish(move: Move, known: _Known, values: list[Any], rows: Row | None) -> Iterator[tuple[int, Any]]:
    arrived = move.finish()
    for place, index in enumerate(move.group.indices):
        weak = _states_weak(values[index])
        if rows is not None and index < WEAK_TENSORS_MAX:
            weak = is_weak(rows[known.givers[index]], index)
        leaf = known.targets[index]
        if arrived is None:
            yield index, _without_shards(leaf, weak)
        else:
            made = assemble(arrived[place], leaf.named, leaf.shape)
            yield index, with_weak_type(made) if weak else made


def _states_weak(value: Any) -> bool:
    return bool(getattr(value, "weak_type", False))


def _relabelled(value: Any, leaf: Leaf) -> Any:
    """An array whose bytes stay where they are, in the very sharding that was asked for."""
    if not isinstance(value, jax.Array) or value.sharding == leaf.named:
        return value
    kind = leaf.named.memory_kind
    shards = [
        jax.device_put(shard.data, jax.sharding.SingleDeviceSharding(shard.device, memory_kind=kind))
        for shard in value.addressable_shards
    ]
    if not shards:
        return _without_shards(leaf, _states_weak(value))
    made = jax.make_array_from_single_device_arrays(leaf.shape, leaf.named, shards)
    return with_weak_type(made) if _states_weak(value) else made


def _check(sources: Sequence[Leaf], targets: Sequence[Leaf]) -> None:
    """Refuse on every process what one of them could not do."""
    for leaf in (*sources, *targets):
        if not is_named_sharding(leaf.named):
            raise LayoutError(
                f"The layout {leaf.sharding!r} of {leaf.label} is not a NamedSharding. Arrays of JAX lie in one: "
                "NamedSharding(mesh, PartitionSpec(...))."
            )
        check_holdable(leaf)


def _without_shards(leaf: Leaf, weak: bool) -> Any:
    """The array of a process that has none of its devices."""
    make: Any = jax.make_array_from_single_device_arrays
    try:
        made = make(leaf.shape, leaf.named, [], dtype=leaf.dtype)
    except ValueError:  # before JAX 0.7.2 an array without shards needs a setting that is off by default
        struct: Any = jax.ShapeDtypeStruct
        return struct(leaf.shape, leaf.dtype, sharding=leaf.named)
    return with_weak_type(made) if weak else made


_lock = threading.Lock()
_jobs: list[_Job] = []
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
    _parents.append((list(_jobs), list(_agents)))
    _jobs.clear()
    _agents.clear()


_parents: list[object] = []
_origin = _fork.Origin()
_fork.in_child(_after_fork)


def _job(agent: Agent, hosts: list[str] | None) -> _Job:
    """The job of this process. A new one takes the place of one of another agent or another coordinator."""
    store = job_store()
    client = None if store is None else store.client
    with _lock:
        for job in _jobs:
            if job.is_of(agent, hosts, client):
                return job
        # A process of a job numbers its calls over one agent. One that is alone may use several.
        while len(_jobs) >= (JOBS_ALONE_MAX if jax.process_count() == 1 else 1):
            _jobs.pop(0).close()
        atexit.register(_close)  # after JAX has registered its own, and so before it leaves the job
        _jobs.append(_Job(agent, hosts, store))
        return _jobs[-1]


def _close() -> None:
    with _lock:
        for kept in (_jobs, _agents):
            while kept:
                with contextlib.suppress(CrossmeshError):
                    kept.pop().close()


def _alone() -> str:
    """The epoch of a process that has nobody to agree with."""
    return f"alone-{secrets.token_hex(8)}"
