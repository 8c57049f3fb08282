"""Hosts that are set up otherwise: each works, or says its own cause and what mends it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import crossmesh as cm

pytestmark = pytest.mark.timeout(240)

PLACE = Path(cm.__file__).parents[1]
WORKS = """
import crossmesh as cm
try:
    with cm.LocalCluster(["a", "b"], arena="8MiB") as cluster:
        print("works")
except cm.CrossmeshError as error:
    print(error)
"""


def _why_not():
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "namespaces of mounts and networks need root and unshare (apt-get install util-linux)"
    probe = ["unshare", "-m", "-n", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no namespace can be made here: {done.stderr.strip()}"


needs_namespaces = pytest.mark.skipif(bool(why := _why_not()), reason=why)


def said(before="true", *, code=WORKS, network=False, **environ):
    """What a program prints on a host that a shell has set up before, in namespaces of its own."""
    env = {key: value for key, value in os.environ.items() if key not in ("TMPDIR", "XDG_RUNTIME_DIR")}
    env |= {"PYTHONPATH": str(PLACE), "PYTHONDONTWRITEBYTECODE": "1", "PROGRAM": code} | environ
    script = f'{before} && exec {sys.executable} -c "$PROGRAM"'
    command = ["unshare", "-m", *(["-n"] if network else []), "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=env, check=False)
    return (done.stdout + done.stderr).strip()


@needs_namespaces
def test_a_temporary_directory_that_forbids_execution_is_passed_over():
    assert said("mount -t tmpfs -o noexec tmpfs /mnt", TMPDIR="/mnt") == "works"


@needs_namespaces
def test_where_every_directory_forbids_execution_the_message_names_that():
    forbid = " && ".join(f"mount -t tmpfs -o noexec tmpfs {place}" for place in ("/mnt", "/var/tmp", "/dev/shm"))
    text = said(forbid, TMPDIR="/mnt", XDG_CACHE_HOME="/mnt/cache")
    assert "noexec" in text
    assert "TMPDIR" in text
    assert "pip install" not in text


@needs_namespaces
def test_a_root_that_is_read_only_works():
    assert said("mount -t tmpfs tmpfs /dev/shm && mount -o remount,bind,ro / && cd /") == "works"


@needs_namespaces
def test_without_any_directory_that_is_writable_the_message_names_them():
    text = said("mount -o remount,bind,ro / && mount -t tmpfs -o ro tmpfs /dev/shm && cd /")
    assert "No temporary directory is writable" in text
    assert "/dev/shm" in text
    assert "TMPDIR" in text


@needs_namespaces
def test_a_loopback_that_is_down_is_named():
    text = said(network=True)
    assert "127.0.0.1 takes no connections (Network is unreachable)" in text
    assert "ip link set lo up" in text


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"])
def test_another_garbage_collector_of_the_environment_is_used(monkeypatch, variable):
    monkeypatch.setenv(variable, "-XX:+UseG1GC")
    with cm.LocalCluster(["a"], arena="8MiB") as cluster:
        command = Path(f"/proc/{cluster.pid('a')}/cmdline").read_text().split("\0")
    assert "-XX:+UseSerialGC" not in command


def test_options_of_the_environment_that_no_jvm_takes_are_named(monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:+NoSuchOptionAtAll")
    with pytest.raises(cm.AgentUnavailable, match="JAVA_TOOL_OPTIONS='-XX:.NoSuchOptionAtAll'"):
        cm.LocalCluster(["a"], arena="8MiB")


@needs_namespaces
def test_what_a_full_arena_advises_makes_room():
    code = """
import re, subprocess
import crossmesh as cm
a, b = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab")
spec = cm.TensorSpec((2 << 20,), "int32")
with cm.LocalCluster(["a", "b"], arena="64MiB", arena_dir="/mnt/inside") as cluster:
    def open_both():
        with cluster.agent("a").sender("w", spec, a, depth=2) as tx, cluster.agent("b").receiver("w", spec, b, depth=2):
            tx.wait_open(60)
    try:
        open_both()
    except cm.ArenaFull as error:
        print(error)
        command = re.search(r"mount -o remount,size=[0-9]+m [^ ,]+", str(error)).group()
        subprocess.run(command.split(), check=True)
        subprocess.run(command.replace("size=", "size=1").split(), check=True)  # both agents lie there
        open_both()
        print("works")
"""
    text = said("mount -t tmpfs -o size=16m tmpfs /mnt && mkdir /mnt/inside", code=code)
    assert text.splitlines()[-1] == "works", text
    assert re.search(r"mount -o remount,size=\d+m /mnt,", text), text
