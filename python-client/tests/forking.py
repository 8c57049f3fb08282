"""A process that forks while it has channels open, and what its child then does. Run as `python forking.py WHAT`.

Prints what the child said, and `right` when the parent's channels went on.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time

import numpy as np

import crossmesh as cm

CHILD_SECONDS_MAX = 60
REFUSED_SECONDS_MAX = 5
SPEC = cm.TensorSpec((4, 8), "float32")
SRC, DST = (cm.Sharding(cm.Mesh((2,), hosts=[host]), "S0 R") for host in "ab")
PLANNED = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R"), cm.Sharding(cm.Mesh((1,), hosts=["b"]), "R")


class Open:
    """What a process has when it forks: a cluster, both ends of a channel, a step that waits, an array that came."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.agent = cluster.agent("a")
        self.tx = self.agent.sender("t", SPEC, SRC, timeout=30)
        self.rx = cluster.agent("b").receiver("t", SPEC, DST, timeout=30)
        self.value = 0
        self.held = self.step()
        self.waiting = self.rx.recv()
        self.sent = None

    def step(self, waiting=None):
        """A step with values of its own."""
        self.value += 1
        waiting = waiting or self.rx.recv()
        self.tx.send(np.full((4, 8), self.value, np.float32))
        return waiting.result(20)

    def check(self, tiles):
        assert all((tile == self.value).all() for tile in tiles.values()), (self.value, tiles)


def own_connection(it):
    """The child makes its own connections, and moves a step between them."""
    ends = []
    for host, kind, layout in (("a", "sender", SRC), ("b", "receiver", DST)):
        env = it.cluster.env(host)
        agent = cm.connect(env["CROSSMESH_AGENT"], token=env["CROSSMESH_TOKEN"])
        ends += [agent, getattr(agent, kind)("of the child", SPEC, layout)]
    tx_agent, tx, rx_agent, rx = ends
    waiting = rx.recv()
    tx.send(np.full((4, 8), 77, np.float32)).result(20)
    assert (waiting.result(20)[0] == 77).all()
    rx_agent.close()
    tx_agent.close()


def own_plan(it):
    """Plans are the child's own, also one that it inherited and never looked into."""
    assert cm.plan((8,), "int8", *PLANNED).moves
    assert it.plan.moves


def inherited(it):
    """What came before the fork is collected in the child."""
    it.held.clear()
    it.rx = it.tx = it.agent = None
    gc.collect()


def with_error(it):
    with contextlib.suppress(KeyError), contextlib.ExitStack() as stack:
        stack.push(it.agent)
        stack.push(it.tx)
        raise KeyError


REFUSED = {
    "send": lambda it: it.tx.send(np.ones((4, 8), np.float32)).result(30),
    "arrays": lambda it: it.tx.arrays(30),
    "recv": lambda it: it.rx.recv().result(30),
    "result": lambda it: it.waiting.result(30),
    "exception": lambda it: it.waiting.exception(30),
    "cancel": lambda it: it.waiting.cancel(),
    "abort": lambda it: it.tx.abort("by the child"),
    "with": lambda it: it.rx.__enter__(),
    "with agent": lambda it: it.agent.__enter__(),
    "with cluster": lambda it: it.cluster.__enter__(),
    "wait_open": lambda it: it.rx.wait_open(30),
    "plan": lambda it: it.tx.plan,
    "open": lambda it: it.agent.sender("u", SPEC, SRC),
    "status": lambda it: it.agent.status(),
    "cluster status": lambda it: it.cluster.status(),
    "agent": lambda it: it.cluster.agent("a"),
    "reshard": lambda it: it.cluster.reshard(np.ones((4, 8), np.float32), SRC, DST),
}
ALLOWED = {
    "close": lambda it: (it.rx.close(), it.tx.close()),
    "close agent": lambda it: it.agent.close(),
    "close cluster": lambda it: it.cluster.close(),
    "with error": with_error,
    "what is over": lambda it: (it.check(it.done.result()), it.sent.read(30)),
    "inherited": inherited,
    "own connection": own_connection,
    "own plan": own_plan,
}


def in_child(do):
    """Do something in a forked child; what it says, and how long it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(CHILD_SECONDS_MAX)
        try:
            do()
            said = "done"
        except BaseException as error:  # noqa: BLE001  (whatever it is, the parent is told)
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    start = time.monotonic()
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if status == 0 else f"ended with {status}", time.monotonic() - start


def abuses(*names):
    """Each in a child of its own, and a step of the parent after each."""
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        it = Open(cluster)
        it.plan = cm.plan((4,), "int8", *PLANNED)
        for name in names or (*REFUSED, *ALLOWED):
            it.sent = it.tx.send(np.full((4, 8), it.value + 1, np.float32))
            it.value += 1
            it.done = it.waiting
            it.held = it.done.result(20)
            it.check(it.held)
            it.sent.result(20)
            it.waiting = it.rx.recv()
            said, seconds = in_child(lambda name=name: (REFUSED | ALLOWED)[name](it))
            print(f"{name}: {said} ({seconds:.1f} s)", flush=True)
            if name in REFUSED:
                assert said.startswith("AgentUnavailable"), said
                assert "cm.connect()" in said
                assert seconds < REFUSED_SECONDS_MAX, seconds
            else:
                assert said == "done", said
            it.check(it.held)
        it.check(it.step(it.waiting))
        assert cluster.agent("a").status()["channels"]
        it.rx.close()
        it.tx.close()
    print("right")


def busy(seconds):
    """Children are forked while other threads move steps: whatever they hold just then, a child does not hang."""
    over = threading.Event()
    failures = []

    def steps(it):
        try:
            while not over.is_set():
                it.check(it.step())
        except BaseException as error:  # noqa: BLE001  (the main thread raises it)
            failures.append(error)

    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        it = Open(cluster)
        it.check(it.step(it.waiting))
        thread = threading.Thread(target=steps, args=(it,))
        thread.start()
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            for name in ("send", "recv", "abort", "open", "reshard", "close", "close agent", "inherited"):
                said, taken = in_child(lambda name=name: (REFUSED | ALLOWED)[name](it))
                assert said.startswith("AgentUnavailable" if name in REFUSED else "done"), (name, said)
                assert taken < REFUSED_SECONDS_MAX, (name, taken)
        over.set()
        thread.join(60)
        assert not failures, failures
        it.rx.close()
        it.tx.close()
    print("right")


if __name__ == "__main__":
    signal.alarm(240)
    globals()[sys.argv[1]](*sys.argv[2:])
