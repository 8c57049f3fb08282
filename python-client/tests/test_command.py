"""The commands that start agents."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import crossmesh as cm
from crossmesh import _bench
from waiting import until

pytestmark = pytest.mark.timeout(120)


def command(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", "from crossmesh._cli import main; main()", *arguments],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(path, process):
    until(lambda: path.exists() or process.poll() is not None, seconds=60)
    assert path.exists(), "the agent ended while it started"
    return json.loads(path.read_text())


def test_agents_of_the_command_line_form_a_cluster(tmp_path):
    token = "a-token-for-this-test-only-0123456789"
    infos = [tmp_path / "a.json", tmp_path / "b.json"]
    with command("agent", "--name", "a", "--info-file", str(infos[0]), CROSSMESH_TOKEN=token) as a:
        door = wait_for(infos[0], a)["flight"]
        first = f"{door['host']}:{door['port']}"
        with command("agent", "--name", "b", "--info-file", str(infos[1]), "--peer", f"a={first}",
                     CROSSMESH_TOKEN=token) as b:  # fmt: skip
            try:
                door = wait_for(infos[1], b)["flight"]
                with (
                    cm.connect(first, token=token) as here,
                    cm.connect(f"{door['host']}:{door['port']}", token=token) as there,
                ):
                    here._control.join([("a", first), ("b", f"{door['host']}:{door['port']}")])
                    src, dst = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab")
                    tx = here.sender("c", cm.TensorSpec((8,), "int32"), src)
                    rx = there.receiver("c", cm.TensorSpec((8,), "int32"), dst)
                    tx.send(np.arange(8, dtype=np.int32))
                    assert np.array_equal(rx.recv().result(30)[0], np.arange(8))
                    assert here.status()["host"] == "a"
            finally:
                a.send_signal(signal.SIGTERM)
                b.send_signal(signal.SIGINT)
            a.wait(30)
            b.wait(30)
    assert not any(path.exists() for path in infos)


def printed(*arguments, **environment):
    """The exit status and all that a command prints."""
    done = subprocess.run(
        [sys.executable, "-c", "from crossmesh._cli import main; main()", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_help_of_the_agent_lists_its_options_in_groups():
    status, text = printed("agent", "--help")
    assert status == 0
    assert "Usage: crossmesh agent" in text
    for heading in ("This host", "The other hosts", "Addresses and ports", "Memory", "Moving bytes"):
        assert f"\n{heading}:\n" in text
    for option in ("--name", "--peer", "--token-file", "--bind", "--flight-port", "--arena", "--transport", "--config"):
        assert f" {option}=" in text


@pytest.mark.parametrize(("options", "says"), [
    ([], "'--name=NAME'"),
    (["--name", "a", "--bnd", "10.0.0.1"], "Unknown option"),
    (["--name", "a", "--arena", "3X"], "'3X' is not a size"),
    (["--name", "a", "--flight-port", "x"], "'x' is not a whole number"),
    (["--name", "a", "--lost-after", "x"], "'x' is not a number"),
    (["--name", "a", "--peer", "b"], "'b' is not name=host:port"),
    (["--name", "a", "--config", "/no/such/file"], "/no/such/file: No such file or directory"),
])  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_line_and_a_hint(options, says):
    status, text = printed("agent", *options)
    assert status == 2
    first, hint = text.strip().splitlines()
    assert first.startswith("crossmesh agent: ")
    assert says in first
    assert hint == "Try 'crossmesh agent --help'."
    assert "java." not in text
    assert "Exception" not in text


def test_the_link_benchmark_measures(monkeypatch):
    monkeypatch.setattr(_bench, "WARM_UP_SECONDS", 0.1)
    result = _bench.link(transport="shm", nbytes=1 << 20, steps=4, depth=2, repeats=1)
    assert result.median > 0
    assert result.to_dict()["gb_per_s"] == result.median
