"""Training over processes gives what training in one process gives, for every schedule; errors come at the door."""

import json
import os
import signal
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
    _job("2-adaptive", 2, "adaptive", trace=True),
    _job("3-adaptive", 3, "adaptive"),
    _job("everything", 3, "eager-1f1b", model={"tied": True, "skip": True}, clip_norm=0.05, depth=1),
    _job("remat", 2, "zb-h1", model={"remat": True}),
    _job("refused", 2, "1f1b", nan=3),
    _job("dropped", 3, "adaptive", bad={"step": 3, "hosts": ["s0"]}, clip_norm=0.05),
    _job("dropped by two", 3, "1f1b", bad={"step": 3, "hosts": ["s0", "s2"]}),
]
NOT_BEGUN = [
    _job("no schedule", 3, "1f1b", only={"s2": {"memory": 0.5}}),
    _job("no optimizer", 3, "1f1b", only={"s1": {"optimizer": None}}),
]
WHOLE = {"tied": True, "whole": True, "name": "model/part>"}
SAVED = _job("saved", 3, "adaptive", model=WHOLE, clip_norm=0.05)
LOADED = _job("loaded", 3, "zb-h1", model=WHOLE, clip_norm=0.05)
KILLED = _job("killed", 3, "1f1b", kill=["s1", 5])
RESUMED = _job("resumed", 3, "eager-1f1b")


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="64MiB") as cluster:
        yield cluster


def start(cluster, host, directory, jobs):
    """A process that runs the jobs in turn."""
    file = directory / f"jobs-{host}-{len(jobs)}.json"
    file.write_text(json.dumps([job | {"directory": str(directory)} for job in jobs]))
    command = [sys.executable, "-W", "error", toys.__file__, host, str(file)]
    return subprocess.Popen(command, env=os.environ | cluster.env(host), stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def trained(cluster, tmp_path_factory):
    """What each process said of each job, by the job's name and the host.

    The processes run all jobs in turn. One of them kills itself in the last but one; another takes its place.
    """
    directory = tmp_path_factory.mktemp("pipeline")
    saved = str(directory / "saved")
    whole = str(directory / "whole")
    jobs = [*JOBS, *NOT_BEGUN, SAVED | {"save": whole, "steps": 4}]
    jobs += [LOADED | {"resume": whole, "torn": str(directory / "torn")}]
    jobs += [KILLED | {"save": saved}, RESUMED | {"resume": saved}]
    processes = {host: start(cluster, host, directory, jobs) for host in HOSTS}
    try:
        said = [("s1", processes["s1"].communicate(timeout=300)[0])]
        assert processes["s1"].returncode == -signal.SIGKILL
        processes["s1"] = start(cluster, "s1", directory, jobs[-1:])
        said += [(host, process.communicate(timeout=100)[0]) for host, process in processes.items()]
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    told = {(json.loads(line)["name"], host): json.loads(line) for host, lines in said for line in lines.splitlines()}
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


def test_a_loss_that_is_not_finite_is_refused_by_all_and_changes_nothing(trained):
    # That nothing changes is seen above: the losses after it are those of a training without it.
    _, told = trained
    for host in HOSTS[:2]:
        said = told["refused", host]["refused"]
        assert "loss of step 3" in said
        assert "'part1'" in said


@pytest.mark.parametrize(("job", "refusing"), [("dropped", (0,)), ("dropped by two", (0, 2))])
def test_a_batch_that_one_process_refuses_is_dropped_by_all_who_hear_why(trained, job, refusing):
    # That nothing changes and training goes on is seen above.
    _, told = trained
    texts = set()
    for host in HOSTS:
        text, seconds = told[job, host]["dropped"]
        texts.add(text)
        assert seconds < 30, "it waited for a timeout"
    (text,) = texts
    assert "Step 3 was dropped" in text
    for number in range(3):
        assert (f"process {number} refused its batch: Stage 'part{number}'" in text) == (number in refusing)
        unreadable, seconds = told[job, HOSTS[number]]["unreadable"]
        assert "refused its batch: OSError: cannot read" in unreadable
        assert seconds < 30
        assert "over: make another one" in told[job, HOSTS[number]]["closed"]
    assert "(4, 4, 8)" in text
    assert "(4, 1, 8)" in text


@pytest.mark.parametrize(
    ("job", "host", "error", "others", "reason"),
    [
        ("no schedule", "s2", "ScheduleError", "PlanMismatch", "memory"),
        ("no optimizer", "s1", "ValueError", "TransferCancelled", "need optimizer="),
    ],
)
def test_a_process_that_cannot_begin_tells_the_others_why(trained, job, host, error, others, reason):
    _, told = trained
    assert told[job, host]["error"] == error
    for other in set(HOSTS) - {host}:
        assert told[job, other]["error"] == others, told[job, other]
        assert reason in told[job, other]["text"]
        assert abs(told[job, other]["at"] - told[job, host]["at"]) < 30


def test_a_save_that_one_process_refuses_is_taken_by_nobody(trained):
    _, told = trained
    for host in HOSTS:
        error, text, same = told["loaded", host]["torn"]
        assert error == ("LayoutError" if host == "s1" else "TransferCancelled")
        assert "was saved by another stage 'model/part>1'" in text
        assert same


def test_a_process_that_is_killed_in_a_step_is_named_by_all_others_at_once(trained):
    _, told = trained
    for host in ("s0", "s2"):
        said = told["killed", host]
        assert said["error"] == "PeerLost", said
        assert "'part1'" in said["text"]
        assert said["at"] - told["died", "s1"]["at"] < 10


def test_after_resuming_training_goes_on_as_if_it_had_not_been_interrupted(trained, references):
    directory, told = trained
    losses, params = references(RESUMED)
    got = {}
    for host in HOSTS:
        said = told["resumed", host]
        assert said["first"] == 4, said
        assert said["losses"] == pytest.approx(losses[4:], rel=1e-5)
        with np.load(directory / f"resumed-{host}.npz") as saved:
            got.update(saved)
    for path, value in params.items():
        np.testing.assert_allclose(got[path], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=path)


def test_whole_numbers_masks_and_keys_stay_are_tied_saved_and_resumed(trained, references):
    # The names of the stages have slashes, so the files have others.
    directory, told = trained
    losses, params = references(LOADED)
    got = {}
    for host in HOSTS:
        assert told["saved", host]["losses"] == pytest.approx(losses[:4], rel=1e-5)
        assert told["loaded", host]["first"] == 4
        assert told["loaded", host]["losses"] == pytest.approx(losses[4:], rel=1e-5)
        with np.load(directory / f"loaded-{host}.npz") as saved:
            got.update(saved)
    assert got.keys() == params.keys()
    for path, value in params.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(got[path], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=path)
        else:
            np.testing.assert_array_equal(got[path], value, err_msg=path, strict=True)
    for path in ("w", "order", "mask.0", "keys.typed", "keys.raw"):
        np.testing.assert_array_equal(got[f"model/part>0.{path}"], got[f"model/part>2.{path}"])
    assert not np.array_equal(got["model/part>0.order"], got["model/part>1.order"])
    assert losses[-1] < losses[0]


def test_adaptive_has_chosen(trained):
    directory, told = trained
    assert {told[f"{n}-adaptive", host]["schedule"] for n in (2, 3) for host in HOSTS[:n]} == {"adaptive"}
    traces = {(directory / f"2-adaptive-{host}.json").read_text() for host in HOSTS[:2]}
    assert len(traces) == 1


def test_training_in_one_process_is_a_plain_gradient_of_the_composed_stages(references):
    """The reference itself, held against JAX and optax alone: tied parameters, skips and clipping among it."""
    import jax
    import optax

    job = next(job for job in JOBS if job["name"] == "everything")
    losses, params = references(job)
    pipeline = toys.toy(3, 3, **job["model"])
    optimizer = optax.chain(optax.clip_by_global_norm(job["clip_norm"]), toys.optimizer())
    mesh = jax.sharding.AbstractMesh((2, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def loss_of(params, batch):
        values = dict(batch)
        for part, stage in enumerate(pipeline.stages):
            mine = params[stage.name] if part < 2 else params[stage.name] | {"w": params["part0"]["w"]}
            with jax.sharding.use_abstract_mesh(mesh):
                values |= stage.fn(mine, values)
        return values["loss"]

    key = jax.random.key(0)
    trained = {stage.name: stage.init(jax.random.fold_in(key, part)) for part, stage in enumerate(pipeline.stages)}
    del trained["part2"]["w"]
    state = optimizer.init(trained)

    @jax.jit
    def step(params, state, batch):
        def mean(params):
            return jax.vmap(lambda one: loss_of(params, one))(batch).mean()

        loss, gradient = jax.value_and_grad(mean)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    plain = []
    for batch in toys.batches(STEPS):
        trained, state, loss = step(trained, state, batch)
        plain.append(float(loss))
    trained["part2"]["w"] = trained["part0"]["w"]
    assert losses == pytest.approx(plain, rel=1e-5)
    for path, value in toys.flat(trained).items():
        np.testing.assert_allclose(params[path], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=path)
