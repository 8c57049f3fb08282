"""The examples as a user starts them: their own processes, real agents, real bytes."""

import json
import subprocess
import sys
from pathlib import Path

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
    done = run_example(
        EXAMPLES / "two_stage" / "train.py", "--size=tiny", "--steps=5", "--timeout=150", "--json", figures_file
    )
    assert done.returncode == 0, done.stdout
    figures = json.loads(figures_file.read_text())
    assert figures["matches"]
    assert len(figures["losses"]) == 5
    assert figures["losses"] == pytest.approx(figures["losses_single"], rel=1e-5)
    assert figures["parameter_difference"] <= 1e-5
    assert figures["losses"][-1] < figures["losses"][0]


@pytest.mark.timeout(240)
def test_two_stage_training_names_the_stage_that_failed_and_ends_the_other(tmp_path: Path) -> None:
    script = (EXAMPLES / "two_stage" / "train.py").read_text()
    broken = tmp_path / "two_stage"
    broken.mkdir()
    for source in (EXAMPLES / "two_stage").glob("*.py"):
        (broken / source.name).write_text(source.read_text())
    (broken / "train.py").write_text(script)
    (broken / "data.py").write_text("raise SystemExit('no text to train on')\n")
    done = run_example(broken / "train.py", "--size=tiny", "--steps=1", "--timeout=150")
    assert done.returncode == 1, done.stdout


@pytest.mark.timeout(240)
def test_a_plain_flight_client_puts_reshards_and_reads_a_slice() -> None:
    done = run_example(EXAMPLES / "flight_slice" / "run.py")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("across tile borders: equal to NumPy") == 2
    assert done.stdout.count("UNAUTHENTICATED") == 2


def test_the_flight_client_does_not_import_crossmesh() -> None:
    sources = [EXAMPLES / "flight_slice" / name for name in ("client.py", "layout.py")]
    assert not any("import crossmesh" in source.read_text() for source in sources)
