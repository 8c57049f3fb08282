"""`cm.jax.reshard` in jobs whose processes do not make the same calls: never a value of another call."""

import json

import pytest

import crossmesh as cm
from jobs import SECONDS_MAX, await_job, run_job, start_job

TWO = ["a", "b"]
THREE = ["a", "b", "b"]
AT_ONCE_SECONDS = 2.0
"""Less than the timeout of a call in the job."""


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(hosts=TWO, arena="64MiB") as cluster:
        yield cluster


def results(cluster, hosts, *scenarios):
    """For each scenario what came of the calls of each process."""
    told = []
    for out, err, code in run_job(cluster, "calls_job.py", hosts, ",".join(scenarios), len(hosts)):
        assert code == 0, err[-3000:]
        told.append(json.loads(out))
    return {scenario: [said[scenario] for said in told] for scenario in scenarios}


def seconds(error):
    return float(error.split(" after ")[1].split(" s: ")[0])


DEVIATIONS = {
    "dtype": ["element type of the only tensor", "float32[8, 8]", "int32[8, 8]"],
    "shape": ["shape of the only tensor", "float32[8, 8]", "float32[16, 8]"],
    "source": ["source layout of the only tensor", "from 'S0 R'", "from 'S1 R'"],
    "destination": ["destination layout of the only tensor", "to 'R S1'", "to 'S0 R'"],
    "timeout": ["timeout", "process 0 states 4 s", "process 1 states 5 s"],
    "tree": ["structure of the tree", "['a']", "[0]"],
    "of_many": ["shape of ['t17']"],
}
REFUSALS = {
    "narrow": (1, "JAX would narrow float64 to float32"),
    "careless": (0, "Process 0 holds shards"),
    "deleted": (0, "that was deleted or donated"),
}


def test_a_call_that_processes_make_otherwise_fails_on_all_and_the_next_one_brings_its_own_values(cluster):
    told = results(cluster, TWO, "there_and_back", *DEVIATIONS, *REFUSALS)
    sent, came = told.pop("there_and_back")
    assert [a + b for a, b in zip(sent, came, strict=True)] == [[float(value)] for value in range(20)]
    for scenario, (first, second) in told.items():
        assert first[::2] == [[], []], scenario
        assert second[::2] == [[1.0], [3.0]], scenario
        errors = first[1], second[1]
        assert max(map(seconds, errors)) < AT_ONCE_SECONDS, errors
        for rank, error in enumerate(errors):
            if scenario in DEVIATIONS:
                assert error.startswith("PlanMismatch"), error
                assert all(word in error for word in DEVIATIONS[scenario]), error
            else:
                refuser, words = REFUSALS[scenario]
                assert error.startswith("LayoutError" if rank == refuser else "TransferCancelled"), error
                assert words in error
                assert rank == refuser or f"process {refuser} refused it" in error


def test_a_call_that_a_process_leaves_out_fails_at_the_timeout_and_names_it(cluster):
    told = results(cluster, TWO, "receiver_skips", "sender_skips", "interrupted", "never_called")
    first, second = told["receiver_skips"]
    assert second == [[1.0], [3.0]]
    assert first[::2] == [[], []]
    assert first[1].startswith("TransferTimeout after 4.")
    assert "Process 1 (host 'b') did not make it within 4 s" in first[1]
    first, second = told["sender_skips"]
    assert first == [[], []]
    assert second[::2] == [[1.0], [3.0]]
    assert "Process 0 (host 'a') did not make it within 4 s" in second[1]
    first, second = told["interrupted"]
    assert first == [[], "interrupted", []]
    assert second[::2] == [[1.0], [3.0]]
    assert seconds(second[1]) < AT_ONCE_SECONDS
    assert "Process 0 (host 'a') failed in it: KeyboardInterrupt" in second[1]
    first, second = told["never_called"]
    assert "Process 1 (host 'b') did not make it within 4 s" in first[0]
    assert first[1:] == [[], []]
    assert second == [[2.0], [3.0]]


def test_the_end_of_a_process_shows_at_once(cluster):
    first, second = results(cluster, TWO, "end")["end"]
    assert second == [[1.0]]
    assert first[1].startswith("PeerLost")
    assert "Process 1 (host 'b') ended before it" in first[1]
    assert seconds(first[1]) < AT_ONCE_SECONDS


def test_the_loss_of_a_process_shows_before_the_timeout(cluster):
    job = start_job(cluster, "calls_job.py", TWO, "killed", 2)
    job[1].wait(SECONDS_MAX)  # what nobody waits for is a zombie, which still has its process number
    (out, err, code), killed = await_job(job)
    assert code == 0, err[-3000:]
    assert killed[2] < 0
    assert json.loads(out)["killed"][1].startswith("PeerLost"), out


def test_a_process_without_shards_does_not_wait_and_is_waited_for(cluster):
    told = results(cluster, THREE, "alike", "bystander", "bystander_runs_ahead", "bystander_skips")
    first, second, third = told["bystander"]
    assert second == [[1.0], [2.0], [3.0]]
    assert third[3] < AT_ONCE_SECONDS / 2
    first, second, third = told["bystander_runs_ahead"]
    assert second == [[1.0], [3.0]]
    assert third == [[], [], []]
    assert "Process 1 (host 'b') did not make it" in first[1]
    first, second, third = told["bystander_skips"]
    assert second[::2] == [[1.0], [3.0]]
    for error in (first[1], second[1]):
        assert "Process 2 (host 'b') did not make it within 4 s" in error


def test_shardings_and_weak_types_are_those_of_the_call(cluster):
    told = results(cluster, TWO, "weak", "shardings")
    assert told["weak"] == [[True, False]] * 2
    assert told["shardings"] == [["right"]] * 2


def test_two_jobs_use_the_same_agents_at_once(cluster):
    jobs = [start_job(cluster, "calls_job.py", TWO, "there_and_back,dtype,there_and_back", 2) for _ in range(2)]
    for job in jobs:
        for out, err, code in await_job(job):
            assert code == 0, err[-3000:]
            told = json.loads(out)
            assert len(told["there_and_back"]) == 20
            assert "element type" in told["dtype"][1]
