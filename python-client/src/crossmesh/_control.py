"""What a JVM of crossmesh can be asked.

`Control` is what the channels need; `Gateway` of `_gateway` speaks it. Values on the wire are numbers and short JSON
texts; tensor bytes never pass here.
"""

from __future__ import annotations

from typing import Any, Protocol

from ._events import Event


class Asks(Exception):
    """The next event has to be asked for by a call."""


class PlanHolder(Protocol):
    """Who keeps plans, by number. Each call may raise any `CrossmeshError`."""

    def plan_summary(self, plan: int) -> dict[str, Any]:
        """The figures of a plan."""

    def plan_request(self, plan: int) -> str:
        """The document of what was asked."""

    def plan_moves(self, plan: int) -> str:
        """The path of an Arrow file with the moves; the file goes with the plan."""

    def plan_tasks(self, plan: int) -> str:
        """The path of an Arrow file with the unit tasks; the file goes with the plan."""

    def plan_json(self, plan: int) -> str:
        """The whole plan as a document."""

    def plan_report(self, plan: int, rows: int) -> dict[str, Any]:
        """The numbers of a page about the plan, at most so many rows of each table."""

    def plan_compare(self, plan: int, extent: str) -> dict[str, Any]:
        """Baselines beside the plan: `"cheap"` if they are quickly planned, `"some"`, or `"all"`."""

    def plan_timeline(self, plan: int) -> dict[str, Any]:
        """When each NIC is busy, and with which move, by prediction."""

    def plan_release(self, plan: int) -> None:
        """Forget a plan and its files."""


class Control(PlanHolder, Protocol):
    """The calls that a session of channels makes. Each may raise any `CrossmeshError`."""

    def open_session(self, pid: int, label: str) -> int:
        """Begin a session, which ends with the process of that id."""

    def open_channel(self, session: int, request: dict[str, Any]) -> int:
        """Begin to open a channel; `Opened` or `ChannelFailed` follows."""

    def send(self, session: int, channel: int, step: int, staging_set: int) -> None:
        """Send what lies in a staging set."""

    def recv(self, session: int, channel: int, step: int) -> None:
        """Ask for a step."""

    def release(self, session: int, channel: int, receipt: int) -> bool:
        """Give a received set back, if that can be done without waiting for another thread; whether it was."""

    def cancel(self, session: int, channel: int, step: int, code: str, reason: str) -> None:
        """End a step for all parties."""

    def abort(self, session: int, channel: int, reason: str) -> None:
        """End a channel for all parties."""

    def close_channel(self, session: int, channel: int) -> None:
        """Close a channel in order; `Closed` or `ChannelFailed` follows."""

    def close_session(self, session: int) -> None:
        """End a session and all that it holds."""

    def ping(self) -> None:
        """Return when the agent answers."""

    def next_event(self, session: int, wait_millis: int, *, ask: bool) -> Event | None:
        """What has happened next; it stays the next until `event_told`.

        `None` if nothing has, and without a ring it waits for it. With `ask` false no call is made for it.

        **Raises:** `Asks` where a call is needed and may not be made.
        """

    def event_told(self, session: int) -> None:
        """The next event was told; the one after it is the next."""

    def events_taken(self, session: int) -> None:
        """After the last event for now."""

    def has_ring(self, session: int) -> bool:
        """Whether events can be waited for before they are taken, and the wait be ended."""

    def await_events(self, session: int, wait_millis: int) -> None:
        """With a ring: wait for events, or for a nudge, and take none."""

    def nudge(self, session: int) -> bool:
        """End a present or the next `await_events`; false without a ring."""

    def want_sets(self, session: int, more: int) -> None:
        """So many more threads wait for a staging set, or fewer: with a ring, the agent wakes us for one only then."""
