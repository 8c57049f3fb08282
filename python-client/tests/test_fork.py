"""A forked child never touches its parent's connection to an agent, and says how to get one of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
FORKING = Path(__file__).parent / "forking.py"


def run(*arguments):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(FORKING), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    print(done.stdout, done.stderr)
    return done


def test_a_forked_child_is_refused_and_its_parent_goes_on():
    done = run("abuses")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("right\n")


def test_a_fork_in_the_middle_of_steps_leaves_no_lock_that_a_child_waits_for():
    done = run("busy", "8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("right\n")
