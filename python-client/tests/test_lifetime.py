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


PRIVATE = (
    "import sys; from crossmesh._private import PrivateDirectory; d = PrivateDirectory(); print(d.path, flush=True)"
)
WAITING = PRIVATE + "\nsys.stdin.read()"
FORKED = f"""{PRIVATE}
import os, time
child = os.fork()
if not child:
    time.sleep(300)
print(child, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def making_a_directory(code, home):
    """A process that has a private directory, and where that is."""
    env = os.environ | {"TMPDIR": str(home)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def make_another(home, *prefix):
    """One more private directory, by a process that ends at once."""
    env = os.environ | {"TMPDIR": str(home)}
    done = subprocess.run([*prefix, sys.executable, "-c", PRIVATE], env=env, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def test_private_directories_go_with_the_processes_that_use_them(tmp_path):
    with making_a_directory(WAITING, tmp_path) as (process, path):
        assert path.stat().st_mode & 0o777 == 0o700
        left = make_another(tmp_path)
        assert left.exists(), "its process ended without removing it"
        make_another(tmp_path)
        assert path.exists()
        assert not left.exists()
        process.kill()
        process.wait(30)
        make_another(tmp_path)
        assert not path.exists()


def test_a_forked_child_does_not_keep_what_its_dead_parent_left(tmp_path):
    with making_a_directory(FORKED, tmp_path) as (process, path):
        child = int(process.stdout.readline())
        try:
            process.kill()
            process.wait(30)
            make_another(tmp_path)
            assert not path.exists()
        finally:
            os.kill(child, signal.SIGKILL)


def test_many_processes_make_private_directories_at_the_same_time(tmp_path):
    code = f"{PRIVATE}\nfor _ in range(60):\n    d = PrivateDirectory()\n    file = d.path / 'file'\n    file.touch()\n"
    code += "    assert file.exists()\n    d.close()"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert list((tmp_path / f"crossmesh-run-{os.getuid()}").iterdir()) == []


@in_namespaces
def test_a_container_that_shares_the_temporary_directory_leaves_it_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plan = "import crossmesh as cm\na, b = (cm.Sharding(cm.Mesh((1,), hosts=[h]), 'R') for h in 'ab')\n"
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        before = {path for path in tmp_path.rglob("*") if not path.name.startswith(".")}
        code = f"{plan}cm.plan((4,), 'int8', a, b)\ncm.LocalCluster(['a'], arena='16MiB').close()"
        subprocess.run([*OWN_NUMBERS, sys.executable, "-c", code], check=True, timeout=120)
        assert [path for path in before if not path.exists()] == []
        env = cluster.env("a")
        with cm.connect(env["CROSSMESH_AGENT"], token=env["CROSSMESH_TOKEN"], timeout=20):
            assert (cluster.reshard(full(3), on("a"), on("b"))[0] == 3).all()
    assert before.isdisjoint(tmp_path.rglob("*.json"))
