"""Training over processes gives what training in one process gives, for every schedule; errors come at the door."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import crossmesh as cm
import crossmesh.pipeline as pp
import pipeline_toy as toys

pytestmark = pytest.mark.timeout(400)

STEPS = 10
HOSTS = ("s0", "s1", "s2")
FIXED = ("gpipe", "1f1b", "eager-1f1b", "zb-h1")


def _job(name, processes, schedule, **more):
    return {"name": name, "processes": processes, "parts": processes, "schedule": schedule, "steps": STEPS} | more


JOBS = [
    *(_job(f"{processes}-{schedule}", processes, schedule) for processes in (2, 3) for schedule in FIXED),
    _job("2-interleaved-1f1b", 2, "interleaved-1f1b", parts=4),
    _job("3-interleaved-1f1b", 3, "interleaved-1f1b", parts=6, microbatches=3),
    _job("everything", 3, "eager-1f1b", model={"tied": True, "skip": True}, clip_norm=0.05, depth=1),
    _job("remat", 2, "zb-h1", model={"remat": True}),
]


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="64MiB") as cluster:
        yield cluster


def start(cluster, host, jobs):
    """A process that runs the jobs in turn."""
    command = [sys.executable, "-W", "error", toys.__file__, host, str(jobs)]
    return subprocess.Popen(command, env=os.environ | cluster.env(host), stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def trained(cluster, tmp_path_factory):
    """What each process of each job said, by the job's name and the host."""
    directory = tmp_path_factory.mktemp("pipeline")
    jobs = directory / "jobs.json"
    jobs.write_text(json.dumps([job | {"directory": str(directory)} for job in JOBS]))
    processes = {host: start(cluster, host, jobs) for host in HOSTS}
    try:
        said = {host: process.communicate(timeout=360)[0] for host, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    told = {}
    for host, lines in said.items():
        for line in lines.splitlines():
            told[json.loads(line)["name"], host] = json.loads(line)
    return directory, told


@pytest.fixture(scope="module")
def references():
    """Losses, norms and parameters of the same models in one process, each trained once."""
    found = {}

    def reference(job):
        key = json.dumps([job["parts"], job.get("microbatches"), job.get("model"), job.get("clip_norm")])
        if key not in found:
            count = job.get("microbatches", toys.MICROBATCHES)
            pipeline = toys.toy(job["processes"], job["parts"], **job.get("model", {}))
            one = pp.single(pipeline, microbatches=count, optimizer=toys.optimizer(), clip_norm=job.get("clip_norm"))
            losses = [one.step(batch) for batch in toys.batches(STEPS, count=count)]
            found[key] = losses, toys.flat(one.params)
        return found[key]

    return reference


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"])
def test_training_over_processes_is_training_in_one(trained, references, job):
    directory, told = trained
    losses, params = references(job)
    got = {}
    for host in HOSTS[: job["processes"]]:
        said = told[job["name"], host]
        assert "error" not in said, said
        assert said["losses"] == pytest.approx(losses, rel=1e-5)
        with np.load(directory / f"{job['name']}-{host}.npz") as saved:
            got.update(saved)
    assert got.keys() == params.keys()
    for path, value in params.items():
        np.testing.assert_allclose(got[path], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=path)
    assert losses[-1] < losses[0]
