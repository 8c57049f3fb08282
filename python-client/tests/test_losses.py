"""Agents that are killed in the middle of a step: who can complete does, the others learn why not."""

import os
import signal

import numpy as np
import pytest

import crossmesh as cm
from waiting import until

pytestmark = pytest.mark.timeout(120)
SHAPE = (64, 4096)
SPEC = cm.TensorSpec(SHAPE, "int32")
X = np.arange(64 * 4096, dtype=np.int32).reshape(SHAPE)


def over(hosts, spec):
    return cm.Sharding(cm.Mesh((len(hosts), 1), hosts=hosts), spec)


@pytest.fixture(scope="module")
def cluster():
    """Hosts of which each test kills one that the others do not use."""
    # As between hosts: who is killed while it writes into another's shared memory leaves that deaf to the rest.
    env = {"UCX_TLS": "tcp"}
    with cm.LocalCluster(["a", "b", "c", "d", "e", "f"], arena="64MiB", env=env) as cluster:
        yield cluster


def opened(cluster, src, dst):
    name = f"{src} to {dst} on {dst.mesh.hosts}"
    txs = [cluster.agent(host).sender(name, SPEC, src, timeout=30) for host in src.mesh.hosts]
    rxs = [cluster.agent(host).receiver(name, SPEC, dst, timeout=30) for host in dst.mesh.hosts]
    for end in [*txs, *rxs]:
        end.wait_open(30)
    return txs, rxs


def begin(txs, rxs, src):
    """Everybody takes part in a step; what is sent is staged."""
    waiting = [rx.recv() for rx in rxs]
    tiles = {device: X[index] for device, index in src.shards(SHAPE).items()}
    sent = []
    for tx in txs:
        mine = {d: tiles[d] for d, (host, _) in enumerate(src.mesh.devices) if host == tx.agent_name}
        sent.append(tx.send(mine))
    for transfer in sent:
        transfer.read(20)
    return sent, waiting


def test_the_other_receivers_of_a_killed_one_complete(cluster):
    src, dst = over(["a"], "R R"), over(["b", "c"], "R R")
    txs, rxs = opened(cluster, src, dst)
    victim = txs[0].plan.moves[0].route[1]
    # Stopped, it cannot pass on what it was to forward.
    os.kill(cluster.pid(victim), signal.SIGSTOP)
    sent, waiting = begin(txs, rxs, src)
    os.kill(cluster.pid(victim), signal.SIGKILL)
    for rx, transfer in zip(rxs, waiting, strict=True):
        if rx.agent_name != victim:
            assert all(np.array_equal(tile, X) for tile in transfer.result(40).values())
    with pytest.raises(cm.PeerLost, match=f"Host '{victim}'"):
        sent[0].result(40)


def test_a_host_that_falls_silent_counts_as_lost():
    src, dst = over(["a"], "R R"), over(["b", "c"], "R R")
    options = ["--lost-after", "3"]
    env = {"UCX_TLS": "tcp"}
    with cm.LocalCluster(["a", "b", "c"], arena="64MiB", env=env, agent_options=options) as silenced:
        txs, rxs = opened(silenced, src, dst)
        victim = txs[0].plan.moves[0].route[1]
        # The connections to it stand: its kernel answers for it.
        os.kill(silenced.pid(victim), signal.SIGSTOP)
        sent, waiting = begin(txs, rxs, src)
        for rx, transfer in zip(rxs, waiting, strict=True):
            if rx.agent_name != victim:
                assert all(np.array_equal(tile, X) for tile in transfer.result(20).values())
        with pytest.raises(cm.PeerLost, match=f"Host '{victim}' is lost.*nothing came of it for 3.0 s"):
            sent[0].result(20)
        os.kill(silenced.pid(victim), signal.SIGCONT)
        (left,) = (t for rx, t in zip(rxs, waiting, strict=True) if rx.agent_name == victim)
        with pytest.raises(cm.PeerLost):
            left.result(20)


def test_a_replica_sends_what_a_killed_source_was_to_send(cluster):
    src, dst = over(["d", "e"], "R R"), over(["a", "f"], "S0 R")
    txs, rxs = opened(cluster, src, dst)
    os.kill(cluster.pid("d"), signal.SIGSTOP)
    waiting = [rx.recv() for rx in rxs]
    sent = txs[1].send({1: X})
    sent.read(20)
    os.kill(cluster.pid("d"), signal.SIGKILL)
    got = {device: tile for transfer in waiting for device, tile in transfer.result(40).items()}
    for device, index in dst.shards(SHAPE).items():
        assert np.array_equal(got[device], X[index])
    sent.result(40)


def test_an_agent_that_is_stopped_leaves_the_step_to_the_others(cluster):
    src, dst = over(["a"], "R R"), over(["e", "f"], "R R")
    txs, rxs = opened(cluster, src, dst)
    victim = txs[0].plan.moves[0].route[1]
    os.kill(cluster.pid(victim), signal.SIGSTOP)
    _, waiting = begin(txs, rxs, src)
    os.kill(cluster.pid(victim), signal.SIGTERM)
    os.kill(cluster.pid(victim), signal.SIGCONT)
    for rx, transfer in zip(rxs, waiting, strict=True):
        if rx.agent_name != victim:
            assert all(np.array_equal(tile, X) for tile in transfer.result(40).values())
    until(lambda: repr(txs[0]).endswith("closed>"), seconds=40)
    with pytest.raises(cm.PeerLost, match=f"Host '{victim}' is lost .*stopped"):
        txs[0].send({0: X})
