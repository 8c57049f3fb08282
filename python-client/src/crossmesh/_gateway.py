"""`Control` over Py4J and a ring in shared memory: typed calls, typed events, failures as exceptions."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import _fork, _ring
from ._control import Asks
from ._errors import AgentUnavailable, AuthError, error_of
from ._events import Delivered, Event, Received, Sent, decode
from ._lifeline import Lifeline

CALL_SECONDS_MAX = 120.0
LIFELINE_SECONDS_MAX = 30.0
_IN_RECORDS = (_ring.SENT, _ring.DELIVERED, _ring.RECEIVED)


@dataclass(slots=True)
class _Hot:
    """A session's ring, and the events that were asked for when it said so and are not due yet."""

    ring: _ring.Ring
    asked: deque[Event] = field(default_factory=deque)


class Gateway:
    """`Control` over Py4J, with planning, joining and status; what is called often goes by a ring in shared memory.

    **Arguments:**

    - `port`, `token`: from the JVM's private file.
    - `label`: what messages call the JVM.
    - `why_gone`: says how the JVM ended, if we know.
    - `trainers`: the agent's socket, where this process shows that it lives while it has a session.
    """

    def __init__(
        self,
        port: int,
        token: str,
        label: str,
        why_gone: Callable[[], str] = lambda: ". Start it again.",
        trainers: str | None = None,
    ) -> None:
        from ._py4j import OnceGateway

        self._origin = _fork.Origin()
        self._label = label
        self._why_gone = why_gone
        self._trainers = trainers
        self._lifelines: dict[int, Lifeline] = {}
        self._gateway = OnceGateway(port, token, CALL_SECONDS_MAX)
        self._methods: dict[str, Any] = {}
        self._rings: dict[int, _Hot] = {}
        self._asked: dict[int, deque[Event]] = {}  # of sessions without a ring
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        if not self._origin.here:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._gateway.close_connections()

    def hello(self) -> dict[str, Any]:
        """Who answers, and where its doors are."""
        return dict(self._call("hello"))

    def plan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Plan, keep the plan and give its summary."""
        return dict(self._call("plan", json.dumps(request)))

    def plan_load(self, document: str) -> dict[str, Any]:
        """Read and prove a plan document, keep it and give its summary."""
        return dict(self._call("planLoad", document))

    def plan_summary(self, plan: int) -> dict[str, Any]:
        """See `PlanHolder`."""
        return dict(self._call("planSummary", plan))

    def plan_request(self, plan: int) -> str:
        """See `PlanHolder`."""
        return str(self._call("planRequest", plan))

    def plan_moves(self, plan: int) -> str:
        """See `PlanHolder`."""
        return str(self._call("planMoves", plan))

    def plan_tasks(self, plan: int) -> str:
        """See `PlanHolder`."""
        return str(self._call("planTasks", plan))

    def plan_json(self, plan: int) -> str:
        """See `PlanHolder`."""
        return str(self._call("planJson", plan))

    def plan_report(self, plan: int, rows: int) -> dict[str, Any]:
        """See `PlanHolder`."""
        return dict(self._call("planReport", plan, rows))

    def plan_compare(self, plan: int, extent: str) -> dict[str, Any]:
        """See `PlanHolder`."""
        return dict(self._call("planCompare", plan, extent))

    def plan_timeline(self, plan: int) -> dict[str, Any]:
        """See `PlanHolder`."""
        return dict(self._call("planTimeline", plan))

    def plan_release(self, plan: int) -> None:
        """See `PlanHolder`."""
        self._call("planRelease", plan)

    def schedule(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a pipeline schedule, keep it and give its summary."""
        return dict(self._call("schedule", json.dumps(request)))

    def schedule_load(self, document: str) -> dict[str, Any]:
        """Read and check a schedule document, keep it and give its summary."""
        return dict(self._call("scheduleLoad", document))

    def schedule_json(self, number: int) -> str:
        """A kept schedule as a document."""
        return json.dumps(self._call("scheduleJson", number))

    def schedule_stage(self, number: int, stage: int) -> list[str]:
        """The operations of one stage of a kept schedule."""
        return [str(op) for op in self._call("scheduleStage", number, stage)]

    def schedule_release(self, number: int) -> None:
        """Forget a schedule."""
        self._call("scheduleRelease", number)

    def simulate(self, number: int, run: dict[str, Any]) -> dict[str, Any]:
        """What a kept schedule takes, in numbers."""
        return dict(self._call("simulate", number, json.dumps(run)))

    def simulate_timeline(self, number: int, run: dict[str, Any]) -> dict[str, Any]:
        """Every operation and transfer of such a run."""
        return dict(self._call("simulateTimeline", number, json.dumps(run)))

    def join(self, peers: Sequence[tuple[str, str]]) -> None:
        """Tell the agent all agents of the cluster: `(name, host:port of the Flight door)`."""
        self._call("join", json.dumps([{"name": name, "address": address} for name, address in peers]))

    def open_session(self, pid: int, label: str) -> int:
        """See `Control`."""
        self._origin.check()
        if self._trainers is None:
            raise AgentUnavailable(f"{self._label} only plans; transfers need an agent: start one.")
        lifeline = Lifeline(self._trainers, self._label, LIFELINE_SECONDS_MAX)
        number = int(self._call("openSession", pid, label, lifeline.key)["session"])
        self._lifelines[number] = lifeline
        paths = None
        with contextlib.suppress(AgentUnavailable):  # an agent without transport has no rings
            paths = self._call("openRing", number)
        if paths is not None:
            self._rings[number] = _Hot(_ring.Ring(paths["ring"], paths["bell"], paths["agent_bell"]))
        return number

    def open_channel(self, session: int, request: dict[str, Any]) -> int:
        """See `Control`."""
        return int(self._call("openChannel", session, json.dumps(request))["channel"])

    def send(self, session: int, channel: int, step: int, staging_set: int) -> None:
        """See `Control`."""
        if not self._put(session, _ring.SEND, channel, step, staging_set):
            self._call("send", session, channel, step, staging_set)

    def recv(self, session: int, channel: int, step: int) -> None:
        """See `Control`."""
        if not self._put(session, _ring.RECV, channel, step):
            self._call("recv", session, channel, step)

    def release(self, session: int, channel: int, receipt: int) -> bool:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is not None:
            with contextlib.suppress(_ring.RingOver):
                return hot.ring.try_put(_ring.RELEASE, channel, receipt)
        self._call("release", session, channel, receipt)
        return True

    def cancel(self, session: int, channel: int, step: int, code: str, reason: str) -> None:
        """See `Control`."""
        self._call("cancel", session, channel, step, code, reason)

    def abort(self, session: int, channel: int, reason: str) -> None:
        """See `Control`."""
        self._call("abort", session, channel, reason)

    def close_channel(self, session: int, channel: int) -> None:
        """See `Control`."""
        self._call("closeChannel", session, channel)

    def close_session(self, session: int) -> None:
        """See `Control`."""
        self._rings.pop(session, None)
        self._asked.pop(session, None)
        try:
            self._call("closeSession", session)
        finally:
            lifeline = self._lifelines.pop(session, None)
            if lifeline is not None:
                lifeline.close()

    def has_ring(self, session: int) -> bool:
        """See `Control`."""
        return session in self._rings

    def await_events(self, session: int, wait_millis: int) -> None:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is not None:
            hot.ring.wait(wait_millis)

    def ping(self) -> None:
        """See `Control`."""
        self._call("hello")

    def next_event(self, session: int, wait_millis: int, *, ask: bool) -> Event | None:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is None:
            return self._next_asked(self._asked_events(session), session, wait_millis, ask=ask)
        try:
            record = hot.ring.peek()
        except _ring.RingOver:
            return self._next_asked(hot.asked, session, 0, ask=ask)  # says how the session or the agent ended
        if record is None:
            return None
        kind, channel, step, first, second, third = record
        match kind:
            case _ring.DELIVERED:
                return Delivered(channel, step)
            case _ring.RECEIVED:
                return Received(channel, step, first, second, third != 0)
            case _ring.SENT:
                return Sent(channel, step, first)
            case _:
                return self._next_asked(hot.asked, session, 0, ask=ask)

    def event_told(self, session: int) -> None:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is None:
            self._asked_events(session).popleft()
            return
        try:
            record = hot.ring.peek()
        except _ring.RingOver:
            record = None
        if record is None or record[0] not in _IN_RECORDS:
            hot.asked.popleft()
        if record is not None:
            hot.ring.told()

    def events_taken(self, session: int) -> None:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is not None:
            hot.ring.made_room()

    def nudge(self, session: int) -> bool:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is not None:
            hot.ring.nudge()
        return hot is not None

    def want_sets(self, session: int, more: int) -> None:
        """See `Control`."""
        hot = self._rings.get(session)
        if hot is not None:
            hot.ring.want_sets(more)

    def _asked_events(self, session: int) -> deque[Event]:
        return self._asked.setdefault(session, deque())

    def _next_asked(self, asked: deque[Event], session: int, wait_millis: int, *, ask: bool) -> Event | None:
        if not asked:
            if not ask:
                raise Asks
            asked.extend(decode(event) for event in self._call("nextEvents", session, wait_millis)["events"])
        return asked[0] if asked else None

    def _put(self, session: int, kind: int, channel: int, number: int, staging_set: int = 0) -> bool:
        hot = self._rings.get(session)
        if hot is None:
            return False
        try:
            hot.ring.put(kind, channel, number, staging_set)
        except _ring.RingOver:
            return False  # the call says how the session or the agent ended
        return True

    def status(self) -> dict[str, Any]:
        """What the agent is doing, in numbers."""
        return dict(self._call("status"))

    def _call(self, method: str, *arguments: str | int) -> Any:
        from py4j.protocol import Py4JAuthenticationError, Py4JError

        self._origin.check()
        try:
            call = self._methods.get(method)
            if call is None:
                call = self._methods[method] = self._gateway.method(method)
            answer = call(*arguments)
        except Py4JAuthenticationError as error:
            raise AuthError(f"{self._label} refused our token: {error}. Use the token it was started with.") from None
        except (Py4JError, OSError) as error:
            if self._closed:
                raise AgentUnavailable(f"The connection to {self._label} is closed. Connect again.") from None
            raise AgentUnavailable(f"{self._label} does not answer{self._why_gone()} [{error}]") from error
        envelope = json.loads(answer)
        failure = envelope.get("error")
        if failure is not None:
            raise error_of(failure["code"], failure["message"])
        return envelope["ok"]
