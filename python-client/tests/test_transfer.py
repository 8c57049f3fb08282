"""Transfers through real agents over UCX."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import crossmesh as cm
import trainers
from crossmesh._cluster import _verify
from crossmesh._spec import resolve
from tensors import layouts, rows, same, shape, values
from waiting import until

pytestmark = pytest.mark.timeout(120)
HOSTS = ["h0", "h1", "h2", "h3", "h4"]
STRATEGIES = ["send_recv", "local_all_gather", "global_all_gather", "broadcast", "split_broadcast", "auto"]
PAPER = rows("paper_n_to_m.csv") + rows("paper_1_to_m.csv")


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="512MiB") as cluster:
        yield cluster


def check(cluster, x, src, dst, **named):
    """Reshard, compare every tile and the bytes on the wire."""
    plan = cm.plan(x, src=src, dst=dst, strategy=named.get("strategy", "auto"), order=named.get("order", "optimal"))
    before = cluster.wire_bytes()
    got = cluster.reshard(x, src, dst, timeout=30, **named)
    after = cluster.wire_bytes()
    for device, index in dst.shards(x.shape).items():
        assert same(got[device], x[index]), f"device {device}"
        assert got[device].size == 0 or got[device].ctypes.data % 64 == 0
    for host in HOSTS:
        assert after[host].sent - before[host].sent == plan.bytes_sent.get(host, 0), host
        assert after[host].received - before[host].received == plan.bytes_received.get(host, 0), host
    return plan


@pytest.mark.parametrize("row", rows("alpa_tests.csv"), ids=lambda row: row["id"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_alpa_rows_by_every_strategy(cluster, row, strategy):
    src, dst = layouts(row)
    check(cluster, values(shape(row), row["dtype"]), src, dst, strategy=strategy)


@pytest.mark.parametrize("row", PAPER, ids=lambda row: row["case"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_paper_cases_by_every_strategy(cluster, row, strategy):
    src, dst = layouts(row)
    divide = (64, 16, 4) if "x" in row["shape"] else (1 << 12,)
    extents = tuple(n // by for n, by in zip(shape(row), divide, strict=True))
    plan = check(cluster, values(extents, row["dtype"]), src, dst, strategy=strategy)
    if strategy != "auto":
        assert plan.strategy[""].strategy == strategy


@pytest.mark.parametrize("order", ["naive", "size", "search", "greedy", "optimal"])
@pytest.mark.parametrize(
    ("strategy", "sent", "passed_on", "received"),
    [("send_recv", 8, 0, 2), ("local_all_gather", 4, 0, 1), ("global_all_gather", 1, 3 / 4, 1)],
)
def test_one_to_four_hosts_costs_what_the_paper_says(cluster, order, strategy, sent, passed_on, received):
    src, dst = layouts(PAPER[-1])
    x = values((1 << 14,), "int32")
    plan = check(cluster, x, src, dst, strategy=strategy, order=order)
    assert plan.bytes_sent == {"h0": sent * x.nbytes} | dict.fromkeys(HOSTS[1:], passed_on * x.nbytes)
    assert plan.bytes_received == {"h0": 0} | dict.fromkeys(HOSTS[1:], received * x.nbytes)


@pytest.mark.parametrize("row", PAPER, ids=lambda row: row["case"])
def test_paper_cases_scaled_down(cluster, row):
    src, dst = layouts(row)
    x = values(shape(row, 128 if "x" in row["shape"] else 1 << 13), row["dtype"])
    plan = check(cluster, x, src, dst)
    assert plan.makespan >= plan.lower_bound


@pytest.mark.parametrize("order", ["naive", "size", "search", "greedy", "optimal"])
def test_overlapping_meshes_and_same_host_copies(cluster, order):
    mesh = cm.Mesh((2, 2), hosts=["h0", "h1"])
    x = values((7, 5, 3), "int16")
    plan = check(cluster, x, cm.Sharding(mesh, "S0 R S1"), cm.Sharding(mesh, "R S01 R"), order=order)
    assert sum(plan.bytes_sent.values()) < x.nbytes * 2
    plan = check(cluster, x, cm.Sharding(mesh, "S0 R R"), cm.Sharding(mesh, "S0 S1 R"), order=order)
    assert sum(plan.bytes_sent.values()) == 0


def test_slices_that_are_cut_and_take_turns(cluster):
    src = cm.Sharding(cm.Mesh((2,), hosts=["h0", "h1"]), "S0 R")
    dst = cm.Sharding(cm.Mesh((3,), hosts=["h2", "h3", "h4"]), "S0 R")
    x = values((3072, 1024), "float32")
    plan = check(cluster, x, src, dst)
    assert plan.makespan < 0.8 * cm.plan(x, src=src, dst=dst, order="size").makespan
    whole = cm.Sharding(cm.Mesh((2,), hosts=["h0", "h1"]), "R R")
    plan = check(cluster, x[:, :777], whole, dst)
    assert len(plan.moves) > len(plan.tasks) == 3
    assert abs(plan.bytes_sent["h0"] - plan.bytes_sent["h1"]) < x.nbytes / 10
    for order in ("naive", "size", "search", "greedy"):
        plan = check(cluster, x[:, :777], whole, dst, strategy="split_broadcast", order=order)
        assert len(plan.moves) == 6


def test_trees(cluster):
    src = cm.Sharding(cm.Mesh((2, 2), hosts=["h0", "h1"]), "S0 S1")
    dst = cm.Sharding(cm.Mesh((3,), hosts=["h2", "h3", "h4"]), "R S0")
    tree = {"w": values((8, 9), "float32"), "b": [values((2, 2), "bfloat16"), (values((5, 1), "complex64"), None)]}
    got = cluster.reshard(tree, src, dst, timeout=30)
    assert got["b"][1][1] is None
    for x, tiles in ((tree["w"], got["w"]), (tree["b"][0], got["b"][0]), (tree["b"][1][0], got["b"][1][0])):
        for device, index in dst.shards(x.shape).items():
            assert same(tiles[device], x[index])


def test_many_steps_in_flight(cluster):
    spec = cm.TensorSpec((64, 1024), "float32")
    src = cm.Sharding(cm.Mesh((2,), hosts=["h0", "h1"]), "S0 R")
    dst = cm.Sharding(cm.Mesh((2,), hosts=["h2", "h3"]), "R S0")
    whole = [values((64, 1024), "float32") + n for n in range(20)]
    txs = [cluster.agent(host).sender("many", spec, src) for host in ("h0", "h1")]
    rxs = [cluster.agent(host).receiver("many", spec, dst) for host in ("h2", "h3")]
    pending = [[rx.recv() for rx in rxs] for _ in range(20)]
    sent = [tx.send(x) for x in whole for tx in txs]
    for n, transfers in enumerate(pending):
        tiles = {}
        for transfer in transfers:
            tiles |= transfer.result(30)
        for device, index in dst.shards((64, 1024)).items():
            assert np.array_equal(tiles[device], whole[n][index])
    for transfer in sent:
        transfer.result(30)
    assert txs[0].plan.digest == rxs[1].plan.digest
    assert "lower bound" in txs[0].plan.explain()
    for end in txs + rxs:
        end.close()


def test_held_arrays_make_no_hang(cluster):
    """More steps are held than the channel is deep: spare memory, then copies."""
    spec = cm.TensorSpec((1 << 20,), "uint8")
    a, b = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in ("h0", "h1"))
    with (
        cluster.agent("h0").sender("held", spec, a, depth=2) as tx,
        cluster.agent("h1").receiver("held", spec, b, depth=2) as rx,
    ):
        held = []
        for n in range(12):
            t = tx.send(np.full(1 << 20, n, np.uint8))
            held.append(rx.recv().result(30)[0])
            t.result(30)
        assert [int(x[-1]) for x in held] == list(range(12))
        assert all((x == n).all() for n, x in enumerate(held))


def test_jax_arrays_in_one_process(cluster):
    mesh = jax.make_mesh((2, 2), ("x", "y"))
    src, dst = NamedSharding(mesh, PartitionSpec("x", None, "y")), NamedSharding(mesh, PartitionSpec(None, ("y", "x")))
    x = jax.device_put(jnp.arange(8 * 8 * 4, dtype=jnp.bfloat16).reshape(8, 8, 4), src)
    tx = cluster.agent("h0").sender("jax", x)
    rx = cluster.agent("h1").receiver("jax", x, dst)
    t = tx.send(x)
    y = rx.recv().result(30)
    assert y.sharding == dst
    assert (jax.device_put(y, src) == x).all()
    t.result(30)
    tx.close()
    rx.close()


def test_a_slot_is_not_reused_while_xla_reads_it(cluster):
    named = NamedSharding(jax.make_mesh((1,), ("x",)), PartitionSpec("x"))
    spec = jax.ShapeDtypeStruct((512, 512), "float32", sharding=named)

    @jax.jit
    def late_sum(x):
        y = jax.lax.fori_loop(0, 60, lambda _, y: jnp.tanh(y @ y) + 1e-3, jnp.ones((512, 512)))
        return jnp.sum(x + 0 * y)

    with (
        cluster.agent("h0").sender("hazard", spec, depth=1) as tx,
        cluster.agent("h1").receiver("hazard", spec, depth=1) as rx,
    ):
        arrays = [jax.device_put(jnp.full((512, 512), n, jnp.float32), named) for n in range(6)]
        jax.block_until_ready(late_sum(arrays[0]))
        sums, overlapped = [], 0
        for array in arrays:
            tx.send(array)
            x = rx.recv().result(30)
            sums.append(late_sum(x))
            overlapped += not sums[-1].is_ready()
            del x
            gc.collect()
        assert overlapped
        assert [float(s) for s in sums] == [n * 512 * 512 for n in range(6)]


def test_two_processes_with_a_jax_each(cluster):
    mesh = jax.make_mesh((2, 2), ("x", "y"))
    spec = jax.ShapeDtypeStruct((8, 6, 4), "float32")
    mine = NamedSharding(mesh, PartitionSpec("x", None, "y"))
    with trainers.start("stage", "5", env=cluster.env("h1")) as process:
        try:
            agent = cluster.agent("h0")
            with agent.sender("act", spec, mine) as tx, agent.receiver("grad", spec, mine) as rx:
                for n in range(5):
                    x = jax.device_put(jnp.arange(8 * 6 * 4, dtype=jnp.float32).reshape(8, 6, 4) + n, mine)
                    t = tx.send(x)
                    y = rx.recv().result(60)
                    assert y.sharding == mine
                    assert (y == 2 * x).all()
                    t.result(30)
            assert process.stdout.readline() == "done\n"
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_two_processes_share_one_agent(cluster):
    env = cluster.env("h0")
    spec = cm.TensorSpec((4, 2), "float32")
    with (
        trainers.start("half", "halves", "0", env=env) as one,
        trainers.start("half", "halves", "2", env=env) as two,
        cluster.agent("h1").receiver("halves", spec, cm.Sharding(cm.Mesh((1,), hosts=["h1"]), "R R")) as rx,
    ):
        got = rx.recv().result(60)[0]
        assert np.array_equal(got, np.repeat(np.arange(4, dtype=np.float32), 2).reshape(4, 2))
        for process in (one, two):
            assert process.stdout.readline() == "done\n"
            assert process.wait(30) == 0


def test_arenas_are_empty_again(cluster):
    gc.collect()
    until(lambda: all(status["arena"]["used"] == 0 for status in cluster.status().values()), seconds=20)


def test_unknown_hosts_are_refused(cluster):
    mesh, alien = cm.Mesh((1,), hosts=["h0"]), cm.Mesh((1,), hosts=["z"])
    x = np.zeros(4)
    with pytest.raises(cm.LayoutError, match="no host 'z'"):
        cluster.reshard(x, cm.Sharding(mesh, "R"), cm.Sharding(alien, "R"))
    with pytest.raises(cm.LayoutError, match="no host 'z'"):
        cluster.env("z")
    with pytest.raises(cm.LayoutError, match="distinct"):
        cm.LocalCluster(["a", "a"])
    with pytest.raises(cm.LayoutError, match="carrier-pigeon"):
        cm.LocalCluster(["a"], transport="carrier-pigeon")


def test_verified_tiles_are_those_that_were_sent(cluster):
    src, dst = layouts(PAPER[0])
    x = values((64, 16, 4), "float32")
    x[3, 2, 1] = np.nan
    tiles = cluster.reshard(x, src, dst, verify=True)
    assert all(same(tiles[device], x[place]) for device, place in dst.shards(x.shape).items())


def test_a_tile_of_other_bytes_is_named_with_its_host():
    layout = cm.Sharding(cm.Mesh((2,), hosts=["h0", "h1"]), "S0")
    ((leaf,), _) = resolve({"w": cm.TensorSpec((4,), "float32")}, layout, "destination")
    sent = np.arange(4, dtype=np.float32)
    _verify(leaf, sent, {0: sent[:2], 1: sent[2:]})
    with pytest.raises(cm.CrossmeshError, match=r"device 1 of .*w.*host 'h1'"):
        _verify(leaf, sent, {0: sent[:2], 1: np.nextafter(sent[2:], 9)})


def test_a_bit_that_flips_after_the_send_ends_the_step_for_both_ends(cluster):
    spec = cm.TensorSpec((1000,), "float32")
    src, dst = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in ("h0", "h1"))
    with (
        cluster.agent("h0").sender("verified", spec, src, depth=1) as tx,
        cluster.agent("h1").receiver("verified", spec, dst, depth=1, verify=True) as rx,
    ):
        whole = np.arange(1000, dtype=np.float32)
        tx.send({0: whole}).result(30)  # it takes the only landing set: the next one waits where it is staged
        tiles = tx.arrays(30)
        tiles[0][:] = whole
        damaged = tx.send(tiles)
        until(lambda: any(channel["live_steps"] for channel in cluster.status()["h0"]["channels"]), seconds=20)
        cluster.status()  # a turn of the agent later the digests are there
        tiles[0][7] += 1
        assert same(rx.recv().result(30)[0], whole)
        with pytest.raises(cm.TransferCorrupted, match=r"host 'h0' sent of tensor .*on host 'h1'"):
            rx.recv().result(30)
        with pytest.raises(cm.TransferCorrupted):
            damaged.result(30)
        tx.send({0: whole})
        assert same(rx.recv().result(30)[0], whole)
