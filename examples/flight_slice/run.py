"""Starts four agents on this machine and lets ``client.py`` use them.

    python examples/flight_slice/run.py

The only file here that imports crossmesh, and only to have a cluster to talk to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[1]))

from needs import need

need("crossmesh")

import crossmesh as cm

HOSTS: Final = ("a", "b", "c", "d")


def main() -> int:
    """Runs the client against a fresh cluster. Returns its exit status."""
    with cm.LocalCluster(hosts=list(HOSTS), transport="ucx") as cluster:
        environments = {host: cluster.env(host) for host in HOSTS}
        agents = [f"{host}={environment['CROSSMESH_AGENT']}" for host, environment in environments.items()]
        token = {"CROSSMESH_TOKEN": environments[HOSTS[0]]["CROSSMESH_TOKEN"]}
        client = Path(__file__).with_name("client.py")
        return subprocess.run([sys.executable, str(client), *agents], env=os.environ | token, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
