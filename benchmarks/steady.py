"""What transfers cost a machine that is warm: collections, processor time, a trainer's computing; and a profile.

    .venv/bin/python benchmarks/steady.py [collections] [processor] [computing] [profile]

Without a word: all four. Each figure is printed beside its limit, or the reference measured in turn with it. `profile`
takes a minute of transfers under Java Flight Recorder and says where time and memory went.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

import crossmesh as cm
from crossmesh import _bench
from crossmesh._java import find_java

MIB = 2**20
TCP = {"UCX_TLS": "tcp,self"}

COLLECTIONS_BYTES = 1 * MIB
COLLECTIONS_TRANSFERS = 10_000
COLLECTIONS_WARM_UP = 6_000
COLLECTIONS_YOUNG = "64m"

PROCESSOR_BYTES = 64 * MIB
PROCESSOR_STEPS = 48
PROCESSOR_REPEATS = 5
PROCESSOR_RATIO_MAX = 1.3

COMPUTING_BYTES_PER_SECOND = 500e6 / 8
COMPUTING_BYTES = 8 * MIB
COMPUTING_SECONDS = 1.0
COMPUTING_WIDTH = 512
COMPUTING_WARM_UP = 400
COMPUTING_REPEATS = 45

PROFILE_SECONDS = 60.0
PROFILE_BYTES = 64 * MIB
PROFILE_BATCH = 16
PROFILE_ROWS = 12
PROFILE_ASLEEP = {"io.crossmesh.transfer.ucx.EventFd.await", "io.crossmesh.memory.Doorbell.await"}
OWNER_THREAD = "transfer"
WARM_UP_SECONDS = 15.0
DEPTH = 4


class Link:
    """A channel from agent `a` to agent `b` over TCP, driven without arrays, as `crossmesh bench link` does."""

    def __init__(self, cluster: cm.LocalCluster, nbytes: int) -> None:
        self.cluster = cluster
        self.nbytes = nbytes
        self._source, self._target, _ = _bench._open(cluster, f"steady/{nbytes}", nbytes, DEPTH)

    def move(self, steps: int) -> float:
        """Seconds of so many steps."""
        return _bench._run(self._source, self._target, steps=steps, depth=DEPTH)

    def warm_up(self) -> None:
        """Move until the JVMs have compiled what a step runs through."""
        end = time.monotonic() + WARM_UP_SECONDS
        while time.monotonic() < end:
            self.move(max(8, 256 * MIB // self.nbytes))

    def pids(self) -> list[int]:
        """Of both agents."""
        return [self.cluster.pid(host) for host in ("a", "b")]


@contextlib.contextmanager
def link(nbytes: int, java_options: str = "") -> Iterator[Link]:
    """A link between two new agents."""
    env = TCP | ({"JDK_JAVA_OPTIONS": java_options} if java_options else {})
    with cm.LocalCluster(["a", "b"], arena=3 * DEPTH * nbytes + 64 * MIB, env=env) as cluster:
        yield Link(cluster, nbytes)


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def collections() -> None:
    """How often the agents collect garbage in many transfers of 1 MiB with a small young generation."""
    with tempfile.TemporaryDirectory() as directory:
        options = f"-Xms128m -Xmn{COLLECTIONS_YOUNG} -Xlog:gc:file={directory}/%p.log"
        with link(COLLECTIONS_BYTES, options) as moving:
            moving.move(COLLECTIONS_WARM_UP)
            for pid in moving.pids():  # what the start and the compilers left is not what is counted
                subprocess.run([find_java().path.parent / "jcmd", str(pid), "GC.run"], check=True, capture_output=True)

            def pauses() -> list[int]:
                return [Path(directory, f"{pid}.log").read_text().count("Pause") for pid in moving.pids()]

            before = pauses()
            seconds = moving.move(COLLECTIONS_TRANSFERS)
            found = [after - earlier for earlier, after in zip(before, pauses(), strict=True)]
    print(
        f"collections in {COLLECTIONS_TRANSFERS} transfers of 1 MiB, young generation {COLLECTIONS_YOUNG}: "
        f"sender {found[0]}, receiver {found[1]} (limit 0), {1e6 * seconds / COLLECTIONS_TRANSFERS:.0f} us a transfer"
    )


def processor() -> None:
    """Processor seconds per GB of the agents over TCP, beside both ends of `ucx_perftest`, in turn."""
    ours, theirs, drivers = [], [], []
    with link(PROCESSOR_BYTES) as moving:
        moving.warm_up()
        for _ in range(PROCESSOR_REPEATS):
            before, driver = sum(map(cpu_seconds, moving.pids())), time.process_time()
            moving.move(PROCESSOR_STEPS)
            gb = PROCESSOR_BYTES * PROCESSOR_STEPS / 1e9
            ours.append((sum(map(cpu_seconds, moving.pids())) - before) / gb)
            drivers.append((time.process_time() - driver) / gb)
            ended = _children()
            if _bench.perftest("ucp_am_bw", TCP["UCX_TLS"], PROCESSOR_BYTES, PROCESSOR_STEPS, DEPTH) is not None:
                warm_up = 16
                theirs.append((_children() - ended) / (PROCESSOR_BYTES * (PROCESSOR_STEPS + warm_up) / 1e9))
    beside = "no ucx_perftest here (apt-get install ucx-utils)"
    if theirs:
        ratio = statistics.median(ours) / statistics.median(theirs)
        beside = f"ucx_perftest {_spread(theirs)}, ratio {ratio:.2f} (limit {PROCESSOR_RATIO_MAX:g})"
    print(f"processor seconds per GB over TCP: agents {_spread(ours)}, their client {_spread(drivers)}; {beside}")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def computing() -> None:
    """What multiplying matrices loses while 500 Mbit/s leave, on the core of the trainer and its agent.

    The loop, its process's other threads and the agent of its host share one core, the receiving side has the other:
    each second of processor time that the transfer takes there is one that the loop does not have. Seconds without and
    with transfers alternate, as a core's speed drifts by more than what is measured; so do seconds in which a process
    in the agent's place writes the same bytes to a TCP socket, which shows what the loop loses beyond processor time
    when another process runs on its core at all.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("computing needs two cores: one for each host.")
    os.sched_setaffinity(0, {cores[0]})
    mesh = [cm.Mesh((1,), hosts=[host]) for host in ("a", "b")]
    spec = cm.TensorSpec((COMPUTING_BYTES,), "uint8")
    with cm.LocalCluster(["a", "b"], arena=512 * MIB, env=TCP) as cluster, _PlainSender(cores[1]) as plain:
        _pin(cluster.pid("b"), cores[1])
        receiver = subprocess.Popen(
            [sys.executable, __file__, "--receive"], env=os.environ | cluster.env("b"), stdin=subprocess.PIPE
        )
        _pin(receiver.pid, cores[1])
        sharding = cm.Sharding(mesh[0], "R")
        with cluster.agent("a").sender("steady/computing", spec, sharding, depth=DEPTH) as tx:
            tx.wait_open()
            tile = {0: np.ones(COMPUTING_BYTES, np.uint8)}
            for _ in range(COMPUTING_WARM_UP):
                tx.send(tile).result(60)
            # More threads of the library for products would share the core, and be counted as the client's.
            with threadpool_limits(1):
                rounds = [
                    (_loop(), _loop(lambda: tx.send(tile), cluster.pid("a")), _loop(plain.send, plain.pid))
                    for _ in range(COMPUTING_REPEATS)
                ]
        receiver.communicate()
    print(f"products of {COMPUTING_WIDTH}x{COMPUTING_WIDTH} beside 500 Mbit/s")
    alone, *beside = zip(*rounds, strict=True)
    senders = (("the agent", " (limit 1)"), ("a process that writes to a socket", ""))
    for (name, limit), loops in zip(senders, beside, strict=True):
        shares = map(_shares, alone, loops)
        lost, sender, client, ratio = (statistics.median(column) for column in zip(*shares, strict=True))
        print(
            f"  slower by {100 * lost:.1f} %; of the core {name} uses {100 * sender:.1f} %, its client "
            f"{100 * client:.1f} %: ratio {ratio:.2f}{limit}"
        )


def _shares(alone: _Round, beside: _Round) -> tuple[float, float, float, float]:
    """Of the core: what products lost, what the sender and its client used; and the first over the other two."""
    lost = 1 - beside.products / beside.seconds / (alone.products / alone.seconds)
    sender, client = beside.sender / beside.seconds, beside.client / beside.seconds
    return lost, sender, client, lost / (sender + client)


class _PlainSender:
    """A process on this one's core that writes a transfer's bytes to a socket when told to; another takes them."""

    def __init__(self, receiving_core: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sending = socket.create_connection(listener.getsockname())
            receiving, _ = listener.accept()
        self._receiver = self._start("--take", receiving)
        self._sender = self._start("--write", sending)
        _pin(self._receiver.pid, receiving_core)
        self.pid = self._sender.pid

    @staticmethod
    def _start(what: str, end: socket.socket) -> subprocess.Popen[bytes]:
        with end:
            return subprocess.Popen(
                [sys.executable, __file__, what, str(end.fileno())], stdin=subprocess.PIPE, pass_fds=[end.fileno()]
            )

    def send(self) -> None:
        """Have a transfer's bytes written."""
        assert self._sender.stdin is not None
        os.write(self._sender.stdin.fileno(), b"x")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._sender, self._receiver):
            process.communicate()


def write(fd: int) -> None:
    """The sending end of `_PlainSender`."""
    tile = np.ones(COMPUTING_BYTES, np.uint8)
    with socket.socket(fileno=fd) as end:
        while os.read(0, 1):
            end.sendall(tile)


def take(fd: int) -> None:
    """The receiving end."""
    tile = np.ones(COMPUTING_BYTES, np.uint8)
    with socket.socket(fileno=fd) as end:
        while end.recv_into(tile):
            pass


class _Round:
    def __init__(self, products: int, seconds: float, sender: float, client: float) -> None:
        self.products, self.seconds, self.sender, self.client = products, seconds, sender, client


def _loop(send: Callable[[], object] | None = None, sender: int | None = None) -> _Round:
    """Multiply for some seconds; with `send`, start a transfer whenever the rate says that one is due."""
    a = np.ones((COMPUTING_WIDTH, COMPUTING_WIDTH), np.float32)
    before = cpu_seconds(sender) if sender else 0.0
    others = time.process_time() - time.thread_time()
    sending = 0.0
    products, sent, start = 0, 0, time.perf_counter()
    while (now := time.perf_counter()) - start < COMPUTING_SECONDS:
        if send is not None and sent * COMPUTING_BYTES <= (now - start) * COMPUTING_BYTES_PER_SECOND:
            mine = time.thread_time()
            send()
            sending += time.thread_time() - mine
            sent += 1
        a @ a
        products += 1
    seconds = time.perf_counter() - start
    client = sending + time.process_time() - time.thread_time() - others
    return _Round(products, seconds, cpu_seconds(sender) - before if sender else 0.0, client)


def _pin(pid: int, core: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def receive() -> None:
    """The other end of `computing`: takes every step until its sender leaves."""
    spec = cm.TensorSpec((COMPUTING_BYTES,), "uint8")
    sharding = cm.Sharding(cm.Mesh((1,), hosts=["b"]), "R")
    with (
        cm.connect() as agent,
        agent.receiver("steady/computing", spec, sharding, depth=DEPTH) as rx,
        contextlib.suppress(cm.CrossmeshError),
    ):
        while True:
            rx.recv().result(120)


def profile() -> None:
    """A minute of transfers under Java Flight Recorder: what each agent's owner thread ran, and what it allocated."""
    with tempfile.TemporaryDirectory() as directory:
        settings = "settings=profile,jdk.ExecutionSample#period=10ms,jdk.NativeMethodSample#period=10ms"
        options = f"-XX:StartFlightRecording=filename={directory}/%p.jfr,{settings},dumponexit=true"
        with link(PROFILE_BYTES, options) as moving:
            moving.warm_up()
            pids = moving.pids()
            transfers = 0
            start = datetime.now().astimezone()
            end = time.monotonic() + PROFILE_SECONDS
            while time.monotonic() < end:
                moving.move(PROFILE_BATCH)
                transfers += PROFILE_BATCH
        for role, pid in zip(("sender", "receiver"), pids, strict=True):
            print(f"{role}: {transfers} transfers of {PROFILE_BYTES // MIB} MiB in {PROFILE_SECONDS:g} s")
            _summarize(Path(directory, f"{pid}.jfr"), start, transfers)


def _summarize(recording: Path, start: datetime, transfers: int) -> None:
    samples: Counter[str] = Counter()
    allocated: Counter[str] = Counter()
    for event in _events(recording):
        if datetime.fromisoformat(event["startTime"]) < start:
            continue
        if event["kind"] == "jdk.ObjectAllocationSample":
            allocated[f"{event['objectClass']['name'].replace('/', '.')} in {_ours(event)}"] += event["weight"]
        else:
            samples["" if PROFILE_ASLEEP.intersection(_frames(event)) else _top(event)] += 1
    asleep = samples.pop("", 0)
    print(f"  {asleep + sum(samples.values())} samples, {asleep} of them asleep; of the others")
    _print_shares(samples)
    print(f"  allocated: {sum(allocated.values()) / max(1, transfers):.0f} bytes a transfer; of those")
    _print_shares(allocated)


def _print_shares(counts: Counter[str]) -> None:
    total = max(1, sum(counts.values()))
    for what, count in counts.most_common(PROFILE_ROWS):
        print(f"    {100 * count / total:5.1f} %  {what}")


def _events(recording: Path) -> Iterator[dict[str, Any]]:
    """Samples of the owner thread and of what it allocated, as Java Flight Recorder states them."""
    jfr = find_java().path.parent / "jfr"
    names = "jdk.ExecutionSample,jdk.NativeMethodSample,jdk.ObjectAllocationSample"
    command = [str(jfr), "print", "--json", "--events", names, "--stack-depth", "32", str(recording)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for event in json.loads(text)["recording"]["events"]:
        values = event["values"]
        thread = values.get("sampledThread") or values["eventThread"]
        if thread is not None and thread["javaName"] == OWNER_THREAD and values["stackTrace"] is not None:
            yield values | {"kind": event["type"]}


def _frames(event: dict[str, Any]) -> list[str]:
    methods = [frame["method"] for frame in event["stackTrace"]["frames"]]
    return [f"{method['type']['name'].replace('/', '.')}.{method['name']}" for method in methods]


def _top(event: dict[str, Any]) -> str:
    return _frames(event)[0]


def _ours(event: dict[str, Any]) -> str:
    """The uppermost frame of crossmesh: a collection's own methods do not say whose it is."""
    return next((frame for frame in _frames(event) if frame.startswith("io.crossmesh")), _top(event))


PARTS = {"collections": collections, "processor": processor, "computing": computing, "profile": profile}
PLAIN = {"write": write, "take": take}


def main() -> None:
    """Runs the parts that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="which; all if none is named")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    for end in PLAIN:
        parser.add_argument(f"--{end}", type=int, metavar="FD", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.receive:
        receive()
        return
    for end, run in PLAIN.items():
        if (fd := getattr(args, end)) is not None:
            run(fd)
            return
    for name in args.parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
