"""`cm.jax.reshard` in a job of four processes, and alone."""

import random

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import crossmesh as cm
from jobs import run_job

HOSTS = ["a", "b", "c", "c"]
"""The agent of each process: the last two share one."""


@pytest.fixture
def cluster():
    with cm.LocalCluster(hosts=sorted(set(HOSTS)), arena="64MiB") as cluster:
        yield cluster


def test_a_job_moves_arrays_between_meshes_of_other_processes_where_device_put_refuses(cluster):
    seed = random.randrange(2**32)
    print("seed", seed)
    for out, err, code in run_job(cluster, "reshard_job.py", HOSTS, seed):
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
