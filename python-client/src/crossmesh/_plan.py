"""Plans: what moves where, in which order, and how long it should take."""

from __future__ import annotations

import html
import json
import math
import queue
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ._errors import AgentUnavailable, LayoutError
from ._planner import planner
from ._sharding import Box, Sharding, json_tables
from ._spec import Leaf, TensorSpec, resolve
from ._topology import Topology


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


class _PlanHolder(Protocol):
    def plan_json(self, plan: int) -> str: ...
    def plan_explain(self, plan: int) -> str: ...
    def plan_release(self, plan: int) -> None: ...


class Plan:
    """A planned transfer. Made by `cm.plan`, by an open channel, or by `Plan.from_json`.

    Moves and tasks are read when they are first asked for.
    """

    def __init__(self, holder: _PlanHolder, number: int, summary: dict[str, Any], document: str | None = None) -> None:
        self._holder = holder
        self._number = number
        self._summary = summary
        self._text = document
        self._document: dict[str, Any] | None = None
        self._moves: tuple[Move, ...] | None = None
        self._tasks: tuple[UnitTask, ...] | None = None

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
        chunks = dict.fromkeys(self.tensors, 0)
        for move in self.moves:
            chunks[move.tensor] += math.ceil(move.bytes / move.chunk_bytes)
        return {
            key: Chosen(chosen["strategy"], int(chosen["chunk_bytes"]), chunks[key])
            for key, chosen in zip(self.tensors, self._summary["chosen"], strict=True)
        }

    @property
    def tensors(self) -> tuple[str, ...]:
        """The key paths of the tensors, in order."""
        return tuple(str(tensor["key"]) for tensor in self._doc["tensors"])

    @property
    def topology(self) -> Topology:
        """The network that was planned for."""
        return Topology._from_json(self._doc["topology"])

    @property
    def tasks(self) -> Sequence[UnitTask]:
        """The unit tasks."""
        if self._tasks is None:
            keys = self.tensors
            self._tasks = tuple(
                UnitTask(keys[t["tensor"]], _box(t["box"]), tuple(t["senders"]), tuple(t["receivers"]))
                for t in self._doc["tasks"]
            )
        return self._tasks

    @property
    def moves(self) -> Sequence[Move]:
        """The moves, in the order in which senders start them."""
        if self._moves is None:
            keys = self.tensors
            self._moves = tuple(
                Move(
                    keys[m["tensor"]],
                    _box(m["box"]),
                    int(m["bytes"]),
                    int(m["chunk_bytes"]),
                    float(m["start"]),
                    float(m["end"]),
                    int(m["sender"]),
                    tuple(m["receivers"]),
                    tuple(m["route"]),
                )
                for m in self._doc["moves"]
            )
        return self._moves

    def explain(self) -> str:
        """The plan in words: layouts, bytes over each NIC, strategies, predicted time against the bound."""
        try:
            return self._holder.plan_explain(self._number)
        except AgentUnavailable:
            # The agent that planned is gone; the planner of this process takes the plan over.
            gateway = planner()
            self._holder, self._number = gateway, int(gateway.plan_load(self.to_json())["id"])
            _forget_with(self)
            return gateway.plan_explain(self._number)

    def to_json(self) -> str:
        """The whole plan as JSON text, for `from_json`."""
        if self._text is None:
            self._text = self._holder.plan_json(self._number)
        return self._text

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote, after it has proved itself again.

        **Raises:** `LayoutError` if the text is no plan, or the plan does not do what it says.
        """
        holder = planner()
        summary = holder.plan_load(text)
        return _forget_with(cls(holder, int(summary["id"]), summary, text))

    def trace(self, path: str | Path) -> None:
        """Write the predicted timeline for chrome://tracing or Perfetto: for each host what it sends and receives.

        **Arguments:**

        - `path`: the JSON file to write.
        """
        events: list[dict[str, Any]] = []
        hosts = {host: number for number, host in enumerate(sorted({h for m in self.moves for h in m.route}))}
        for host, number in hosts.items():
            events.append({"ph": "M", "pid": number, "name": "process_name", "args": {"name": host}})
            events.extend(
                {"ph": "M", "pid": number, "tid": lane, "name": "thread_name", "args": {"name": name}}
                for lane, name in enumerate(("sends", "receives", "copies"))
            )
        for move in self.moves:
            common = {
                "ph": "X",
                "name": f"{move.tensor} {_bounds(move.box)}".strip(),
                "ts": move.start * 1e6,
                "dur": (move.end - move.start) * 1e6,
                "args": {"bytes": move.bytes, "route": " > ".join(move.route), "receivers": list(move.receivers)},
            }
            if len(move.route) == 1:
                events.append(common | {"pid": hosts[move.route[0]], "tid": 2})
            for source, target in zip(move.route, move.route[1:], strict=False):
                events.append(common | {"pid": hosts[source], "tid": 0})
                events.append(common | {"pid": hosts[target], "tid": 1})
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(host)}</td><td>{self.bytes_sent.get(host, 0):,}</td>"
            f"<td>{self.bytes_received.get(host, 0):,}</td></tr>"
            for host in sorted({*self.bytes_sent, *self.bytes_received})
        )
        return (
            f"<p>{html.escape(repr(self))}</p><table><tr><th>host</th><th>bytes sent</th>"
            f"<th>bytes received</th></tr>{rows}</table>"
        )

    def __repr__(self) -> str:
        return (
            f"<Plan {self.digest[:12]}: {self._summary['moves']} moves, makespan {self.makespan:.6g} s, "
            f"lower bound {self.lower_bound:.6g} s>"
        )

    @property
    def _doc(self) -> dict[str, Any]:
        if self._document is None:
            self._document = json.loads(self.to_json())
        return self._document


# Plans are forgotten by the JVM at the next request: a finalizer must not call it.
_forgotten: queue.SimpleQueue[tuple[_PlanHolder, int]] = queue.SimpleQueue()


def _forget_with(planned: Plan) -> Plan:
    """Have the planner forget a plan when Python does."""
    weakref.finalize(planned, _forgotten.put, (planned._holder, planned._number)).atexit = False
    return planned


def _release_forgotten(current: _PlanHolder) -> None:
    while True:
        try:
            holder, number = _forgotten.get_nowait()
        except queue.Empty:
            return
        if holder is current:
            holder.plan_release(number)


def plan_from_document(holder: _PlanHolder, number: int, text: str) -> Plan:
    """A plan that an agent holds, with its whole document: it can be read after the agent is gone."""
    document = json.loads(text)
    summary = {key: document[key] for key in ("digest", "makespan", "lower_bound", "gap", "chosen")}
    summary |= {key: document[key] for key in ("bytes_sent", "bytes_received")}
    made = Plan(holder, number, summary | {"moves": len(document["moves"])}, text)
    made._document = document
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
) -> Plan:
    """Plan a transfer and predict its time. Needs no agent, no UCX and no accelerator.

    The first call starts a JVM, which serves this process from then on.

    **Arguments:**

    - `tree`: a shape, with `dtype`; or a pytree of anything with `.shape` and `.dtype`, planned as one.
    - `dtype`: the element type, if `tree` is a shape.
    - `src`, `dst`: a layout (`cm.Sharding` or `jax.sharding.NamedSharding`) or a tree prefix of layouts. Where it is
      `None`, the leaves' own `.sharding`.
    - `topology`: the network; by default `Topology.uniform` for the hosts of both meshes.
    - `strategy`: `"send_recv"`, `"broadcast"`, `"split_broadcast"` for a chain from each holder of a slice, or
        `"auto"` for the faster of the first two by prediction, tensor by tensor.
    - `order`: `"optimal"` divides slices among their holders and lets them take turns, so that the plan ends at the
        lower bound; `"size"` sends whole slices, the largest first from the least loaded sender; `"naive"` sends
        them as they come from the first holder; `"search"` and `"greedy"` are other baselines.
    - `hosts`: the host of each JAX process, for layouts stated as `NamedSharding`.

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
    if dtype is not None:
        tree = TensorSpec(tree, dtype)
    sources, _ = resolve(tree, src, "source", hosts)
    destinations, _ = resolve(tree, dst, "destination", hosts)
    request = plan_request(sources, destinations, topology, strategy, order)
    holder = planner()
    _release_forgotten(holder)
    summary = holder.plan(request)
    return _forget_with(Plan(holder, int(summary["id"]), summary))


def plan_request(
    sources: Sequence[Leaf], destinations: Sequence[Leaf], topology: Topology | None, strategy: str, order: str
) -> dict[str, Any]:
    """The request document for tensors that are stated on both sides."""
    for name, value in (("strategy", strategy), ("order", order)):
        if not isinstance(value, str):
            raise LayoutError(f"{name} is a string, got {value!r}.")
    sides: list[Sharding] = [leaf.sharding for pair in zip(sources, destinations, strict=True) for leaf in pair]
    meshes, layouts, where = json_tables(sides)
    tensors = [
        {
            "key": leaf.key,
            "shape": list(leaf.shape),
            "dtype": leaf.dtype.name,
            "src": where[2 * number],
            "dst": where[2 * number + 1],
        }
        for number, leaf in enumerate(sources)
    ]
    return {
        "v": 1,
        "meshes": meshes,
        "layouts": layouts,
        "tensors": tensors,
        "topology": None if topology is None else topology._to_json(),
        "strategy": strategy,
        "order": order,
    }


def _box(value: Sequence[Sequence[int]]) -> Box:
    return tuple((int(lo), int(hi)) for lo, hi in value)


def _bounds(box: Box) -> str:
    return "[" + ", ".join(f"{lo}:{hi}" for lo, hi in box) + "]"
