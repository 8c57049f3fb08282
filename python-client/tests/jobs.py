"""Running the processes of a `jax.distributed` job, each with an agent of a cluster."""

import os
import socket
import subprocess
import sys
from pathlib import Path

SECONDS_MAX = 100


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_job(cluster, script, hosts, *words):
    """Start `python SCRIPT RANK PORT WORDS...` for each host."""
    port = str(free_port())
    path = str(Path(__file__).with_name(script))
    return [
        subprocess.Popen(
            [sys.executable, path, str(rank), port, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | cluster.env(host) | {"CROSSMESH_HOSTS": ",".join(hosts)},
        )
        for rank, host in enumerate(hosts)
    ]


def await_job(processes):
    """Output, errors and exit status of each process, when all have ended."""
    try:
        return [(*process.communicate(timeout=SECONDS_MAX), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()  # jax.distributed catches SIGTERM
            process.wait()


def run_job(cluster, script, hosts, *words):
    """Start a job and wait for it."""
    return await_job(start_job(cluster, script, hosts, *words))
