"""Plans: what moves where, in which order, and how long it should take."""

from __future__ import annotations

import functools
import json
import queue
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import RenderableType

from . import _explain
from ._boundary import Boundary, as_boundaries, needs, plan_request
from ._control import PlanHolder
from ._errors import AgentUnavailable, LayoutError
from ._planner import planner
from ._rows import Rows
from ._sharding import Box
from ._spec import TensorSpec
from ._timeline import trace_text
from ._topology import Topology

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A slice with one set of holders and one set of receivers.

    `tensor` is its key path, `senders` are device indices of the source mesh, `receivers` of the destination mesh.
    """

    tensor: str
    box: Box
    senders: tuple[int, ...]
    receivers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A slice on its way: from one device along a chain of hosts to every device that gets it by this move.

    `box` lies in the whole tensor, `bytes` counts it once; `start` and `end` are predicted seconds. A route of one
    host is a copy inside it.
    """

    tensor: str
    box: Box
    bytes: int
    chunk_bytes: int
    start: float
    end: float
    sender: int
    receivers: tuple[int, ...]
    route: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """How one tensor travels: the strategy, the size of its chunks, and the chunks that all its moves have."""

    strategy: str
    chunk_bytes: int
    chunks: int


class Plan:
    """A planned transfer. Made by `cm.plan`, by an open channel, or by `Plan.from_json`.

    Moves and tasks are read when they are first asked for.
    """

    def __init__(
        self,
        holder: PlanHolder,
        number: int,
        summary: dict[str, Any],
        *,
        request: dict[str, Any] | None = None,
        text: str | None = None,
    ) -> None:
        self._holder = holder
        self._number = number
        self._summary = summary
        self._text = text
        self._asked = request

    @property
    def makespan(self) -> float:
        """Predicted seconds until the last byte has landed."""
        return float(self._summary["makespan"])

    @property
    def lower_bound(self) -> float:
        """Seconds that no plan can go below: bytes over bandwidth alone, without latency and the filling of chains."""
        return float(self._summary["lower_bound"])

    @property
    def gap(self) -> float:
        """`makespan / lower_bound - 1`; 0 if no NIC is crossed."""
        return float(self._summary["gap"])

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over inputs and moves: equal on every host that planned the same."""
        return str(self._summary["digest"])

    @property
    def finish(self) -> dict[str, float]:
        """Predicted seconds at which each tensor has arrived, by key path; 0 if it crosses no NIC."""
        return {key: float(s) for key, s in zip(self.tensors, self._summary["finish"], strict=True)}

    @property
    def deadlines(self) -> dict[str, float]:
        """The deadlines that were stated, in seconds, by key path."""
        return {str(t["key"]): float(t["deadline"]) for t in self._request["tensors"] if "deadline" in t}

    @property
    def late(self) -> dict[str, float]:
        """The tensors that miss their deadline by the prediction, and by how many seconds."""
        finish = self.finish
        misses = {key: finish[key] - deadline for key, deadline in self.deadlines.items()}
        return {key: seconds for key, seconds in misses.items() if seconds > 0}

    @property
    def bytes_sent(self) -> dict[str, int]:
        """Bytes that each host sends over its NICs."""
        return {host: int(count) for host, count in self._summary["bytes_sent"].items()}

    @property
    def bytes_received(self) -> dict[str, int]:
        """Bytes that each host receives over its NICs."""
        return {host: int(count) for host, count in self._summary["bytes_received"].items()}

    @property
    def strategy(self) -> dict[str, Chosen]:
        """What was chosen for each tensor, by key path."""
        return {
            key: Chosen(chosen["strategy"], int(chosen["chunk_bytes"]), int(chosen["chunks"]))
            for key, chosen in zip(self.tensors, self._summary["chosen"], strict=True)
        }

    @property
    def tensors(self) -> tuple[str, ...]:
        """The key paths of the tensors, in order."""
        return tuple(str(tensor["key"]) for tensor in self._request["tensors"])

    @property
    def topology(self) -> Topology:
        """The network that was planned for."""
        return Topology._from_json(self._request["topology"])

    @functools.cached_property
    def tasks(self) -> Sequence[UnitTask]:
        """The unit tasks."""
        keys = self.tensors

        def make(tensor: int, bounds: list[int], senders: list[int], receivers: list[int]) -> UnitTask:
            return UnitTask(keys[tensor], _box(bounds), tuple(senders), tuple(receivers))

        return Rows(self._ask(lambda holder, number: holder.plan_tasks(number)), make)

    @functools.cached_property
    def moves(self) -> Sequence[Move]:
        """The moves, in the order in which senders start them."""
        keys, hosts = self.tensors, tuple(self.bytes_sent)

        def make(tensor: int, bounds: list[int], *rest: Any) -> Move:
            size, chunk, start, end, sender, receivers, route = rest
            names = tuple(hosts[host] for host in route)
            return Move(keys[tensor], _box(bounds), size, chunk, start, end, sender, tuple(receivers), names)

        return Rows(self._ask(lambda holder, number: holder.plan_moves(number)), make)

    def explain(self, *, compare: bool | None = None, width: int = _explain.WIDTH) -> str:
        """The plan as a page of tables, for `print`.

        Tensors and layouts, why each strategy was chosen, bytes and busy time of each host, unit tasks, moves, and
        what other strategies and orders would take. Long tables are cut.

        **Arguments:**

        - `compare`: plan the baselines beside it. `None`: if the plan is small.
        - `width`: columns of the page.
        """
        return _explain.text(self._page("cheap" if compare is None else "some" if compare else ""), width)

    def _page(self, extent: str) -> RenderableType:
        """The page for a rich console; `extent` of the baselines as the planner's gateway takes it, or `""`."""
        return _explain.page(self._report(), self._compare(extent) if extent else None)

    def _compare(self, extent: str) -> dict[str, Any]:
        return self._ask(lambda holder, number: holder.plan_compare(number, extent))

    def _report(self) -> dict[str, Any]:
        return self._ask(lambda holder, number: holder.plan_report(number, _explain.ROWS))

    def to_json(self) -> str:
        """The whole plan as JSON text, for `from_json`."""
        if self._text is None:
            self._text = self._ask(lambda holder, number: holder.plan_json(number))
        return self._text

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote, after it has proved itself again.

        **Raises:** `LayoutError` if the text is no plan, or the plan does not do what it says.
        """
        holder = planner()
        summary = holder.plan_load(text)
        return _forget_with(cls(holder, int(summary["id"]), summary, text=text))

    def trace(self, path: str | Path) -> None:
        """Write the predicted timeline for chrome://tracing or Perfetto: a track for each NIC direction.

        **Arguments:**

        - `path`: the JSON file to write.
        """
        Path(path).write_text(trace_text(self, self._timeline()), encoding="utf-8")

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the predicted timeline: a row for each NIC direction, the bound as a line. Needs `crossmesh[plot]`.

        **Arguments:**

        - `path`: the picture to write; its ending says the format (`.png`, `.svg`, `.pdf`). `None` writes nothing.

        **Returns:** the `matplotlib.figure.Figure`, which a notebook shows.

        **Raises:** `ImportError` saying what to install; `LayoutError` for a format that matplotlib does not write.
        """
        from ._plot import draw

        return draw(self, self._timeline(), None if path is None else Path(path))

    def _timeline(self) -> dict[str, Any]:
        return self._ask(lambda holder, number: holder.plan_timeline(number))

    def __rich__(self) -> RenderableType:
        return self._page("cheap")

    def _repr_html_(self) -> str:
        return _explain.notebook(self._report())

    def __repr__(self) -> str:
        return (
            f"<Plan {self.digest[:12]}: {self._summary['moves']} moves, makespan {self.makespan:.6g} s, "
            f"lower bound {self.lower_bound:.6g} s>"
        )

    @functools.cached_property
    def _request(self) -> dict[str, Any]:
        if self._asked is not None and self._asked["topology"] is not None:
            return self._asked
        document: dict[str, Any] = json.loads(self._ask(lambda holder, number: holder.plan_request(number)))
        return document

    def _ask(self, question: Callable[[PlanHolder, int], T]) -> T:
        """What the holder says of this plan; once its process is gone, the planner of this process in its place."""
        try:
            return question(self._holder, self._number)
        except AgentUnavailable:
            gateway = planner()
            summary = gateway.plan_load(self._text) if self._text else gateway.plan(self._asked or self._request)
            self._holder, self._number = gateway, int(summary["id"])
            _forget_with(self)
            return question(self._holder, self._number)


# Plans are forgotten by the JVM at the next request: a finalizer must not call it.
_forgotten: queue.SimpleQueue[tuple[PlanHolder, int]] = queue.SimpleQueue()


def _forget_with(planned: Plan) -> Plan:
    """Have the planner forget a plan when Python does."""
    weakref.finalize(planned, _forgotten.put, (planned._holder, planned._number)).atexit = False
    return planned


def _release_forgotten(current: PlanHolder) -> None:
    while True:
        try:
            holder, number = _forgotten.get_nowait()
        except queue.Empty:
            return
        if holder is current:
            holder.plan_release(number)


def plan_held(holder: PlanHolder, number: int) -> Plan:
    """A plan that an agent made; it can be read after the agent is gone."""
    request = json.loads(holder.plan_request(number))
    made = Plan(holder, number, holder.plan_summary(number), request=request)
    _ = made.tasks, made.moves
    return made


def plan(
    tree: Any,
    dtype: Any = None,
    src: Any = None,
    dst: Any = None,
    *,
    topology: Topology | None = None,
    strategy: str = "auto",
    order: str = "optimal",
    hosts: Sequence[str] | None = None,
    deadline: Any = None,
) -> Plan:
    """Plan a transfer and predict its time. Needs no agent, no UCX and no accelerator.

    The first call starts a JVM, which serves this process from then on.

    **Arguments:**

    - `tree`: a shape, with `dtype`; or a pytree of anything with `.shape` and `.dtype`, planned as one; or a list of
      `cm.Boundary`, each with its own layouts and deadlines, planned together.
    - `dtype`: the element type, if `tree` is a shape.
    - `src`, `dst`: a layout (`cm.Sharding` or `jax.sharding.NamedSharding`) or a tree prefix of layouts. Where it is
      `None`, the leaves' own `.sharding`.
    - `topology`: the network; by default `Topology.uniform` for the hosts of both meshes.
    - `strategy`: `"send_recv"`; `"local_all_gather"` for a piece to each device of a host, which share it;
        `"global_all_gather"` for a piece to each host and a ring between them; `"broadcast"`; `"split_broadcast"` for
        a chain from each holder of a slice; or `"auto"` for what is predicted to be fastest, tensor by tensor.
    - `order`: `"optimal"` divides slices among their holders and lets them take turns, so that the plan ends at the
        lower bound; `"size"` sends whole slices, the largest first from the least loaded sender; `"naive"` sends
        them as they come from the first holder; `"search"` and `"greedy"` are other baselines.
    - `hosts`: the host of each JAX process, for layouts stated as `NamedSharding`.
    - `deadline`: when each tensor is needed: seconds from the start of the plan, or a tree prefix of them; `None`
      where nothing waits. Of plans that end equally early, `"optimal"` gives one that brings first what is needed
      first.

    **Returns:**

    The `Plan`. The same input gives the same plan and digest on every host.

    **Raises:**

    `LayoutError` naming the tensor and layout that do not fit, or the strategy or order that does not exist;
    `AgentUnavailable` if the planner cannot be started.

    !!! Example

        ```python
        plan = cm.plan((1024, 1024, 512), "int32", src, dst)
        plan.makespan, plan.lower_bound, plan.bytes_sent
        ```
    """
    if dtype is not None and as_boundaries(tree) is None:
        tree = TensorSpec(tree, dtype)
    boundaries = as_boundaries(tree)
    if boundaries is None:
        boundaries = [Boundary(tree, src, dst, deadline)]
    elif any(value is not None for value in (dtype, src, dst, deadline)):
        raise LayoutError("Each boundary states its own layouts and deadlines. Leave out those beside the list.")
    needed = [need for boundary in boundaries for need in needs(boundary, hosts)]
    request = plan_request(needed, topology, strategy, order)
    holder = planner()
    _release_forgotten(holder)
    summary = holder.plan(request)
    return _forget_with(Plan(holder, int(summary["id"]), summary, request=request))


def _box(bounds: Sequence[int]) -> Box:
    return tuple(zip(bounds[::2], bounds[1::2], strict=True))
