"""The benchmark of whole steps: the rendezvous of its blocking baseline, and what its report calls a miss."""

import itertools
import math
import queue
import random
import socket
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

import crossmesh as cm

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from e2e import blocking, cells, gauges, report, results

SECONDS_MAX = 20


class FakeLinks:
    """Links between two threads: a transfer is one put; what is on the wire at once is counted."""

    def __init__(self, first, mailboxes, log):
        self._first = first
        self._mailboxes = mailboxes
        self._log = log

    def begin(self, microbatches, ahead):
        self._waiting = [self._mailboxes[self._first]] * microbatches

    def coming(self, _part, *, back, later):
        assert back == self._first
        return [self._waiting[later]]

    def send_outputs(self, _part, _microbatch, values):
        assert self._log["under way"] == 0, "two transfers at once"
        self._log["under way"] += 1
        done = Future()
        self._mailboxes[not self._first].put((values, done))
        return [done]

    send_gradients = send_outputs

    def inputs(self, _part, _microbatch, wait):
        return wait(self._waiting.pop(0))

    gradients = inputs


class Stage(threading.Thread):
    """Runs one stage's operations through `BlockingLinks`."""

    def __init__(self, ops, first, peer, mailboxes, log, rng):
        super().__init__(daemon=True)
        self._ops = ops
        self._first = first
        self._rng = rng
        self._arrived = {}
        self.links = blocking.BlockingLinks(FakeLinks(first, mailboxes, log), first, peer, self._wait)
        self._log = log
        self.error = None
        self.done = []

    def _wait(self, arriving):
        if isinstance(arriving, Future):
            return arriving.result(SECONDS_MAX)
        if id(arriving) in self._arrived and self._arrived[id(arriving)]:
            return self._arrived[id(arriving)].pop(0)
        values, done = arriving.get(timeout=SECONDS_MAX)
        self._log["under way"] -= 1
        self._arrived.setdefault(id(arriving), []).append(values)
        done.set_result(None)
        return values

    def run(self):
        try:
            self.links.begin(len(self._ops), {})
            part = 0 if self._first else 1
            for op in self._ops:
                for _ in range(self._rng.randrange(3)):
                    threading.Event().wait(0.0005)
                if op.kind == "F":
                    if not self._first:
                        self.links.inputs(part, op.microbatch, self._wait)
                    self.links.send_outputs(part, op.microbatch, {"h": op.microbatch})
                elif op.kind == "B":
                    if self._first:
                        self.links.gradients(part, op.microbatch, self._wait)
                    self.links.send_gradients(part, op.microbatch, {"g": op.microbatch})
                self.done.append(op)
        except BaseException as error:
            self.error = error
            raise


@pytest.mark.parametrize("name", ["gpipe", "1f1b", "eager-1f1b", "zb-h1"])
def test_blocking_transfers_go_one_at_a_time_and_end(name):
    seed = random.randrange(2**32)
    print("seed", seed)
    schedule = cm.schedule(name, stages=2, microbatches=12)
    ends = socket.socketpair()
    mailboxes = {True: queue.Queue(), False: queue.Queue()}
    log = {"under way": 0}
    stages = [
        Stage(schedule.stage(part), part == 0, ends[part], mailboxes, log, random.Random(seed + part))
        for part in (0, 1)
    ]
    for end in ends:
        end.settimeout(SECONDS_MAX)
    for stage in stages:
        stage.start()
    for stage in stages:
        stage.join(SECONDS_MAX)
        assert stage.error is None
    for end in ends:
        end.close()
    assert [len(stage.done) for stage in stages] == [len(schedule.stage(part)) for part in (0, 1)]
    assert log["under way"] == 0


def cell(seconds, rho=0.6, stages=2, peak=5):
    runs = [results.Run(m.name, s, 0.01, peak, makespans=[s] * 5) for m, s in zip(cells.METHODS, seconds, strict=True)]
    return results.Cell("u_transformer", rho, stages, 1e8, 0.01, runs=runs)


GOOD = (5.0, 2.4, 2.4, 1.95, 1.52, 1.48, 1.47)


def test_a_good_cell_misses_nothing_and_keeps_its_numbers():
    found = cell(GOOD)
    assert report.misses([found]) == []
    assert results.Cell.from_dict(found.to_dict()) == found
    text = report.tables([found])
    assert "**1.62**" in text
    assert "99.3%" in text
    assert "Every limit is kept." in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: 2.1}, "1.42 x Alpa (limit 1.5)"),
        ({5: 1.56}, "adaptive is slower than eager-1F1B"),
        ({6: 1.40}, "adaptive is 94.6% of the free network (limit 97%)"),
    ],
)
def test_what_is_missed_is_said(change, words):
    seconds = [change.get(number, second) for number, second in enumerate(GOOD)]
    assert any(words in text for text in report.misses([cell(seconds)]))


def test_a_prediction_that_is_off_and_too_much_memory_are_said():
    found = cell(GOOD, peak=6)
    found.runs[3].predicted *= 0.95
    missed = report.misses([found])
    assert any("overlapped 1F1B: the simulator is off by +5.3% (limit 3%)" in text for text in missed)
    assert any("holds 6 micro-batches (cap 5)" in text for text in missed)


def test_what_was_not_measured_keeps_no_limit():
    found = cell(GOOD)
    found.runs[3].dropped, found.runs[3].makespans = found.runs[3].makespans, []
    assert any("overlapped 1F1B: none of 5 steps counts" in text for text in report.misses([found]))
    assert report.misses([]) == ["nothing was measured"]


def test_a_cell_takes_the_place_of_one_like_it_alone(tmp_path):
    path = tmp_path / "results.json"
    longer, other, again = cell(GOOD), cell(GOOD, rho=0.3), cell(GOOD)
    longer.compute = 0.06
    results.keep(path, [cell(GOOD), longer, other])
    results.keep(path, [again])
    assert results.read(path) == [other, again, longer]
    titles = ["U-Transformer 2B, 2 stages, T 30 ms", "U-Transformer 2B, 2 stages, T 60 ms"]
    assert list(results.tables(results.read(path))) == titles


def test_boundaries_are_the_papers_over_one_factor():
    for model, mib in (("gpt", 80), ("u_transformer", 304.5)):
        for token in (False, True):
            made = cells.timed_pipeline(cells.MODELS[model], ["a", "b", "c"], token)
            assert len(made.pairs) == 2
            bytes_of = {
                pair[:2]: sum(spec.dtype.itemsize * math.prod(spec.shape) for spec in (v.spec for v in pair[2]))
                for pair in made.pairs
            }
            wanted = 4 if token else mib * 2**20 / cells.SCALE
            assert set(bytes_of.values()) == {wanted}
    gauge = cells.gauge_pipeline(made)
    assert [stage.forward for stage in gauge.stages] == [cells.GAUGE_SECONDS] * 2
    assert list(itertools.chain(*(pair[:2] for pair in gauge.pairs))) == [0, 1]


@pytest.mark.parametrize("seconds", [0.0005, 0.004, 0.03])
def test_a_blocking_transfer_is_what_explains_the_steps_of_its_gauge(seconds):
    schedule = cm.schedule("1f1b", stages=2, microbatches=cells.GAUGE_MICROBATCHES)
    times = {"forward": cells.GAUGE_SECONDS, "backward": cells.GAUGE_SECONDS}
    took = cm.simulate(schedule, **times, transfer=seconds, overlap=False).makespan
    assert gauges.blocking_transfer([took, 1.0, took, 0.0, took]) == pytest.approx(seconds, rel=1e-3)


def step(forward, backward, weight=None, held_up=1.0, runner=0.0, microbatches=cells.MICROBATCHES):
    """What both stages answer of a step whose operations take these seconds, longer by a factor now and then."""
    compute = microbatches * (forward + backward + (weight or 0.0)) * held_up
    transfers = [(0.005, 0.006)]
    answer = {"forward": forward, "backward": backward, "weight": weight, "runner": runner}
    return [answer | {"compute": compute, "transfers": transfers}] * 2


def test_predictions_are_made_of_what_a_cells_turns_have_measured():
    seen = gauges.Gauges(["a", "b"])
    ops = 2 * cells.MICROBATCHES
    seen.tokens[False] = [step(0.01, 0.02, runner=ops * 0.0001)] * 3
    seen.crossings[cells.OVERLAPPED.name] = [[[there, 0.004]] for there in (0.002, 0.003, 0.9)]
    assert seen.stated(cells.OVERLAPPED, split=False) == {
        "transfer": [(0.003, 0.004)],
        "hosts": ["a", "b"],
        "forward": pytest.approx([0.0101] * 2),
        "backward": pytest.approx([0.0201] * 2),
        "weight": None,
    }
    schedule = cm.schedule("1f1b", stages=2, microbatches=cells.MICROBATCHES)
    assert (
        seen.predicted(cells.OVERLAPPED, schedule)
        == cm.simulate(schedule, **seen.stated(cells.OVERLAPPED, split=False)).makespan
    )


def test_adaptive_is_told_of_transfers_among_those_of_eager_1f1b():
    seen = gauges.Gauges(["a", "b", "c"])
    seen.tokens[True] = [step(0.01, 0.01, 0.01) + step(0.01, 0.01, 0.01)[:1]]
    seen.crossings = {cells.EAGER.name: [[[0.02, 0.021], [0.03, 0.031]]], cells.OVERLAPPED.name: [[[0.01] * 2] * 2]}
    assert seen.pairs(cells.ADAPTIVE, split=True) == [(0.02, 0.021), (0.03, 0.031)]
    assert seen.pairs(cells.BOUND, split=True) == [(0.0, 0.0)] * 2
    chosen = seen.adaptive(cells.ADAPTIVE, 5)
    assert (chosen.name, chosen.stages, chosen.split) == ("adaptive", 3, True)


def test_operations_take_together_what_a_stage_computes():
    seen = gauges.Gauges(["a", "b"])
    seen.tokens[True] = [step(0.01, 0.02, 0.01, held_up=1.05)]
    assert seen.times(True).compute == pytest.approx(0.042)


def test_steps_in_which_a_core_did_something_else_are_no_gauge():
    seen = gauges.Gauges(["a", "b"])
    seen.tokens[False] = [step(0.01, 0.02), step(0.0105, 0.021), step(0.02, 0.04), step(0.02, 0.04)]
    assert seen.times(False).forward == pytest.approx([0.01025] * 2)
    assert seen.compute(cells.ALPA, split=False) == pytest.approx([0.03075 * cells.MICROBATCHES] * 2)


def test_where_stages_compute_each_method_is_told_of_steps_with_transfers_like_its_own():
    few = {"microbatches": cells.OVERLAPPED_MICROBATCHES}
    loaded = {
        (cells.OVERLAPPED.name, False): [step(0.012, 0.02, **few)],
        (cells.EAGER.name, False): [step(0.013, 0.02, **few)],
        (cells.EAGER.name, True): [step(0.014, 0.01, 0.01, **few)],
    }
    seen = gauges.Gauges(["a", "b"], loaded=loaded)
    seen.tokens = {True: [step(0.01, 0.01, 0.01)], False: [step(0.01, 0.02)]}
    seen.steps[cells.ALPA.name] = [0.1]
    told = {
        (method.name, split): seen.stated(method, split=split)["forward"][0]
        for method in (cells.ALPA, *cells.LONG)
        for split in (False, True)
        if not split or method in (cells.ADAPTIVE, cells.BOUND)
    }
    assert told == {
        (cells.ALPA.name, False): 0.01,
        (cells.OVERLAPPED.name, False): 0.012,
        (cells.EAGER.name, False): 0.013,
        (cells.ADAPTIVE.name, False): 0.013,
        (cells.ADAPTIVE.name, True): 0.014,
        (cells.BOUND.name, False): 0.01,
        (cells.BOUND.name, True): 0.01,
    }
    assert seen.pairs(cells.ADAPTIVE, split=True) == [(0.005, 0.006)]
    assert seen.compute(cells.EAGER, split=False) == pytest.approx([0.033 * cells.MICROBATCHES] * 2)
    assert seen.compute(cells.BOUND, split=True) == pytest.approx([0.03 * cells.MICROBATCHES] * 2)
