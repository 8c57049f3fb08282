"""One process of the engine's job: answers with the weights it has, and takes new ones when they are whole.

Started by `refit.py`. The other process of the job runs the same code on another host. Both take a new version
between the same two answers, so no answer is computed from two versions.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Final

import crossmesh as cm
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import wire
from channels import READY, ROUND, ROUND_SAID, SCATTERED, WEIGHTS
from config import TRAINERS
from job import Job, run
from layouts import engine_mesh, replicated
from sums import checksums

LAST_ANSWERS: Final = 2
"""How many answers the last version gives."""


class Consensus:
    """Whether something is so in every process of the job. All of them ask together."""

    def __init__(self, mesh: Mesh) -> None:
        self._spread = NamedSharding(mesh, P(mesh.axis_names))
        self._all = jax.jit(jnp.min, out_shardings=replicated(mesh))

    def __call__(self, here: bool) -> bool:
        """The minimum over all devices."""
        flag = np.full(1, here, np.int32)
        shape = (self._spread.mesh.size,)
        return bool(self._all(jax.make_array_from_callback(shape, self._spread, lambda _: flag)))


def serve(job: Job, rx: cm.Receiver) -> None:
    """Answers until the last version has answered; tells the parent of every answer which weights it read."""
    mesh = engine_mesh()
    _, where = job.parameters(mesh)
    read = checksums(mesh, where)  # an answer reads every weight, and says which it read
    everyone = Consensus(mesh)

    to_come = deque(job.refits)
    version = to_come.popleft()
    params = rx.recv(step=version).result()
    arriving = rx.recv(step=to_come.popleft()) if to_come else None
    last_answers = LAST_ANSWERS
    while arriving is not None or last_answers:
        start = time.perf_counter()
        sums = read(params)
        job.parent.say(kind="answer", process=job.process, version=version, sums=np.asarray(sums).tolist(), start=start)
        if arriving is None:
            last_answers -= 1
        elif everyone(arriving.done()):
            version, params = arriving.step, arriving.result()
            job.parent.say(kind="swap", process=job.process, version=version, at=time.perf_counter())
            arriving = rx.recv(step=to_come.popleft()) if to_come else None


def compare(job: Job, rx: cm.Receiver, scattered: cm.Receiver, ready: cm.Sender) -> None:
    """The engine's part of the timed rounds: takes each transfer, says when it was there, and checks it."""
    mesh = engine_mesh()
    sums_of = checksums(mesh, job.parameters(mesh)[1])
    first = job.process == 0
    nbytes = rx.plan.bytes_sent[TRAINERS[0]]

    def begin() -> None:
        ready.send({job.process: np.zeros(1, np.int64)})

    with wire.listen(job.wire) if first else contextlib.nullcontext() as connection:
        for number in job.timed:
            for route, receiver in (("direct", rx), ("gathered", scattered)):
                arriving = receiver.recv(step=number)
                begin()
                params = arriving.result()
                job.parent.say(kind="end", route=route, round=number, at=time.perf_counter())
                del arriving
                job.parent.say(
                    kind="check", process=job.process, route=route, sums=np.asarray(sums_of(params)).tolist()
                )
                del params
            begin()
            if connection is not None:
                wire.receive(connection, nbytes)
                job.parent.say(kind="end", route="socket", round=number, at=time.perf_counter())


def main(agent: cm.Agent, job: Job) -> None:
    """Serves while the trainer trains, then times the routes."""
    spec, where = job.parameters(engine_mesh())
    with (
        agent.receiver(WEIGHTS, spec, where, depth=1) as rx,
        agent.receiver(SCATTERED, spec, where, depth=1) as scattered,
        agent.sender(READY, ROUND, ROUND_SAID, depth=1) as ready,
    ):
        serve(job, rx)
        compare(job, rx, scattered, ready)


if __name__ == "__main__":
    run(main)
