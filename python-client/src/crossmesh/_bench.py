"""One-way bandwidth from agent to agent, beside UCX's own benchmark on the same transport in the same run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ._agent import Agent
from ._cluster import LocalCluster
from ._errors import CrossmeshError, TransferTimeout
from ._events import ChannelFailed, Delivered, Event, Opened, Received, Sent, StepFailed
from ._jvm import child_env
from ._mesh import Mesh
from ._sharding import Sharding, json_tables
from ._spec import TensorSpec, resolve
from ._topology import LATENCY, Topology
from ._wires import wire

LATENCY_BYTES = 64
LATENCY_STEPS = 200
PERFTESTS = ("tag_bw", "ucp_am_bw")
RUN_BYTES = 3 << 30  # of a repeat, unless its steps are stated
STEP_SECONDS_MAX = 60.0
WAIT_MILLIS = 1000
WARM_UP_STEPS = 120
WARM_UP_SECONDS = 12.0  # the JVMs compile what they run often; until then that costs cores which the link needs


@dataclass
class LinkResult:
    """What `crossmesh bench link` found: rates in GB/s (1e9 bytes), one for each repeat, and the latency in seconds.

    The latency is half of the time from `send` to the news that a small step has been delivered. It is what the
    planner means by a latency, and an upper bound of the wire's: the agents' work is in it, and the calls to them.
    """

    transport: str
    bytes: int
    steps: int
    depth: int
    link: list[float] = field(default_factory=list)
    perftest: dict[str, list[float]] = field(default_factory=dict)
    latency: float | None = None

    @property
    def median(self) -> float:
        """The link's rate."""
        return statistics.median(self.link)

    @property
    def reference(self) -> tuple[str, float] | None:
        """The faster of UCX's benchmarks, or `None` without `ucx_perftest`."""
        medians = {name: statistics.median(rates) for name, rates in self.perftest.items() if rates}
        best = max(medians, key=lambda name: medians[name], default=None)
        return None if best is None else (best, medians[best])

    @property
    def ratio(self) -> float | None:
        """The link's rate over the reference."""
        return None if self.reference is None else self.median / self.reference[1]

    def topology(self, hosts: Sequence[str]) -> Topology:
        """Hosts with one NIC each, of this link's bandwidth and latency."""
        return Topology.uniform(hosts, self.median * 1e9, LATENCY if self.latency is None else self.latency)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        reference = self.reference
        return asdict(self) | {
            "gb_per_s": self.median,
            "reference": None if reference is None else {"test": reference[0], "gb_per_s": reference[1]},
            "ratio": self.ratio,
        }


def link(
    *, transport: str = "tcp", nbytes: int = 64 << 20, steps: int | None = None, depth: int = 4, repeats: int = 5
) -> LinkResult:
    """Measure.

    The tensor lies in the sender's arena from the start and is not touched by Python; `depth` steps are on the wire.
    UCX's benchmark sends messages of the same size with as many outstanding. It has one buffer on either side, which
    is larger than the cache like ours or, with small messages, smaller like ours. Repeats of both alternate, so that
    both see the same machine.

    **Arguments:**

    - `transport`: a name of `_wires.WIRES`.
    - `nbytes`: the bytes of one step.
    - `steps`: timed steps of a repeat; by default 3 GiB of them.
    - `depth`: steps on the wire.
    - `repeats`: how often.
    """
    way = wire(transport)
    steps = steps or max(1, RUN_BYTES // nbytes)
    result = LinkResult(transport, nbytes, steps, depth)
    arena = 3 * depth * nbytes + (64 << 20)
    with way.cluster(["a", "b"], arena) as cluster:
        source, target, opened = _open(cluster, "bench/link", nbytes, depth)
        for base in opened.sets:
            memory = cluster.agent("a")._session.arena.root(base, opened.set_bytes)
            memory[:] = np.arange(opened.set_bytes, dtype=np.uint8)
        warm = time.monotonic() + WARM_UP_SECONDS
        while time.monotonic() < warm:
            _run(source, target, steps=WARM_UP_STEPS, depth=depth)
        for _ in range(repeats):
            result.link.append(nbytes * steps / _run(source, target, steps=steps, depth=depth) / 1e9)
            for test in PERFTESTS:
                rate = perftest(test, way.ucx_tls, nbytes, steps, depth)
                if rate is not None:
                    result.perftest.setdefault(test, []).append(rate)
        result.latency = _latency(*_open(cluster, "bench/latency", LATENCY_BYTES, 1)[:2])
    return result


def _open(
    cluster: LocalCluster, name: str, nbytes: int, depth: int, *, verify: bool = False
) -> tuple[_End, _End, Opened]:
    spec = TensorSpec((nbytes,), "uint8")
    here, there = (Sharding(Mesh((1,), hosts=[host]), "R") for host in ("a", "b"))
    source = _End(cluster.agent("a"), name, spec, here, "src", depth, verify=verify)
    source.control.want_sets(source.session, 1)
    target = _End(cluster.agent("b"), name, spec, there, "dst", depth, verify=verify)
    opened = source.wait_open()
    target.wait_open()
    return source, target, opened


class _End:
    """An end of a channel without trees, threads and arrays: only the calls and events of the agent."""

    def __init__(
        self,
        agent: Agent,
        name: str,
        spec: TensorSpec,
        sharding: Sharding,
        side: str,
        depth: int,
        *,
        verify: bool = False,
    ) -> None:
        leaves, _ = resolve(spec, sharding, side)
        meshes, layouts, where = json_tables([sharding])
        self.control = agent._control
        self.session = self.control.open_session(os.getpid(), name)
        self.step = -1
        self._events: list[Event] = []
        tensor = {"key": "", "shape": list(leaves[0].shape), "dtype": "uint8", "layout": where[0]}
        self.channel = self.control.open_channel(
            self.session,
            {
                "name": name,
                "side": side,
                "meshes": meshes,
                "layouts": layouts,
                "tensors": [tensor],
                "devices": [0],
                "depth": depth,
                "timeout": STEP_SECONDS_MAX,
                "strategy": None,
                "order": None,
                "topology": None,
                "verify": verify,
            },
        )

    def send_next(self, staging_set: int) -> None:
        self.step += 1
        self.control.send(self.session, self.channel, self.step, staging_set)

    def wait_open(self) -> Opened:
        event = self.next()
        if not isinstance(event, Opened):
            raise CrossmeshError(f"The channel did not open: {event}.")
        return event

    def next(self) -> Event:
        """The next event that is no failure."""
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while not self._events:
            if time.monotonic() > deadline:
                raise TransferTimeout(f"Nothing happened for {STEP_SECONDS_MAX:g} s.")
            self.control.await_events(self.session, WAIT_MILLIS)
            while (event := self.control.next_event(self.session, 0, ask=True)) is not None:
                self.control.event_told(self.session)
                self._events.append(event)
            self.control.events_taken(self.session)
        event = self._events.pop(0)
        if isinstance(event, ChannelFailed | StepFailed):
            raise event.error
        return event


def _run(source: _End, target: _End, *, steps: int, depth: int, sets: int | None = None) -> float:
    """Seconds from the first send until the last step is delivered.

    `depth` steps are on the wire, from so many staging sets in turn; by default from as many.
    """
    first, last = source.step + 1, source.step + steps
    free = deque(range(sets or depth))
    with ThreadPoolExecutor(1) as beside:
        start = time.perf_counter()
        taking = beside.submit(_take, target, range(first, last + 1))
        for _ in range(min(depth, steps)):
            source.send_next(free.popleft())
        delivered = 0
        while delivered < steps:
            event = source.next()
            if isinstance(event, Delivered):
                delivered += 1
            elif isinstance(event, Sent) and source.step < last:
                free.append(event.set)
                source.send_next(free.popleft())
        seconds = time.perf_counter() - start
        taking.result()
    return seconds


def _latency(source: _End, target: _End) -> float:
    """Seconds of one step one way: the median of steps that have the link to themselves."""
    halves = []
    for _ in range(LATENCY_STEPS):
        target.control.recv(target.session, target.channel, source.step + 1)
        start = time.perf_counter()
        source.send_next(0)
        open_events: set[type[Event]] = {Sent, Delivered}
        while open_events:
            event = source.next()
            open_events.discard(type(event))
            if isinstance(event, Delivered):
                halves.append((time.perf_counter() - start) / 2)
        received = target.next()
        assert isinstance(received, Received), received
        target.control.release(target.session, target.channel, received.receipt)
    return statistics.median(halves[LATENCY_STEPS // 2 :])


def _take(target: _End, steps: range) -> None:
    """Receive steps and give their memory back at once."""
    for step in steps:
        target.control.recv(target.session, target.channel, step)
    received = 0
    while received < len(steps):
        event = target.next()
        if isinstance(event, Received):
            target.control.release(target.session, target.channel, event.receipt)
            received += 1


def perftest(test: str, tls: str, nbytes: int, messages: int, depth: int) -> float | None:
    """GB/s of one run of `ucx_perftest` between two processes on loopback; `None` if it is not there or fails."""
    program = shutil.which("ucx_perftest")
    if program is None:
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = child_env() | {"UCX_TLS": tls}
    env.pop("LD_LIBRARY_PATH", None)
    arguments = ["-t", test, "-s", str(nbytes), "-n", str(messages), "-w", "16", "-O", str(depth)]
    arguments += ["-p", port]
    server = subprocess.Popen(
        [program, *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(50):
            client = subprocess.run(
                [program, "127.0.0.1", *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
            )
            rate = _read_perftest(client.stdout)
            if rate is not None or server.poll() is not None:
                return rate
            time.sleep(0.1)  # the server does not listen yet
        return None
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(OSError):
            server.kill()
        server.wait()


def _read_perftest(output: str) -> float | None:
    """The overall bandwidth: in the last line, after iterations and three latencies, average then overall MiB/s."""
    match = re.search(r"^Final:\s+\d+\s+(.+)$", output, re.MULTILINE)
    if match is None:
        return None
    numbers = [float(number) for number in match.group(1).split()]
    return numbers[-3] * 2**20 / 1e9 if len(numbers) >= 5 else None
