"""`cm.jax.reshard` in a job of four processes, and alone."""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import crossmesh as cm

SECONDS_MAX = 100
HOSTS = ["a", "b", "c", "c"]
"""The agent of each process: the last two share one."""


@pytest.fixture
def cluster():
    with cm.LocalCluster(hosts=sorted(set(HOSTS)), arena="64MiB") as cluster:
        yield cluster


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run_job(cluster, seed):
    """Four processes, whose outputs are returned when all have ended."""
    port = str(free_port())
    script = str(Path(__file__).with_name("reshard_job.py"))
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), port, str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | cluster.env(host) | {"CROSSMESH_HOSTS": ",".join(HOSTS)},
        )
        for rank, host in enumerate(HOSTS)
    ]
    try:
        return [(*process.communicate(timeout=SECONDS_MAX), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()  # jax.distributed catches SIGTERM
            process.wait()


def test_a_job_moves_arrays_between_meshes_of_other_processes_where_device_put_refuses(cluster):
    seed = random.randrange(2**32)
    print("seed", seed)
    for out, err, code in run_job(cluster, seed):
        assert code == 0, err[-3000:]
        word, *refusals = out.split()
        assert word == "done"
        assert refusals
        assert set(refusals) <= {"ValueError", "NotImplementedError"}


def test_a_process_alone_needs_no_agent():
    mesh = Mesh(np.array(jax.devices()), ("x",))
    x = jax.device_put(np.arange(16.0, dtype=np.float32).reshape(4, 4), NamedSharding(mesh, PartitionSpec("x")))
    y = cm.jax.reshard({"x": x}, NamedSharding(mesh, PartitionSpec(None, "x")))["x"]
    assert y.sharding.spec == PartitionSpec(None, "x")
    np.testing.assert_array_equal(y, x)
