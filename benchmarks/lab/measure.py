"""Runs cases on a lab, all variants of a case in turn, and keeps every time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import crossmesh as cm
from crossmesh._demo import Case

from .cases import AUTO, Variant, all_cases, nbytes
from .errors import LabError
from .hosts import Hosts, line_rate
from .network import Network, Shape

STEP_SECONDS_MAX = 200.0
OPEN_SECONDS_MAX = 30.0
START_DELAY_SECONDS = 0.02  # from the request until all senders start, so that all have read it
FRESH_STEPS = 1  # a channel's first step touches memory that nobody has touched before
WARM_UP_STEPS = 12
WARM_UP_MIB = 2.0


@dataclass
class Record:
    """One case with one variant: what its plan says, and the seconds of its steps."""

    case: str
    strategy: str
    order: str
    bytes: int
    busiest_bytes: int
    bound_seconds: float
    predicted_seconds: float
    chunk_bytes: int
    chosen: str
    seconds: list[float] = field(default_factory=list)

    @property
    def variant(self) -> Variant:
        """How it travelled."""
        return Variant(self.strategy, self.order)

    @property
    def median(self) -> float:
        """The middle of its times."""
        return statistics.median(self.seconds)

    @property
    def over_bound(self) -> float:
        """Its time over that which no plan goes below, at the measured rate."""
        return self.median / self.bound_seconds


@dataclass
class Result:
    """One lab: its shape, what was measured of its links, and its records."""

    shape: Shape
    rate: float
    latency: float
    mib: float | None
    records: list[Record] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Result:
        """What `to_dict` gave."""
        records = [Record(**record) for record in value["records"]]
        return cls(Shape(**value["shape"]), value["rate"], value["latency"], value["mib"], records)


def topology(shape: Shape, rate: float, latency: float) -> cm.Topology:
    """The network as the planner is told it: measured, not nominal.

    **Arguments:**

    - `rate`: payload of a host in bytes per second and direction; an uplink has the same share of its nominal rate.
    """
    nic = cm.Nic(rate / shape.nics, latency)
    limits = {}
    if shape.racks > 1:
        uplink = shape.uplink * rate / (shape.rate * shape.nics)
        for rack in range(shape.racks):
            limits[tuple(host for host in shape.names if shape.rack(host) == rack)] = uplink
    return cm.Topology({host: [nic] * shape.nics for host in shape.names}, limits)


class Lab:
    """Hosts, the planner's view of them, and the running of steps."""

    def __init__(self, network: Network, hosts: Hosts, rate: float, latency: float) -> None:
        self._hosts = hosts
        self._numbers = itertools.count()
        self._topology = topology(network.shape, rate, latency)

    def record(self, case: Case, variant: Variant) -> Record | None:
        """An empty record of a case; `None` if this variant cannot do it."""
        try:
            plan = cm.plan(
                case.spec,
                src=case.src,
                dst=case.dst,
                topology=self._topology,
                strategy=variant.strategy,
                order=variant.order,
            )
        except cm.LayoutError:
            return None
        chosen = next(iter(plan.strategy.values()))
        return Record(
            case=case.name,
            strategy=variant.strategy,
            order=variant.order,
            bytes=nbytes(case.spec),
            busiest_bytes=max(*plan.bytes_sent.values(), *plan.bytes_received.values()),
            bound_seconds=plan.lower_bound,
            predicted_seconds=plan.makespan,
            chunk_bytes=chosen.chunk_bytes,
            chosen=chosen.strategy,
        )

    def run(self, case: Case, variant: Variant, steps: int, mib: float | None) -> list[float]:
        """Seconds of each of `steps`, from the start at the senders until the last receiver has everything.

        **Raises:** `LabError` if a step fails or a byte is wrong.
        """
        sources, sinks = list(case.src.mesh.hosts), list(case.dst.mesh.hosts)
        both = sources + sinks
        request = {
            "do": "open",
            "case": case.name,
            "mib": mib,
            "channel": f"lab/{next(self._numbers)}",
            "strategy": variant.strategy,
            "order": variant.order,
            "topology": self._topology.to_json(),
            "timeout": STEP_SECONDS_MAX,
        }
        self._hosts.ask(both, request)
        self._hosts.answers(both, OPEN_SECONDS_MAX)
        times = [self._step(case, variant, both, sinks) for _ in range(steps)]
        self._hosts.ask(both, {"do": "close"})
        self._hosts.answers(both, OPEN_SECONDS_MAX)
        return times

    def _step(self, case: Case, variant: Variant, both: list[str], sinks: list[str]) -> float:
        self._hosts.ask(both, {"do": "step", "timeout": STEP_SECONDS_MAX})
        self._hosts.answers(both, OPEN_SECONDS_MAX)
        start = time.perf_counter() + START_DELAY_SECONDS
        self._hosts.ask(both, {"at": start})
        answers = self._hosts.answers(both, STEP_SECONDS_MAX + OPEN_SECONDS_MAX)
        wrong = [host for host in sinks if not answers[host]["exact"]]
        if wrong:
            raise LabError(f"Case {case.name}, {variant.name}: wrong bytes arrived on {', '.join(wrong)}.")
        return max(answers[host]["end"] for host in sinks) - start

    def warm_up(self, cases: Sequence[Case]) -> None:
        """Let the JVMs compile what every transfer runs, with small tensors."""
        wanted = {case.name for case in cases}
        for case in all_cases(WARM_UP_MIB):
            if case.name in wanted:
                self.run(case, AUTO, WARM_UP_STEPS, WARM_UP_MIB)


def measure(
    shape: Shape,
    cases: Sequence[Case],
    variants: Sequence[Variant],
    *,
    repeats: int,
    baseline_repeats: int,
    mib: float | None,
    slow_seconds: float,
    options: Sequence[str] = (),
    say: Callable[[str], None],
    into: list[Result],
) -> None:
    """Build a lab, measure its links, run the cases, measure again, remove the lab. The faster measure counts.

    **Arguments:**

    - `repeats`: of each case and variant, in turn, each the second step of a new channel; what takes more than
      `slow_seconds` is run once, and its first step counts.
    - `baseline_repeats`: at most so many of what is not `auto`.
    - `mib`: as in `all_cases`.
    - `options`: more of the agents' command line.
    - `say`: is told what goes on.
    - `into`: gets the result, which grows by the case, so that a run that is interrupted has what it measured.
    """
    say("building the network")
    with Network(shape) as network:
        say("measuring the line")
        rate = line_rate(network)
        with Hosts(network, arena="2GiB", options=lambda _: list(options)) as hosts:
            latency = hosts.latency()
            result = Result(shape, rate, latency, mib)
            into.append(result)
            lab = Lab(network, hosts, rate, latency)
            say("warming up")
            lab.warm_up(cases)
            for case in cases:
                records = [r for r in (lab.record(case, variant) for variant in variants) if r is not None]
                for turn in range(repeats):
                    for record in records:
                        often = repeats if record.variant == AUTO else min(repeats, baseline_repeats)
                        if turn >= often or (turn and record.seconds[0] > slow_seconds):
                            continue
                        say(f"{shape.rate / 1e6:g} Mbit/s, case {case.name}, {record.variant.name}, {turn + 1}")
                        fresh = FRESH_STEPS if record.predicted_seconds < slow_seconds else 0
                        record.seconds += lab.run(case, record.variant, fresh + 1, mib)[fresh:]
                result.records += records
        say("measuring the line again")
        result.rate = max(rate, line_rate(network))
        for record in result.records:
            record.bound_seconds *= rate / result.rate
