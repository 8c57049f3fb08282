"""Plans through the planner JVM."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import crossmesh as cm
from crossmesh import _planner
from tensors import layouts, rows, shape
from trainers import gone


def read_case(row):
    return shape(row), row["dtype"], *layouts(row)


STRATEGIES = ["send_recv", "local_all_gather", "global_all_gather", "broadcast", "split_broadcast", "auto"]
UNIT_TASKS = {"1": 2, "2": 2, "3": 4, "4": 64, "5": 4, "6": 4, "7": 4, "9": 4}


@pytest.mark.parametrize("row", rows("paper_n_to_m.csv"), ids=lambda row: row["case"])
def test_paper_cases_reach_their_bound_in_bytes(row):
    plan = cm.plan(*read_case(row), topology=None)
    assert plan.lower_bound == pytest.approx(int(row["lower_bound_bytes"]) / 1.25e9)
    assert plan.makespan >= plan.lower_bound
    assert plan.gap == pytest.approx(plan.makespan / plan.lower_bound - 1)
    covered = {}
    for task in plan.tasks:
        for device in task.receivers:
            covered[device] = covered.get(device, 0) + np.prod([hi - lo for lo, hi in task.box])
    shards = read_case(row)[3].shards(shape(row))
    assert len(plan.tasks) == UNIT_TASKS[row["case"]]
    assert covered == {d: np.prod([s.stop - s.start for s in slices]) for d, slices in shards.items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("order", ["naive", "size", "search", "greedy", "optimal"])
def test_moves_cover_each_destination_tile_once(strategy, order):
    src = cm.Sharding(cm.Mesh((2, 2), hosts=["a", "b"]), "S0 R S1")
    dst = cm.Sharding(cm.Mesh((2, 2), hosts=["c", "b"]), "R S01 R")
    plan = cm.plan((5, 7, 3), "bfloat16", src, dst, strategy=strategy, order=order)
    counts = {device: np.zeros((5, 7, 3), int) for device in range(4)}
    sent = dict.fromkeys("abc", 0)
    brought = set()
    for move in plan.moves:
        box = tuple(slice(lo, hi) for lo, hi in move.box)
        for device in move.receivers:
            counts[device][box] += 1
        assert move.bytes == 2 * np.prod([hi - lo for lo, hi in move.box])
        assert move.route[0] == src.mesh.devices[move.sender].host or (move.box, move.route[0]) in brought
        brought |= {(move.box, host) for host in move.route[1:]}
        for host in move.route[:-1]:
            sent[host] += move.bytes
    for device, box in dst.shards((5, 7, 3)).items():
        assert (counts[device][box] == 1).all()
        assert counts[device].sum() == np.prod([s.stop - s.start for s in box])
    assert plan.bytes_sent == sent
    assert sum(plan.bytes_received.values()) == sum(sent.values())
    assert plan.strategy[""].strategy == strategy or strategy == "auto"
    assert plan.strategy[""].chunks >= len(plan.moves)


def test_plans_are_deterministic_and_travel_as_json(tmp_path):
    extents, dtype, src, dst = read_case(rows("paper_n_to_m.csv")[3])
    one, two = cm.plan(extents, dtype, src, dst), cm.plan(extents, dtype, src, dst)
    assert one.digest == two.digest
    assert len(one.digest) == 64
    text = one.to_json()
    again = cm.Plan.from_json(text)
    assert again.digest == one.digest
    assert again.moves == one.moves
    assert again.tasks == one.tasks
    assert again.topology == cm.Topology.uniform(["h0", "h1", "h2", "h3"])
    assert "lower bound" in again.explain()
    assert one.explain() == again.explain()
    assert one.digest[:12] in repr(one)
    assert "<table>" in one._repr_html_()
    one.trace(tmp_path / "plan.json")
    events = json.loads((tmp_path / "plan.json").read_text())["traceEvents"]
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {"h0", "h1", "h2", "h3"}


def test_digests_are_those_of_java():
    src, dst = (cm.Mesh((2, 2), hosts=hosts) for hosts in (["a", "b"], ["c", "d"]))
    topology = cm.Topology.uniform("abcd", 1.25e9, 50e-6)
    one = cm.plan((1024, 768), "bfloat16", cm.Sharding(src, "S01 R"), cm.Sharding(dst, "R S1"), topology=topology)
    assert one.digest == "1adaa1bf4caf3a8b5e24c0636f487a4cb2102b7eaa5a2952c59b17e957614e3f"
    again = cm.plan((1024, 768), "bfloat16", cm.Sharding(src, "S01 R"), cm.Sharding(dst, "R S1"), topology=topology)
    assert again.digest == one.digest
    assert again.moves == one.moves
    tree = cm.plan(
        {"b": cm.TensorSpec((12, 10), "float32"), "w": cm.TensorSpec((12, 10), "int8")},
        src={"b": cm.Sharding(src, "S0 R"), "w": cm.Sharding(src, "S0 S1")},
        dst={"b": cm.Sharding(dst, "S1 R"), "w": cm.Sharding(dst, "R S0")},
        deadline={"b": 0.5, "w": None},
        topology=topology,
        strategy="send_recv",
        order="size",
    )
    assert tree.digest == "21dc2fb3c29abcfe0e0e087268501b311b11fbb99a04e7ed46ca0f5ae1158e5a"


def test_a_plan_that_was_tampered_with_is_refused():
    extents, dtype, src, dst = read_case(rows("paper_n_to_m.csv")[2])
    document = json.loads(cm.plan(extents, dtype, src, dst).to_json())
    document["moves"].pop()
    with pytest.raises(cm.LayoutError):
        cm.Plan.from_json(json.dumps(document))
    with pytest.raises(cm.CrossmeshError):
        cm.Plan.from_json("{}")


def test_a_tree_is_planned_as_one():
    src = cm.Sharding(cm.Mesh((2,), hosts=["a", "b"]), (0, None))
    dst = cm.Sharding(cm.Mesh((2,), hosts=["c", "d"]), (None, 0))
    tree = {"w": np.zeros((4, 6), np.float32), "b": [cm.TensorSpec((2, 2), "int8")]}
    plan = cm.plan(tree, src=src, dst=dst, topology=cm.Topology.uniform("abcd", "25Gbit/s"))
    assert plan.tensors == ("['b'][0]", "['w']")
    assert set(plan.strategy) == set(plan.tensors)
    assert sum(plan.bytes_sent.values()) == 4 * 6 * 4 + 4
    assert {move.tensor for move in plan.moves} == set(plan.tensors)


def test_layouts_of_jax():
    named = NamedSharding(jax.make_mesh((2, 2), ("x", "y")), PartitionSpec("x"))
    spec = jax.ShapeDtypeStruct((8, 4), "float32", sharding=named)
    dst = cm.Sharding(cm.Mesh((2,), hosts=["b"]), "R S0")
    plan = cm.plan(spec, dst=dst, hosts=["a"])
    assert plan.bytes_received == {"a": 0, "b": 128}


@pytest.mark.parametrize("shape", [(), (0, 4), (1,)])
def test_small_and_empty_tensors(shape):
    mesh = cm.Mesh((2,), hosts=["a", "b"])
    src, dst = (cm.Sharding(mesh, (None,) * len(shape)) for _ in range(2))
    plan = cm.plan(shape, "float64", src, dst)
    assert plan.gap == 0
    assert plan.bytes_sent == {"a": 0, "b": 0}


def test_refusals_are_layout_errors():
    mesh = cm.Mesh((2,), hosts=["a", "b"])
    ok = cm.Sharding(mesh, "R")
    with pytest.raises(cm.LayoutError, match="best"):
        cm.plan((4,), "int8", ok, ok, order="best")
    with pytest.raises(cm.LayoutError, match="teleport"):
        cm.plan((4,), "int8", ok, ok, strategy="teleport")
    with pytest.raises(cm.LayoutError, match="'c'|\"c\"|host c"):
        cm.plan((4,), "int8", ok, cm.Sharding(cm.Mesh((1,), hosts=["c"]), "R"), topology=cm.Topology.uniform("ab"))
    with pytest.raises(cm.LayoutError, match="source"):
        cm.plan((4, 4), "int8", ok, ok)


@pytest.mark.timeout(120)
def test_a_planner_that_died_is_replaced():
    mesh = cm.Mesh((2,), hosts=["a", "b"])
    first = cm.plan((4,), "int8", cm.Sharding(mesh, "R"), cm.Sharding(mesh, "S0"))
    text = first.to_json()
    jvm = _planner._running[1]
    os.kill(jvm.pid, signal.SIGKILL)
    jvm._process.wait(10)
    second = cm.plan((4,), "int8", cm.Sharding(mesh, "R"), cm.Sharding(mesh, "S0"))
    assert second.digest == first.digest
    assert first.to_json() == text
    assert first.explain() == second.explain()
    os.kill(_planner._running[1].pid, signal.SIGKILL)
    assert second.topology == cm.Topology.uniform("ab")
    assert second.moves == first.moves


@pytest.mark.timeout(120)
def test_many_moves_are_read_on_demand_from_a_file_that_goes_with_the_plan():
    src = cm.Sharding(cm.Mesh((17, 8), hosts=[f"a{i}" for i in range(17)]), "R S01")
    dst = cm.Sharding(cm.Mesh((17, 8), hosts=[f"b{i}" for i in range(17)]), "S01 R")
    plan = cm.plan((272, 408), "int8", src, dst, order="size")
    directory = _planner._running[1].info_path.parent
    assert not list(directory.glob("*.arrow"))
    assert len(plan.moves) == len(plan.tasks) == (17 * 8) ** 2
    assert len(list(directory.glob("*.arrow"))) == 2
    assert plan.moves[-1] == plan.moves[len(plan.moves) - 1] == list(plan.moves)[-1]
    assert plan.moves[16_400:16_400] == ()
    assert plan.moves[16_380:16_400:7] == tuple(plan.moves[i] for i in (16_380, 16_387, 16_394))
    assert sum(move.bytes for move in plan.moves) == 272 * 408
    with pytest.raises(IndexError):
        plan.moves[len(plan.moves)]
    document = json.loads(plan.to_json())
    assert [move["sender"] for move in document["moves"]] == [move.sender for move in plan.moves]
    moves, first = plan.moves, plan.moves[0]
    del plan
    cm.plan((4,), "int8", cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R"), cm.Sharding(cm.Mesh((1,), hosts=["b"]), "R"))
    assert not list(directory.glob("*.arrow"))
    assert moves[0] == first


@pytest.mark.timeout(120)
def test_a_jvm_that_cannot_start_is_quoted(tmp_path, monkeypatch):
    _planner.close_planner()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    (tmp_path / "release").write_text('JAVA_VERSION="25"\n')
    java.write_text("#!/bin/sh\necho 'Error: Could not reserve enough space' >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("CROSSMESH_JAVA", str(java))
    ok = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    with pytest.raises(cm.AgentUnavailable, match=r"exit status 3(.|\n)*Could not reserve enough space"):
        cm.plan((4,), "int8", ok, ok)


PARENT = """
import sys, crossmesh as cm
from crossmesh import _planner
mesh = cm.Mesh((2,), hosts=["a", "b"])
cm.plan((4,), "int8", cm.Sharding(mesh, "R"), cm.Sharding(mesh, "S0"))
print(_planner._running[1].pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, None])
def test_the_planner_ends_with_its_parent(how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        if how is None:
            parent.stdin.close()
        else:
            parent.send_signal(how)
        parent.wait(30)
    assert gone(pid)


FORKING = """
import os, sys, time, crossmesh as cm
from crossmesh import _planner
mesh = cm.Mesh((2,), hosts=["a", "b"])
cm.plan((4,), "int8", cm.Sharding(mesh, "R"), cm.Sharding(mesh, "S0"))
child = os.fork()
if child == 0:
    time.sleep(60)
print(_planner._running[1].pid, child, flush=True)
sys.stdin.read()
"""


@pytest.mark.timeout(120)
def test_a_forked_child_does_not_keep_the_planner_alive():
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        pid, child = map(int, parent.stdout.readline().split())
        try:
            parent.kill()
            parent.wait(30)
            assert gone(pid)
        finally:
            os.kill(child, signal.SIGKILL)


def test_an_answer_longer_than_py4js_buffer_is_quick():
    extents, dtype, src, dst = read_case(rows("paper_n_to_m.csv")[3])
    plan = cm.plan(extents, dtype, src, dst)
    assert len(plan.to_json()) > 8192
