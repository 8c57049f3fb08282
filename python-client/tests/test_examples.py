"""The examples as a user starts them: their own processes, real agents, real bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(*command: object) -> subprocess.CompletedProcess[str]:
    """Runs a script with a limit below that of the test, so that its output is seen when it hangs."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.timeout(240)
def test_two_stage_training_matches_the_same_model_in_one_process(tmp_path: Path) -> None:
    figures_file = tmp_path / "figures.json"
    train = EXAMPLES / "two_stage" / "train.py"
    done = run_example(train, "--size=tiny", "--steps=5", "--timeout=150", f"--json={figures_file}")
    assert done.returncode == 0, done.stdout
    figures = json.loads(figures_file.read_text())
    assert figures["matches"]
    assert len(figures["losses"]) == 5
    assert figures["losses"] == pytest.approx(figures["losses_single"], rel=1e-5)
    assert figures["parameter_difference"] <= 1e-5
    assert figures["losses"][-1] < figures["losses"][0]


def train_tiny(example: str, out: Path, *options: str) -> list[dict[str, Any]]:
    """Runs the command of a pipeline example; returns its figures of each step."""
    train = EXAMPLES / example / "train.py"
    done = run_example(train, "--size=tiny", "--microbatches=2", "--steps=3", "--timeout=180", f"--out={out}", *options)
    assert done.returncode == 0, done.stdout
    rows: list[dict[str, Any]] = json.loads((out / "figures.json").read_text())
    return rows


@pytest.fixture
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.mark.timeout(420)
@pytest.mark.usefixtures("quick_compiler")
def test_a_gpt_trains_from_one_command_and_goes_on_from_its_save(tmp_path: Path) -> None:
    rows = train_tiny("gpt3", tmp_path, "--save-every=2")
    assert [row["step"] for row in rows] == [0, 1, 2]
    (resumed,) = train_tiny("gpt3", tmp_path, "--resume")
    assert (resumed["step"], resumed["loss"]) == (2, rows[2]["loss"])


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("quick_compiler")
def test_a_u_transformer_trains_from_one_command_and_draws(tmp_path: Path) -> None:
    assert len(train_tiny("u_transformer", tmp_path)) == 3
    for picture in ("loss.png", "timeline.png", "digits.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(60)
def test_a_stage_that_fails_is_named_and_the_other_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from children import Children, ChildrenError

    lasting = [sys.executable, "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()"]
    failing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    with Children(timeout=40) as children:
        children.start("stage0", lasting, os.environ)
        lines = children.lines()
        pid = int(next(lines))
        children.start("stage1", failing, os.environ)
        with pytest.raises(ChildrenError, match="stage1 ended with status 3"):
            next(lines)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.timeout(60)
def test_stages_that_do_not_end_in_time_are_named_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from children import Children, ChildrenError

    with Children(timeout=0.2) as children:
        children.start("stage0", [sys.executable, "-c", "import signal; signal.pause()"], os.environ)
        with pytest.raises(ChildrenError, match=r"stage0 did not end within 0\.2 s"):
            next(children.lines())


@pytest.mark.timeout(240)
def test_an_engine_reads_whole_versions_of_a_trainers_weights(tmp_path: Path) -> None:
    figures_file = tmp_path / "figures.json"
    refit = EXAMPLES / "weight_refit" / "refit.py"
    done = run_example(
        refit, "--size=small", "--steps=4", "--every=2", "--rounds=1", "--timeout=150", f"--json={figures_file}"
    )
    assert done.returncode == 0, done.stdout
    figures = json.loads(figures_file.read_text())
    assert figures["versions"] == [0, 2, 4]
    assert len(figures["seconds_live"]) == 2
    assert figures["answers"] >= 2 * len(figures["versions"])
    assert figures["tensors"] == 30 * 8 + 2
    # The trainer's two hosts hold half of the matrices each, and every engine host half of them and all vectors.
    assert 0.5 < figures["bytes_busiest"] / figures["bytes"] < 0.51
    assert all(seconds > 0 for times in figures["seconds"].values() for seconds in times)
    assert figures["bound_seconds"]["gathered"] > 2.9 * figures["bound_seconds"]["direct"]


def test_an_answer_from_two_versions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "weight_refit"))
    from versions import MixedWeights, Record

    def checked(version: int, *sums: int) -> None:
        record = Record()
        for step, sent in {0: [1, 2], 2: [3, 4]}.items():
            record.take({"kind": "sent", "step": step, "sums": sent, "start": 0.0, "end": 1.0})
        record.take({"kind": "answer", "process": 0, "version": 0, "sums": [1, 2], "start": 0.5})
        record.take({"kind": "answer", "process": 1, "version": version, "sums": list(sums), "start": 0.5})
        record.check()

    checked(2, 3, 4)
    for version, sums in ((2, (3, 2)), (2, (1, 2)), (0, (1, 4)), (1, (3, 4)), (0, (1, 2))):
        with pytest.raises(MixedWeights):
            checked(version, *sums)


def test_trainings_that_differ_do_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "two_stage"))
    from comparison import Comparison

    one = {"stage 0: w": np.array([1.0, -2.0], np.float32)}

    def compared(loss: float, w: float) -> bool:
        other = {"stage 0: w": np.array([1.0, w], np.float32)}
        return Comparison([4.0, loss], [4.0, 3.0], other, one).matches

    assert compared(3.0, -2.0)
    assert compared(3.000001, -2.000001)
    assert not compared(3.0001, -2.0)
    assert not compared(3.0, -2.0001)
    assert not compared(float("nan"), -2.0)
    assert not compared(3.0, float("nan"))


@pytest.mark.timeout(240)
def test_a_plain_flight_client_puts_reshards_and_reads_a_slice() -> None:
    done = run_example(EXAMPLES / "flight_slice" / "run.py")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("across tile borders: equal to NumPy") == 2
    assert done.stdout.count("UNAUTHENTICATED") == 2


def test_the_flight_client_does_not_import_crossmesh() -> None:
    sources = [EXAMPLES / "flight_slice" / name for name in ("client.py", "layout.py")]
    assert not any("import crossmesh" in source.read_text() for source in sources)
