"""`cm.connect` waits for an agent that is still starting, and for nothing else; proxies are not in its way."""

import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import crossmesh as cm

pytestmark = pytest.mark.timeout(180)
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
NOWHERE = "http://127.0.0.1:9"
SPEC = cm.TensorSpec((4,), "float32")


def on(host):
    return cm.Sharding(cm.Mesh((1,), hosts=[host]), "R")


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a"], arena="64MiB") as cluster:
        yield cluster


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_an_agent_that_starts_late_is_waited_for(monkeypatch):
    port = free_port()
    clusters, failures = [], []

    def start():
        time.sleep(2)  # nobody listens for so long
        try:
            clusters.append(cm.LocalCluster(["a"], arena="16MiB", agent_options=["--flight-port", str(port)]))
        except cm.CrossmeshError as error:
            failures.append(error)

    token = "0123456789abcdef" * 4
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: token)
    thread = threading.Thread(target=start)
    thread.start()
    try:
        with cm.connect(f"127.0.0.1:{port}", token=token, timeout=60) as agent:
            assert agent.name == "a"
    finally:
        thread.join(90)
        for cluster in clusters:
            cluster.close()
    assert not failures


def test_nobody_is_waited_for_as_long_as_was_said():
    start = time.monotonic()
    with pytest.raises(cm.AgentUnavailable, match=r"127.0.0.1:9 in [123]\.\d s"):
        cm.connect("127.0.0.1:9", token="x", timeout=1.5)
    assert 1.2 < time.monotonic() - start < 10


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_an_error_at_once(cluster, token):
    start = time.monotonic()
    with pytest.raises(cm.AuthError, match="token"):
        cm.connect(cluster.env("a")["CROSSMESH_AGENT"], token=token, timeout=60)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("address", ["no-such-host.invalid:1", "127.0.0.1", "127.0.0.1:port"])
def test_what_waiting_does_not_mend_is_an_error_at_once(address):
    start = time.monotonic()
    with pytest.raises(cm.AgentUnavailable, match=address):
        cm.connect(address, token="x", timeout=60)
    assert time.monotonic() - start < 30


def test_somebody_else_at_the_address_is_an_error_at_once(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as web:
        try:
            port = web.stdout.readline().split(" port ")[1].split()[0]
            start = time.monotonic()
            with pytest.raises(cm.AgentUnavailable, match="No agent answered"):
                cm.connect(f"127.0.0.1:{port}", token="x", timeout=60)
            assert time.monotonic() - start < 30
        finally:
            web.kill()


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_trainer_reaches_its_agent_whatever_proxy_is_set(cluster, proxy):
    env = {key: value for key, value in os.environ.items() if key.lower() not in ("no_proxy", "no_grpc_proxy")}
    env |= cluster.env("a") | {proxy: NOWHERE, proxy.upper(): NOWHERE}
    command = [sys.executable, "-c", "import crossmesh as cm\nwith cm.connect(timeout=20) as agent: print(agent.name)"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "a\n"), done.stderr


@pytest.mark.parametrize("transport", ["ucx", "flight"])
def test_agents_reach_each_other_whatever_proxy_is_set(transport):
    java = "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 "
    env = dict.fromkeys(PROXIES, NOWHERE) | {"GRPC_PROXY_EXP": "127.0.0.1:9"}
    env["JAVA_TOOL_OPTIONS"] = java + "-Dhttp.nonProxyHosts= -DsocksNonProxyHosts="
    with cm.LocalCluster(["a", "b"], arena="64MiB", transport=transport, env=env) as cluster:
        got = cluster.reshard(np.arange(4, dtype=np.float32), on("a"), on("b"), timeout=30)
        assert (got[0] == np.arange(4)).all()
