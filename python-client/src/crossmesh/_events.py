"""What an agent tells the process that opened channels: typed events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ._errors import CrossmeshError, error_of


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of this process inside a set: the tensor, the devices that hold it, its box, where it lies."""

    tensor: int
    devices: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The channel is open. `sets` are the arena offsets of the staging sets (empty for receivers)."""

    channel: int
    plan: int
    digest: str
    tiles: tuple[Tile, ...]
    set_bytes: int
    sets: tuple[int, ...]


class Sent(NamedTuple):
    """The staging set of a step may be overwritten."""

    channel: int
    step: int
    set: int


class Delivered(NamedTuple):
    """A step has landed on every receiver."""

    channel: int
    step: int


class Received(NamedTuple):
    """A step is here, in the set at `base`; with `copy` it must be copied out and released at once."""

    channel: int
    step: int
    receipt: int
    base: int
    copy: bool


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step is over for all parties."""

    channel: int
    step: int
    error: CrossmeshError


@dataclass(frozen=True, slots=True)
class ChannelFailed:
    """The channel is over."""

    channel: int
    error: CrossmeshError


@dataclass(frozen=True, slots=True)
class Closed:
    """The channel is closed as asked."""

    channel: int


Event = Opened | Sent | Delivered | Received | StepFailed | ChannelFailed | Closed


def decode(event: dict[str, Any]) -> Event:
    """One event as it crosses the gateway; one that cannot be read ends its channel here, and no other."""
    try:
        return read_event(event)
    except Exception as error:  # noqa: BLE001  (whatever an agent of another version tells)
        channel = event.get("channel", -1) if isinstance(event, dict) else -1
        told = CrossmeshError(
            f"The agent told an event that this client cannot read ({type(error).__name__}: {error}). "
            "Run the same version of crossmesh on both sides."
        )
        return ChannelFailed(channel, told)


def read_event(event: dict[str, Any]) -> Event:
    """One event as it crosses the gateway."""
    channel = event["channel"]
    match event["e"]:
        case "open":
            tiles = tuple(
                Tile(
                    tile["tensor"],
                    tuple(tile["devices"]),
                    tuple((lo, hi) for lo, hi in tile["box"]),
                    tile["offset"],
                    tile["bytes"],
                )
                for tile in event["tiles"]
            )
            return Opened(channel, event["plan"], event["digest"], tiles, event["set_bytes"], tuple(event["sets"]))
        case "sent":
            return Sent(channel, event["step"], event["set"])
        case "delivered":
            return Delivered(channel, event["step"])
        case "received":
            return Received(channel, event["step"], event["receipt"], event["base"], event["copy"])
        case "step_failed":
            return StepFailed(channel, event["step"], error_of(event["code"], event["message"]))
        case "channel_failed":
            return ChannelFailed(channel, error_of(event["code"], event["message"]))
        case "closed":
            return Closed(channel)
        case other:
            raise CrossmeshError(f"The agent told an event {other!r} that this client does not know. Update crossmesh.")
