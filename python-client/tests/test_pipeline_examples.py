"""GPT and U-Transformer trained over two and three processes by every schedule, and whole: the same training."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import crossmesh as cm
import pipeline_examples as processes

pytestmark = pytest.mark.timeout(750)

HOSTS = ("stage0", "stage1", "stage2")
STARTS_WITH = 0.02  # the size of weights
SAME_PROGRAMS = ("gpipe", "1f1b", "eager-1f1b")  # the reference's, cut in the same place: equal bits
SCHEDULES = (*SAME_PROGRAMS, "zb-h1", "adaptive")


def _job(example, count, schedule, virtual=1):
    name = f"{example}-{count}-{schedule}"
    return {
        "name": name,
        "example": example,
        "processes": count,
        "virtual": virtual,
        "schedule": schedule,
        "hosts": HOSTS[:count],
    }


JOBS = [
    *(
        _job(example, count, schedule)
        for example in ("gpt3", "u_transformer")
        for count in (2, 3)
        for schedule in SCHEDULES
    ),
    *(_job(example, 2, "interleaved-1f1b", virtual=2) for example in ("gpt3", "u_transformer")),
]
REFERENCES = [_job(example, 2, "single") | {"hosts": ["single"]} for example in ("gpt3", "u_transformer")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of parameters, and what each process of each job said, by the job's name."""
    directory = tmp_path_factory.mktemp("examples")
    jobs = directory / "jobs.json"
    jobs.write_text(json.dumps([job | {"directory": str(directory)} for job in (*JOBS, *REFERENCES)]))
    script = [sys.executable, processes.__file__]
    with cm.LocalCluster(HOSTS, arena="64MiB") as cluster:
        environments = {host: os.environ | cluster.env(host) for host in HOSTS} | {"single": os.environ}
        running = [
            subprocess.Popen([*script, host, str(jobs)], env=environment, stdout=subprocess.PIPE, text=True)
            for host, environment in environments.items()
        ]
        try:
            lines = [line for process in running for line in process.communicate(timeout=700)[0].splitlines()]
        finally:
            for process in running:
                process.kill()
                process.wait()
    said = [json.loads(line) for line in lines]
    return directory, {name: [s for s in said if s["name"] == name] for name in {s["name"] for s in said}}


def parameters(directory, name):
    """All parameters of a training by path. Copies of one are equal to the bit."""
    found = {}
    for path in sorted(directory.glob(f"{name}-part*.npz")):
        with np.load(path) as file:
            for key in file.files:
                value = file[key]
                np.testing.assert_array_equal(found.setdefault(key, value), value, err_msg=key)
    return found


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"])
def test_an_example_trained_over_processes_is_trained_as_in_one(trained, job):
    directory, said = trained
    (reference,) = said[f"{job['example']}-2-single"]
    assert "error" not in reference, reference
    losses = reference["losses"]
    assert losses[-1] < 0.95 * losses[0]
    assert len(said[job["name"]]) == job["processes"]
    for process in said[job["name"]]:
        assert "error" not in process, process
        assert process["losses"] == pytest.approx(losses, rel=1e-5)
    expected = parameters(directory, f"{job['example']}-2-single")
    got = parameters(directory, job["name"])
    assert got.keys() == expected.keys()
    if job["processes"] == 2 and job["schedule"] in SAME_PROGRAMS:
        for path, value in expected.items():
            np.testing.assert_array_equal(got[path], value, err_msg=path)
    for path, value in expected.items():
        # A bias of keys moves all scores of a row alike, which softmax does not feel: its gradient is rounding alone.
        scale = STARTS_WITH if path.endswith("key/bias") else np.abs(value).max()
        np.testing.assert_allclose(got[path], value, rtol=0, atol=1e-5 * scale, err_msg=path)
