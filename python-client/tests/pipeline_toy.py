"""Small models in stages, and the process that trains stages of them. Run as `python pipeline_toy.py HOST JOB.json`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

MICROBATCHES = 4
ROWS = 4
WIDTH = 8


def toy(processes, parts, *, tied=False, skip=False, uneven=False, remat=False, whole=False, name="part"):
    """A regression in `parts` stages on hosts s0, s1 ...; layouts differ on the two sides of each boundary.

    With `whole`, each stage has parameters that are whole numbers, a mask and random keys, which are tied and used.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    import crossmesh as cm
    import crossmesh.pipeline as pp

    def init(key):
        a, b = jax.random.split(key)
        scale = 0.5 / WIDTH**0.5
        made = {"w": scale * jax.random.normal(a, (WIDTH, WIDTH)), "v": [scale * jax.random.normal(b, (WIDTH, WIDTH))]}
        if not whole:
            return made
        keys = {"typed": jax.random.fold_in(key, 1), "raw": jax.random.key_data(jax.random.fold_in(key, 2))}
        order = jax.random.permutation(key, WIDTH)
        return made | {"order": order, "mask": [order != 0], "count": jnp.int32(2), "keys": keys}

    def body(params, x):
        if whole:
            noise = jax.random.bernoulli(params["keys"]["typed"], 0.9, x.shape)
            noise &= jax.random.bernoulli(jax.random.wrap_key_data(params["keys"]["raw"]), 0.9, x.shape)
            x = jnp.where(params["mask"][0] & noise, x[:, params["order"]], params["count"] * 0.1)
        return x + jax.lax.with_sharding_constraint(jnp.tanh(x @ params["w"]), P("x")) @ params["v"][0]

    stages = []
    for number in range(parts):
        first, last = number == 0, number == parts - 1

        def fn(params, inputs, number=number, first=first, last=last):
            x = body(params, inputs["x"] if first else inputs[f"h{number - 1}"])
            if last:
                if skip:
                    x = x + inputs["long"] * inputs["mask"]
                return {"loss": jnp.mean((x - inputs["y"]) ** 2)}
            return {f"h{number}": x, **({"long": 0.5 * x, "mask": x > 0} if skip and first else {})}

        across = P("x", "y") if number % 2 == 0 else P(None, ("y", "x"))
        inputs = {"x" if first else f"h{number - 1}": P("x") if number % 2 == 0 else P("y", "x")}
        outputs = {"loss": P()} if last else {f"h{number}": across}
        if skip and first:
            outputs |= {"long": P("y"), "mask": P("x")}
        if last:
            inputs |= {"y": P("y")} | ({"long": P(None, "x"), "mask": None} if skip else {})
        mesh = cm.Mesh((2, 2), ("x", "y"), hosts=[f"s{number % processes}"])
        layout = {"w": P(None, "x"), "v": P("x")}
        if whole:
            layout |= {"order": P("x"), "mask": P("y"), "count": None, "keys": None}
        stages.append(
            pp.Stage(f"{name}{number}", fn, init, mesh=mesh, inputs=inputs, outputs=outputs, params=layout, remat=remat)
        )
    shared = ["w", "order", "mask.0", "keys.typed", "keys.raw"] if whole else ["w"]
    ties = [pp.Tied(f"{name}0.{path}", f"{name}{parts - 1}.{path}") for path in shared if tied]
    shape = jax.ShapeDtypeStruct((ROWS, WIDTH), "float32")
    return pp.Pipeline(stages, {"x": shape, "y": shape}, ties)


def batches(steps, start=0, count=MICROBATCHES):
    """The data of each step: inputs shifted by one, of the same few examples."""
    for step in range(start, steps):
        random = np.random.default_rng(step % 2)
        x = random.normal(size=(count, ROWS, WIDTH)).astype(np.float32)
        yield {"x": x, "y": np.roll(x, 1, axis=-1) * 0.5}


def optimizer():
    import optax

    return optax.adamw(1e-2)


def flat(params):
    """Leaves by path, as NumPy arrays."""
    import jax

    def bits(leaf):
        return np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): bits(leaf) for path, leaf in leaves}


_made = {}
OPTIMIZERS = []


def train(agent, host, job):
    """Trains one case; returns losses and, in an npz, the parameters at the end."""
    import crossmesh as cm
    import crossmesh.pipeline as pp

    key = json.dumps([job["processes"], job["parts"], job.get("model", {})], sort_keys=True)
    if key not in _made:
        _made[key] = toy(job["processes"], job["parts"], **job.get("model", {}))
    pipeline = _made[key]
    count = job.get("microbatches", MICROBATCHES)
    stage = next(s.name for s in pipeline.stages if s.mesh.hosts == (host,))
    stated = {
        "schedule": job["schedule"],
        "microbatches": count,
        "optimizer": OPTIMIZERS[0],
        "clip_norm": job.get("clip_norm"),
        "depth": job.get("depth"),
    } | job.get("only", {}).get(host, {})
    with pp.Trainer(pipeline, stage, agent=agent, name=job["name"], timeout=60, start_timeout=300, **stated) as trainer:
        said = {"torn": torn(trainer, host, job)} if "torn" in job else {}
        said |= {"first": trainer.resume(job["resume"]) if "resume" in job else 0}
        losses = []
        for batch in batches(job["steps"], said["first"], count):
            if job.get("kill") == [host, trainer.step_number]:
                die_in_the_second_backward(trainer)
            if trainer.step_number == job.get("nan") and "refused" not in said:
                said["refused"] = refusal(trainer, batch)
            if trainer.step_number == job.get("bad", {}).get("step") and "dropped" not in said:
                said["dropped"] = dropped(trainer, batch, host in job["bad"]["hosts"])
                said["unreadable"] = dropped(trainer, Unreadable() if host in job["bad"]["hosts"] else batch, bad=False)
            losses.append(trainer.step(batch).loss)
            if "save" in job and trainer.step_number % 2 == 0:
                trainer.save(job["save"])
        np.savez(Path(job["directory"]) / f"{job['name']}-{host}.npz", **flat(trainer.params))
        if "trace" in job:
            trainer.trace(Path(job["directory"]) / f"{job['name']}-{host}.json")
    try:
        trainer.step(batch)
    except cm.TransferCancelled as error:
        said["closed"] = str(error)
    return said | {"losses": losses, "schedule": trainer.schedule.name}


def refusal(trainer, batch):
    """What a step says to a batch that makes the loss infinite."""
    import crossmesh.pipeline as pp

    try:
        trainer.step({name: value * np.float32("inf") for name, value in batch.items()})
    except pp.NonFiniteLoss as error:
        return str(error)
    return ""


class Unreadable(dict):
    """A batch that is read when it is looked at, and cannot be."""

    def get(self, name, default=None):
        raise OSError(f"cannot read {name}")


def dropped(trainer, batch, bad):
    """What a step says, and after how many seconds, if this process or others give it a batch that does not fit."""
    import crossmesh.pipeline as pp

    begin = time.monotonic()
    try:
        trainer.step({name: value[:, :1] for name, value in batch.items()} if bad else batch)
    except pp.BatchRefused as error:
        return str(error), time.monotonic() - begin
    return "", 0.0


def torn(trainer, host, job):
    """What `resume` says where process s1 finds the file of another stage in the place of its own."""
    import crossmesh as cm

    (step,) = sorted(Path(job["resume"]).glob("step-*"))[-1:]
    folder = Path(job["torn"]) / step.name
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(step.glob("*.npz"))
    mine = int(host[1:])
    shutil.copy(files[0 if host == "s1" else mine], folder / files[mine].name)
    before = flat(trainer.params)
    try:
        trainer.resume(job["torn"])
    except cm.CrossmeshError as error:
        same = all(np.array_equal(value, before[path]) for path, value in flat(trainer.params).items())
        return type(error).__name__, str(error), same
    return "", "", False


def die_in_the_second_backward(trainer):
    """Ends this process at once in the middle of its next step, saying when."""
    (part,) = trainer._core.parts.values()
    backward = part.backward

    def dies(microbatch, gradients):
        if microbatch == 1:
            print(json.dumps({"name": "died", "at": time.monotonic()}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return backward(microbatch, gradients)

    part.backward = dies


def main(host, jobs):
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    import crossmesh as cm

    OPTIMIZERS.append(optimizer())
    with cm.connect() as agent:
        for job in json.loads(Path(jobs).read_text()):
            if f"s{job['processes'] - 1}" < host:
                continue
            try:
                said = train(agent, host, job)
            except Exception as error:  # noqa: BLE001
                said = {"error": type(error).__name__, "text": str(error), "at": time.monotonic()}
                if "kill" not in job and "only" not in job:
                    traceback.print_exc()
            print(json.dumps({"name": job["name"]} | said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
