"""What is too large is refused, with the limit, before it costs anything."""

import pytest

import crossmesh as cm


def mesh(hosts, each, prefix="s"):
    return cm.Mesh((hosts, each), hosts=[f"{prefix}{number}" for number in range(hosts)])


def test_too_many_unit_tasks():
    src, dst = cm.Sharding(mesh(8, 256), "S01 R"), cm.Sharding(mesh(8, 256, "d"), "R S01")
    with pytest.raises(cm.LayoutError, match="more than 1048576 unit tasks"):
        cm.plan((4096, 4096), "int8", src, dst)


def test_too_many_devices():
    with pytest.raises(cm.LayoutError, match="65536"):
        source = cm.Sharding(cm.Mesh((65_537,), hosts=["a"]), "R")
        cm.plan((4,), "int8", source, source)


@pytest.mark.parametrize(("tensor", "axes"), [(9, 1), (1, 9)])
def test_too_many_dimensions_and_axes(tensor, axes):
    with pytest.raises(cm.LayoutError, match="at most 8"):
        source = cm.Sharding(cm.Mesh((1,) * axes, hosts=["a"]), (None,) * tensor)
        cm.plan((1,) * tensor, "int8", source, source)


def test_too_many_tensors():
    source = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    leaf = cm.TensorSpec((1,), "int8")
    with pytest.raises(cm.LayoutError, match="65536"):
        cm.plan([leaf] * 65_537, src=source, dst=source)


def test_more_bytes_than_can_be_counted():
    source = cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R")
    with pytest.raises(cm.LayoutError, match="bytes"):
        cm.plan((1 << 62,), "int32", source, source)
