"""Runs the methods of a cell in turn on a lab, and asks the simulator for each with times that were measured apart."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.hosts import Hosts, line_rate
from lab.measure import topology
from lab.network import Network, Shape

import crossmesh as cm

from . import cells, stage
from .cells import Method

ANSWER_SECONDS_MAX = 120.0
LATE = 1.02
"""A step counts if no stage computed longer than this much over what was stated: else its core did something else."""
LATE_COMPUTED = 1.1
"""The same for stages that compute, over what they took when only a token moved."""
COMPUTE_STEPS = 2
CORES = 2
IDLE_STEPS = 24
IDLE_STEPS_BEFORE = 8
TRIES = 2
"""For each step that counts, at most so many are run."""
WARM_UP = 1
WARM_UP_RHO = 0.3
SETTLE_SECONDS = 0.01


@dataclass
class Run:
    """A method in a cell: what its steps took, and what the simulator says that they take. Seconds."""

    method: str
    predicted: float
    transfer: float
    peak: int = 0
    exposed: float = 0.0
    runner: float = 0.0
    makespans: list[float] = field(default_factory=list)
    dropped: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the steps that count."""
        return statistics.median(self.makespans) if self.makespans else math.nan


@dataclass
class Cell:
    """One model at one ratio over so many stages."""

    model: str
    rho: float
    stages: int
    rate: float
    """Bytes per second, by iperf3."""
    bound: float
    """c: seconds of a boundary at that rate."""
    jax: bool = False
    """Whether the stages compute, or wait."""
    runs: list[Run] = field(default_factory=list)

    def run(self, method: Method) -> Run | None:
        """What a method took."""
        return next((run for run in self.runs if run.method == method.name), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Cell:
        """What `to_dict` gave."""
        return cls(**{**value, "runs": [Run(**run) for run in value["runs"]]})


@dataclass(frozen=True)
class Times:
    """Seconds of the operations of each stage; `weight` is `None` where it is part of `backward`."""

    forward: list[float]
    backward: list[float]
    weight: list[float] | None

    @property
    def compute(self) -> float:
        """What a micro-batch takes on the slowest stage."""
        weight = self.weight or [0.0] * len(self.forward)
        return max(map(sum, zip(self.forward, self.backward, weight, strict=True)))


class Bench:
    """A lab whose hosts run the stages of a model."""

    def __init__(
        self, network: Network, hosts: Hosts, model: str, say: Callable[[str], None], *, jax: bool = False
    ) -> None:
        self._network = network
        self._hosts = hosts
        self._names = hosts.names
        self._say = say
        self._numbers = itertools.count()
        self._about = {"model": model, "jax": jax, "hosts": self._names}
        self._meet()
        self._bytes = self._all({"do": "load"})[self._names[0]]["bytes"]
        self._times = {split: self._compute(split) for split in (True, False)}
        self._work = self._times[True].compute if jax else cells.COMPUTE_SECONDS

    def cell(self, rho: float, methods: Sequence[Method], repeats: int) -> Cell:
        """Set the rate for a ratio and run the methods in turn.

        **Raises:** `LabError` if a stage fails.
        """
        seconds = rho * self._work / 2
        self._network.set_rate(round(self._bytes * 8 / seconds * WIRE_OVER_PAYLOAD))
        rate = line_rate(self._network)
        about = self._about
        cell = Cell(about["model"], rho, len(self._names), rate, self._bytes / rate, bool(about["jax"]))
        self._say(f"{about}, rho {rho:g}: {rate * 8e-6:.0f} Mbit/s, T {self._work * 1e3:.1f} ms")
        view = topology(Shape(len(self._names), round(rate * 8)), rate, self._latency).to_json()
        ways = self._transfer("auto", view)
        runs = [self._prepare(method, ways, view) for method in methods]
        cell.runs = [run for run, _ in runs]
        self._turns(cell, [channel for _, channel in runs], repeats)
        self._all({"do": "close"})
        return cell

    def _meet(self) -> None:
        first, second = self._names[:2]
        address = self._network.address(first)
        self._hosts.ask([first], {"do": "listen", "address": address})
        self._hosts.answers([first], ANSWER_SECONDS_MAX)
        for do in ("meet", "echo"):
            for name in (first, second):
                self._hosts.ask([name], {"do": do, "first": name == first, "address": address})
            answers = self._hosts.answers([first, second], ANSWER_SECONDS_MAX)
        self._crossing = statistics.median(answer["seconds"] for answer in answers.values())
        self._latency = 3 * self._crossing

    def _compute(self, split: bool) -> Times:
        """What the operations take when only a token moves, what the runner adds to each among it."""
        view = topology(Shape(len(self._names), self._network.shape.rate), 1e8, self._latency).to_json()
        channel = self._open(cells.BOUND, "zb-h1" if split else "1f1b", view)
        self._all({"do": "step", "channel": channel})
        told = [list(self._all({"do": "step", "channel": channel}).values()) for _ in range(COMPUTE_STEPS)]
        self._all({"do": "close"})

        def of(kind: str) -> list[float]:
            ops = cells.MICROBATCHES * (3 if split else 2)
            return [
                statistics.median(step[stage][kind] + step[stage]["runner"] / ops for step in told)
                for stage in range(len(self._names))
            ]

        return Times(of("forward"), of("backward"), of("weight") if split else None)

    def _transfer(self, strategy: str, view: str) -> list[float]:
        """Each way over the first boundary by itself, from the call of `send` until it has arrived."""
        first, second = self._names[:2]
        ways = []
        for source, target in ((first, second), (second, first)):
            request = self._about | {
                "do": "probe",
                "strategy": strategy,
                "topology": view,
                "channel": f"probe/{next(self._numbers)}",
                "pause": SETTLE_SECONDS,
            }
            for name in (source, target):
                self._hosts.ask([name], request | {"sends": name == source})
            answers = self._hosts.answers([source, target], ANSWER_SECONDS_MAX)
            both = zip(answers[source]["sent"], answers[target]["ended"], strict=True)
            ways.append(statistics.median([b - a for a, b in both][stage.PROBES_BEFORE :]))
        return ways

    def _blocking(self, method: Method, view: str) -> float:
        """One transfer of a step of one micro-batch in which nothing is computed: one there and one back.

        Each after a pause, as among computing: the shaper lets a little pass at once when its link was idle.
        """
        channel = self._open(method, method.schedule, view, idle=True)
        told = [list(self._all({"do": "step", "channel": channel, "idle": True}).values()) for _ in range(IDLE_STEPS)]
        return statistics.median(step[0]["makespan"] for step in told[IDLE_STEPS_BEFORE:]) / 2

    def _prepare(self, method: Method, ways: list[float], view: str) -> tuple[Run, str]:
        """Open a method's trainers; its schedule is chosen from the stated and the measured times."""
        pair = [0.0, 0.0] if method.token else [self._blocking(method, view)] * 2 if method.blocking else ways
        count = len(self._names)
        stated: dict[str, Any] = {"transfer": [tuple(pair)] * (count - 1), "hosts": self._names}
        many = {"stages": count, "microbatches": cells.MICROBATCHES}
        split = method.schedule == "adaptive"
        stated |= asdict(self._times[split])
        if split:
            schedule = cm.schedule("adaptive", **many, **stated, memory=cells.memory(count))
        else:
            schedule = cm.schedule(method.schedule, **many)
        predicted = cm.simulate(schedule, **stated, overlap=not method.blocking).makespan
        channel = self._open(method, schedule.to_json() if split else method.schedule, view)
        return Run(method.name, predicted, statistics.mean(pair)), channel

    def _open(self, method: Method, schedule: str, view: str, *, idle: bool = False) -> str:
        channel = f"cell/{next(self._numbers)}"
        count = 1 if idle else cells.MICROBATCHES
        about = {"method": method.name, "schedule": schedule, "microbatches": count, "idle": idle}
        self._all({"do": "open", "channel": channel, "topology": view} | about)
        return channel

    def _turns(self, cell: Cell, channels: Sequence[str], repeats: int) -> None:
        stated = self._work * cells.MICROBATCHES
        late = LATE_COMPUTED if cell.jax else LATE
        for turn in range(-WARM_UP, repeats * TRIES):
            for run, channel in zip(cell.runs, channels, strict=True):
                if len(run.makespans) >= repeats:
                    continue
                answers = list(self._all({"do": "step", "channel": channel}).values())
                if turn < 0:
                    continue
                on_time = max(answer["compute"] for answer in answers) <= late * stated
                (run.makespans if on_time else run.dropped).append(answers[0]["makespan"])
                run.peak = max(run.peak, *(answer["peak"] for answer in answers))
                run.exposed = max(answer["exposed"] for answer in answers)
                run.runner = max(answer["runner"] for answer in answers)

    def _all(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        self._hosts.ask(self._names, {"idle": False} | self._about | request)
        return self._hosts.answers(self._names, ANSWER_SECONDS_MAX)


WIRE_OVER_PAYLOAD = 1.048
"""What the shaper counts over what TCP delivers, for packets of 1448 bytes; the ratio itself is from iperf3."""
JAX_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}


def measure(
    model: str,
    rhos: Sequence[float],
    stages: int,
    repeats: int,
    say: Callable[[str], None],
    into: list[Cell],
    *,
    jax: bool,
) -> None:
    """Build a lab of so many hosts, dealt out to two cores, run cells in it, remove it.

    **Arguments:**

    - `into`: gets each cell when it is done, so that a run that is interrupted has what it measured.
    - `jax`: whether the stages compute, or wait.
    """
    methods = cells.METHODS if stages == 2 else cells.LONG
    say("building the network")
    with (
        Network(Shape(stages, 1_000_000_000)) as network,
        Hosts(network, "256MiB", JAX_ENVIRONMENT, program="e2e.stage", cores=CORES) as hosts,
    ):
        bench = Bench(network, hosts, model, say, jax=jax)
        if not jax:
            say("warming up")
            bench.cell(WARM_UP_RHO, cells.LONG, 1)
        for rho in rhos:
            into.append(bench.cell(rho, methods, repeats))
            say(json.dumps({run.method: [round(run.median, 3), round(run.predicted, 3)] for run in into[-1].runs}))
