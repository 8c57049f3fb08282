"""What ends a step without an event of the agent wakes who waits for it, instead of leaving it to the next poll."""

import time

import numpy as np
import pytest

import crossmesh as cm

pytestmark = pytest.mark.timeout(120)
STEPS = 40
SPEC = cm.TensorSpec((1 << 20,), "int8")
POLL_SECONDS = 1.0


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a", "b"], arena="12MiB") as cluster:
        yield cluster


def ends(cluster, name, **options):
    a, b = cluster.agent("a"), cluster.agent("b")
    src, dst = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in ("a", "b"))
    return a.sender(name, SPEC, src, **options), b.receiver(name, SPEC, dst, **options)


def test_steps_that_are_copied_out_of_a_full_arena_do_not_wait_for_a_poll(cluster):
    tx, rx = ends(cluster, "kept", depth=2)
    kept, took = [], []
    with tx, rx:
        for step in range(STEPS):
            tx.send(np.full(1 << 20, step, np.int8))
            began = time.monotonic()
            kept.append(rx.recv().result(30)[0])
            took.append(time.monotonic() - began)
        assert rx.copies > STEPS // 2
        assert [int(x[0]) for x in kept] == list(range(STEPS))
    assert sorted(took)[-2] < POLL_SECONDS / 2, took


def test_a_step_that_cannot_be_read_ends_at_once_for_who_waits(cluster, monkeypatch):
    def unreadable(*_):
        time.sleep(0.05)
        raise RuntimeError("it was donated")

    monkeypatch.setattr("crossmesh._sender.copy_tile", unreadable)
    tx, rx = ends(cluster, "unread")
    with tx, rx:
        tx.wait_open(30)
        rx.wait_open(30)
        took = []
        for _ in range(4):
            got = rx.recv()
            sent = tx.send(np.zeros(1 << 20, np.int8))
            began = time.monotonic()
            with pytest.raises(cm.TransferCancelled, match="donated"):
                sent.result(30)
            took.append(time.monotonic() - began)
            with pytest.raises(cm.TransferCancelled):
                got.result(30)
        assert sorted(took)[-2] < POLL_SECONDS / 2, took
