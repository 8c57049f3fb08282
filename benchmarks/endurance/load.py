"""Many channels and many Flight clients at one agent for a while, then more clients than it lets in at a time.

`python -m endurance.load --seconds 60`: prints latencies and memory, and ends with 1 when a call failed, when memory
grew by more than its tolerance, or when a client over its quota was not told so or did not get through by asking again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

import crossmesh as cm

from . import figures

CHANNELS = 64
CLIENTS = 200
STEP_ELEMENTS = 1_024
TENSOR_ELEMENTS = 64 << 10
CHANNEL_BYTES_MAX = 8 * 4 * STEP_ELEMENTS  # its sets
CALL_SECONDS_MAX = 30.0
CALLS_OF_A_NARROW_DOOR = 20
CALLS_PER_CLIENT_OF_A_NARROW_DOOR = 20
PAUSE_SECONDS = (0.002, 0.2)  # before asking again: doubled each time, up to the second
HELD = "crossmesh-load"


class Client:
    """One Flight client with a connection of its own."""

    def __init__(self, address: str, token: str, number: int) -> None:
        # Without a pool of its own all clients of a process would share one connection.
        self._door = flight.FlightClient(f"grpc://{address}", generic_options=[("grpc.use_local_subchannel_pool", 1)])
        self._options = flight.FlightCallOptions(
            timeout=CALL_SECONDS_MAX, headers=[(b"authorization", b"Bearer " + token.encode())]
        )
        self._number = number
        self._tile = pa.record_batch([pa.array(np.full(TENSOR_ELEMENTS, number, np.int32))], names=["data"])

    def put(self) -> None:
        """Puts this client's own tensor, in the place of what it put before."""
        document = _document(f"{HELD}-{self._number}")
        command = flight.FlightDescriptor.for_command(json.dumps(document | {"device": 0}).encode())
        writer, _ = self._door.do_put(command, self._tile.schema, self._options)
        writer.write_batch(self._tile)
        writer.close()

    def get(self) -> None:
        """Reads it back."""
        ticket = flight.Ticket(json.dumps({"v": 1, "tensor": f"{HELD}-{self._number}"}).encode())
        got = self._door.do_get(ticket, self._options).read_all().column(0).to_numpy()
        if not (got == self._number).all() or len(got) != TENSOR_ELEMENTS:
            raise AssertionError(f"client {self._number} read what another one put")

    def ask(self) -> None:
        """Asks for the agent's health."""
        list(self._door.do_action(flight.Action("health", b""), self._options))

    def close(self) -> None:
        """Ends the connection."""
        self._door.close()


def _document(name: str) -> dict[str, Any]:
    layout = {"mesh": {"shape": [1], "axis_names": [], "devices": [["a", 0]]}, "spec": "R"}
    return {"v": 1, "tensor": name, "shape": [TENSOR_ELEMENTS], "dtype": "int32", "layout": layout}


class Load:
    """Threads that call until they are told to end, what they measured and what failed."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.failures: Counter[str] = Counter()
        self.over_quota = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.ended = threading.Event()

    def start(self, run: Callable[[], None]) -> None:
        """Runs it on a thread; what it raises is counted."""

        def guarded() -> None:
            try:
                run()
            except Exception as error:  # noqa: BLE001  (whatever a call ends with is a finding)
                with self._lock:
                    self.failures[f"{type(error).__name__}: {str(error).splitlines()[0]}"] += 1

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def timed(self, name: str, call: Callable[[], None]) -> None:
        """Runs a call, again as long as it is over its quota."""
        pause, longest = PAUSE_SECONDS
        started = time.perf_counter()
        while True:
            try:
                call()
                break
            except pa.ArrowException as error:
                if "ask again" not in str(error):
                    raise
            with self._lock:
                self.over_quota += 1
            time.sleep(pause)
            pause = min(longest, 2 * pause)
        took = time.perf_counter() - started
        with self._lock:
            self.seconds[name].append(took)

    def join(self) -> None:
        """Waits for all threads; one that does not end is a failure."""
        self.ended.set()
        for thread in self._threads:
            thread.join(2 * CALL_SECONDS_MAX)
            if thread.is_alive():
                self.failures["a thread has not ended"] += 1

    def lines(self) -> list[str]:
        """Latencies, in milliseconds."""
        lines = [f"{'call':10} {'calls':>8} {'p50 ms':>9} {'p90 ms':>9} {'p99 ms':>9} {'most ms':>9}"]
        for name, seconds in sorted(self.seconds.items()):
            marks = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
            values = (1e3 * value for value in (marks[49], marks[89], marks[98], max(seconds)))
            lines.append(f"{name:10} {len(seconds):8d} " + " ".join(f"{value:9.1f}" for value in values))
        return lines + [f"FAILED {count} times: {what}" for what, count in self.failures.items()]


def _step(load: Load, sender: cm.Sender, receiver: cm.Receiver) -> None:
    for step in itertools.count():
        if load.ended.is_set():
            return

        def once(step: int = step) -> None:
            arriving = receiver.recv()
            sender.send({0: np.full(STEP_ELEMENTS, step, np.int32)}).result(CALL_SECONDS_MAX)
            (tile,) = arriving.result(CALL_SECONDS_MAX).values()
            if not (tile == step).all():
                raise AssertionError(f"step {step} came wrong")

        load.timed("step", once)


def _calls(load: Load, client: Client, most: int | None = None) -> None:
    load.timed("put", client.put)
    for number in range(sys.maxsize if most is None else most):
        if most is None and load.ended.is_set():
            return
        name = ("ask", "get", "put", "get")[number % 4]
        load.timed(name, getattr(client, name))


def under_load(seconds: float, channels: int, clients: int) -> list[str]:
    """Prints; returns what is wrong."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(cm.LocalCluster(["a", "b"], arena="512MiB"))
        load = Load()
        spec = cm.TensorSpec((STEP_ELEMENTS,), "int32")
        source, target = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab")
        for number in range(channels):
            sender = stack.enter_context(cluster.agent("a").sender(f"load/{number}", spec, source))
            receiver = stack.enter_context(cluster.agent("b").receiver(f"load/{number}", spec, target))
            load.start(lambda sender=sender, receiver=receiver: _step(load, sender, receiver))
        address, token = (cluster.env("a")[key] for key in ("CROSSMESH_AGENT", "CROSSMESH_TOKEN"))
        for number in range(clients):
            client = Client(address, token, number)
            stack.callback(client.close)
            load.start(lambda client=client: _calls(load, client))
        marks: dict[str, dict[str, figures.Figures]] = {}
        started = time.perf_counter()
        for share in (0.4, 0.7, 1.0):
            time.sleep(max(0.0, share * seconds - (time.perf_counter() - started)))
            port = cluster._infos["a"]["metrics"]["port"]
            marks[f"{share * seconds:.0f} s"] = {"agent a": figures.of_agent(cluster.pid("a"), port)}
        load.join()
        marks["after"] = {"agent a": figures.of_agent(cluster.pid("a"), cluster._infos["a"]["metrics"]["port"])}
        print(f"{channels} channels and {clients} Flight clients at one agent for {seconds:.0f} s")
        print("\n".join([*load.lines(), *figures.table(marks)]))
        first, *_, last, after = (mark["agent a"] for mark in marks.values())
        # Under way, the arena holds the tensors that are being replaced as well, which is no growth.
        wrong = figures.growth(first, replace(last, arena_mib=0.0))
        held = (clients * TENSOR_ELEMENTS * 4 + channels * CHANNEL_BYTES_MAX) / figures.MIB
        if after.arena_mib > held:
            wrong.append(f"the arena holds {after.arena_mib:.1f} MiB afterwards, and clients and channels {held:.1f}")
        return [*load.failures, *wrong] + (["over its quota"] if load.over_quota else [])


def over_quota(clients: int, calls: int = CALLS_PER_CLIENT_OF_A_NARROW_DOOR) -> list[str]:
    """Prints; returns what is wrong."""
    options = ["--flight-calls", str(CALLS_OF_A_NARROW_DOOR)]
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(cm.LocalCluster(["a"], arena="256MiB", agent_options=options))
        load = Load()
        address, token = (cluster.env("a")[key] for key in ("CROSSMESH_AGENT", "CROSSMESH_TOKEN"))
        for number in range(clients):
            client = Client(address, token, number)
            stack.callback(client.close)
            load.start(lambda client=client: _calls(load, client, calls))
        load.join()
        counted = cluster.status()["a"]["refused"]["quota"]
        print(
            f"{clients} clients where {CALLS_OF_A_NARROW_DOOR} calls at a time are let in: "
            f"{load.over_quota} were told RESOURCE_EXHAUSTED ({counted} counted), all got through"
        )
        print("\n".join(load.lines()))
        wrong = list(load.failures)
        if not load.over_quota or counted != load.over_quota:
            wrong.append(f"{load.over_quota} calls over the quota, {counted} counted")
        return wrong


def main() -> int:
    """Both halves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    options = parser.parse_args()
    wrong = under_load(options.seconds, options.channels, options.clients) + over_quota(options.clients)
    print("\n".join(f"WRONG: {what}" for what in wrong) or "no error, memory flat")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
