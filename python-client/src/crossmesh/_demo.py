"""The paper's cases through agents that are processes of their own, every byte checked.

Source of the cases: "On Optimizing the Communication of Model Parallelism" (MLSys 2023), the many-to-many table and the
one-to-many figure; dimension 0 of every tensor is divided by `DIVIDE` so that they fit a small machine.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.resources
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ._cluster import LocalCluster
from ._mesh import Mesh
from ._plan import Plan
from ._sharding import Sharding
from ._spec import TensorSpec

DIVIDE = 8
STEPS = 2  # the first step touches fresh memory; the last one is timed
MIB = 2**20
TABLE_WIDTH = 100


@dataclass(frozen=True)
class Case:
    """One row of the paper: a tensor, and its layout on either side."""

    name: str
    spec: TensorSpec
    src: Sharding
    dst: Sharding


@dataclass(frozen=True)
class Outcome:
    """What one case did: its plan, the seconds of its last step, and whether every byte was right."""

    case: Case
    plan: Plan
    seconds: float
    exact: bool
    wire_matches: bool

    @property
    def busiest_bytes(self) -> int:
        """Bytes over the busiest NIC, in its busier direction."""
        return max(*self.plan.bytes_sent.values(), *self.plan.bytes_received.values())


def _mesh_shape(text: str) -> tuple[int, int]:
    hosts, devices = text.split("x")
    return int(hosts), int(devices)


def paper_cases(divide: int = DIVIDE) -> list[Case]:
    """The paper's eight many-to-many and seven one-to-many cases, on hosts named h0, h1, ...

    **Arguments:**

    - `divide`: what dimension 0 of every tensor is divided by.

    **Returns:** the cases in the paper's order. Mesh axis 0 is the hosts; the two sides have no host in common.
    """
    cases = []
    for table in ("paper_n_to_m.csv", "paper_1_to_m.csv"):
        text = (importlib.resources.files(__package__) / "_cases" / table).read_text()
        for row in csv.DictReader(text.splitlines()):
            first, *rest = (int(n) for n in row["shape"].split("x"))
            src_shape, dst_shape = _mesh_shape(row["src_mesh"]), _mesh_shape(row["dst_mesh"])
            names = [f"h{i}" for i in range(src_shape[0] + dst_shape[0])]
            cases.append(
                Case(
                    name=row["case"],
                    spec=TensorSpec((first // divide, *rest), row["dtype"]),
                    src=Sharding(Mesh(src_shape, hosts=names[: src_shape[0]]), row["src_spec"]),
                    dst=Sharding(Mesh(dst_shape, hosts=names[src_shape[0] :]), row["dst_spec"]),
                )
            )
    return cases


def tensor(spec: TensorSpec) -> np.ndarray:
    """Values that differ between any two places a slice could be mixed up with."""
    size = math.prod(spec.shape)
    return np.arange(size, dtype=np.int64).astype(spec.dtype).reshape(spec.shape)


def run_case(cluster: LocalCluster, case: Case, x: np.ndarray, strategy: str, order: str) -> Outcome:
    """Moves `x` through `cluster` as `case` says, and compares every destination tile with its slice of `x`."""
    name = f"demo/{case.name}"
    before = cluster.wire_bytes()
    with contextlib.ExitStack() as stack:
        senders = [
            stack.enter_context(
                cluster.agent(host).sender(name, case.spec, case.src, depth=1, strategy=strategy, order=order)
            )
            for host in case.src.mesh.hosts
        ]
        receivers = [
            stack.enter_context(
                cluster.agent(host).receiver(name, case.spec, case.dst, depth=1, strategy=strategy, order=order)
            )
            for host in case.dst.mesh.hosts
        ]
        done = senders[0].plan
        tiles = {device: x[index] for device, index in case.src.shards(x.shape).items()}
        wanted = case.dst.shards(x.shape)
        exact = True
        for _ in range(STEPS):
            mine = [
                {d: tiles[d] for d, (host, _) in enumerate(case.src.mesh.devices) if host == sender.agent_name}
                for sender in senders
            ]
            start = time.perf_counter()
            pending = [receiver.recv() for receiver in receivers]
            sent = [sender.send(shards) for sender, shards in zip(senders, mine, strict=True)]
            arrived = {d: tile for p in pending for d, tile in p.result().items()}
            for transfer in sent:
                transfer.result()
            seconds = time.perf_counter() - start
            exact &= arrived.keys() == wanted.keys() and all(
                np.array_equal(arrived[d], x[index]) for d, index in wanted.items()
            )
            del arrived, pending
    after = cluster.wire_bytes()
    wire_matches = all(
        after[host].sent - before[host].sent == STEPS * done.bytes_sent.get(host, 0)
        and after[host].received - before[host].received == STEPS * done.bytes_received.get(host, 0)
        for host in after
    )
    return Outcome(case, done, seconds, exact, wire_matches)


def run_cases(
    cases: Sequence[Case], *, strategy: str = "auto", order: str = "optimal", transport: str = "ucx"
) -> Iterator[Outcome]:
    """Runs `cases` one after the other on one cluster of agents; yields as each one ends."""
    hosts = sorted({host for case in cases for mesh in (case.src.mesh, case.dst.mesh) for host in mesh.hosts})
    held: tuple[TensorSpec, np.ndarray] | None = None
    with LocalCluster(hosts=hosts, transport=transport, arena="2GiB") as cluster:
        for case in cases:
            if held is None or (held[0].shape, held[0].dtype) != (case.spec.shape, case.spec.dtype):
                held = case.spec, tensor(case.spec)
            yield run_case(cluster, case, held[1], strategy, order)


def _side(sharding: Sharding) -> str:
    return "x".join(map(str, sharding.mesh.shape)) + " " + str(sharding).replace(" ", "")


def _row(outcome: Outcome) -> list[str]:
    case = outcome.case
    moved = math.prod(case.spec.shape) * np.dtype(case.spec.dtype).itemsize
    bound = outcome.plan.lower_bound * outcome.plan.topology.bandwidth(case.src.mesh.hosts[0])
    return [
        case.name,
        f"{_side(case.src)} -> {_side(case.dst)}",
        f"{moved / MIB:.1f}",
        str(len(outcome.plan.tasks)),
        f"{outcome.busiest_bytes / MIB:.1f}",
        f"{outcome.busiest_bytes / bound:.3f}" if bound else "-",
        f"{outcome.seconds:.3f}",
        f"{outcome.busiest_bytes / outcome.seconds / 1e9:.2f}",
        "yes" if outcome.exact else "[bold red]NO[/]",
        "yes" if outcome.wire_matches else "[bold red]NO[/]",
    ]


def run(
    *, divide: int = DIVIDE, strategy: str = "auto", order: str = "optimal", console: Console | None = None
) -> bool:
    """Prints the table of `crossmesh demo`.

    **Returns:** whether every byte of every case was right and the wire carried what the plan said.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    cases = paper_cases(divide)
    table = Table(
        title=f"The paper's cases, dimension 0 divided by {divide}: agents as processes, over UCX",
        box=SIMPLE_HEAD,
        pad_edge=False,
        min_width=TABLE_WIDTH,
    )
    for header in ("case", "layouts"):
        table.add_column(header, no_wrap=True)
    for header in ("MiB", "tasks", "NIC MiB", "/bound", "seconds", "GB/s", "exact", "wire"):
        table.add_column(header, justify="right", no_wrap=True)
    good = True
    with console.status("starting agents") as status:
        for outcome in run_cases(cases, strategy=strategy, order=order):
            status.update(f"case {outcome.case.name} done")
            table.add_row(*_row(outcome))
            good &= outcome.exact and outcome.wire_matches
    console.print(table)
    console.print(
        "tasks: unit tasks of the plan. NIC MiB: bytes over the busiest NIC; /bound: the same over the fewest that any "
        "plan needs. seconds: one step from send to the last result, staging included; GB/s: NIC bytes by seconds. "
        "exact: every byte of every destination tile compared. wire: on every host the transport counted what the plan "
        "says."
    )
    return good
