"""Commands of the system, and whether this machine lets us make networks at all."""

from __future__ import annotations

import os
import shutil
import subprocess

from .errors import CannotStart, LabError

COMMAND_SECONDS_MAX = 20.0
TOOLS = {"ip": "iproute2", "tc": "iproute2", "iperf3": "iperf3"}


def run(*command: str) -> str:
    """The output of a command.

    **Raises:** `LabError` with what it said if it failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(command)}` did not end within {COMMAND_SECONDS_MAX:g} s.") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise LabError(f"`{' '.join(command)}` failed: {said or f'exit status {done.returncode}'}.")
    return done.stdout


def require_tools() -> None:
    """See that the lab can work here.

    **Raises:** `CannotStart` if this process is not root, or a command is missing.
    """
    if os.geteuid() != 0:
        raise CannotStart("The lab makes network namespaces, which only root may: run it as root (sudo make lab).")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        raise CannotStart(f"The lab needs {' and '.join(missing)}: apt-get install {packages}.")
