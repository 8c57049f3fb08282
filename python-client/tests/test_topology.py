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
    for text in ("{}", "[]", "no", '{"hosts": 3}'):
        with pytest.raises(cm.LayoutError, match="no topology"):
            cm.Topology.from_json(text)
