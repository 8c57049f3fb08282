"""One process of the trainer's job: trains, and every few steps sends the weights to the engine.

Started by `refit.py`. The other process of the job runs the same code on another host; each sends what it holds.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial

import crossmesh as cm
import numpy as np

import wire
from channels import GATHERED, READY, ROUND, ROUND_HEARD, SCATTERED, WEIGHTS, whole_at_first
from config import TRAINERS
from job import Job, run
from layouts import trainer_mesh
from model import Params, TrainStep, init
from sums import checksums


def train(job: Job, tx: cm.Sender) -> Params:
    """Trains for the steps of the run and returns the last weights; each refit's checksums are told to the parent."""
    mesh = trainer_mesh()
    _, where = job.parameters(mesh)
    params = init(job.config, where)
    step = TrainStep(job.config)
    sums_of = checksums(mesh, where)

    sent = None
    for number in range(job.steps + 1):
        if number in job.refits:
            sums = np.asarray(sums_of(params)).tolist()
            started = time.perf_counter()
            sent = tx.send(params, step=number)  # returns at once
            sent.add_done_callback(partial(_tell_sent, job, number, started, sums))
        if number == job.steps:
            break
        if sent is not None:
            sent.read()  # the step below takes the memory of the weights that were sent
        params = step(params, number)
    if sent is not None:
        sent.result()
    return params


def _tell_sent(job: Job, step: int, started: float, sums: list[int], sent: cm.Transfer) -> None:
    if sent.exception() is None:
        job.parent.say(kind="sent", process=job.process, step=step, start=started, end=time.perf_counter(), sums=sums)


class Comparison:
    """The same weights by two routes and as many bytes over a plain socket, in turns.

    The engine says when it has checked the last transfer and posted the next, so that none runs beside another.
    """

    def __init__(self, agent: cm.Agent, job: Job, tx: cm.Sender, opened: contextlib.ExitStack) -> None:
        spec, where = job.parameters(trainer_mesh())
        whole = whole_at_first(spec)
        self._job, self._tx = job, tx
        self._ready = opened.enter_context(agent.receiver(READY, ROUND, ROUND_HEARD, depth=1))
        self._gather = opened.enter_context(agent.sender(GATHERED, spec, where, depth=1))
        self._first = job.process == 0
        if self._first:
            self._gathered = opened.enter_context(agent.receiver(GATHERED, spec, whole, depth=1))
            self._scatter = opened.enter_context(agent.sender(SCATTERED, spec, whole, depth=1))

    def run(self, params: Params) -> None:
        """Every round; each start is told to the parent."""
        nbytes = self._tx.plan.bytes_sent[TRAINERS[self._job.process]]
        with wire.connect(self._job.wire) if self._first else contextlib.nullcontext() as connection:
            for number in self._job.timed:
                self._begin("direct", number)
                self._tx.send(params, step=number).result()
                self._begin("gathered", number)
                sent = self._gather.send(params, step=number)
                if self._first:
                    self._scatter.send(self._gathered.recv(step=number).result(), step=number).result()
                sent.result()
                self._begin("socket", number, told=self._first)
                if connection is not None:
                    wire.send(connection, nbytes)

    def _begin(self, route: str, number: int, told: bool = True) -> None:
        self._ready.recv().result()
        if told:
            self._job.parent.say(kind="start", route=route, round=number, at=time.perf_counter())


def main(agent: cm.Agent, job: Job) -> None:
    """Trains with refits, then times the routes."""
    spec, where = job.parameters(trainer_mesh())
    with contextlib.ExitStack() as opened:
        tx = opened.enter_context(agent.sender(WEIGHTS, spec, where, depth=1))
        comparison = Comparison(agent, job, tx, opened)
        comparison.run(train(job, tx))


if __name__ == "__main__":
    run(main)
