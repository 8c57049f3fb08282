"""One pipeline stage: one process, its own JAX runtime with four devices, its own agent.

Started by ``train.py``, which also says through the environment where the agent of this stage is. A stage
knows its neighbour only by the names of two channels: it states the layout in which it has or wants a tensor,
and learns nothing about the other side's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import crossmesh as cm
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from config import SIZES, Config
from data import batches
from layouts import ACTIVATIONS, TOKENS, stage_mesh
from learner import Learner
from model import Params, first_stage, last_stage

Vjp = Callable[[jax.Array], tuple[Params]]
"""The backward pass of one micro-batch, with the values it needs: a function that is also a pytree."""

FORWARD_CHANNEL: Final = "activations/0-1"
BACKWARD_CHANNEL: Final = "gradients/1-0"


def run_first(agent: cm.Agent, config: Config, steps: int, mesh: Mesh) -> Learner:
    """Stage 0: embeds the text, applies its blocks, sends the activations and learns from what comes back."""
    learner = Learner(config, 0, mesh)
    layout = NamedSharding(mesh, ACTIVATIONS[0])
    tokens_layout = NamedSharding(mesh, TOKENS[0])
    boundary = jax.ShapeDtypeStruct(config.activation_shape, jnp.float32)

    @jax.jit
    def forward(params: Params, tokens: jax.Array) -> tuple[jax.Array, Vjp]:
        def activations(params: Params) -> jax.Array:
            x: jax.Array = jax.lax.with_sharding_constraint(first_stage(params, tokens), layout)
            return x

        return jax.vjp(activations, params)

    @partial(jax.jit, out_shardings=learner.layouts)
    def backward(vjp: Vjp, gradient: jax.Array) -> Params:
        (params_gradient,) = vjp(gradient)
        return params_gradient

    with (
        agent.sender(FORWARD_CHANNEL, boundary, layout, depth=config.depth) as tx,
        agent.receiver(BACKWARD_CHANNEL, boundary, layout, depth=config.depth) as rx,
    ):
        for inputs, _ in batches(config, steps):
            gradients = deque(rx.recv() for _ in range(config.microbatches))
            unfinished: deque[Vjp] = deque()
            for microbatch in inputs:
                x, vjp = forward(learner.params, jax.device_put(microbatch, tokens_layout))
                tx.send(x)  # returns at once: neither the computing of x nor the wire is waited for
                unfinished.append(vjp)
                if len(unfinished) > config.depth:
                    learner.add(backward(unfinished.popleft(), gradients.popleft().result()))
            while unfinished:
                learner.add(backward(unfinished.popleft(), gradients.popleft().result()))
            learner.step()
    return learner


def run_last(agent: cm.Agent, config: Config, steps: int, mesh: Mesh) -> Learner:
    """Stage 1: takes activations, computes the loss, sends back the gradient. Prints a JSON line a step."""
    learner = Learner(config, 1, mesh)
    layout = NamedSharding(mesh, ACTIVATIONS[1])
    tokens_layout = NamedSharding(mesh, TOKENS[1])
    boundary = jax.ShapeDtypeStruct(config.activation_shape, jnp.float32)

    loss_and_gradients = jax.jit(
        jax.value_and_grad(last_stage, argnums=(0, 1)), out_shardings=(None, (learner.layouts, layout))
    )

    with (
        agent.receiver(FORWARD_CHANNEL, boundary, layout, depth=config.depth) as rx,
        agent.sender(BACKWARD_CHANNEL, boundary, layout, depth=config.depth) as tx,
    ):
        for step, (_, targets) in enumerate(batches(config, steps)):
            start = time.perf_counter()
            # Taken out one by one: an array gives its slot in the arena back when nobody holds it any more.
            arriving = deque(rx.recv() for _ in range(config.microbatches))
            losses, sent = [], []
            for microbatch in targets:
                loss, (params_gradient, x_gradient) = loss_and_gradients(
                    learner.params, arriving.popleft().result(), jax.device_put(microbatch, tokens_layout)
                )
                sent.append(tx.send(x_gradient))
                learner.add(params_gradient)
                losses.append(loss)
            learner.step()
            for transfer in sent:
                transfer.result()
            mean = sum(float(loss) for loss in losses) / config.microbatches
            row = {"step": step, "loss": mean, "seconds": time.perf_counter() - start}
            print(json.dumps(row), flush=True)
    return learner


def main() -> None:
    """Runs the stage that the command line names and writes its parameters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", type=int, choices=(0, 1), required=True)
    parser.add_argument("--size", choices=sorted(SIZES), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--save", type=Path, required=True, help="npz file for the parameters at the end")
    args = parser.parse_args()
    run = (run_first, run_last)[args.stage]
    with cm.connect() as agent:
        run(agent, SIZES[args.size], args.steps, stage_mesh()).save(args.save)


if __name__ == "__main__":
    main()
