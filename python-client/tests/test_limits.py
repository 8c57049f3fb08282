"""What is too large is refused, with the limit, before it costs anything."""

import pytest

import crossmesh as cm


def mesh(hosts, each, prefix="s"):
    return cm.Mesh((hosts, each), hosts=[f"{prefix}{number}" for number in range(hosts)])


def test_too_many_unit_tasks():
    src, dst = cm.Sharding(mesh(8, 256), "S01 R"), cm.Sharding(mesh(8, 256, "d"), "R S01")
    with pytest.raises(cm.LayoutError, match="more than 2097152 unit tasks"):
        cm.plan((4096, 4096), "int8", src, dst)


def test_too_many_devices():
    with pytest.raises(cm.LayoutError, match="65536"):
        source = cm.Sharding(cm.Mesh((65_537,), hosts=["a"]), "R")
        cm.plan((4,), "int8", source, source)


def test_a_mesh_that_is_too_large_is_refused_before_it_costs_memory():
    with pytest.raises(cm.LayoutError, match="more than 65536 devices"):
        cm.Mesh((2**62, 2**62), hosts=["a"])


def test_too_many_dimensions():
    source = cm.Sharding(cm.Mesh((1,), hosts=["a"]), (None,) * 9)
    with pytest.raises(cm.LayoutError, match="at most 8"):
        cm.plan((1,) * 9, "int8", source, source)


@pytest.mark.parametrize("axes", [9, 16, 300])
def test_axes_of_size_1_have_no_limit(axes):
    shape = [1] * axes
    shape[0] = shape[-1] = 2
    mesh = cm.Mesh(shape, [f"axis{number}" for number in range(axes)], hosts=["a", "b"])
    src, dst = cm.Sharding(mesh, ("axis0", f"axis{axes - 1}")), cm.Sharding(mesh, (f"axis{axes - 1}", None))
    plan = cm.plan((4, 4), "int8", src, dst)
    assert str(src) in plan.explain()
    assert cm.Plan.from_json(plan.to_json()).digest == plan.digest


def test_too_many_tensors():
    source = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    leaf = cm.TensorSpec((1,), "int8")
    with pytest.raises(cm.LayoutError, match="at most 65536 tensors, got 65537"):
        cm.plan([leaf] * 65_537, src=source, dst=source)


def test_more_bytes_than_can_be_counted():
    source = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    with pytest.raises(cm.LayoutError, match="bytes"):
        cm.plan((1 << 62,), "int32", source, source)


@pytest.mark.parametrize("shape", [(2**62,), (2**40, 2**40), (65_537,)])
def test_a_mesh_of_more_devices_than_can_be_is_refused_before_they_are_listed(shape):
    with pytest.raises(cm.LayoutError, match="more than 65536 devices"):
        cm.Mesh(shape, hosts=["a"])


@pytest.mark.parametrize("container", [lambda x: [x], lambda x: (x,), lambda x: {"x": x}])
@pytest.mark.parametrize("depth", [250, 100_000])
def test_a_tree_that_nests_too_deep_is_refused_without_a_stack(container, depth):
    tree = cm.TensorSpec((4,), "float32")
    for _ in range(depth):
        tree = container(tree)
    layout = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    with pytest.raises(cm.LayoutError, match="nests deeper than 200"):
        cm.plan(tree, src=layout, dst=layout)
