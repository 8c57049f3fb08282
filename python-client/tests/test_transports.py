"""Which transport a cluster moves bytes by: what it needs, and that all its agents have the same."""

import numpy as np
import pytest

import crossmesh as cm

pytestmark = pytest.mark.timeout(120)


def test_streams_need_no_ucx_and_agents_with_different_transports_say_so(monkeypatch):
    secret = {"CROSSMESH_TOKEN": "one-token-for-two-clusters-of-one-test"}
    with cm.LocalCluster(["u"], arena="16MiB", env=secret) as other:
        monkeypatch.setenv("CROSSMESH_UCX", "none")
        with pytest.raises(cm.AgentUnavailable, match="transport='flight'"):
            cm.LocalCluster(["a"])
        with cm.LocalCluster(["a", "b"], arena="16MiB", transport="flight", env=secret) as cluster:
            source = cm.Sharding(cm.Mesh((2,), hosts=["a"]), "S0 R")
            target = cm.Sharding(cm.Mesh((2,), hosts=["b"]), "R S0")
            tensor = np.arange(1 << 18, dtype=np.int32).reshape(512, 512)
            tiles = cluster.reshard(tensor, source, target)
            assert np.array_equal(tiles[1], tensor[:, 256:])
            both = "'a' moves tensors over flight and host 'u' over ucx.*--transport"
            with pytest.raises(cm.LayoutError, match=both):
                cluster._gateways["a"].join([("u", other._address("u"))])
            again = cluster.reshard(tensor, source, target)
            assert np.array_equal(again[0], tensor[:, :256])


def test_an_unknown_transport_is_refused_by_name():
    with pytest.raises(cm.LayoutError, match="'ucx', 'flight'"):
        cm.LocalCluster(["a"], transport="pigeon")
