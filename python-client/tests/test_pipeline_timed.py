"""The trainer around stages that wait instead of computing. Threads stand for processes."""

import itertools
import json
import threading
import time

import pytest

import crossmesh as cm
import crossmesh.pipeline as pp

pytestmark = pytest.mark.timeout(120)
HOSTS = ("s0", "s1", "s2")
names = itertools.count()


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(HOSTS, arena="64MiB") as cluster:
        yield cluster


def timed(processes, parts=None, *, forward=0.002, backward=0.002, weight=0.002, rows=64, skip=False):
    """Stages that send 64 rows of 64 floats to the next one; layouts alternate."""
    parts = parts or processes
    stages = []
    for part in range(parts):
        mesh = cm.Mesh((2,), hosts=[f"s{part % processes}"])
        layout = cm.Sharding(mesh, "S0 R" if part % 2 == 0 else "R S0")
        outputs = {} if part == parts - 1 else {f"h{part}": cm.TensorSpec((rows, 64), "float32", layout)}
        inputs = {f"h{part - 1}": "S0 R"} if part else {}
        if skip and part == 0:
            outputs["long"] = cm.TensorSpec((8, 8), "float32", layout)
        if skip and part == parts - 1:
            inputs["long"] = "R R"
        time = {"forward": forward, "backward": backward, "weight": weight}
        stages.append(pp.TimedStage(f"t{part}", mesh=mesh, inputs=inputs, outputs=outputs, **time))
    return pp.Pipeline(stages)


def together(cluster, pipelines, work, hosts=HOSTS, depth=None, **options):
    """Runs `work(trainer)` in a thread for each process; what each returned or raised, in order."""
    depths = depth if isinstance(depth, tuple) else (depth,) * len(pipelines)
    found = [None] * len(pipelines)
    name = f"timed-{next(names)}"

    def one(number, pipeline):
        try:
            stage = pipeline.stages[pipeline.processes[number].parts[0]].name
            stated = {"microbatches": 6, "timeout": 20, "start_timeout": 20, "name": name} | options
            stated["depth"] = depths[number]
            with pp.Trainer(pipeline, stage, agent=cluster.agent(hosts[number]), **stated) as trainer:
                found[number] = work(trainer)
        except Exception as error:  # noqa: BLE001
            found[number] = error

    threads = [threading.Thread(target=one, args=item, daemon=True) for item in enumerate(pipelines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found


def steps(count):
    return lambda trainer: [trainer.step() for _ in range(count)]


def held(schedule, process):
    """The most micro-batches that a process holds until its last gradient, all its stages together."""
    last = "W" if schedule.split else "B"
    now = most = 0
    for op in schedule.stage(process):
        now += (op.kind == "F") - (op.kind == last)
        most = max(most, now)
    return most


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("name", ["gpipe", "1f1b", "eager-1f1b", "zb-h1", "interleaved-1f1b"])
def test_every_schedule_ends_and_adds_up(cluster, name, processes, depth):
    virtual = 2 if name == "interleaved-1f1b" else 1
    pipeline = timed(processes, processes * virtual, skip=True)
    told = together(cluster, [pipeline] * processes, steps(2), schedule=name, depth=depth)
    schedule = cm.schedule(name, stages=processes, microbatches=6)
    for process, stats in enumerate(told):
        last = stats[-1]
        assert last.schedule == name
        assert last.stage == process
        assert last.stages == told[0][-1].stages
        mine = last.stages[process]
        assert mine.compute + mine.exposed + mine.bubble + mine.runner == pytest.approx(last.makespan)
        assert mine.compute >= 6 * virtual * 0.006
        assert min(mine.exposed, mine.bubble, mine.runner) >= -1e-4
        assert last.peak_activations == held(schedule, process)
        assert last.makespan <= last.seconds + 0.5


def test_adaptive_measures_then_chooses_the_same_on_all_and_keeps_to_the_memory(cluster):
    def work(trainer):
        before = trainer.schedule.name
        stats = [trainer.step() for _ in range(4)]
        times = trainer.times()
        return before, stats + [trainer.step() for _ in range(2)], trainer.schedule, times

    told = together(cluster, [timed(3, skip=True)] * 3, work, schedule="adaptive", memory=3)
    assert not any(isinstance(one, Exception) for one in told), told
    assert len({schedule.digest for _, _, schedule, _ in told}) == 1
    before, stats, schedule, times = told[0]
    assert (before, schedule.name) == ("zb-h1", "adaptive")
    assert [s.schedule for s in stats] == ["zb-h1"] * 4 + ["adaptive"] * 2
    assert max(s.peak_activations for s in stats[-1].stages) <= 3
    for seconds in (*times.forward, *times.backward, *times.weight):
        assert 0.002 <= seconds < 0.02
    assert len(times.transfer) == 2
    assert list(times.skips) == [(0, 2)]
    assert all(0 < seconds < 0.02 for seconds in times.skips[0, 2])
    assert times == told[2][3]
    other = cm.schedule("1f1b", stages=3, microbatches=6)
    assert times.simulate(schedule).makespan <= times.simulate(other).makespan


def test_adaptive_takes_the_whole_backward_where_cutting_costs_more_than_it_wins():
    from crossmesh._pipeline.running import Times, fastest

    def times(backward, weight):
        return Times([0.01] * 2, [backward] * 2, weight and [weight] * 2, [(0.001, 0.001)])

    whole = times(0.02, None)
    for found, split in (((times(0.01, 0.01), whole), True), ((times(0.013, 0.013), whole), False)):
        assert fastest(found, 2, 8, 1, None).split == split


def test_adaptive_measures_both_backwards_in_turn():
    from crossmesh._pipeline.running import Choosing, Times, first_schedule

    pipeline = timed(2)
    first = first_schedule(pipeline, "adaptive", 6, None)
    choosing = Choosing(pipeline, 6, None, first, whole=True)
    costs = {"zb-h1": (0.013, 0.013), "1f1b": (0.02, None)}
    ran, running = [], first
    while not choosing.over:
        ran.append(running.name)
        backward, weight = costs[running.name]
        times = Times([0.01] * 2, [backward] * 2, weight and [weight] * 2, [(0.001, 0.001)])
        running = choosing.after_step(lambda times=times: times) or running
    assert ran == ["zb-h1", "1f1b"] * 4
    assert (running.name, running.split) == ("adaptive", False)


def test_adaptive_with_virtual_stages(cluster):
    def work(trainer):
        return [trainer.step().schedule for _ in range(5)], trainer.schedule.virtual, trainer.times().transfer

    for one in together(cluster, [timed(2, 4)] * 2, work, schedule="adaptive"):
        ran, virtual, transfer = one
        assert ran == ["interleaved-1f1b"] * 4 + ["adaptive"]
        assert virtual == 2
        assert len(transfer) == 2


def test_a_trace_of_all_stages_on_one_clock(cluster, tmp_path):
    def work(trainer):
        trainer.step()
        trainer.step()
        trainer.trace(tmp_path / f"{trainer.process}.json")

    together(cluster, [timed(2)] * 2, work)
    texts = [(tmp_path / f"{process}.json").read_text() for process in range(2)]
    assert texts[0] == texts[1]
    events = json.loads(texts[0])["traceEvents"]
    ops = {(e["args"]["step"], e["name"]): e for e in events if e["ph"] == "X" and "step" in e["args"]}
    assert len(ops) == 2 * 2 * 6 * 2
    arrived = {(e["name"], e["id"][0]): e["ts"] for e in events if e["ph"] == "e"}
    for step, microbatch in itertools.product(range(2), range(6)):
        forward, backward = ops[step, f"F{microbatch}.0"], ops[step, f"B{microbatch}.0"]
        at = arrived[f"F{microbatch}.0", str(step)]
        assert forward["ts"] + forward["dur"] <= at <= ops[step, f"F{microbatch}.1"]["ts"] + 1
        assert (
            ops[step, f"B{microbatch}.1"]["ts"] + 2000 <= arrived[f"B{microbatch}.1", str(step)] <= backward["ts"] + 1
        )


@pytest.mark.parametrize(
    ("pipelines", "options", "words"),
    [
        ((timed(2), timed(2, rows=32)), {}, "stage 't0'"),
        ((timed(2), timed(2)), {"schedule": None}, "the schedule"),
    ],
)
def test_processes_that_state_different_things(cluster, pipelines, options, words):
    """Each of them says so before any step."""
    found = [None, None]
    name = f"different-{next(names)}"

    def one(number):
        schedule = ("gpipe", "1f1b")[number if options else 0]
        try:
            agent = cluster.agent(HOSTS[number])
            stated = {"schedule": schedule, "microbatches": 6, "timeout": 20, "start_timeout": 20, "name": name}
            pp.Trainer(pipelines[number], f"t{number}", agent=agent, **stated)
        except Exception as error:  # noqa: BLE001
            found[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for error in found:
        assert isinstance(error, cm.PlanMismatch), found
        assert words in str(error)


def test_two_processes_of_one_host(cluster):
    meshes = [cm.Mesh((2,), devices=[("s1", first), ("s1", first + 1)]) for first in (0, 2)]
    h = cm.TensorSpec((8, 8), "float32", cm.Sharding(meshes[0], "S0 R"))
    times = {"forward": 0.001, "backward": 0.001}
    first = pp.TimedStage("first", mesh=meshes[0], inputs={}, outputs={"h": h}, **times)
    last = pp.TimedStage("last", mesh=meshes[1], inputs={"h": "R S0"}, outputs={}, **times)
    pipeline = pp.Pipeline([first, last])
    assert [process.devices for process in pipeline.processes] == [(0, 1), (2, 3)]
    for stats in together(cluster, [pipeline] * 2, steps(2), hosts=("s1", "s1")):
        assert stats[-1].step == 1


def test_processes_that_disagree_on_how_many_they_are(cluster):
    for error in together(cluster, [timed(2), timed(3)], steps(1)):
        assert isinstance(error, cm.PlanMismatch), error


def test_a_process_that_cannot_start_tells_the_others(cluster):
    start = time.monotonic()
    first, second = together(cluster, [timed(2)] * 2, steps(1), depth=(None, 0))
    assert time.monotonic() - start < 15
    assert isinstance(second, cm.LayoutError)
    assert isinstance(first, cm.TransferCancelled)
    assert "depth is a whole number from 1 to" in str(first)


def test_progress_shows_loss_and_shares(cluster):
    import io

    from rich.console import Console

    out = io.StringIO()

    def work(trainer):
        if trainer.process == 0:
            with pp.Progress(2, console=Console(file=out, width=120)) as show:
                for _ in range(2):
                    show(trainer.step())
        else:
            steps(2)(trainer)

    together(cluster, [timed(2)] * 2, work)
    assert "2/2" in out.getvalue()
    assert "loss 0" in out.getvalue()
    assert "1f1b" in out.getvalue()


def test_clocks_that_differ_are_brought_to_that_of_the_first_process(cluster, monkeypatch):
    from crossmesh._pipeline import hello
    from crossmesh._pipeline.gather import Gather

    shifts, found, mine = (100.0, -5.0, 1e4), {}, threading.local()

    class Clock:
        def perf_counter(self):
            return time.perf_counter() + mine.shift

    monkeypatch.setattr(hello, "time", Clock())

    def one(number):
        mine.shift = shifts[number]
        processes = timed(3).processes
        with Gather(cluster.agent(HOSTS[number]), "clocks", processes, number, 64, "uint8", 20.0) as gather:
            found[number] = hello._clock_offset(gather, 3, number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, shift in enumerate(shifts):
        assert found[number] == pytest.approx(shifts[0] - shift, abs=0.1)


def test_a_schedule_beyond_the_memory(cluster):
    told = together(cluster, [timed(2)] * 2, steps(1), schedule="gpipe", memory=3)
    for error in told:
        assert isinstance(error, cm.ScheduleError)


def test_a_process_that_fails_tells_the_others_why(cluster):
    def work(trainer):
        trainer.step()
        if trainer.process == 2:
            raise RuntimeError("the disk is full")
        return trainer.step()

    told = together(cluster, [timed(3)] * 3, work)
    assert isinstance(told[2], RuntimeError)
    for error in told[:2]:
        assert isinstance(error, cm.TransferCancelled)
        assert "the disk is full" in str(error)
        assert "'t2'" in str(error)


def test_a_process_that_hangs_ends_the_others_within_the_timeout(cluster):
    ended = threading.Semaphore(0)

    def work(trainer):
        trainer.step()
        if trainer.process == 1:
            # Until both others have ended: what closes its channels tells them something else.
            assert ended.acquire(timeout=30)
            assert ended.acquire(timeout=30)
            return
        start = time.monotonic()
        try:
            trainer.step()
        finally:
            ended.release()
            assert time.monotonic() - start < 10

    told = together(cluster, [timed(3)] * 3, work, timeout=2)
    for error in (told[0], told[2]):
        assert isinstance(error, cm.TransferTimeout | cm.TransferCancelled), told
        assert "TransferTimeout" in f"{type(error).__name__} {error}"


def test_the_runner_adds_little_to_each_operation(cluster):
    quick = {"forward": 0.0, "backward": 0.0, "weight": 0.0, "rows": 1}
    told = together(cluster, [timed(2, **quick)] * 2, steps(8), microbatches=32, schedule="zb-h1")
    per_op = [[s.stages[process].runner / (3 * 32) for s in stats] for process, stats in enumerate(told)]
    assert max(min(seconds) for seconds in per_op) < 0.0005, per_op
