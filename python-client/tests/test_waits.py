"""Every wait ends, every number is looked at, and callbacks do no harm."""

import contextlib
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import crossmesh as cm
from crossmesh import _receiver, _sender
from crossmesh._numbers import DEPTH_MAX, SECONDS_MAX, STEP_MAX
from waiting import until

pytestmark = pytest.mark.timeout(240)
SPEC = cm.TensorSpec((4,), "float32")
ONE = np.ones(4, "float32")


def layouts():
    return [cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab"]


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a", "b"], arena="256MiB") as made:
        yield made


@pytest.fixture
def ends(cluster, request):
    src, dst = layouts()
    name = request.node.name
    tx, rx = cluster.agent("a").sender(name, SPEC, src), cluster.agent("b").receiver(name, SPEC, dst)
    yield tx, rx
    rx.close()
    tx.close()


def goes_on(tx, rx):
    """A step goes through."""
    asked = rx.recv()
    tx.send(ONE).result(20)
    assert (asked.result(20)[0] == 1).all()


def test_a_callback_that_waits_is_refused_by_name(ends):
    tx, rx = ends
    first, second = rx.recv(), rx.recv()
    caught = []

    def on_events(_):
        try:
            second.result(20)
        except cm.CallbackWaits as error:
            caught.append(str(error))

    first.add_done_callback(on_events)
    tx.send(ONE).result(20)
    until(lambda: caught)
    assert "callback" in caught[0]
    tx.send(ONE).result(20)
    second.result(20)
    goes_on(tx, rx)
    done = []
    second.add_done_callback(lambda transfer: done.append(transfer.result()))  # nothing to wait for
    assert done


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exception_in_a_callback_ends_no_thread(ends, kind):
    tx, rx = ends
    asked, called = rx.recv(), []

    def throw(_):
        raise kind

    asked.add_done_callback(throw)
    asked.add_done_callback(called.append)
    tx.send(ONE).result(20)
    until(lambda: called)  # nobody waits: the thread that reads events calls it
    assert called == [asked]
    goes_on(tx, rx)
    asked = rx.recv()
    tx.send(ONE)
    asked.result(20)
    if issubclass(kind, Exception):
        asked.add_done_callback(throw)
    else:
        with pytest.raises(kind):
            asked.add_done_callback(throw)


@pytest.mark.parametrize(
    "bad", [1.0, "1", True, math.nan, 1 << 64, -(1 << 64), pytest.param(1 << 20_000, id="huge"), None, [], b"1"]
)
def test_numbers_are_refused_where_they_are_given(cluster, ends, bad):
    tx, rx = ends
    src, _ = layouts()
    agent = cluster.agent("a")
    if bad is not None:
        with pytest.raises(cm.LayoutError, match="number of a step is a whole number"):
            tx.send(ONE, step=bad)
        with pytest.raises(cm.LayoutError, match="number of a step is a whole number"):
            rx.recv(step=bad)
    with pytest.raises(cm.LayoutError, match=f"depth is a whole number from 1 to {DEPTH_MAX}"):
        agent.sender("bad", SPEC, src, depth=bad)
    if bad is None or bad == 1.0:
        return
    with pytest.raises(cm.LayoutError, match="timeout is a positive number of seconds"):
        agent.sender("bad", SPEC, src, timeout=bad)
    asked = rx.recv()
    if bad != -(1 << 64):
        for wait in (asked.result, asked.exception):
            with pytest.raises(cm.LayoutError, match="is a number of seconds"):
                wait(bad)


def test_the_largest_numbers_are_taken(ends):
    tx, rx = ends
    asked = rx.recv(step=np.int64(STEP_MAX))
    assert tx.send(ONE, step=STEP_MAX).result(SECONDS_MAX) is None
    assert (asked.result(np.float32(20))[0] == 1).all()


def test_timeouts_say_what_is_missing(cluster):
    src, dst = layouts()
    tx, rx = (
        cluster.agent("a").sender("say", SPEC, src, depth=1),
        cluster.agent("b").receiver("say", SPEC, dst, depth=1),
    )
    with pytest.raises(TimeoutError, match="Step 0 of channel 'say' has not arrived after 0.05 s"):
        rx.recv().result(0.05)
    tx.send(ONE).result(20)
    tx.send(ONE).result(20)
    with pytest.raises(TimeoutError, match="Step 2 of channel 'say' is not delivered to every receiver after 0.05 s"):
        tx.send(ONE).result(0.05)
    with pytest.raises(TimeoutError, match="is not delivered"):
        tx.send(ONE).exception(0)
    rx.close()
    tx.close()


def test_what_nobody_receives_is_bounded(cluster):
    src, dst = layouts()
    spec = cm.TensorSpec((1 << 20,), "float32")
    with cm.LocalCluster(["a", "b"], arena="64MiB") as own:
        tx = own.agent("a").sender("many", spec, src)
        rx = own.agent("b").receiver("many", spec, dst)
        tx.wait_open(20)
        sent = []
        start = time.monotonic()
        with pytest.raises(cm.TooManySteps, match="no receiver has taken"):
            sent.extend(tx.send(np.empty(1 << 20, "float32")) for _ in range(400))
        assert len(sent) <= _sender.QUEUED_BYTES_MAX // (4 << 20) + 2 * tx.depth + 1
        assert time.monotonic() - start < 20
        for one in sent:  # nothing of what was taken is lost
            rx.recv().result(20)
            one.result(20)
        tx.send(np.empty(1 << 20, "float32"))


def test_small_steps_and_pipelines_do_not_reach_the_bound(ends):
    tx, rx = ends
    sent = [tx.send(ONE) for _ in range(2000)]
    for one in sent:
        rx.recv().result(20)
        one.result(20)


def test_steps_that_are_asked_for_are_bounded(ends):
    tx, rx = ends
    tx.wait_open(20)
    with pytest.raises(cm.TooManySteps, match="asked for"):
        for _ in range(_receiver.POSTED_STEPS_MAX + 1):
            rx.recv()
    tx.send(ONE).result(20)
    until(lambda: len(rx._transfers) < _receiver.POSTED_STEPS_MAX)
    rx.recv()


def test_an_end_that_is_collected_is_closed(cluster):
    src, dst = layouts()
    a, b = cluster.agent("a"), cluster.agent("b")
    rx = b.receiver("ghost", SPEC, dst)
    rx.recv()
    del rx
    gc.collect()
    for tries in range(5):
        rx, tx = b.receiver("ghost", SPEC, dst), a.sender("ghost", SPEC, src)
        try:
            goes_on(tx, rx)
            break
        except cm.TransferCancelled as error:  # the sender's agent had not heard of the first end's closing
            assert tries < 4
            assert "was closed" in str(error)  # noqa: PT017
            rx.close()
            tx.close()
    asked = rx.recv()
    sent = tx.send(ONE)
    del tx, sent  # what was sent is delivered
    gc.collect()
    assert (asked.result(20)[0] == 1).all()
    with pytest.raises(cm.CrossmeshError, match="closed"):
        rx.recv().result(20)
    rx.close()


def test_a_second_end_beside_the_first_is_refused(cluster):
    _, dst = layouts()
    b = cluster.agent("b")
    first = b.receiver("twice", SPEC, dst)
    with pytest.raises(cm.LayoutError, match="open in this process already"):
        b.receiver("twice", SPEC, dst)
    first.close()
    b.receiver("twice", SPEC, dst).close()


def test_a_slow_receiver_does_not_end_a_step_unless_it_is_said(cluster):
    src, dst = layouts()
    a, b = cluster.agent("a"), cluster.agent("b")
    with a.sender("slow", SPEC, src) as tx, b.receiver("slow", SPEC, dst) as rx:
        assert tx._step_timeout is None
        goes_on(tx, rx)
    stated = {"depth": 1}
    with a.sender("bound", SPEC, src, timeout=1.5, **stated) as tx, b.receiver("bound", SPEC, dst, **stated):
        tx.wait_open(20)
        tx.send(ONE).result()
        with pytest.raises(cm.TransferTimeout, match=r"1\.500 s"):
            tx.send(ONE).result()


def test_closing_gives_up_what_is_not_received(cluster):
    src, dst = layouts()
    tx = cluster.agent("a").sender("late", SPEC, src, depth=1)
    rx = cluster.agent("b").receiver("late", SPEC, dst, depth=1)
    tx.send(ONE).result(20)
    sent = [tx.send(ONE) for _ in range(3)]
    tx._timeout = 2.0
    start = time.monotonic()
    with pytest.raises(cm.TransferTimeout, match="step 1 is not delivered .* nor are 2 after it"):
        tx.close()
    assert time.monotonic() - start < 4
    assert tx.is_over()
    for one in sent:
        with pytest.raises(cm.CrossmeshError):
            one.result(20)
    rx.close()


def test_a_stopped_agent_ends_every_wait_and_is_named():
    src, dst = layouts()
    with contextlib.ExitStack() as stack:
        cluster = cm.LocalCluster(["a", "b"], arena="64MiB", env={"UCX_TLS": "tcp"})
        stack.callback(cluster.close)
        a, b = cluster.agent("a"), cluster.agent("b")
        tx, rx = a.sender("s", SPEC, src, timeout=3), b.receiver("s", SPEC, dst, timeout=3)
        free, _ = a.sender("free", SPEC, src), b.receiver("free", SPEC, dst)
        free.wait_open(20)
        goes_on(tx, rx)
        os.kill(cluster.pid("a"), signal.SIGSTOP)
        stack.callback(os.kill, cluster.pid("a"), signal.SIGKILL)
        sent, unlimited = tx.send(ONE), free.send(ONE)
        assert not sent.done()
        calls = {
            "result": (5, sent.result),
            "exception": (5, sent.exception),
            "unlimited result": (20, unlimited.result),
            "sender": (5, lambda: a.sender("later", SPEC, src, timeout=3)),
            "status": (5, lambda: a.status(timeout=3)),
        }

        def timed(call):
            start = time.monotonic()
            with pytest.raises(cm.AgentUnavailable, match="Agent 'a' does not answer"):
                call()
            return time.monotonic() - start

        with ThreadPoolExecutor(len(calls)) as pool:
            waits = {name: (limit, pool.submit(timed, call)) for name, (limit, call) in calls.items()}
            for name, (limit, wait) in waits.items():
                assert wait.result(60) < limit + 1, name  # a second for a busy machine
        assert timed(sent.cancel) < 6
        assert timed(tx.close) < 6
        with pytest.raises(TimeoutError):
            unlimited.result(0.1)  # it lives on


def test_an_agent_that_goes_on_brings_what_was_waited_for():
    src, dst = layouts()
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        a, b = cluster.agent("a"), cluster.agent("b")
        tx, rx = a.sender("s", SPEC, src), b.receiver("s", SPEC, dst)
        goes_on(tx, rx)
        asked, pid = rx.recv(), cluster.pid("a")
        os.kill(pid, signal.SIGSTOP)
        waker = threading.Timer(7, os.kill, [pid, signal.SIGCONT])
        waker.start()
        sent = tx.send(ONE)
        assert sent.result() is None
        assert (asked.result(20)[0] == 1).all()
        waker.join()


AT_EXIT = """
import jax, numpy as np, crossmesh as cm
a, b = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab")
spec = cm.TensorSpec((4,), "float32")
with cm.LocalCluster(["a", "b"]) as cluster:
    tx, rx = cluster.agent("a").sender("t", spec, a), cluster.agent("b").receiver("t", spec, b)
    coming = rx.recv()
    tx.send(np.ones(4, "float32"))
    got = coming.result(20)
"""


@pytest.mark.parametrize("more", ["", "kept = cluster, tx, rx, coming", "import atexit; atexit.register(print, got)"])
def test_a_program_that_holds_what_it_received_ends_in_silence(more):
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT + more], capture_output=True, text=True, timeout=100, check=True
    )
    assert not done.stderr
