"""Any tensor from any layout to any other equals the slices of NumPy, over UCX between agents that check each chunk."""

import math

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import crossmesh as cm
from tensors import same, values

HOSTS = ("p", "q", "r", "s")
STRATEGIES = ("auto", "send_recv", "broadcast", "split_broadcast", "local_all_gather", "global_all_gather")
DTYPES = ("bool", "int8", "uint16", "int32", "float64", "complex64", "bfloat16", "float8_e4m3fn", "int4", "float128",
          "datetime64[ns]", "float16")  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="256MiB", checksums=True) as cluster:
        yield cluster
        assert {state["damaged_chunks"] for state in cluster.status().values()} == {0}


@st.composite
def meshes(draw):
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    size = math.prod(shape)
    hosts = draw(st.lists(st.sampled_from(HOSTS), min_size=size, max_size=size))
    count = dict.fromkeys(HOSTS, 0)
    devices = []
    for host in hosts:
        devices.append((host, count[host]))
        count[host] += 1
    return cm.Mesh(shape, devices=devices)


@st.composite
def shardings(draw, rank):
    mesh = draw(meshes())
    axes = draw(st.permutations(range(len(mesh.shape))))
    spec = [[] for _ in range(rank)]
    for axis in axes:
        dimension = draw(st.integers(-1, rank - 1))
        if dimension >= 0:
            spec[dimension].append(axis)
    return cm.Sharding(mesh, tuple(tuple(axes) for axes in spec))


@st.composite
def reshards(draw):
    rank = draw(st.integers(0, 5))
    shape = tuple(draw(st.lists(st.integers(0, 7), min_size=rank, max_size=rank)))
    if rank and draw(st.booleans()):
        shape = (draw(st.integers(50, 3000)), *shape[1:])
    src, dst = draw(shardings(rank)), draw(shardings(rank))
    return shape, draw(st.sampled_from(DTYPES)), src, dst, draw(st.sampled_from(STRATEGIES))


@pytest.mark.timeout(400)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(reshards())
def test_destination_shards_are_slices_of_the_source(cluster, case):
    shape, dtype, src, dst, strategy = case
    x = values(shape, dtype)
    got = cluster.reshard(x, src, dst, strategy=strategy, timeout=30)
    assert list(got) == list(range(dst.mesh.size))
    for device, index in dst.shards(shape).items():
        assert same(got[device], x[index]), f"device {device}: {index}"
