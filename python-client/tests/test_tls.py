"""Doors with TLS, and tensors that cross them: who gets in, who does not, what is counted, what is replaced.

All agents move bytes over `transport="flight"`, so whatever is moved here is encrypted and both ends have proved
themselves.
"""

import contextlib
import datetime as dt
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest

import crossmesh as cm
from crossmesh._agent import flight_action, gateway_of, local_agent
from crossmesh._certificates import Authority
from crossmesh._jvm import Jvm
from tensors import layouts, rows, same, shape, values
from waiting import until

HOSTS = ["h0", "h1", "h2", "h3", "h4"]
PAPER = rows("paper_n_to_m.csv") + rows("paper_1_to_m.csv")
LIMIT = 40.0
RELOAD_SECONDS_MAX = 40.0


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="64MiB", transport="flight", tls=True) as started:
        yield started


@pytest.fixture
def stranger():
    authority = Authority()
    yield authority
    authority.close()


def health(cluster, tls, token=None):
    door = cluster.env("h1")
    secret = token or door["CROSSMESH_TOKEN"]
    return flight_action(door["CROSSMESH_AGENT"], secret, "health", {"v": 1}, LIMIT, tls)


def refused(cluster, wrong):
    port = cluster._infos["h1"]["metrics"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if "door_refused" in line and f'wrong="{wrong}"' in line)


def test_agents_and_clients_that_prove_themselves_work(cluster):
    assert health(cluster, cluster.tls)["ok"] is True
    source = cm.Sharding(cm.Mesh((2,), hosts=["h0"]), "S0R")
    target = cm.Sharding(cm.Mesh((2,), hosts=["h1"]), "RS0")
    tensor = np.arange(64, dtype=np.int32).reshape(8, 8)
    tiles = cluster.reshard(tensor, source, target)
    assert np.array_equal(tiles[1], tensor[:, 4:])


@pytest.mark.parametrize("row", PAPER, ids=lambda row: row["case"])
def test_paper_cases_are_exact_over_encrypted_streams(cluster, row):
    src, dst = layouts(row)
    divide = (64, 16, 4) if "x" in row["shape"] else (1 << 12,)
    x = values(tuple(n // by for n, by in zip(shape(row), divide, strict=True)), row["dtype"])
    plan = cm.plan(x, src=src, dst=dst)
    before = cluster.wire_bytes()
    tiles = cluster.reshard(x, src, dst, timeout=LIMIT)
    after = cluster.wire_bytes()
    for device, index in dst.shards(x.shape).items():
        assert same(tiles[device], x[index]), f"device {device}"
    for host in HOSTS:
        assert after[host].sent - before[host].sent == plan.bytes_sent.get(host, 0), host
        assert after[host].received - before[host].received == plan.bytes_received.get(host, 0), host


def test_the_transport_is_named_where_it_is_asked_for(cluster):
    info = cluster._infos["h0"]["transport"]
    assert info["name"] == "flight"
    door = cluster.env("h0")
    assert info["address"] == door["CROSSMESH_AGENT"]
    hello = flight_action(door["CROSSMESH_AGENT"], door["CROSSMESH_TOKEN"], "hello", {"v": 1}, LIMIT, cluster.tls)
    assert hello["transport"] == "flight"
    for status in cluster.status().values():
        assert status["transport"] == "flight"
        assert all(peer["connected"] for peer in status["peers"])


def test_a_child_connects_by_its_environment(cluster):
    code = "import crossmesh as cm\nwith cm.connect() as agent: print(agent.name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | cluster.env("h0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "h0", done.stderr


def strangers(cluster, stranger):
    """Clients that a door with mutual TLS has to turn away, by what is wrong with them."""
    own = stranger.issue("stranger")
    return {
        "no certificate": cm.Tls(cluster.tls.ca),
        "another authority's": cm.Tls(cluster.tls.ca, own.cert, own.key),
        "expired": cluster._authority.issue("expired", dt.timedelta(minutes=-1)),
    }


@pytest.mark.parametrize("who", ["no certificate", "another authority's", "expired"])
def test_strangers_are_refused_at_the_handshake_and_counted(cluster, stranger, who):
    before = refused(cluster, "certificate")
    with pytest.raises(cm.AgentUnavailable, match="CROSSMESH_TLS_CA"):
        health(cluster, strangers(cluster, stranger)[who])
    assert refused(cluster, "certificate") > before
    assert cluster.status()["h1"]["refused"]["certificate"] == refused(cluster, "certificate")
    assert health(cluster, cluster.tls)["ok"] is True


@pytest.mark.parametrize("who", ["no certificate", "another authority's", "expired", "a wrong token", "no token"])
def test_strangers_are_refused_at_the_streams_between_agents(cluster, stranger, who):
    """A peer that is none: the call that agents make to each other, by a client that writes its own."""
    wrong = "token" if "token" in who else "certificate"
    tls = cluster.tls if wrong == "token" else strangers(cluster, stranger)[who]
    token = {"a wrong token": "not-the-token", "no token": None}.get(who, cluster.env("h1")["CROSSMESH_TOKEN"])
    before, traffic = refused(cluster, wrong), cluster.status()["h1"]["dropped_messages"]
    with pytest.raises(grpc.RpcError) as failed:
        link(cluster.env("h1")["CROSSMESH_AGENT"], tls, token)
    expected = grpc.StatusCode.UNAUTHENTICATED if wrong == "token" else grpc.StatusCode.UNAVAILABLE
    assert failed.value.code() is expected
    assert refused(cluster, wrong) > before
    assert cluster.status()["h1"]["dropped_messages"] == traffic


def test_what_agents_do_not_say_to_each_other_ends_the_stream_alone(cluster):
    door = cluster.env("h1")
    for frame in (b"", b"\x09" * 17, b"\x03" + bytes(20), b"\x01" + bytes(40), b"\x04" + bytes(16)):
        with pytest.raises(grpc.RpcError):
            link(door["CROSSMESH_AGENT"], cluster.tls, door["CROSSMESH_TOKEN"], frame)
    assert health(cluster, cluster.tls)["ok"] is True
    assert all(peer["connected"] for peer in cluster.status()["h1"]["peers"])


def link(address, tls, token, *frames):
    """What one agent calls of another, with messages as they are; returns when the door ends it."""
    files = [tls.ca, tls.key, tls.cert]
    ca, key, cert = (None if file is None else Path(file).read_bytes() for file in files)
    metadata = [] if token is None else [("authorization", f"Bearer {token}")]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert)) as channel:
        raw = channel.stream_stream("/crossmesh.Bulk/Link")
        return list(raw(iter(frames), timeout=LIMIT, metadata=metadata))


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


def test_replaced_certificates_serve_new_streams_while_standing_ones_go_on(cluster):
    """An agent's certificate expires and is replaced under a channel; a new agent then gets a stream of it."""
    import ssl

    host, port = cluster.env("h0")["CROSSMESH_AGENT"].split(":")

    def shown():
        return ssl.get_server_certificate((host, int(port)), timeout=LIMIT)

    def replace(valid):
        before = shown()
        cluster._authority.issue("agent-h0", valid)  # in the place of the old files
        until(lambda: shown() != before, RELOAD_SECONDS_MAX, pause=0.5)

    spec, x = cm.TensorSpec((1000,), "int32"), np.arange(1000, dtype=np.int32)
    src, dst, late = (cm.Sharding(cm.Mesh((1,), hosts=[name]), "R") for name in ("h0", "h1", "h5"))
    with (
        cluster.agent("h0").sender("standing", spec, src) as tx,
        cluster.agent("h1").receiver("standing", spec, dst) as rx,
    ):
        for valid in (None, dt.timedelta(minutes=-1), dt.timedelta(days=1)):
            if valid is not None:
                replace(valid)
            tx.send({0: x})
            assert same(rx.recv().result(LIMIT)[0], x)
        assert health(cluster, cluster.tls)["ok"] is True
        with joined(cluster, "h5") as agent:
            to, at = cluster.agent("h0").sender("late", spec, src), agent.receiver("late", spec, late)
            to.send({0: x})
            assert same(at.recv().result(LIMIT)[0], x)
            to.close()
            at.close()
        tx.send({0: x})
        assert same(rx.recv().result(LIMIT)[0], x)


@contextlib.contextmanager
def joined(cluster, name):
    """One more agent, which all others come to know."""
    options = ["--name", name, "--arena", "16MiB", "--transport", "flight", *cluster._certificates(name)]
    jvm = Jvm(["agent", *options], label=f"Agent {name!r}", with_ucx=False, env={"CROSSMESH_TOKEN": cluster._token})
    try:
        info = jvm.wait_ready()
        gateway = gateway_of(info, jvm.post_mortem)
        door = info["flight"]
        peers = [(host, cluster._address(host)) for host in HOSTS] + [(name, f"{door['host']}:{door['port']}")]
        for known in [*cluster._gateways.values(), gateway]:
            known.join(peers)
        with local_agent(info, gateway, on_close=gateway.close) as agent:
            yield agent
    finally:
        jvm.close()
