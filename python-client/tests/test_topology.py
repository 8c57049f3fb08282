import math

import pytest

import crossmesh as cm
from crossmesh._topology import bandwidth


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("10Gbit/s", 1.25e9),
        ("10 Gbps", 1.25e9),
        ("8 bit/s", 1.0),
        ("1.5GB/s", 1.5e9),
        ("2 MiB/s", 2.0 * 2**20),
        ("1e3 kB/s", 1e6),
        (1.25e9, 1.25e9),
        (7, 7.0),
    ],
)
def test_bandwidths(value, rate):
    assert bandwidth(value) == pytest.approx(rate)


@pytest.mark.parametrize("value", ["10", "fast", "-1Gbit/s", "0Gbit/s", 0, -1, math.inf, math.nan, ""])
def test_bad_bandwidths(value):
    with pytest.raises(cm.LayoutError):
        bandwidth(value)


def test_uniform_and_json():
    topology = cm.Topology.uniform(["a", "b"], "10Gbit/s", 5e-6, nics=2)
    assert topology.hosts["a"] == (cm.Nic(1.25e9, 5e-6),) * 2
    limited = cm.Topology({"a": cm.Nic(), "b": [cm.Nic("1GB/s")]}, limits={("a", "b"): "20Gbit/s"})
    assert limited.limits == {("a", "b"): 2.5e9}
    for one in (topology, limited):
        assert cm.Topology.from_json(one.to_json()) == one
        assert hash(cm.Topology.from_json(one.to_json())) == hash(one)
    assert topology != limited
    assert "Nic" in repr(limited)


def test_bad_topologies():
    with pytest.raises(cm.LayoutError, match="at least one"):
        cm.Topology({"a": []})
    with pytest.raises(cm.LayoutError, match="without NICs"):
        cm.Topology({"a": cm.Nic()}, limits={("a", "b"): 1.0})
    with pytest.raises(cm.LayoutError, match="latency"):
        cm.Nic(latency=-1)
    with pytest.raises(cm.LayoutError, match="nics=0"):
        cm.Topology.uniform(["a"], nics=0)


FILE = """
{
  "hosts": {"a": [{"bandwidth": "25Gbit/s"}, {"bandwidth": 1e9, "latency": 5e-6}], "b": [{"bandwidth": 2}]},
  "limits": [{"hosts": ["a"], "bandwidth": "10Gbit/s"}]
}
"""


def test_files(tmp_path):
    path = tmp_path / "racks.json"
    path.write_text(FILE)
    read = cm.Topology.from_file(path)
    assert read == cm.Topology(
        {"a": [cm.Nic("25Gbit/s"), cm.Nic(1e9, 5e-6)], "b": cm.Nic(2)}, limits={("a",): "10Gbit/s"}
    )
    read.to_file(tmp_path / "again.json")
    assert cm.Topology.from_file(str(tmp_path / "again.json")) == read
    with pytest.raises(FileNotFoundError):
        cm.Topology.from_file(tmp_path / "none.json")
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(cm.LayoutError, match=r"racks.json is no UTF-8"):
        cm.Topology.from_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "lacks the field 'hosts'"),
        ("[]", "the topology is an object"),
        ("no", "no JSON"),
        ('{"hosts": 3}', "hosts is an object"),
        ('{"hosts": {}, "uplinks": []}', "unknown field 'uplinks'"),
        ('{"hosts": {"a": 1}}', "hosts.a is an array"),
        ('{"hosts": {"a": []}}', "at least one"),
        ('{"hosts": {" ": [{"bandwidth": 1}]}}', "has a name"),
        ('{"hosts": {"a": [{"latency": 1}]}}', r"hosts.a\[0\] lacks the field 'bandwidth'"),
        ('{"hosts": {"a": [{"bandwidth": true}]}}', r"hosts.a\[0\].bandwidth is a number"),
        ('{"hosts": {"a": [{"bandwidth": NaN}]}}', "bandwidth"),
        ('{"hosts": {"a": [{"bandwidth": 1e300}]}}', "bandwidth"),
        ('{"hosts": {"a": [{"bandwidth": 1, "latency": -1}]}}', "latency"),
        ('{"hosts": {"a": [{"bandwidth": 1, "latency": 1e9}]}}', "latency"),
        ('{"hosts": {"a": [{"bandwidth": 1' + 5000 * "0" + "}]}}", "no JSON"),
        ('{"hosts": {"a": [{"bandwidth": 1' + 500 * "0" + "}]}}", "too large"),
        ('{"hosts": {"a": [{"bandwidth": 1}], "a": [{"bandwidth": 2}]}}', "'a' is stated twice"),
        ('{"hosts": {"a": [' + 65 * '{"bandwidth": 1},' + '{"bandwidth": 1}]}}', "at most 64"),
        ('{"hosts": {"a": [{"bandwidth": 1}]}, "limits": [{"hosts": ["b"], "bandwidth": 1}]}', "without NICs"),
        ('{"hosts": {"a": [{"bandwidth": 1}]}, "limits": [{"hosts": ["a", "a"], "bandwidth": 1}]}', "twice"),
        ('{"hosts": {"a": [{"bandwidth": 1}]}, "limits": [{"hosts": "a", "bandwidth": 1}]}', "is an array"),
        ('{"hosts": {"a": [{"bandwidth": 1}]}, "limits": {"a": 1}}', "limits is an array"),
        (100_000 * "[", "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_topology_is_refused_with_the_place(text, message):
    with pytest.raises(cm.LayoutError, match=message):
        cm.Topology.from_json(text)


def test_python_and_the_planner_accept_the_same_numbers():
    mesh = cm.Mesh((2,), hosts=["a", "b"])
    src, dst = cm.Sharding(mesh, "S0"), cm.Sharding(mesh, "R")
    for nic in (cm.Nic(1.0, 3600.0), cm.Nic(1e15, 0.0)):
        assert cm.plan((4,), "int8", src, dst, topology=cm.Topology.uniform("ab", nic.bandwidth, nic.latency, 64))
    for wrong in ((0.5, 0.0), (2e15, 0.0), (1e9, 3601.0)):
        with pytest.raises(cm.LayoutError):
            cm.Nic(*wrong)
