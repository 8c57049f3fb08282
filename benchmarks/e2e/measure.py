"""Runs the methods of a cell in turn on a lab; the simulator is told what was measured in the same turns.

What the simulator is told comes from other steps than those that it predicts: see `gauges`.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.hosts import Hosts, line_rate
from lab.measure import topology
from lab.network import Network, Shape

import crossmesh as cm

from . import cells
from .cells import Method
from .gauges import LATE_COMPUTED, Gauges
from .results import Cell, Run

ANSWER_SECONDS_MAX = 120.0
LATE = 1.02
"""A step of stages that wait counts if none took longer than this much over what was stated: else its core did more."""
FIRST_STEPS = 3
CORES = 2
GAUGE_STEPS = 2
"""Steps of each blocking method's gauge in a turn."""
FIRST_TURNS = 2
"""Turns of the gauges before the first step that counts: where stages wait, `adaptive` is chosen from them."""
CHOOSING_STEPS_MAX = 16
TRIES = 2
"""For each step that counts, at most so many are run."""
WARM_UP = 1


@dataclass
class Running:
    """A method while a cell runs: what it took, the schedule that it runs, its trainers' channel."""

    run: Run
    method: Method
    schedule: cm.Schedule
    channel: str


class Bench:
    """A lab whose hosts run the stages of a model."""

    def __init__(
        self, network: Network, hosts: Hosts, model: str, say: Callable[[str], None], compute: float, *, jax: bool
    ) -> None:
        self._network = network
        self._hosts = hosts
        self._names = hosts.names
        self._say = say
        self._numbers = itertools.count()
        self._about = {"model": model, "jax": jax, "hosts": self._names, "compute": compute}
        self._meet()
        self._bytes = self._all({"do": "load"})[self._names[0]]["bytes"]
        self._work = compute

    def cell(self, rho: float, methods: Sequence[Method], repeats: int, traces: Path | None = None) -> Cell:
        """Set the rate for a ratio and run the methods in turn; `traces` is a folder for a trace of each method.

        **Raises:** `LabError` if a stage fails.
        """
        self._network.set_rate(wire_rate(self._bytes, rho, self._work))
        rate = line_rate(self._network)
        about = self._about
        cell = Cell(about["model"], rho, len(self._names), rate, self._bytes / rate, bool(about["jax"]), self._work)
        what = f"{cell.model} over {cell.stages} stages, rho {rho:g}"
        self._say(f"{what}: {rate * 8e-6:.0f} Mbit/s, T {self._work * 1e3:.1f} ms")
        view = topology(Shape(len(self._names), round(rate * 8)), rate, self._latency).to_json()
        gauges = Gauges(self._names)
        turn = self._gauge_turn(gauges, methods, view, rho)
        for _ in range(1 if about["jax"] else FIRST_TURNS):
            turn()
        running = [self._prepare(method, gauges, view) for method in methods]
        self._turns(cell, running, gauges, turn, repeats)
        for one in running:
            one.run.predicted = gauges.predicted(one.method, one.schedule)
            one.run.transfer = statistics.mean(map(statistics.mean, gauges.pairs(one.method, split=one.schedule.split)))
        cell.runs = [one.run for one in running]
        if traces is not None:
            self._trace(running, traces)
        self._all({"do": "close"})
        return cell

    def warm_up(self, rho: float) -> None:
        """Let agents and stages get going, which are slow at first; then see how long stages compute."""
        if self._about["jax"]:
            self._work = self._compute()
        else:
            self.cell(rho, cells.LONG, 1)

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

    def _compute(self) -> float:
        """What a micro-batch computes on the slowest stage when only a token moves, after steps in which all moved."""
        view = topology(Shape(len(self._names), self._network.shape.rate), 1e8, self._latency).to_json()
        gauges = Gauges(self._names)
        for method, steps in ((cells.OVERLAPPED, []), (cells.BOUND, gauges.tokens[True])):
            channel = self._open(method, "zb-h1", view)
            steps += [list(self._all({"do": "step", "channel": channel}).values()) for _ in range(FIRST_STEPS)]
        self._all({"do": "close"})
        return gauges.times(True).compute

    def _gauge_turn(self, gauges: Gauges, methods: Sequence[Method], view: str, rho: float) -> Callable[[], None]:
        """Open what the gauges need; the result measures each of them once more. The first turn does not count."""
        named = {True: "zb-h1", False: "1f1b"}
        tokens = {split: self._open(cells.BOUND, name, view) for split, name in named.items()}
        loaded = self._open_loaded(view, rho) if self._about["jax"] else {}
        steps = {m.name: self._open(m, m.schedule, view, gauge=True) for m in methods if m.blocking}
        waiting = [] if self._about["jax"] else [m for m in methods if not (m.blocking or m.token)]
        among = dict.fromkeys(map(cells.gauge_of, waiting))
        crossings = {m.name: self._open(m, m.schedule, view, gauge=True) for m in among}
        gauges.loaded = {like: [] for like in loaded}
        gauges.steps = {name: [] for name in steps}
        gauges.crossings = {name: [] for name in crossings}
        warm = False

        def turn() -> None:
            nonlocal warm
            for split, channel in tokens.items():
                answers = list(self._all({"do": "step", "channel": channel}).values())
                gauges.tokens[split] += [answers] if warm else []
            for like, channel in loaded.items():
                answers = list(self._all({"do": "step", "channel": channel, "times": True}).values())
                gauges.loaded[like] += [answers] if warm else []
            for name, channel in crossings.items():
                answers = list(self._all({"do": "step", "channel": channel, "times": True}).values())
                gauges.crossings[name] += [answers[0]["transfers"]] if warm else []
            for name, channel in steps.items():
                for _ in range(GAUGE_STEPS):
                    answers = list(self._all({"do": "step", "channel": channel, "gauge": True}).values())
                    gauges.steps[name] += [answers[0]["makespan"]] if warm else []
            warm = True

        return turn

    def _open_loaded(self, view: str, rho: float) -> dict[tuple[str, bool], str]:
        """Trainers of steps in which all moves while stages compute, by the method that they are like: weight gradients
        apart run as `adaptive` has them for equal operations.
        """
        stages, third = len(self._names), 1 / 3
        times = {"forward": third, "backward": third, "weight": third, "transfer": rho / 2}
        many = {"stages": stages, "microbatches": cells.OVERLAPPED_MICROBATCHES, "memory": cells.memory(stages)}
        apart = cm.schedule("adaptive", **many, **times, hosts=self._names).to_json()
        whole = {m: self._open(m, m.schedule, view, gauge=True) for m in (cells.OVERLAPPED, cells.EAGER)}
        opened = {(method.name, False): channel for method, channel in whole.items()}
        return opened | {(cells.EAGER.name, True): self._open(cells.EAGER, apart, view, gauge=True)}

    def _chosen(self, channel: str) -> cm.Schedule:
        """What trainers choose after the steps that they measure for it."""
        for _ in range(CHOOSING_STEPS_MAX):
            name, schedule = self._all({"do": "step", "channel": channel, "next": True})[self._names[0]]["next"]
            if name == "adaptive":
                return cm.Schedule.from_json(schedule)
        raise LabError(f"The trainers have not chosen a schedule after {CHOOSING_STEPS_MAX} steps.")

    def _prepare(self, method: Method, gauges: Gauges, view: str) -> Running:
        """Open a method's trainers; `adaptive` is chosen from what was measured so far, by stages that compute from
        steps that their own trainers measure.
        """
        many = {"stages": len(self._names), "microbatches": cells.MICROBATCHES}
        if method.schedule == "adaptive" and self._about["jax"]:
            channel = self._open(method, method.schedule, view)
            schedule = self._chosen(channel)
        elif method.schedule == "adaptive":
            schedule = gauges.adaptive(method, cells.memory(len(self._names)))
            channel = self._open(method, schedule.to_json(), view)
        else:
            schedule = cm.schedule(method.schedule, **many)
            channel = self._open(method, method.schedule, view)
        return Running(Run(method.name, 0.0, 0.0), method, schedule, channel)

    def _open(self, method: Method, schedule: str, view: str, *, gauge: bool = False) -> str:
        channel = f"cell/{next(self._numbers)}"
        count = cells.MICROBATCHES
        if gauge:
            count = cells.GAUGE_MICROBATCHES if method.blocking else cells.OVERLAPPED_MICROBATCHES
        about = {"method": method.name, "schedule": schedule, "microbatches": count, "gauge": gauge}
        self._all({"do": "open", "channel": channel, "topology": view} | about)
        return channel

    def _turns(
        self, cell: Cell, running: Sequence[Running], gauges: Gauges, turn: Callable[[], None], repeats: int
    ) -> None:
        late = LATE_COMPUTED if cell.jax else LATE
        for number in range(-WARM_UP, repeats * TRIES):
            if all(len(one.run.makespans) >= repeats for one in running):
                return
            turn()
            for one in running:
                run = one.run
                if len(run.makespans) >= repeats:
                    continue
                answers = list(self._all({"do": "step", "channel": one.channel}).values())
                if number < 0:
                    continue
                usual = gauges.compute(one.method, split=one.schedule.split) if cell.jax else self._stated_compute()
                on_time = all(a["compute"] <= late * most for a, most in zip(answers, usual, strict=True))
                (run.makespans if on_time else run.dropped).append(answers[0]["makespan"])
                run.peak = max(run.peak, *(answer["peak"] for answer in answers))
                run.exposed = max(answer["exposed"] for answer in answers)
                run.runner = max(answer["runner"] for answer in answers)

    def _trace(self, running: Sequence[Running], directory: Path) -> None:
        """Write the last steps of each method, all stages and what was on its way between them on one clock."""
        directory.mkdir(parents=True, exist_ok=True)
        for one in running:
            path = directory / f"{re.sub('[^a-z0-9]+', '-', one.method.name.lower())}.json"
            request = {"do": "trace", "channel": one.channel, "path": str(path.resolve())}
            self._hosts.ask(self._names[:1], self._about | request)
            self._hosts.answers(self._names[:1], ANSWER_SECONDS_MAX)

    def _stated_compute(self) -> list[float]:
        return [self._work * cells.MICROBATCHES] * len(self._names)

    def _all(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        self._hosts.ask(self._names, {"gauge": False, "times": False, "next": False} | self._about | request)
        return self._hosts.answers(self._names, ANSWER_SECONDS_MAX)


WIRE_OVER_PAYLOAD = 1.048
"""What the shaper counts over what TCP delivers, for packets of 1448 bytes; the ratio itself is from iperf3."""
ABOUT = {"moved": 1 << 18, "compute": 0.04}
"""What crosses in bytes and a micro-batch computes in seconds, roughly, where stages compute: connections are opened
before that is measured."""
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
    compute: float = cells.COMPUTE_SECONDS,
    traces: Path | None = None,
) -> None:
    """Build a lab of so many hosts, dealt out to two cores, run cells in it, remove it.

    Where stages wait, each ratio has a lab of its own: connections keep packets of the size that suits the rate when
    they are opened.

    **Arguments:**

    - `into`: gets each cell when it is done, so that a run that is interrupted has what it measured.
    - `jax`: whether the stages compute, or wait.
    - `compute`: T of stages that wait, in seconds.
    - `traces`: a folder for a trace of each method, of the last ratio.
    """
    methods = cells.METHODS if stages == 2 else cells.LONG
    waits = {"moved": cells.MODELS[model].boundary_bytes, "compute": compute}
    for group in [list(rhos)] if jax else [[rho] for rho in rhos]:
        rate = wire_rate(rho=max(group), **(ABOUT if jax else waits))
        say("building the network")
        with (
            Network(Shape(stages, rate, smooth=True)) as network,
            Hosts(network, "256MiB", JAX_ENVIRONMENT, program="e2e.stage", cores=CORES) as hosts,
        ):
            bench = Bench(network, hosts, model, say, compute, jax=jax)
            say("warming up")
            bench.warm_up(group[0])
            for rho in group:
                into.append(bench.cell(rho, methods, repeats, traces))
                say(json.dumps({run.method: [round(run.median, 3), round(run.predicted, 3)] for run in into[-1].runs}))


def wire_rate(moved: float, rho: float, compute: float) -> int:
    """The bit/s of a shaper with which so many bytes of a boundary take `rho * compute / 2` seconds."""
    return round(moved * 8 / (rho * compute / 2) * WIRE_OVER_PAYLOAD)
