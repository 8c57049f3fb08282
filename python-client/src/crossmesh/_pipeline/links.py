"""The boundaries of the stages of one process: what arrives, what leaves, and what only changes its layout here.

A channel joins two stages in each direction and carries all values between them. A send never waits. Receives are
asked for ahead, at least as many as the producer can be ahead by its schedule; whoever waits for micro-batch k has
asked for it, everything before it on that channel has been taken, and a landing slot that the arrays of an earlier
micro-batch still hold is replaced or copied out. So whatever the depth, a transfer that somebody waits for can land.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from .._agent import TIMEOUT_SECONDS, Agent
from .._receiver import Receiver
from .._sender import Sender
from .._transfer import Transfer
from .graph import Pipeline, Value
from .naming import plain

DEPTH_MAX = 4
"""Steps of a channel on the wire. Credits come back when a tensor arrives, so more would only hold memory."""

ASKED_TOGETHER = 8
"""Micro-batches asked for at a time: the first wakes the agent, which takes more of a small machine than asking."""

Place = Callable[[int, str, Any], Any]
"""(stage, value, tiles by device or an array of another stage) -> what the stage computes with."""

Wait = Callable[[Future[Any]], Any]
"""Waits for what arrives, or raises what ended the pipeline."""


class Boundaries(Protocol):
    """How a step of the stages of one process takes and gives what crosses boundaries: `Links`, or what stands around
    them, as `Trainer(boundaries=...)` makes it.
    """

    def begin(self, microbatches: int, ahead: Mapping[int, int], /) -> None:
        """A step starts; `ahead` are the most micro-batches that each stage holds in it."""

    def inputs(self, part: int, microbatch: int, wait: Wait, /) -> dict[str, Any]:
        """What a stage takes from others for one micro-batch, by name, once it is there."""

    def gradients(self, part: int, microbatch: int, wait: Wait, /) -> dict[str, tuple[Any, ...]]:
        """For each value that a stage made the gradients of those who took it."""

    def send_outputs(self, part: int, microbatch: int, outputs: Mapping[str, Any], /) -> object:
        """A stage has made its outputs."""

    def send_gradients(self, part: int, microbatch: int, gradients: Mapping[str, Any], /) -> object:
        """A stage has made the gradients of its inputs."""


@dataclass(eq=False)
class Incoming:
    """A channel that a stage receives on: micro-batches asked for, and those that have been taken."""

    part: int
    peer: int
    values: tuple[Value, ...]
    receiver: Receiver
    waiting: deque[Future[Any]] = field(default_factory=deque)
    least: int = 1
    """What is always asked for and not yet taken, unless the step has no more."""
    asked: int = 0
    arrivals: list[float] = field(default_factory=list)


class Links:
    """What the stages of one process exchange with each other and, through an agent, with other processes."""

    def __init__(
        self,
        pipeline: Pipeline,
        parts: Sequence[int],
        place: Place,
        export: Callable[[int, Any], Any],
        agent: Agent | None = None,
        name: str = "",
        depth: int = 1,
        timeout: float = TIMEOUT_SECONDS,
        planning: Mapping[str, Any] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._values = {(a, b): values for a, b, values in pipeline.pairs}
        self._place, self._export = place, export
        self._activations: dict[tuple[int, int], Sender | None] = {}
        self._gradients: dict[tuple[int, int], Sender | None] = {}
        self.from_before: dict[tuple[int, int], Incoming] = {}
        self.from_after: dict[tuple[int, int], Incoming] = {}
        self._local: dict[tuple[str, int, int, int], Any] = {}
        self._ends: list[Sender | Receiver] = []
        stated: dict[str, Any] = {"depth": depth, "timeout": timeout} | dict(planning or {})
        for producer, consumer, values in pipeline.pairs:
            graded = tuple(value for value in values if value.has_gradient)
            pair = (producer, consumer)
            here = (producer in parts, consumer in parts)
            if not any(here):
                continue
            labels = ">".join(plain(pipeline.stages[end].name) for end in pair)
            for back, some in ((False, values), (True, graded)):
                if not some:
                    continue
                outgoing = self._gradients if back else self._activations
                arriving = self.from_after if back else self.from_before
                source, target = (consumer, producer) if back else (producer, consumer)
                channel = f"{name}/{'gradients' if back else 'values'}/{labels}"
                if all(here):
                    outgoing[pair] = None
                    continue
                assert agent is not None
                tree = {value.name: value.spec for value in some}
                side = source if source in parts else target
                layouts = {value.name: pipeline.layout(side, value) for value in some}
                if source in parts:
                    outgoing[pair] = sender = agent.sender(channel, tree, layouts, **stated)
                    self._ends.append(sender)
                else:
                    receiver = agent.receiver(channel, tree, layouts, **stated)
                    arriving[pair] = Incoming(target, source, some, receiver)
                    self._ends.append(receiver)

    def wait_open(self, timeout: float) -> None:
        """Wait until all channels are open.

        **Raises:** what kept one from it.
        """
        for end in self._ends:
            end.wait_open(timeout)

    @property
    def incoming(self) -> list[Incoming]:
        """The channels on which this process receives."""
        return [*self.from_before.values(), *self.from_after.values()]

    def begin(self, microbatches: int, ahead: Mapping[int, int]) -> None:
        """Start a step: ask for the first micro-batches of every channel.

        **Arguments:**

        - `ahead`: for each stage the most micro-batches that it holds by its schedule. Between a producer's forward
            and its backward lies everything that its consumers do with a micro-batch, so no more than that many
            values or gradients of a boundary are ever under way.
        """
        for (producer, _), channel in (*self.from_before.items(), *self.from_after.items()):
            channel.asked = 0
            channel.arrivals = [0.0] * microbatches
            channel.least = ahead[producer] + 1
            self._ask_on(channel)

    def inputs(self, part: int, microbatch: int, wait: Wait) -> dict[str, Any]:
        """What a stage takes from others for one micro-batch, once it is there."""
        found: dict[str, Any] = {}
        for (_, consumer), channel in self.from_before.items():
            if consumer == part:
                found.update(wait(self._take(channel)))
        for value in self._pipeline.incoming(part):
            if value.name not in found:
                found[value.name] = self._local.pop((value.name, part, value.producer or 0, microbatch))
        return found

    def gradients(self, part: int, microbatch: int, wait: Wait) -> dict[str, tuple[Any, ...]]:
        """For each value that a stage made the gradients of those who took it, in their order."""
        arrived = {
            consumer: wait(self._take(channel))
            for (producer, consumer), channel in self.from_after.items()
            if producer == part
        }
        found: dict[str, tuple[Any, ...]] = {}
        for value in self._pipeline.outgoing(part):
            if value.has_gradient and value.consumers:
                found[value.name] = tuple(
                    arrived[consumer][value.name]
                    if consumer in arrived
                    else self._local.pop((value.name, part, consumer, microbatch))
                    for consumer in value.consumers
                )
        return found

    def send_outputs(self, part: int, microbatch: int, outputs: Mapping[str, Any]) -> list[Transfer]:
        """Post what a stage made to everyone who takes it.

        **Returns:** what is on its way to other processes, each over when it is there.
        """
        sent = [
            self._send(sender, part, consumer, microbatch, outputs, self._names(producer, consumer, back=False))
            for (producer, consumer), sender in self._activations.items()
            if producer == part
        ]
        return [transfer for transfer in sent if transfer is not None]

    def send_gradients(self, part: int, microbatch: int, gradients: Mapping[str, Any]) -> list[Transfer]:
        """Post the gradients of what a stage took to the stages that made it; returns as `send_outputs`."""
        sent = [
            self._send(sender, part, producer, microbatch, gradients, self._names(producer, consumer, back=True))
            for (producer, consumer), sender in self._gradients.items()
            if consumer == part
        ]
        return [transfer for transfer in sent if transfer is not None]

    def coming(self, part: int, *, back: bool, later: int = 0) -> list[Future[Any]]:
        """What `inputs` (or with `back` `gradients`) of a stage will wait for next, or so many micro-batches later.

        One future for each process that sends it; they are done when it is there, and are not taken.
        """
        here = [channel for channel in (self.from_after if back else self.from_before).values() if channel.part == part]
        for channel in here:
            while len(channel.waiting) <= later:
                self._ask(channel)
        return [channel.waiting[later] for channel in here]

    def place(self, part: int, name: str, value: Any) -> Any:
        """A value or a gradient, in whatever layout, as an array of JAX or NumPy, as a stage computes with it."""
        return self._place(part, name, value)

    def abort(self, reason: str) -> None:
        """End all channels for all parties."""
        for end in self._ends:
            end.abort(reason)

    def close(self) -> None:
        """End this side of all channels. A second call does nothing."""
        for end in self._ends:
            end.close()
        self._local.clear()

    def _names(self, producer: int, consumer: int, *, back: bool) -> list[str]:
        values = self._values[(producer, consumer)]
        return [value.name for value in values if value.has_gradient or not back]

    def _send(
        self, sender: Sender | None, part: int, to: int, microbatch: int, values: Mapping[str, Any], names: list[str]
    ) -> Transfer | None:
        if sender is not None:
            return sender.send({name: self._export(part, values[name]) for name in names})
        for name in names:
            self._local[(name, to, part, microbatch)] = self._place(to, name, values[name])
        return None

    def _take(self, channel: Incoming) -> Future[Any]:
        if len(channel.waiting) <= channel.least:
            self._ask_on(channel)
        return channel.waiting.popleft()

    def _ask_on(self, channel: Incoming) -> None:
        wanted = channel.least + ASKED_TOGETHER
        while channel.asked < len(channel.arrivals) and len(channel.waiting) < wanted:
            self._ask(channel)

    def _ask(self, channel: Incoming) -> None:
        ready: Future[Any] = Future()
        transfer = channel.receiver.recv()
        transfer.add_done_callback(partial(self._arrived, channel, channel.asked, ready))
        channel.waiting.append(ready)
        channel.asked += 1

    def _arrived(self, channel: Incoming, microbatch: int, ready: Future[Any], transfer: Future[Any]) -> None:
        channel.arrivals[microbatch] = time.perf_counter()
        try:
            tree = transfer.result()
            ready.set_result({name: self._place(channel.part, name, tiles) for name, tiles in tree.items()})
        except Exception as error:  # noqa: BLE001  (whatever it is, it is for whoever waits)
            ready.set_exception(error)
