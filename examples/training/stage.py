"""One process of a pipeline training: builds the pipeline, trains its stages, says how it goes."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import crossmesh as cm
import crossmesh.pipeline as pp
import jax
import numpy as np
import optax

from training.layers import Params, Part

WARMUP_STEPS_MAX = 20
CLIP_NORM = 1.0


@dataclass(frozen=True)
class Example:
    """A model and its data.

    Attributes:
        name: of the folder that is written to.
        sizes: the configurations by name; each has a ``learning_rate``.
        parts: (size, number of stages) to the stages as functions.
        pipeline: (size, processes, virtual stages in each, seed) to the pipeline.
        batches: (configuration, micro-batches, seed, first step) to batches without end.
        loss_name: what the loss is, for the picture.
        steps: how many are made if nothing else is said.
    """

    name: str
    sizes: Mapping[str, Any]
    parts: Callable[[str, int], list[Part]]
    pipeline: Callable[[str, int, int, int], pp.Pipeline]
    batches: Callable[[Any, int, int, int], Iterator[Mapping[str, Any]]]
    loss_name: str
    steps: int


def run(example: Example, args: argparse.Namespace) -> None:
    """Trains the stages of one process. Process 0 prints a JSON line for each step.

    At the end the parameters of each stage are in ``OUT/params/``, and a trace of the last steps in ``OUT/trace.json``.
    """
    config = example.sizes[args.size]
    pipeline = example.pipeline(args.size, args.stages, args.virtual, args.seed)
    saved = args.out / "saved"
    with (
        cm.connect() as agent,
        pp.Trainer(
            pipeline,
            stage=f"part{args.process}",
            agent=agent,
            schedule=args.schedule,
            microbatches=args.microbatches,
            optimizer=optimizer(config.learning_rate, args.steps),
            clip_norm=CLIP_NORM,
            seed=args.seed,
        ) as trainer,
    ):
        first = trainer.resume(saved) if args.resume else 0
        batches = example.batches(config, args.microbatches, args.seed, first)
        for batch in islice(batches, max(0, args.steps - first)):
            stats = trainer.step(batch)
            if args.process == 0:
                print(json.dumps(line(stats)), flush=True)
            if args.save_every and trainer.step_number % args.save_every == 0:
                trainer.save(saved)
        if args.process == 0:
            trainer.trace(args.out / "trace.json")
        for name, params in trainer.params.items():
            write(args.out / "params" / f"{name}.npz", params)


def optimizer(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """AdamW, whose rate rises over the first steps and falls to a tenth along a cosine."""
    warmup = min(WARMUP_STEPS_MAX, max(1, steps // 5))
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, max(steps, warmup + 1), learning_rate / 10)
    return optax.adamw(rate, b2=0.98, weight_decay=0.01)


def line(stats: pp.StepStats) -> dict[str, Any]:
    """What is said of a step."""
    return {
        "step": stats.step,
        "loss": stats.loss,
        "seconds": stats.seconds,
        "schedule": stats.schedule,
        "stages": [dataclasses.asdict(stage) for stage in stats.stages],
    }


def write(path: Path, params: Params) -> None:
    """Writes a tree of parameters, each under its path, for example ``block0/up/kernel``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf) for key, leaf in leaves}
    np.savez(path, allow_pickle=False, **named)


def read(path: Path) -> Params:
    """Reads what ``write`` wrote."""
    params: Params = {}
    with np.load(path) as file:
        for name in file.files:
            *above, last = name.split("/")
            tree = params
            for key in above:
                tree = tree.setdefault(key, {})
            tree[last] = file[name]
    return params
