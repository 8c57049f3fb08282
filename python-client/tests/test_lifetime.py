"""How an agent knows that a trainer lives: by a socket that the kernel ends, whatever numbers processes have."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import crossmesh as cm
import trainers
import waiting
from crossmesh._lifeline import Lifeline

pytestmark = pytest.mark.timeout(180)
SPEC = cm.TensorSpec((4,), "float32")
SOON_SECONDS = 10
OWN_NUMBERS = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
in_namespaces = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run([*OWN_NUMBERS, "true"], check=False, capture_output=True).returncode != 0,
    reason="PID namespaces need root and unshare",
)


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        yield cluster


def on(host):
    return cm.Sharding(cm.Mesh((1,), hosts=[host]), "R")


def full(value):
    return np.full(4, value, np.float32)


def send_until(tx, deadline):
    """Send steps until one fails, or the time is over: `unshare` ends a little before the process in it."""
    while time.monotonic() < deadline:
        tx.send(full(7)).result(30)


def sessions(cluster, host):
    return len(cluster.status()[host]["sessions"])


@contextlib.contextmanager
def receiving(cluster, name, *prefix):
    """A process that receives steps at agent b, perhaps started by another program."""
    command = [*prefix, sys.executable, str(trainers.HERE / "trainers.py"), "steps", name]
    env = os.environ | cluster.env("b")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_a_trainer_that_was_killed_is_gone_although_its_forked_child_lives(cluster):
    with cluster.agent("b").receiver("orphans", SPEC, on("b"), timeout=60) as rx:
        first, second = rx.recv(), rx.recv()
        with trainers.start("forks", "orphans", env=cluster.env("a")) as trainer:
            children = [int(pid) for pid in trainer.stdout.readline().split()]
            try:
                first.result(30)
                start = time.monotonic()
                trainer.kill()
                with pytest.raises(cm.PeerLost, match=f"process {trainer.pid}"):
                    second.result(30)
                assert time.monotonic() - start < SOON_SECONDS
                assert not any(trainers.gone(child, 0.1) for child in children)
            finally:
                for child in children:
                    os.kill(child, signal.SIGKILL)


def test_a_session_holds_one_socket_that_goes_with_it(cluster):
    before = sessions(cluster, "a")
    env = cluster.env("a")
    agents = [cm.connect(env["CROSSMESH_AGENT"], token=env["CROSSMESH_TOKEN"]) for _ in range(5)]
    assert sessions(cluster, "a") == before + 5
    for agent in agents:
        agent.close()
    assert sessions(cluster, "a") == before
    files = Path(f"/proc/{cluster.pid('a')}/fd")
    waiting.until(lambda: sum("trainers" in link for link in links(files)) <= 1 + before)


def links(files):
    for file in files.iterdir():
        with contextlib.suppress(OSError):
            yield str(file.readlink())


def test_an_agent_that_is_out_of_files_keeps_its_trainers():
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        tx = cluster.agent("a").sender("files", SPEC, on("a"), timeout=60)
        rx = cluster.agent("b").receiver("files", SPEC, on("b"), timeout=60)
        env, pid = cluster.env("a"), cluster.pid("a")

        def step(value):
            arriving = rx.recv()
            tx.send(full(value)).result(30)
            assert (arriving.result(30)[0] == value).all()

        step(1)
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, limits[1]))
        with pytest.raises((cm.AgentUnavailable, cm.AuthError)):
            cm.connect(env["CROSSMESH_AGENT"], token=env["CROSSMESH_TOKEN"], timeout=3)
        info = cluster._infos["a"]
        door = socket.create_connection(("127.0.0.1", info["gateway"]["port"]), 10)
        with pytest.raises(cm.AgentUnavailable, match="out of files"):
            Lifeline(info["gateway"]["trainers"], "Agent 'a'", 2)
        for value in range(2, 20):
            step(value)
        assert sessions(cluster, "b") == 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        with cm.connect(env["CROSSMESH_AGENT"], token=env["CROSSMESH_TOKEN"], timeout=30) as agent:
            assert agent.name == "a"
        assert sessions(cluster, "a") == 1
        door.close()
        step(20)


@in_namespaces
def test_a_trainer_with_process_numbers_of_its_own(cluster):
    """Its number is 1 there, and nobody's business: it connects, gets its steps, and its end is noticed."""
    with (
        cluster.agent("a").sender("own/0", SPEC, on("a"), timeout=60) as one,
        cluster.agent("a").sender("own/1", SPEC, on("a"), timeout=60) as two,
        receiving(cluster, "own/0", *OWN_NUMBERS) as first,
        receiving(cluster, "own/1", *OWN_NUMBERS) as second,
    ):
        one.send(full(5)).result(30)
        two.send(full(6)).result(30)
        assert (first.stdout.readline(), second.stdout.readline()) == ("5\n", "6\n")
        first.kill()
        first.wait(30)
        with pytest.raises(cm.PeerLost, match="ended without closing"):
            send_until(one, time.monotonic() + SOON_SECONDS)
        two.send(full(8)).result(30)
        assert second.stdout.readline() == "8\n"
