import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

import crossmesh as cm
from crossmesh._foreign import agent_host_known

# Older JAX has no such layouts.
UNREDUCED = [(PartitionSpec("x", unreduced={"y"}), "unreduced over")] if jax.__version_info__ >= (0, 7) else []


@pytest.fixture
def mesh():
    return cm.Mesh((2, 4), ("x", "y"), hosts=["a", "b"])


@pytest.mark.parametrize("text", ["S0 R S1", "S0RS1", "  S0  R S1 "])
def test_notations_of_one_layout(mesh, text):
    sharding = cm.Sharding(mesh, text)
    assert sharding.spec == ((0,), (), (1,))
    assert str(sharding) == "S0 R S1"
    assert sharding == cm.Sharding(mesh, ("x", None, "y"))
    assert sharding == cm.Sharding(mesh, (0, None, 1))
    assert sharding == cm.Sharding(mesh, [["x"], (), np.int32(1)])
    assert sharding == cm.Sharding(mesh, PartitionSpec("x", None, "y"))
    assert hash(sharding) == hash(cm.Sharding(mesh, ("x", None, "y")))


def test_several_axes_number_blocks_in_the_order_written(mesh):
    assert cm.Sharding(mesh, "S01").shards((8,))[5] == (slice(5, 6),)
    # Device 5 is at (1, 1); with axis 1 major its number is 1 * 2 + 1.
    assert cm.Sharding(mesh, "S10").shards((8,))[5] == (slice(3, 4),)
    assert cm.Sharding(mesh, (("y", "x"),)) == cm.Sharding(mesh, "S10")


def test_uneven_blocks_are_ceil_and_may_be_empty(mesh):
    shards = cm.Sharding(mesh, "S1 R").shards((5, 3))
    assert [shards[i][0] for i in range(4)] == [slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 5)]
    assert shards[7] == (slice(5, 5), slice(0, 3))
    assert len(shards) == 8


def test_shards_cover_the_tensor_as_jax_cuts_it(mesh):
    jax_mesh = jax.make_mesh((2, 2), ("x", "y"))
    ours = cm.Mesh((2, 2), ("x", "y"), hosts=["a"])
    shape = (8, 4, 12)
    for spec in (PartitionSpec("x", None, "y"), PartitionSpec(("y", "x")), PartitionSpec(None, ("x", "y"))):
        theirs = NamedSharding(jax_mesh, spec).devices_indices_map(shape)
        shards = cm.Sharding(ours, spec).shards(shape)
        for index, device in enumerate(jax_mesh.devices.flat):
            bounds = tuple(slice(*s.indices(n)[:2]) for s, n in zip(theirs[device], shape, strict=True))
            assert shards[index] == bounds


def test_more_than_ten_axes_are_written_so_that_they_can_be_read():
    mesh = cm.Mesh((2, 2, *[1] * 9, 2), hosts=["a", "b"])
    for spec, written in [
        (((0, 11), (1,)), "S(0,11) S1"),
        (((0, 1), (11,)), "S01 S(11)"),
        (((10,), ()), "S(10) R"),
        (((1, 0), ()), "S10 R"),
    ]:
        assert str(cm.Sharding(mesh, spec)) == written
        assert cm.Sharding(mesh, written) == cm.Sharding(mesh, spec)
    assert cm.Sharding(mesh, " S( 0, 11 )R").spec == ((0, 11), ())
    for wrong in ("S()", "S(1", "S(1,)", "S(x)", "S(12)", "S(1)(2)"):
        with pytest.raises(cm.LayoutError):
            cm.Sharding(mesh, wrong)


def test_rank_zero(mesh):
    assert cm.Sharding(mesh, "").shards(()) == dict.fromkeys(range(8), ())
    assert cm.Sharding(mesh, PartitionSpec()).shards((2, 2))[0] == (slice(0, 2), slice(0, 2))


def test_partition_spec_pads_and_tuples_do_not(mesh):
    assert str(cm.Sharding(mesh, PartitionSpec("x")).padded(3)) == "S0 R R"
    with pytest.raises(cm.LayoutError, match="states 1 dimensions, the tensor has 3"):
        cm.Sharding(mesh, "S0").shards((2, 2, 2))
    with pytest.raises(cm.LayoutError, match="states 2 dimensions"):
        cm.Sharding(mesh, PartitionSpec("x", "y")).shards((2,))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("S0 Q", "Cannot read the layout 'S0 Q' at 'Q'"),
        ("S", "Cannot read"),
        ("S2", "mesh axis 2"),
        ("S0 S0", "uses mesh axis 0 twice"),
        ("S00", "twice"),
        (("z",), "names the mesh axis 'z'"),
        ((1.5,), "a name or a number"),
        ((True,), "a name or a number"),
        (7, "written as a string"),
        (PartitionSpec(PartitionSpec.UNCONSTRAINED, "x"), "UNCONSTRAINED"),
        *UNREDUCED,
    ],
)
def test_bad_layouts_are_refused(mesh, spec, message):
    with pytest.raises(cm.LayoutError, match=message):
        cm.Sharding(mesh, spec)


def test_names_need_a_named_mesh():
    with pytest.raises(cm.LayoutError, match="no axis names"):
        cm.Sharding(cm.Mesh((2,), hosts=["a"]), ("x",))
    with pytest.raises(cm.LayoutError, match=r"cm\.Mesh"):
        cm.Sharding("mesh", "R")


def test_from_jax_on_one_process(monkeypatch):
    named = NamedSharding(jax.make_mesh((2, 2), ("x", "y")), PartitionSpec("x", None, "y"))
    monkeypatch.setattr("crossmesh._foreign._agent_host", [])
    with pytest.raises(cm.LayoutError, match="CROSSMESH_HOSTS"):
        cm.Sharding.from_jax(named)
    sharding = cm.Sharding.from_jax(named, hosts=["a"])
    assert sharding.mesh.devices == (("a", 0), ("a", 1), ("a", 2), ("a", 3))
    assert sharding.mesh.axis_names == ("x", "y")
    assert str(sharding) == "S0 R S1"
    monkeypatch.setenv("CROSSMESH_HOSTS", "b, c")
    assert cm.Sharding.from_jax(named).mesh.hosts == ("b",)
    monkeypatch.delenv("CROSSMESH_HOSTS")
    agent_host_known("d")
    assert cm.Sharding.from_jax(named).mesh.hosts == ("d",)


def test_from_jax_follows_the_order_of_the_mesh():
    devices = np.array(jax.devices())[[2, 3, 0, 1]].reshape(2, 2)
    sharding = cm.Sharding.from_jax(NamedSharding(jax.sharding.Mesh(devices, ("x", "y")), PartitionSpec("x")), ["a"])
    assert sharding.mesh.devices == (("a", 2), ("a", 3), ("a", 0), ("a", 1))


def test_from_jax_with_an_abstract_mesh(monkeypatch):
    monkeypatch.setattr("crossmesh._foreign._agent_host", [])
    named = NamedSharding(AbstractMesh((2, 4), ("x", "y")), PartitionSpec("x", "y"))
    assert cm.Sharding.from_jax(named, ["a", "b"]).mesh == cm.Mesh((2, 4), ("x", "y"), hosts=["a", "b"])
    with pytest.raises(cm.LayoutError, match="abstract mesh"):
        cm.Sharding.from_jax(named)
    with pytest.raises(cm.LayoutError, match="NamedSharding"):
        cm.Sharding.from_jax("S0")


class NoSharding:
    pass


class Chunked:
    def __init__(self, chunks):
        self.chunks = chunks


class Unstacked:
    size = 2


class ShardedAxis:
    def __init__(self, axis):
        self.axis = axis


class Replicated:
    def __init__(self, replicas):
        self.replicas = replicas


class ShardingSpec:
    def __init__(self, sharding, mesh_mapping):
        self.sharding = sharding
        self.mesh_mapping = mesh_mapping


def test_from_alpa():
    mesh = cm.Mesh((2, 4), hosts=["a", "b"])
    spec = ShardingSpec([Chunked([2]), NoSharding(), Chunked([4])], [ShardedAxis(0), ShardedAxis(1)])
    assert cm.Sharding.from_alpa(spec, mesh) == cm.Sharding(mesh, "S0 R S1")
    both = ShardingSpec([NoSharding(), Chunked([4, 2])], [ShardedAxis(1), ShardedAxis(0)])
    assert cm.Sharding.from_alpa(both, mesh) == cm.Sharding(mesh, "R S10")
    replicated = ShardingSpec([NoSharding()], [Replicated(8)])
    assert cm.Sharding.from_alpa(replicated, mesh).mesh.shape == (8,)
    with pytest.raises(cm.LayoutError, match="Unstacked"):
        cm.Sharding.from_alpa(ShardingSpec([Unstacked()], [ShardedAxis(0)]), mesh)
    with pytest.raises(cm.LayoutError, match="does not fit"):
        cm.Sharding.from_alpa(ShardingSpec([Chunked([2])], [ShardedAxis(0)]), mesh)
    with pytest.raises(cm.LayoutError, match="does not fit"):
        cm.Sharding.from_alpa(ShardingSpec([Chunked([8])], [ShardedAxis(3)]), mesh)
