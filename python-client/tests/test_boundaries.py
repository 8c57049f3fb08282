"""Several boundaries planned together, and deadlines."""

from __future__ import annotations

import math

import pytest

import crossmesh as cm


def layout(hosts, spec):
    return cm.Sharding(cm.Mesh((len(hosts),), hosts=list(hosts)), spec)


def mib(count):
    """A float32 tensor of so many MiB."""
    return cm.TensorSpec((count << 18,), "float32")


def test_boundaries_are_planned_as_one_and_named():
    tree = {"h": mib(2), "mask": cm.TensorSpec((7,), "bool")}
    plan = cm.plan(
        [
            cm.Boundary(tree, layout("ab", "S0"), layout("c", "R"), deadline={"h": 0.5, "mask": None}, name="act/0-1"),
            cm.Boundary(mib(1), layout("c", "R"), layout("d", "R"), name="act/1-2"),
            cm.Boundary([mib(1)], layout("d", "S0"), layout("a", "R"), deadline=2),
        ]
    )
    assert plan.tensors == ("act/0-1['h']", "act/0-1['mask']", "act/1-2", "[2][0]")
    assert plan.deadlines == {"act/0-1['h']": 0.5, "[2][0]": 2.0}
    assert set(plan.finish) == set(plan.tensors)
    assert max(plan.finish.values()) == pytest.approx(plan.makespan)
    assert plan.late == {}
    assert {move.tensor for move in plan.moves} == set(plan.tensors)
    again = cm.Plan.from_json(plan.to_json())
    assert (again.digest, again.finish, again.deadlines) == (plan.digest, plan.finish, plan.deadlines)


def test_deadlines_of_one_tree_are_a_prefix():
    tree = {"a": [mib(1), mib(1)], "b": mib(1)}
    src, dst = layout("ab", "S0"), layout("cd", "R")
    assert cm.plan(tree, src=src, dst=dst, deadline=1).deadlines == {"['a'][0]": 1, "['a'][1]": 1, "['b']": 1}
    some = cm.plan(tree, src=src, dst=dst, deadline={"a": [0.25, None], "b": None})
    assert some.deadlines == {"['a'][0]": 0.25}
    assert some.digest != cm.plan(tree, src=src, dst=dst).digest
    late = cm.plan((1 << 20,), "float32", src, dst, deadline=0)
    assert late.late == {"": late.finish[""]}


def test_boundaries_share_nothing_that_one_of_them_holds():
    both = cm.Sharding(cm.Mesh((2,), devices=[("a", 0), ("b", 0)]), "R")
    plan = cm.plan([cm.Boundary(mib(1), both, layout("bc", "R")), cm.Boundary(mib(1), both, layout("ab", "S0"))])
    assert plan.bytes_received == {"a": 0, "b": 0, "c": 1 << 20}
    assert plan.finish["[1]"] == 0


@pytest.mark.parametrize("deadline", [-1, math.inf, math.nan, "soon", True])
def test_what_is_no_deadline_is_refused(deadline):
    src, dst = layout("a", "R"), layout("b", "R")
    with pytest.raises(cm.LayoutError, match=r"deadline of tensor \['x'\]"):
        cm.plan({"x": mib(1)}, src=src, dst=dst, deadline=deadline)


def test_errors_name_the_boundary():
    src, dst = layout("a", "R"), layout("b", "R")
    with pytest.raises(cm.LayoutError, match=r"Boundary 'act': .*tree of deadlines"):
        cm.plan([cm.Boundary({"x": mib(1)}, src, dst, deadline={"y": 1}, name="act")])
    with pytest.raises(cm.LayoutError, match="Two boundaries have the name 'act'"):
        cm.plan([cm.Boundary(mib(1), src, dst, name="act")] * 2)
    with pytest.raises(cm.LayoutError, match=r"Item 1 .* Wrap it"):
        cm.plan([cm.Boundary(mib(1), src, dst), mib(1)])
    with pytest.raises(cm.LayoutError, match="its own layouts"):
        cm.plan([cm.Boundary(mib(1), src, dst)], src=src)
    with pytest.raises(cm.LayoutError, match=r"is a string, got 3"):
        cm.plan([cm.Boundary(mib(1), src, dst, name=3)])
