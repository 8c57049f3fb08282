"""What the trainer's runner adds to an operation: two processes, stages that wait (and with --jax ones that compute).

Prints for each schedule the microseconds between two operations of a process: taking and posting tensors, placing data.
The limit of the project is 500 on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from typing import Any

import crossmesh as cm
import crossmesh.pipeline as pp

HOSTS = ("a", "b")
MICROBATCHES = 32
STEPS = 10
SCHEDULES = ("1f1b", "eager-1f1b", "zb-h1")
WIDTH = 64
LIMIT_MICROSECONDS = 500


def waiting() -> pp.Pipeline:
    """Two stages that wait 2 ms an operation; 16 KiB go between them each way."""
    meshes = [cm.Mesh((2,), hosts=[host]) for host in HOSTS]
    h = cm.TensorSpec((WIDTH, WIDTH), "float32", cm.Sharding(meshes[0], "S0 R"))
    times: dict[str, float] = {"forward": 0.002, "backward": 0.002, "weight": 0.002}
    first = pp.TimedStage("a", mesh=meshes[0], inputs={}, outputs={"h": h}, **times)
    return pp.Pipeline([first, pp.TimedStage("b", mesh=meshes[1], inputs={"h": "R S0"}, outputs={}, **times)])


def computing() -> pp.Pipeline:
    """Two stages of one matrix product each, over two devices."""
    import jax
    import jax.numpy as jnp

    def init(key: Any) -> Any:
        return {"w": 0.1 * jax.random.normal(key, (WIDTH, WIDTH))}

    def first(params: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"h": jnp.tanh(inputs["x"] @ params["w"])}

    def last(params: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"loss": jnp.mean((inputs["h"] @ params["w"] - inputs["y"]) ** 2)}

    meshes = [cm.Mesh((2,), ("x",), hosts=[host]) for host in HOSTS]
    x = jax.ShapeDtypeStruct((WIDTH, WIDTH), "float32")
    stages = [
        pp.Stage("a", first, init, mesh=meshes[0], inputs={"x": ("x", None)}, outputs={"h": ("x", None)}),
        pp.Stage("b", last, init, mesh=meshes[1], inputs={"h": ("x", None), "y": ("x", None)}, outputs={"loss": None}),
    ]
    return pp.Pipeline(stages, {"x": x, "y": x})


def stage(host: str, kind: str) -> None:
    """The process of one stage; that of the first prints."""
    optimizer, batch = None, None
    if kind == "computing":
        import numpy as np
        import optax

        optimizer = optax.sgd(0.1)
        batch = dict.fromkeys(("x", "y"), np.ones((MICROBATCHES, WIDTH, WIDTH), np.float32))
    pipeline = computing() if kind == "computing" else waiting()
    with cm.connect() as agent:
        for name in SCHEDULES:
            options: dict[str, Any] = {"microbatches": MICROBATCHES, "optimizer": optimizer, "name": f"{kind}-{name}"}
            with pp.Trainer(pipeline, host, agent=agent, schedule=name, **options) as trainer:
                steps = [trainer.step(batch) for _ in range(STEPS)][2:]
                count = len(trainer.schedule.stage(0))
            if host == HOSTS[0]:
                added = [statistics.median(s.stages[n].runner / count for s in steps) * 1e6 for n in range(len(HOSTS))]
                step = statistics.median(s.seconds for s in steps) * 1e3
                print(f"{kind:10} {name:12} {max(added):6.0f} us an operation, {step:7.1f} ms a step", flush=True)


def main() -> None:
    """Starts the agents and the processes of both stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jax", action="store_true", help="stages that compute too")
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        stage(*args.stage)
        return
    print(f"limit: {LIMIT_MICROSECONDS} us an operation on an otherwise idle machine")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    with cm.LocalCluster(HOSTS, arena="64MiB") as cluster:
        for kind in ("waiting", "computing") if args.jax else ("waiting",):
            commands = {host: [sys.executable, __file__, "--stage", host, kind] for host in HOSTS}
            started = [
                subprocess.Popen(command, env=os.environ | cluster.env(host) | flags)
                for host, command in commands.items()
            ]
            for process in started:
                if process.wait(300):
                    sys.exit(f"a stage ended with status {process.returncode}")


if __name__ == "__main__":
    main()
