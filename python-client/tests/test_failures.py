"""What goes wrong, through real agents: each failure has its class, in bounded time, and the others go on."""

import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from py4j.protocol import Py4JAuthenticationError, Py4JNetworkError

import crossmesh as cm
import trainers
from crossmesh._py4j import OnceGateway

pytestmark = pytest.mark.timeout(120)
SPEC = cm.TensorSpec((4,), "float32")


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a", "b", "c"], arena="64MiB") as cluster:
        yield cluster


def on(host, spec="R"):
    return cm.Sharding(cm.Mesh((1,), hosts=[host]), spec)


def ones():
    return np.ones(4, np.float32)


@pytest.fixture(autouse=True)
def others_go_on(request):
    """After each failure the cluster still moves tensors."""
    yield
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        got = cluster.reshard(ones(), on("a"), on("c"), timeout=20)
        assert (got[0] == 1).all()


@pytest.mark.parametrize(
    ("theirs", "words"),
    [(cm.TensorSpec((5,), "float32"), "5"), (cm.TensorSpec((4,), "int32"), "int32"), ({"w": SPEC}, "w")],
)
def test_ends_that_state_different_tensors(cluster, theirs, words):
    tx, rx = cluster.agent("a").sender("m", SPEC, on("a")), cluster.agent("b").receiver("m", theirs, on("b"))
    for call in (lambda: tx.send(ones()).result(20), lambda: rx.recv().result(20)):
        with pytest.raises(cm.PlanMismatch, match=words):
            call()


def test_ends_that_state_different_strategies(cluster):
    tx = cluster.agent("a").sender("s", SPEC, on("a"), strategy="broadcast")
    rx = cluster.agent("b").receiver("s", SPEC, on("b"), strategy="send_recv")
    with pytest.raises(cm.PlanMismatch, match="broadcast"):
        tx.wait_open(20)
    with pytest.raises(cm.PlanMismatch, match="send_recv"):
        rx.wait_open(20)


def test_strategies_and_orders_that_do_not_exist(cluster):
    with pytest.raises(cm.LayoutError, match="teleport"):
        cluster.agent("a").sender("x", SPEC, on("a"), strategy="teleport")


def test_a_step_that_was_never_sent(cluster):
    with (
        cluster.agent("a").sender("step", SPEC, on("a")) as tx,
        cluster.agent("b").receiver("step", SPEC, on("b")) as rx,
    ):
        waiting = rx.recv(0)
        sent = tx.send(ones(), step=3)
        with pytest.raises(cm.StepMismatch, match="3"):
            waiting.result(20)
        del sent


def test_senders_that_disagree_about_the_step(cluster):
    layout = cm.Sharding(cm.Mesh((2,), hosts=["a", "b"]), "S0")
    txs = [cluster.agent(host).sender("two", SPEC, layout) for host in "ab"]
    rx = cluster.agent("c").receiver("two", SPEC, on("c"))
    waiting = rx.recv(1)
    transfers = [txs[0].send(ones(), step=1), txs[1].send(ones(), step=2)]
    with pytest.raises(cm.StepMismatch):
        waiting.result(20)
    with pytest.raises(cm.StepMismatch):
        transfers[0].result(20)
    for end in [*txs, rx]:
        end.abort("the test is over")
        end.close()


def test_an_arena_too_small_for_the_channel(cluster):
    big = cm.TensorSpec((24 << 20,), "uint8")
    tx = cluster.agent("a").sender("big", big, on("a"), depth=4)
    rx = cluster.agent("b").receiver("big", big, on("b"), depth=4)
    for end in (tx, rx):
        with pytest.raises(cm.ArenaFull, match="MiB|bytes"):
            end.wait_open(20)


def test_a_channel_whose_other_side_never_comes(cluster):
    rx = cluster.agent("b").receiver("lonely", SPEC, on("b"), timeout=1.0)
    start = time.monotonic()
    with pytest.raises(cm.TransferTimeout, match="lonely"):
        rx.recv().result(20)
    assert time.monotonic() - start < 10


def test_a_step_that_is_never_sent_times_out_on_both_sides(cluster):
    with (
        cluster.agent("a").sender("late", SPEC, on("a"), timeout=20) as tx,
        cluster.agent("b").receiver("late", SPEC, on("b"), timeout=1.0) as rx,
    ):
        rx.wait_open(20)
        tx.wait_open(20)
        waiting = rx.recv()
        with pytest.raises(TimeoutError) as caught:
            waiting.result(0.05)
        assert not isinstance(caught.value, cm.TransferTimeout)
        with pytest.raises(cm.TransferTimeout):
            waiting.result(20)


def test_cancel_and_abort_reach_the_other_side(cluster):
    tx, rx = cluster.agent("a").sender("c", SPEC, on("a")), cluster.agent("b").receiver("c", SPEC, on("b"))
    first, second = rx.recv(), rx.recv()
    rx.wait_open(20)
    first.cancel()
    t = tx.send(ones())
    with pytest.raises(cm.TransferCancelled):
        t.result(20)
    tx.send(ones()).result(20)
    assert (second.result(20)[0] == 1).all()
    waiting = rx.recv()
    tx.abort("loss is NaN")
    with pytest.raises(cm.TransferCancelled, match="loss is NaN"):
        waiting.result(20)


def test_closing_cancels_what_the_other_side_waits_for(cluster):
    rx = cluster.agent("b").receiver("short", SPEC, on("b"))
    with cluster.agent("a").sender("short", SPEC, on("a")) as tx:
        tx.send(ones())
    assert (rx.recv().result(20)[0] == 1).all()
    with pytest.raises(cm.TransferCancelled):
        rx.recv().result(20)


def test_donated_before_read_reaches_the_other_side(cluster):
    import jax
    import jax.numpy as jnp

    x = jnp.ones((4,), "float32")
    x = jax.device_put(x, jax.sharding.NamedSharding(jax.make_mesh((1,), ("x",)), jax.sharding.PartitionSpec("x")))
    with (
        cluster.agent("a").sender("donated", x) as tx,
        cluster.agent("b").receiver("donated", SPEC, on("b")) as rx,
    ):
        t = tx.send(x)
        x.delete()
        with pytest.raises(cm.TransferCancelled, match="donated"):
            t.result(20)
        with pytest.raises(cm.TransferCancelled, match="donated"):
            rx.recv().result(20)


def test_a_killed_trainer(cluster):
    rx = cluster.agent("b").receiver("killed", SPEC, on("b"))
    first, second = rx.recv(), rx.recv()
    with trainers.start("hold", "killed", env=cluster.env("a")) as process:
        assert process.stdout.readline() == "sent\n"
        assert np.array_equal(first.result(20)[0], np.arange(4))
        process.kill()
        process.wait(10)
        start = time.monotonic()
        with pytest.raises(cm.PeerLost, match="a"):
            second.result(20)
        assert time.monotonic() - start < 10


def test_a_wrong_token(cluster):
    env = cluster.env("a")
    with pytest.raises(cm.AuthError, match="token"):
        cm.connect(env["CROSSMESH_AGENT"], token="wrong")
    with pytest.raises(cm.AuthError, match="token"):
        cm.connect(env["CROSSMESH_AGENT"], token="")
    from crossmesh._gateway import Gateway

    gateway = Gateway(cluster._infos["a"]["gateway"]["port"], "wrong", "Agent 'a'")
    with pytest.raises((cm.AuthError, cm.AgentUnavailable)):
        gateway.hello()
    gateway.close()


def test_connect_finds_the_agent(cluster, monkeypatch):
    for key, value in cluster.env("b").items():
        monkeypatch.setenv(key, value)
    with cm.connect() as agent:
        assert agent.name == "b"
        tx = cluster.agent("a").sender("found", SPEC, on("a"))
        rx = agent.receiver("found", SPEC, on("b"))
        tx.send(ones())
        assert (rx.recv().result(20)[0] == 1).all()


def test_no_agent(monkeypatch):
    monkeypatch.delenv("CROSSMESH_AGENT", raising=False)
    with pytest.raises(cm.AgentUnavailable, match="CROSSMESH_AGENT"):
        cm.connect()
    with pytest.raises(cm.AgentUnavailable, match="127.0.0.1:9"):
        cm.connect("127.0.0.1:9", token="x", timeout=5)


def test_a_door_that_hangs_up_leaves_no_socket_open():
    with socket.create_server(("127.0.0.1", 0)) as door:
        hanging_up = threading.Thread(target=lambda: door.accept()[0].close())
        hanging_up.start()
        gateway = OnceGateway(door.getsockname()[1], "token", 5.0)
        before = sockets()
        with pytest.raises((Py4JNetworkError, Py4JAuthenticationError, OSError)) as refused:
            gateway.method("hello")("{}")
        hanging_up.join()
        assert sockets() == before, refused  # which holds on to the frames of the call, so nothing was collected
    before = sockets()
    with pytest.raises(ConnectionRefusedError) as refused:
        gateway.method("hello")("{}")
    assert sockets() == before, refused
    gateway.close_connections()


def sockets():
    """How many sockets this process has open."""
    links = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(str(link).startswith("socket:") for link in links)


def test_an_agent_that_dies():
    with cm.LocalCluster(["a", "b", "c"], arena="64MiB") as cluster:
        tx, rx = cluster.agent("a").sender("d", SPEC, on("a")), cluster.agent("b").receiver("d", SPEC, on("b"))
        first, second = rx.recv(), rx.recv()
        tx.send(ones()).result(20)
        held = first.result(20)
        jvm = cluster._jvms["a"]
        os.kill(jvm.pid, signal.SIGKILL)
        jvm._process.wait(10)
        start = time.monotonic()
        with pytest.raises(cm.PeerLost, match="a"):
            second.result(20)
        with pytest.raises(cm.AgentUnavailable, match="SIGKILL"):
            tx.send(ones()).result(20)
        assert time.monotonic() - start < 15
        with pytest.raises(cm.AgentUnavailable):
            cluster.agent("a").status()
        assert (held[0] == 1).all()
        assert (cluster.reshard(ones(), on("b"), on("c"), timeout=20)[0] == 1).all()


def test_received_arrays_outlive_the_cluster():
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        got = cluster.reshard(ones(), on("a"), on("b"), timeout=20)
    assert (got[0] == 1).all()
    with pytest.raises(cm.AgentUnavailable, match="closed"):
        cluster.agent("a")


def test_shared_memory_too_small_is_an_error_and_no_signal():
    # A budget that /dev/shm cannot hold: the file is sparse, and what can never fit is refused before a page is taken.
    holds = shutil.disk_usage("/dev/shm").total
    with cm.LocalCluster(["a", "b"], arena=8 * holds) as cluster:
        spec = cm.TensorSpec((2 * holds,), "uint8")
        tx = cluster.agent("a").sender("huge", spec, on("a"), depth=1)
        rx = cluster.agent("b").receiver("huge", spec, on("b"), depth=1)
        for end in (tx, rx):
            with pytest.raises(cm.ArenaFull, match=r"/dev/shm(.|\n)*--arena-dir"):
                end.wait_open(20)
        assert (cluster.reshard(ones(), on("a"), on("b"), timeout=20)[0] == 1).all()


def test_a_directory_for_the_arena_that_is_not_there(tmp_path):
    with pytest.raises(cm.AgentUnavailable, match="nowhere"):
        cm.LocalCluster(["a"], arena_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("transport", ["none"])
def test_without_ucx_there_is_no_cluster(monkeypatch, transport):
    monkeypatch.setenv("CROSSMESH_UCX", transport)
    with pytest.raises(cm.AgentUnavailable, match="CROSSMESH_UCX"):
        cm.LocalCluster(["a"])


def test_an_agent_that_cannot_start_is_quoted():
    with pytest.raises(cm.AgentUnavailable, match=r"Agent 'a' ended while it started \(exit status \d+\)"):
        cm.LocalCluster(["a"], arena="lots")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, None])
def test_agents_end_with_their_parent(how):
    with trainers.start("parent", "a", "b", env={}) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        paths = [Path(path) for path in parent.stdout.readline().split()]
        assert all(path.exists() for path in paths)
        if how is None:
            parent.stdin.close()
        else:
            parent.send_signal(how)
        parent.wait(40)
    assert all(trainers.gone(pid) for pid in pids)
    assert not any(path.exists() for path in paths)
