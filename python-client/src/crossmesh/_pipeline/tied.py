"""Parameters that several stages hold: one value at the start, one gradient in every step.

Each holder sends its gradient to every other and sums what all have in the order in which they were tied. So all have
the same bits, and with them the same parameter after the same update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._agent import Agent
from .._receiver import Receiver
from .._sender import Sender
from .graph import Pipeline
from .links import Wait
from .naming import plain

if TYPE_CHECKING:
    from .part import Part


@dataclass(frozen=True, eq=False)
class _Group:
    """Holders in order, as (stage, path); and the channels to and from the holders of other processes."""

    members: tuple[tuple[int, str], ...]
    senders: dict[tuple[int, int], Sender]
    receivers: dict[tuple[int, int], Receiver]
    has_gradient: bool


class TiedParameters:
    """The tied parameters of the stages of one process."""

    def __init__(
        self, pipeline: Pipeline, parts: Mapping[int, Part], agent: Agent | None, name: str, timeout: float
    ) -> None:
        self._parts = parts
        self._groups: list[_Group] = []
        stated: dict[str, Any] = {"depth": 1, "timeout": timeout}
        for tied in pipeline.tied:
            members = tuple((pipeline.index(stage), path) for stage, path in tied.members)
            group = _Group(members, {}, {}, any(p in parts and parts[p].has_gradient(path) for p, path in members))
            for here, there in _crossing(members, parts):
                assert agent is not None
                part, path = members[here]
                value = parts[part].parameter(path)
                ends = plain(tied.paths[here]), plain(tied.paths[there])
                label, back = (f"{name}/tied/{'>'.join(way)}" for way in (ends, ends[::-1]))
                layout = parts[part].parameter_sharding(path)
                group.senders[here, there] = agent.sender(label, value, layout, **stated)
                group.receivers[here, there] = agent.receiver(back, value, layout, **stated)
            self._groups.append(group)

    def wait_open(self, timeout: float) -> None:
        """Wait until all channels are open."""
        for end in self._ends():
            end.wait_open(timeout)

    def share_values(self, wait: Wait) -> None:
        """Give the value of the first holder to all others."""
        self._exchange(wait, gradients=False)

    def sum_gradients(self, wait: Wait) -> None:
        """Replace the gradient of every holder by the sum of all."""
        self._exchange(wait, gradients=True)

    def counted_elsewhere(self, part: int) -> frozenset[str]:
        """The parameters of a stage whose gradient counts in the norm of another stage's."""
        return frozenset(path for group in self._groups for holder, path in group.members[1:] if holder == part)

    def abort(self, reason: str) -> None:
        """End all channels for all parties."""
        for end in self._ends():
            end.abort(reason)

    def close(self) -> None:
        """End this side of all channels."""
        for end in self._ends():
            end.close()

    def _exchange(self, wait: Wait, *, gradients: bool) -> None:
        for group in self._groups:
            if gradients and not group.has_gradient:
                continue
            asked = {pair: receiver.recv() for pair, receiver in group.receivers.items()}
            mine = {number for number, (part, _) in enumerate(group.members) if part in self._parts}
            own = {number: self._read(group.members[number], gradients=gradients) for number in mine}
            sent = [sender.send(own[here]) for (here, _), sender in group.senders.items()]
            for number in sorted(mine):
                part, path = group.members[number]
                all_of_them = [
                    self._parts[part].placed(path, own[other] if other in mine else wait(asked[number, other]))
                    for other in range(len(group.members))
                ]
                if gradients:
                    self._parts[part].set_gradient(path, all_of_them)
                elif number:
                    self._parts[part].set_parameter(path, all_of_them[0])
            for transfer in sent:
                transfer.read()  # an update may donate what was sent

    def _read(self, member: tuple[int, str], *, gradients: bool) -> Any:
        part, path = member
        return self._parts[part].gradient(path) if gradients else self._parts[part].parameter(path)

    def _ends(self) -> Iterator[Sender | Receiver]:
        for group in self._groups:
            yield from group.senders.values()
            yield from group.receivers.values()


def _crossing(members: Sequence[tuple[int, str]], parts: Mapping[int, Any]) -> Iterator[tuple[int, int]]:
    """(number of a holder here, number of one in another process)."""
    for here, (part, _) in enumerate(members):
        for there, (other, _) in enumerate(members):
            if part in parts and other not in parts:
                yield here, there
