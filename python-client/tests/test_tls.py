"""Flight doors with TLS: who gets in, who does not, and that both are counted; certificates that are replaced."""

import datetime as dt
import os
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

import crossmesh as cm
from crossmesh._agent import flight_action
from crossmesh._certificates import Authority
from waiting import until

LIMIT = 40.0
RELOAD_SECONDS_MAX = 40.0


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(hosts=["a", "b"], arena="64MiB", tls=True) as started:
        yield started


@pytest.fixture
def stranger():
    authority = Authority()
    yield authority
    authority.close()


def health(cluster, tls, token=None):
    door = cluster.env("b")
    secret = token or door["CROSSMESH_TOKEN"]
    return flight_action(door["CROSSMESH_AGENT"], secret, "health", {"v": 1}, LIMIT, tls)


def refused(cluster, wrong):
    port = cluster._infos["b"]["metrics"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if "door_refused" in line and f'wrong="{wrong}"' in line)


def test_agents_and_clients_that_prove_themselves_work(cluster):
    assert health(cluster, cluster.tls)["ok"] is True
    source = cm.Sharding(cm.Mesh((2,), hosts=["a"]), "S0R")
    target = cm.Sharding(cm.Mesh((2,), hosts=["b"]), "RS0")
    tensor = np.arange(64, dtype=np.int32).reshape(8, 8)
    tiles = cluster.reshard(tensor, source, target)
    assert np.array_equal(tiles[1], tensor[:, 4:])


def test_a_child_connects_by_its_environment(cluster):
    code = "import crossmesh as cm\nwith cm.connect() as agent: print(agent.name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | cluster.env("a"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "a", done.stderr


def test_strangers_are_refused_at_the_handshake(cluster, stranger):
    before = refused(cluster, "certificate")
    own = stranger.issue("stranger")
    cases = {
        "no certificate": cm.Tls(cluster.tls.ca),
        "another authority's": cm.Tls(cluster.tls.ca, own.cert, own.key),
        "expired": cluster._authority.issue("expired", dt.timedelta(minutes=-1)),
    }
    for tls in cases.values():
        with pytest.raises(cm.AgentUnavailable, match="CROSSMESH_TLS_CA"):
            health(cluster, tls)
    assert refused(cluster, "certificate") >= before + 2
    assert health(cluster, cluster.tls)["ok"] is True


def test_no_tls_and_a_wrong_authority_reach_nobody(cluster, stranger):
    with pytest.raises(cm.AgentUnavailable):
        health(cluster, None)
    with pytest.raises(cm.AgentUnavailable):
        health(cluster, stranger.issue("other"))


def test_a_certificate_does_not_replace_the_token(cluster):
    before = refused(cluster, "token")
    with pytest.raises(cm.AuthError):
        health(cluster, cluster.tls, token="not-the-token")
    assert refused(cluster, "token") == before + 1


def test_half_a_pair_is_refused_at_the_door():
    with pytest.raises(cm.AuthError, match="belong together"):
        cm.Tls("ca.pem", cert="cert.pem")


def test_missing_files_are_named(cluster):
    with pytest.raises(cm.AuthError, match="CROSSMESH_TLS_CA"):
        health(cluster, cm.Tls("/nowhere/ca.pem"))


def test_replaced_certificates_are_taken_up_without_a_restart(cluster):
    """The agent's own certificate gets a new serial number, and its door shows it while it goes on working."""
    import ssl

    host, port = cluster.env("a")["CROSSMESH_AGENT"].split(":")

    def shown():
        return ssl.get_server_certificate((host, int(port)), timeout=LIMIT)

    before = shown()
    cluster._authority.issue("agent-a")  # in the place of the old files
    until(lambda: shown() != before, RELOAD_SECONDS_MAX, pause=0.5)
    assert health(cluster, cluster.tls)["ok"] is True
