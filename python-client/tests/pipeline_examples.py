"""A process that trains stages of the examples' models. Run as `python pipeline_examples.py HOST JOBS.json`.

HOST is `stage0`, `stage1` ... or `single`, which trains the models whole.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import traceback
from itertools import islice
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"
MICROBATCHES = 6
STEPS = 10
CLIP_NORM = 1.0


def flat(params):
    """Leaves by path within their stage. A layer has the same path in whichever stage it is."""
    import jax

    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


class Model:
    """The smallest size of an example and its pipelines, each made once."""

    def __init__(self, example):
        self._layouts = importlib.import_module(f"{example}.layouts")
        self._data = importlib.import_module(f"{example}.data")
        self._config = importlib.import_module(f"{example}.config").SIZES["tiny"]
        self._made = {}

    def pipeline(self, processes, virtual):
        if (processes, virtual) not in self._made:
            self._made[processes, virtual] = self._layouts.pipeline("tiny", processes, virtual)
        return self._made[processes, virtual]

    def batches(self):
        return islice(self._data.batches(self._config, MICROBATCHES, 1), STEPS)


@functools.cache
def optimizer():
    """One for all trainings, which compile its update once.

    Not Adam: it makes of a gradient near 0 a step of full length, in whichever direction rounding points.
    """
    import optax

    return optax.sgd(0.1, momentum=0.9)


def train_single(model, job, _agent, _host):
    import crossmesh.pipeline as pp

    pipeline = model.pipeline(job["processes"], job["virtual"])
    one = pp.single(pipeline, microbatches=MICROBATCHES, optimizer=optimizer(), clip_norm=CLIP_NORM)
    return [one.step(batch) for batch in model.batches()], one.params


def train_stages(model, job, agent, host):
    import crossmesh.pipeline as pp

    with pp.Trainer(
        model.pipeline(job["processes"], job["virtual"]),
        f"part{host.removeprefix('stage')}",
        agent=agent,
        schedule=job["schedule"],
        microbatches=MICROBATCHES,
        optimizer=optimizer(),
        clip_norm=CLIP_NORM,
        name=job["name"],
    ) as trainer:
        return [trainer.step(batch).loss for batch in model.batches()], trainer.params


def main(host, jobs):
    # What is computed matters here, not how fast; compiling is most of the time.
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.append(str(EXAMPLES))
    import crossmesh as cm

    models = {}
    agent = None if host == "single" else cm.connect()
    for job in json.loads(Path(jobs).read_text()):
        if host not in job["hosts"]:
            continue
        model = models.setdefault(job["example"], Model(job["example"]))
        said = {"name": job["name"]}
        try:
            losses, params = (train_stages if agent else train_single)(model, job, agent, host)
            for name, tree in params.items():
                np.savez(Path(job["directory"]) / f"{job['name']}-{name}.npz", **flat(tree))
            said |= {"losses": losses}
        except Exception as error:  # noqa: BLE001
            traceback.print_exc()
            said |= {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
    if agent is not None:
        agent.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
