"""The wheel as a user gets it: an empty virtual environment, no java on PATH, the README's ten lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
WHEEL = os.environ.get("CROSSMESH_WHEEL", "")


@pytest.fixture(scope="module")
def wheel() -> Path:
    assert WHEEL, "CROSSMESH_WHEEL names the wheel under test: `make test-python` builds it and sets the variable"
    return Path(WHEEL)


def ten_lines() -> str:
    match = re.search(r"```python\n(import numpy as np\nimport crossmesh as cm\n.*?)```", README.read_text(), re.DOTALL)
    assert match, "README.md has no block that starts with the two imports"
    return match.group(1)


def test_wheel_holds_one_jar_and_nothing_else_of_java(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert [n for n in names if n.endswith((".jar", ".class", ".java"))] == ["crossmesh/_jars/crossmesh-agent.jar"]
    assert "crossmesh/py.typed" in names
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.timeout(600)
def test_readme_runs_in_an_empty_environment_without_java(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{wheel}[ucx]"], check=True)
    script = tmp_path / "readme.py"
    script.write_text(ten_lines())
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("JAVA", "CROSSMESH", "PYTHON", "VIRTUAL_ENV"))}
    run = subprocess.run(
        [python, script],
        env=bare | {"PATH": str(venv / "bin")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "lower bound" in run.stdout
    assert "Every device has its tile, bit for bit." in run.stdout
