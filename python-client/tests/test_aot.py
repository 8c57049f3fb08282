"""The cache of classes: made once, used by later starts, harmless when it is bad or cannot be made."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

import crossmesh as cm
from crossmesh import _aot, _jvm
from crossmesh._java import find_jar, find_java
from waiting import until

LIMIT_SECONDS = 120.0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory for caches with the one that four trainings, started at once, made."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        started = [_jvm.make_class_cache() for _ in range(4)]
        until(lambda: cache().exists() and not list(cache().parent.glob("making-*")), LIMIT_SECONDS)
    assert started == [True, False, False, False], "one trains, the others see that it does"
    return home


@pytest.fixture
def home(made, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(made))
    return made


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A directory for caches without any."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "crossmesh"


def cache() -> Path:
    path = _aot.cache_path(find_java().path, _jvm.JVM_FLAGS, find_jar())
    assert path is not None
    return path


def say_version(*flags: str) -> str:
    """What a JVM with the cache's flags and more says, on both outputs."""
    command = [*_jvm.java_command(with_ucx=False), *_aot.cache_flags(cache()), *flags, "-jar", str(find_jar())]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def test_made_cache_is_private_and_alone(home):
    assert stat.S_IMODE(cache().stat().st_mode) == 0o600
    assert stat.S_IMODE(cache().parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in cache().parent.iterdir()) == sorted([cache().name, "lock"])
    assert not _jvm.make_class_cache(), "there is one"


def test_later_jvm_takes_its_classes_from_the_cache(home):
    said = say_version("-Xlog:class+load")
    taken = [line for line in said.splitlines() if "io.crossmesh.agent." in line and "shared objects file" in line]
    assert taken, said[-2000:]


def test_agent_starts_with_the_cache_and_maps_it(home):
    with cm.LocalCluster(["a"], arena="16MiB") as cluster:
        assert str(cache()) in Path(f"/proc/{cluster.pid('a')}/maps").read_text()


def test_switched_off(home, monkeypatch):
    monkeypatch.setenv("CROSSMESH_AOT", "off")
    assert _aot.cache_path(find_java().path, _jvm.JVM_FLAGS, find_jar()) is None
    assert not _jvm.make_class_cache()


def test_agent_with_options_of_its_own_starts_without_it(home):
    options = {"JDK_JAVA_OPTIONS": "-Xmn64m"}  # with these and the cache, a JVM fails
    with cm.LocalCluster(["a"], arena="16MiB", env=options) as cluster:
        assert str(cache()) not in Path(f"/proc/{cluster.pid('a')}/maps").read_text()


@pytest.mark.parametrize("content", [b"not a cache" * 1000, "half"], ids=["other", "torn"])
def test_bad_cache_is_passed_over_in_silence(home, tmp_path, monkeypatch, content):
    whole = cache().read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache().write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert len(say_version().splitlines()) == 1


def test_cache_of_another_jar_is_passed_over_in_silence(home, tmp_path, monkeypatch):
    whole = cache().read_bytes()
    other = tmp_path / "other.jar"
    other.write_bytes(find_jar().read_bytes())
    monkeypatch.setenv("CROSSMESH_JAR", str(other))
    assert not cache().exists(), "another jar has a cache of its own"
    cache().write_bytes(whole)
    said = say_version()
    cache().unlink()
    assert len(said.splitlines()) == 1, said


def test_cache_with_which_a_jvm_crashed_is_dropped(empty, monkeypatch):
    monkeypatch.setattr(_aot, "cache_flags", lambda _: [])
    monkeypatch.setattr(_jvm, "cache_flags", lambda _: [])
    cache().write_bytes(b"x")
    jvm = _jvm.Jvm(["planner"], label="The planner")
    try:
        os.kill(jvm.pid, 9)
        with pytest.raises(cm.AgentUnavailable):
            jvm.wait_ready()
    finally:
        jvm.close()
    assert not cache().exists()


@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null"])
def test_without_a_directory_everything_works_without_a_cache(where, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", where)
    assert _aot.cache_path(find_java().path, _jvm.JVM_FLAGS, find_jar()) is None
    assert not _jvm.make_class_cache()
    assert _aot.cache_flags(None) == []


def test_directory_that_others_can_write_to_is_not_trusted(empty):
    empty.mkdir()
    empty.chmod(0o777)
    assert _aot.cache_path(find_java().path, _jvm.JVM_FLAGS, find_jar()) is None


def test_training_that_fails_is_not_repeated_and_leaves_nothing(empty):
    target = cache()
    begun = _aot.make_cache(target, ["/bin/false"], find_jar(), "none", {"PATH": os.environ["PATH"]})
    assert begun
    until(lambda: target.with_suffix(".failed").exists() and not list(empty.glob("making-*")), LIMIT_SECONDS)
    assert not target.exists()
    assert not _jvm.make_class_cache(), "it failed a moment ago"


def test_full_disk_makes_none(empty, monkeypatch):
    monkeypatch.setattr(_aot, "FREE_BYTES_MIN", 1 << 62)
    assert not _jvm.make_class_cache()
    assert not list(empty.glob("making-*"))


def test_caches_that_were_used_longest_ago_go(empty):
    target = cache()
    for age in range(6):
        old = empty / f"old{age}.aot"
        old.write_bytes(b"x")
        os.utime(old, (time.time() - 100 * age, time.time() - 100 * age))
    (empty / "making-killed").mkdir()
    assert _aot.make_cache(target, ["/bin/false"], find_jar(), "none", {"PATH": os.environ["PATH"]})
    until(lambda: target.with_suffix(".failed").exists(), LIMIT_SECONDS)
    assert sorted(path.name for path in empty.glob("*.aot")) == ["old0.aot", "old1.aot", "old2.aot"]
    assert not (empty / "making-killed").exists()
