"""The two ends of a channel against an agent in memory."""

import concurrent.futures
import gc
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

import crossmesh as cm
from crossmesh._agent import Agent
from crossmesh._arena import Arena
from crossmesh._session import JOIN_SECONDS_MAX
from fake_control import FakeControl
from waiting import until

pytestmark = pytest.mark.timeout(60)
ARENA_BYTES = 64 << 20


@pytest.fixture
def control(tmp_path):
    path = tmp_path / "arena"
    with path.open("wb") as file:
        file.truncate(ARENA_BYTES)
    return FakeControl(Arena(path, ARENA_BYTES))


@pytest.fixture
def agent(control):
    agent = Agent("a", control, control.arena)
    yield agent
    control.dead = control.dead or cm.AgentUnavailable("the test is over")
    agent.close()


@pytest.fixture
def layout():
    return cm.Sharding(cm.Mesh((2, 2), ("x", "y"), hosts=["a"]), "S0 R")


SPEC = cm.TensorSpec((4, 3), "float32")


def tiles(value=0.0):
    whole = np.arange(12, dtype=np.float32).reshape(4, 3) + value
    return whole, {0: whole[:2], 2: whole[2:]}


def test_tiles_arrive_aligned_and_replicas_are_read_only(agent, layout):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, parts = tiles()
    sent, got = tx.send(parts), rx.recv()
    result = got.result(10)
    assert sent.result(10) is None
    assert list(result) == [0, 1, 2, 3]
    for device, index in layout.shards((4, 3)).items():
        assert np.array_equal(result[device], whole[index])
        assert result[device].ctypes.data % 64 == 0
        assert not result[device].flags.writeable
    assert result[0] is result[1]
    assert (sent.step, got.step, sent.progress, got.progress) == (0, 0, 1.0, 1.0)
    alone = cm.Sharding(layout.mesh, "S01 R")
    tx, rx = agent.sender("d", SPEC, alone), agent.receiver("d", SPEC, alone)
    tx.send(whole)
    assert rx.recv().result(10)[1].flags.writeable


def test_whole_arrays_and_trees(agent, layout):
    tree = {"w": SPEC, "b": [cm.TensorSpec((2,), "bfloat16")]}
    layouts = {"w": layout, "b": cm.Sharding(layout.mesh, "S1")}
    tx, rx = agent.sender("c", tree, layouts), agent.receiver("c", tree, layouts)
    whole, parts = tiles()
    b = np.array([1.5, 2.5], cm.TensorSpec((), "bfloat16").dtype)
    tx.send({"w": whole, "b": [b]})
    tx.send({"w": parts, "b": [{0: b[:1], 3: b[1:]}]})
    for _ in range(2):
        got = rx.recv().result(10)
        assert np.array_equal(got["w"][3], whole[2:])
        assert got["b"][0][1] == b[1]
        assert got["b"][0][1].dtype == b.dtype


def test_jax_arrays_arrive_in_their_sharding_without_a_copy(agent, control):
    mesh = jax.make_mesh((2, 2), ("x", "y"))
    named = NamedSharding(mesh, PartitionSpec("x"))
    x = jax.device_put(jnp.arange(4096, dtype=jnp.float32).reshape(64, 64), named)
    tx, rx = agent.sender("c", x), agent.receiver("c", x)
    tx.send(x)
    got = rx.recv().result(10)
    assert got.sharding == named
    assert (got == x).all()
    assert len(control.out) == 1
    arena = np.frombuffer(control.arena._memory, np.uint8).ctypes.data
    for shard in got.addressable_shards:
        assert 0 <= shard.data.unsafe_buffer_pointer() - arena < ARENA_BYTES
    del got, shard
    until(lambda: not control.out)


def test_a_result_of_jit_is_waited_for_beside_the_caller(agent):
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    spec = jax.ShapeDtypeStruct((2048, 256), "float32", sharding=named)
    tx, rx = agent.sender("c", spec), agent.receiver("c", spec)

    def slow(x):
        return jax.lax.fori_loop(0, 200, lambda _, y: jnp.sin(y), x)

    x = jax.jit(slow)(jax.device_put(jnp.ones((2048, 256)), named))
    t = tx.send(x)
    t.read(30)
    assert (rx.recv().result(30) == x).all()


def test_what_jax_cannot_hold_is_refused_at_open(agent):
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    for shape, dtype, message in [
        ((5,), "float32", "uneven"),
        ((4,), "float64", "jax_enable_x64"),
        ((4,), "float128", "no elements"),
        ((4,), "datetime64[ns]", "no elements"),
    ]:
        with pytest.raises(cm.LayoutError, match=message):
            agent.receiver("c", cm.TensorSpec(shape, dtype), named)


def test_an_abstract_mesh_can_send_and_not_receive(agent, layout):
    named = NamedSharding(AbstractMesh((2, 2), ("x", "y")), PartitionSpec("x"))
    tx, rx = agent.sender("c", SPEC, named), agent.receiver("c", SPEC, layout)
    tx.send(tiles()[0])
    assert np.array_equal(rx.recv().result(10)[0], tiles()[0][:2])
    with pytest.raises(cm.LayoutError, match="abstract"):
        agent.receiver("d", SPEC, named)


def test_a_process_of_another_host_is_refused(agent):
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    with pytest.raises(cm.LayoutError, match="no device on 'a'"):
        agent.sender("c", cm.TensorSpec((4,), "int8"), named, hosts=["b"])


def test_refusals_of_open(agent, layout):
    with pytest.raises(cm.LayoutError, match="no device on 'a'"):
        agent.sender("c", SPEC, cm.Sharding(cm.Mesh((1,), hosts=["z"]), "R R"))
    with pytest.raises(cm.LayoutError, match="depth"):
        agent.sender("c", SPEC, layout, depth=0)
    with pytest.raises(cm.LayoutError, match="timeout"):
        agent.sender("c", SPEC, layout, timeout=0)
    with pytest.raises(cm.LayoutError, match="no leaves"):
        agent.sender("c", {}, layout)
    with pytest.raises(cm.LayoutError, match="devices="):
        agent.sender("c", SPEC, layout, devices=[7])
    other = cm.Sharding(cm.Mesh((2,), hosts=["a"]), "R R")
    with pytest.raises(cm.LayoutError, match="same devices"):
        agent.sender("c", [SPEC, SPEC], [layout, other])


def test_refusals_of_send(agent, layout):
    tx = agent.sender("c", SPEC, layout)
    whole, parts = tiles()
    for bad, message in [
        (whole[:2], "of shape"),
        (whole.astype(np.float64), "float64"),
        ({0: whole}, "the tile of device 0"),
        ({9: whole[:2]}, "not one of those"),
        (3.0, "got float"),
        ([whole], "got list|structure"),
    ]:
        with pytest.raises(cm.LayoutError, match=message):
            tx.send(bad)
    rx = agent.receiver("c", SPEC, layout)
    with pytest.raises(cm.LayoutError, match="none of the devices"):
        tx.send({0: parts[0]}).result(10)
    with pytest.raises(cm.TransferCancelled, match="none of the devices"):
        rx.recv().result(10)
    tx.send(parts)
    assert np.array_equal(rx.recv().result(10)[2], parts[2])


def test_an_array_in_another_sharding_is_refused(agent):
    mesh = jax.make_mesh((4,), ("x",))
    x = jax.device_put(jnp.zeros((8, 8)), NamedSharding(mesh, PartitionSpec(None, "x")))
    tx = agent.sender("c", x, NamedSharding(mesh, PartitionSpec("x")))
    agent.receiver("c", x, NamedSharding(mesh, PartitionSpec("x")))
    with pytest.raises(cm.LayoutError, match="device_put"):
        tx.send(x).result(10)


def test_steps_grow_on_each_side(agent, layout):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    assert tx.send(whole, step=5).step == 5
    assert tx.send(whole).step == 6
    for end, call in ((tx, lambda: tx.send(whole, step=6)), (rx, lambda: rx.recv(step=-1))):
        with pytest.raises(cm.StepMismatch, match=end.name):
            call()
    assert rx.recv(5).result(10)
    assert rx.recv().result(10)


def test_sends_beyond_the_depth_do_not_block(agent, layout, control):
    tx, rx = agent.sender("c", SPEC, layout, depth=2), agent.receiver("c", SPEC, layout, depth=2)
    sources = [tiles(n)[0] for n in range(6)]
    sent = [tx.send(x) for x in sources]
    sent[1].read(10)
    with pytest.raises(TimeoutError) as caught:
        sent[2].read(0.05)
    assert not isinstance(caught.value, cm.CrossmeshError)
    with pytest.raises(TimeoutError) as caught:
        sent[2].result(0.01)
    assert not isinstance(caught.value, cm.CrossmeshError)
    assert sent[0].progress == 0.5
    for n in range(6):
        assert np.array_equal(rx.recv().result(10)[0], sources[n][:2])
    concurrent.futures.wait(sent, 10)
    assert all(t.done() for t in sent)


def test_after_read_the_source_may_change(agent, layout):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    x = whole.copy()
    t = tx.send(x)
    t.read(10)
    x[:] = -1
    assert np.array_equal(rx.recv().result(10)[0], whole[:2])


def test_donated_before_read_cancels_the_step_for_all(agent):
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    x = jax.device_put(jnp.ones((8, 8)), named)
    tx = agent.sender("c", x)
    t = tx.send(x)
    x.delete()
    rx = agent.receiver("c", jax.ShapeDtypeStruct((8, 8), "float32"), named)
    with pytest.raises(cm.TransferCancelled, match="donated"):
        t.result(10)
    with pytest.raises(cm.TransferCancelled, match="donated"):
        t.read(10)
    with pytest.raises(cm.TransferCancelled, match="donated"):
        rx.recv().result(10)
    tx.send(jax.device_put(jnp.ones((8, 8)), named))
    assert (rx.recv().result(10) == 1).all()


def test_cancel_ends_the_step_for_both(agent, layout, control):
    tx, rx = agent.sender("c", SPEC, layout, depth=1), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    sent = [tx.send(whole) for _ in range(3)]
    sent[0].read(10)
    assert sent[1].cancel()
    assert sent[1].cancelled()
    assert not sent[1].cancel()
    with pytest.raises(cm.TransferCancelled, match="step 1"):
        sent[1].result(10)
    got = [rx.recv() for _ in range(3)]
    got[0].result(10)
    with pytest.raises(cm.TransferCancelled, match="step 1"):
        got[1].result(10)
    assert not got[1].cancelled()
    got[2].result(10)
    later = rx.recv()
    assert later.cancel()
    with pytest.raises(cm.TransferCancelled):
        tx.send(whole).result(10)


def test_cancel_before_the_channel_opens(agent, layout):
    tx = agent.sender("c", SPEC, layout)
    whole, _ = tiles()
    first, second = tx.send(whole), tx.send(whole)
    first.cancel()
    rx = agent.receiver("c", SPEC, layout)
    with pytest.raises(cm.TransferCancelled):
        rx.recv().result(10)
    assert rx.recv().result(10)
    second.result(10)


def test_abort_gives_the_reason_to_all(agent, layout):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    waiting = rx.recv()
    rx.wait_open(10)
    tx.abort("loss is NaN")
    with pytest.raises(cm.TransferCancelled, match="loss is NaN"):
        waiting.result(10)
    with pytest.raises(cm.TransferCancelled, match="loss is NaN"):
        rx.recv()
    with pytest.raises(cm.TransferCancelled, match="loss is NaN"):
        tx.send(tiles()[0])


def test_an_exception_in_the_block_aborts(agent, layout):
    rx = agent.receiver("c", SPEC, layout)
    with pytest.raises(ZeroDivisionError), agent.sender("c", SPEC, layout) as tx:
        tx.wait_open(10)
        raise ZeroDivisionError("oops")
    with pytest.raises(cm.TransferCancelled, match="ZeroDivisionError: oops"):
        rx.recv().result(10)


def test_close_lets_pending_sends_go_first(agent, layout, control):
    whole, _ = tiles()
    rx = agent.receiver("c", SPEC, layout)
    got = [rx.recv() for _ in range(8)]
    with agent.sender("c", SPEC, layout, depth=1) as tx:
        sent = [tx.send(whole) for _ in range(8)]
    assert all(t.done() for t in sent)
    assert all(t.result(10) for t in got)
    tx.close()
    with pytest.raises(cm.TransferCancelled, match="closed"):
        tx.send(whole)
    assert "closed" in repr(tx)


def test_close_before_the_channel_opens(agent, layout):
    with agent.receiver("c", SPEC, layout) as rx:
        waiting = rx.recv()
    with pytest.raises(cm.TransferCancelled):
        waiting.result(10)
    with pytest.raises(cm.CrossmeshError):
        rx.wait_open(1)


def test_ends_that_state_different_tensors(agent, layout):
    tx = agent.sender("c", SPEC, layout)
    rx = agent.receiver("c", cm.TensorSpec((4, 4), "float32"), layout)
    for call in (lambda: tx.send(tiles()[0]).result(10), lambda: rx.recv().result(10), lambda: rx.wait_open(1)):
        with pytest.raises(cm.PlanMismatch):
            call()


def test_an_agent_that_dies_fails_everything(agent, layout, control):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    waiting = rx.recv()
    rx.wait_open(10)
    control.dead = cm.AgentUnavailable("Agent 'a' does not answer (killed by SIGKILL).")
    with pytest.raises(cm.AgentUnavailable, match="SIGKILL"):
        waiting.result(10)
    with pytest.raises(cm.AgentUnavailable, match="SIGKILL"):
        tx.send(tiles()[0]).result(10)
    with pytest.raises(cm.AgentUnavailable, match="SIGKILL"):
        agent.sender("d", SPEC, layout)
    before = time.monotonic()
    agent.close()
    assert time.monotonic() - before < JOIN_SECONDS_MAX / 2


def test_memory_goes_back_when_the_last_view_is_collected(agent, layout, control):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    got = []
    for _ in range(2):
        tx.send(whole)
        got.append(rx.recv().result(10))
    assert len(control.out) == 2
    view = got[0][2][1:, ::2]
    got.clear()
    until(lambda: len(control.out) == 1)
    assert np.array_equal(view, whole[3:, ::2])
    del view
    until(lambda: not control.out)


def test_received_arrays_outlive_channel_and_connection(agent, layout, control):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    tx.send(whole)
    got = rx.recv().result(10)
    agent.close()
    assert ("close_session", 1) not in control.calls
    assert np.array_equal(got[0], whole[:2])
    with pytest.raises(cm.AgentUnavailable, match="closed"):
        agent.sender("d", SPEC, layout)
    del got
    until(lambda: ("close_session", 1) in control.calls)


def test_a_slot_is_not_given_back_while_xla_reads_it(agent, control):
    named = NamedSharding(jax.make_mesh((1,), ("x",)), PartitionSpec("x"))
    spec = jax.ShapeDtypeStruct((512, 512), "float32", sharding=named)
    tx, rx = agent.sender("c", spec), agent.receiver("c", spec)

    @jax.jit
    def late_sum(x):
        # Long work that the result depends on, before x is read for the last time.
        y = jax.lax.fori_loop(0, 60, lambda _, y: jnp.tanh(y @ y) + 1e-3, jnp.ones((512, 512)))
        return jnp.sum(x + 0 * y), jnp.sum(x)

    ones = jax.device_put(jnp.ones((512, 512)), named)
    jax.block_until_ready(late_sum(ones))
    for _ in range(3):
        tx.send(ones)
        x = rx.recv().result(10)
        sums = late_sum(x)
        computing = not sums[0].is_ready()
        del x  # the fake agent overwrites what is given back
        gc.collect()
        assert computing
        assert [float(s) for s in sums] == [512 * 512, 512 * 512]
        del sums
    until(lambda: not control.out)


def test_without_spare_memory_steps_are_copied_out_and_counted(agent, layout, control):
    control.spares = 0
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, _ = tiles()
    tx.send(whole)
    got = rx.recv().result(10)
    until(lambda: not control.out)
    assert np.array_equal(got[0], whole[:2])
    assert got[0].ctypes.data % 64 == 0
    assert rx.copies == 1
    x = jax.device_put(jnp.ones((8, 8)), named)
    tx, rx = agent.sender("d", x), agent.receiver("d", x)
    tx.send(x)
    assert (rx.recv().result(10) == 1).all()


def test_callbacks_and_threads(agent, layout):
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    seen = threading.Event()
    rx.recv().add_done_callback(lambda future: seen.set())
    tx.send(tiles()[0])
    assert seen.wait(10)


def test_array_of_tiles():
    named = NamedSharding(jax.make_mesh((2, 2), ("x", "y")), PartitionSpec("x", None, "y"))
    whole = np.arange(4 * 3 * 4, dtype=np.int32).reshape(4, 3, 4)
    slices = cm.Sharding.from_jax(named, ["a"]).shards((4, 3, 4))
    tiles = {device: np.ascontiguousarray(whole[index]) for device, index in slices.items()}
    x = cm.jax.array(tiles, named)
    assert x.sharding == named
    assert np.array_equal(x, whole)
    with pytest.raises(cm.LayoutError, match="no tile"):
        cm.jax.array({0: tiles[0]}, named)
    with pytest.raises(cm.LayoutError, match="No tiles"):
        cm.jax.array({}, named)
    with pytest.raises(cm.LayoutError, match="jax_enable_x64"):
        cm.jax.array({d: tile.astype(np.int64) for d, tile in tiles.items()}, named)
    with pytest.raises(cm.LayoutError, match="several types"):
        cm.jax.array(tiles | {3: tiles[3].astype(np.float32)}, named)
