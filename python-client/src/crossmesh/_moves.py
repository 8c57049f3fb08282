"""The channels over which `cm.jax.reshard` moves tensors, and what one call does with them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._agent import Agent
from ._calls import CHANNEL_SECONDS
from ._mesh import Mesh
from ._receiver import Receiver
from ._sender import Sender
from ._sharding import Sharding, json_tables
from ._spec import Leaf, TensorSpec
from ._transfer import Transfer

CHANNELS_MAX = 16
"""Channels that stay open for further calls; the one used longest ago is closed for another one. Counted alike on
every process. Each holds memory for one step in the arenas of its hosts."""


@dataclass(eq=False)
class Group:
    """Tensors that go from the devices of one mesh to those of another one: they share a channel.

    The name of the channel says all that a channel depends on, and nothing else. What an array has besides, as the kind
    of its memory, the names and types of mesh axes, is of each call.
    """

    indices: list[int]
    sources: list[Leaf]
    targets: list[Leaf]
    sends: tuple[int, ...]
    receives: tuple[int, ...]

    def __post_init__(self) -> None:
        tensors = [[source.key, source.shape, source.dtype.name] for source in self.sources]
        self.layouts = [[_nameless(leaf.sharding) for leaf in leaves] for leaves in (self.sources, self.targets)]
        text = json.dumps([tensors, *map(json_tables, self.layouts)])
        self.name = hashlib.sha256(text.encode()).hexdigest()[:16]


def _nameless(sharding: Sharding) -> Sharding:
    """The same cut, on a mesh whose axes have no names."""
    return Sharding(Mesh(sharding.mesh.shape, devices=sharding.mesh.devices), sharding.spec)


@dataclass(eq=False)
class Channel:
    """This process's ends of a channel; both are there if it holds devices of both sides."""

    key: tuple[str, str, float]
    sender: Sender | None
    receiver: Receiver | None

    @property
    def ends(self) -> list[Sender | Receiver]:
        """The ends that are there."""
        return [end for end in (self.sender, self.receiver) if end is not None]

    @property
    def over(self) -> bool:
        """Whether one of them has ended."""
        return any(end._over.is_set() for end in self.ends)


class Channels:
    """The channels of an agent that stand for further calls."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, float], Channel] = OrderedDict()

    def standing(self, epoch: str, group: Group, timeout: float) -> Channel | None:
        """The channel of a group, if it stands."""
        with self._lock:
            found = self._kept.get((epoch, group.name, timeout))
            return None if found is None or found.over else found

    def open(self, epoch: str, group: Group, timeout: float, hosts: Sequence[str] | None) -> Channel:
        """The channel of a group, opened if it does not stand. Those of other epochs end."""
        key = epoch, group.name, timeout
        with self._lock:
            for old in [kept for kept in self._kept if kept[0] != epoch]:
                self._end(old, "a call failed, after which channels are opened anew")
            found = self._kept.pop(key, None)
            if found is None or found.over:
                while len(self._kept) >= CHANNELS_MAX:
                    _, oldest = self._kept.popitem(last=False)
                    for end in oldest.ends:
                        end.close()
                found = self._open(key, group, hosts)
            self._kept[key] = found
            return found

    def forget(self, channel: Channel, reason: str) -> None:
        """End a channel that failed, for all its parties."""
        with self._lock:
            if self._kept.get(channel.key) is channel:
                del self._kept[channel.key]
        for end in channel.ends:
            end.abort(reason)

    def close(self) -> None:
        """End all in order."""
        with self._lock:
            for channel in self._kept.values():
                for end in channel.ends:
                    end.close()
            self._kept.clear()

    def _end(self, key: tuple[str, str, float], reason: str) -> None:
        for end in self._kept.pop(key).ends:
            end.abort(reason)

    def _open(self, key: tuple[str, str, float], group: Group, hosts: Sequence[str] | None) -> Channel:
        epoch, digest, timeout = key
        name = f"cm.jax.reshard/{epoch}/{digest}/{timeout!r}"
        specs = [TensorSpec(source.shape, source.dtype) for source in group.sources]
        sources, targets = group.layouts
        # Twice the timeout: a step may be called by one process as long before the others as they may take to call it.
        stated: dict[str, Any] = {"depth": 1, "timeout": min(2 * timeout, CHANNEL_SECONDS), "hosts": hosts}
        sender = receiver = None
        if group.sends:
            sender = self._agent.sender(name, specs, sources, devices=group.sends, **stated)
        if group.receives:
            receiver = self._agent.receiver(name, specs, targets, devices=group.receives, **stated)
        return Channel(key, sender, receiver)


class Move:
    """A group's part of one call."""

    def __init__(self, group: Group, channel: Channel) -> None:
        self.group = group
        self.channel = channel
        self._values: list[Any] = []
        self._sent: Transfer | None = None
        self._arriving: Transfer | None = None

    def start(self, step: int, values: Sequence[Any]) -> None:
        """Send and ask for the step of that number."""
        self._values = [values[index] for index in self.group.indices]
        if self.channel.sender is not None:
            self._sent = self.channel.sender.send(self._values, step)
        if self.channel.receiver is not None:
            self._arriving = self.channel.receiver.recv(step)

    def donate(self) -> None:
        """Delete the arrays when their bytes are taken."""
        if self._sent is not None:
            self._sent.read()
            for value in self._values:
                value.delete()

    def finish(self) -> list[Any] | None:
        """The tiles of each tensor that arrived, `None` if this process has no device of the destination.

        Waits without a limit of its own: the channel has one, and its error says who is missing.
        """
        arrived = None if self._arriving is None else list(self._arriving.result())
        if self._sent is not None:
            self._sent.result()
        return arrived
