"""`crossmesh doctor`: what it finds on a healthy machine, and what it says of a broken one."""

import re
import shutil
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import crossmesh as cm
from crossmesh import _cli
from crossmesh._doctor import _mend, _shared_memory, _ucx, ask, examine


def test_doctor_says_what_is_missing(monkeypatch):
    monkeypatch.setenv("CROSSMESH_UCX", "none")
    result = CliRunner().invoke(_cli.app, ["doctor"])
    assert result.exit_code == 1
    assert "planner" in result.output
    assert "fails" in result.output
    assert "Unset" in result.output
    assert "--transport flight" in " ".join(result.output.split())
    assert "MiB by flight in" in " ".join(result.output.split())


@pytest.mark.timeout(120)
def test_doctor_says_each_fact_once_on_a_line_of_its_own(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    result = CliRunner().invoke(_cli.app, ["doctor"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    verdicts = {line[6:22].strip(): line[:5].strip() for line in lines}
    assert len(verdicts) == len(lines)
    assert set(verdicts.values()) <= {"ok", "look", "fails"}
    assert {"crossmesh", "python", "jax", "numpy", "pyarrow", "java", "ucx"} <= verdicts.keys()
    text = result.output
    for package in ("jax", "numpy", "pyarrow"):
        assert f" {version(package)}" in text
    assert cm.__version__ in text


def test_doctor_says_once_what_all_that_follows_lacks(monkeypatch, tmp_path):
    (tmp_path / "java").write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setenv("CROSSMESH_JAVA", str(tmp_path / "java"))
    found = {one.name: one for one in examine()}
    assert found["java"].good is False
    assert "CROSSMESH_JAVA" in found["java"].text
    assert not {"planner", "transfer"} & found.keys()


@pytest.mark.parametrize(("said", "advice"), [
    ("libucp.so.0: failed to map segment from shared object", "noexec"),
    ("libnuma.so.1: cannot open shared object file: No such file or directory", "Install the library libnuma.so.1"),
    ("libucp.so.0: undefined symbol: ucs_other", "CROSSMESH_UCX"),
])  # fmt: skip
def test_doctor_advises_by_what_the_linker_says(said, advice):
    assert advice in _mend(OSError(said))
    assert "pip install" not in _mend(OSError(said))


@pytest.mark.timeout(120)
def test_doctor_moves_a_tensor_and_asks_peers():
    alone = {found.name: found for found in examine()}
    assert all(found.good for found in alone.values()), alone
    assert "MiB by ucx in" in alone["transfer"].text
    assert "every byte right" in alone["transfer"].text
    with cm.LocalCluster(hosts=["a", "b"], arena="32MiB") as cluster:
        door = cluster.env("b")
        address, token = door["CROSSMESH_AGENT"], door["CROSSMESH_TOKEN"]
        well = {found.name: found for found in ask([f"b={address}"], token)}
        wrong = {found.name: found for found in ask([f"c={address}", f"b={address}"], "not-the-token-of-anything")}
        other = {found.name: found for found in ask([f"c={address}", "127.0.0.1:1"], token)}
    assert all(found.good for found in well.values()), well
    assert "moves bytes by ucx at" in well[f"peer b={address}"].text
    assert {"clock of b", "bandwidth to b"} <= well.keys()
    assert re.search(r"give or take \d+\.\d ms", well["clock of b"].text)
    assert wrong[f"peer b={address}"].good is False
    assert "CROSSMESH_TOKEN" in wrong[f"peer b={address}"].text
    assert "the agent there is 'b'" in other[f"peer c={address}"].text
    assert other["peer 127.0.0.1:1"].good is False


def test_doctor_sees_a_full_shared_memory(monkeypatch):
    usage = SimpleNamespace(total=64 << 20, used=63 << 20, free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    found = _shared_memory()
    assert found.good is False
    assert "--shm-size" in found.text
    assert "mount -o remount,size=2111m /dev/shm" in found.text


def test_doctor_names_a_library_that_does_not_load(monkeypatch, tmp_path):
    (tmp_path / "libucp.so.0").write_bytes(b"no library")
    monkeypatch.setenv("CROSSMESH_UCX", str(tmp_path))
    found = _ucx()
    assert found.good is False
    assert str(tmp_path) in found.text
