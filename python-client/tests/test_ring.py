"""The client's side of the ring, with the agent's played here on the same file."""

import mmap
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import crossmesh as cm
from crossmesh import _ring
from crossmesh._ring import RECORDS, Ring, RingOver


class FakeAgent:
    """The agent's side, by the layout of docs/agent.md."""

    def __init__(self, directory, *, magic=b"CMRING01"):
        self.paths = [str(directory / name) for name in ("ring", "bell", "agent-bell")]
        with Path(self.paths[0]).open("wb") as file:
            file.truncate(_ring._END * 8)
        self.bells = []
        for path in self.paths[1:]:
            os.mkfifo(path)
            self.bells.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        with Path(self.paths[0]).open("r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), _ring._END * 8)).cast("q")
        self.words[1] = RECORDS
        self.words[0] = int.from_bytes(magic, "little")
        self.head = 0
        self.tail = 0

    def commands(self):
        taken = []
        while self.head < self.words[8]:
            at = 512 + self.head % RECORDS * 8
            taken.append(tuple(self.words[at : at + 4]))
            self.head += 1
            self.words[16] = self.head
        return taken

    def tell(self, *event):
        at = 512 + RECORDS * 8 + self.tail % RECORDS * 8
        for number, value in enumerate(event):
            self.words[at + number] = value
        self.tail += 1
        self.words[32] = self.tail
        if self.words[48]:
            self.words[48] = 0
            os.write(self.bells[0], b"\0")

    def rung(self):
        try:
            return len(os.read(self.bells[1], 4096))
        except BlockingIOError:
            return 0

    def die(self):
        for bell in self.bells:
            os.close(bell)
        self.bells = []


def take(ring):
    """All events that are there."""
    events = []
    try:
        while (event := ring.peek()) is not None:
            assert ring.peek() == event, "it stays the next until it is told"
            events.append(event)
            ring.told()
    except RingOver:
        if not events:
            raise
    ring.made_room()
    return events


@pytest.fixture
def agent(tmp_path):
    agent = FakeAgent(tmp_path)
    yield agent
    agent.die()


def test_both_rings_keep_their_order_across_their_end(agent):
    ring = Ring(*agent.paths)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    put, told, taken, heard = 0, 0, [], []
    while put < 3 * RECORDS or told < 3 * RECORDS:
        for _ in range(chance.randrange(RECORDS)):
            ring.put(_ring.RECV, 5, put)
            put += 1
        taken += agent.commands()
        for _ in range(chance.randrange(RECORDS)):
            agent.tell(_ring.DELIVERED, 5, told, 0, 0, 0)
            told += 1
        heard += take(ring)
    assert taken == [(_ring.RECV, 5, number, 0) for number in range(put)]
    assert heard == [(_ring.DELIVERED, 5, number, 0, 0, 0) for number in range(told)]


@pytest.mark.timeout(60)
def test_a_full_ring_holds_the_caller_until_there_is_room(agent):
    ring = Ring(*agent.paths)
    for number in range(RECORDS):
        ring.put(_ring.RECV, 1, number)
    late = threading.Thread(target=ring.put, args=(_ring.RECV, 1, RECORDS))
    late.start()
    while not agent.rung():
        os.sched_yield()
    taken = agent.commands()
    late.join(30)
    assert [number for _, _, number, _ in taken + agent.commands()] == list(range(RECORDS + 1))


def test_only_an_agent_that_sleeps_is_rung(agent):
    ring = Ring(*agent.paths)
    ring.put(_ring.SEND, 1, 0, 3)
    assert agent.rung() == 0
    agent.words[24] = 1
    ring.put(_ring.SEND, 1, 1, 3)
    ring.put(_ring.SEND, 1, 2, 3)
    assert agent.rung() == 1
    assert agent.words[24] == 0


@pytest.mark.timeout(60)
def test_a_sleeping_client_is_woken(agent):
    ring = Ring(*agent.paths)
    thread = threading.Thread(target=ring.wait, args=(30_000,))
    thread.start()
    while not agent.words[48]:
        os.sched_yield()
    agent.tell(_ring.RECEIVED, 1, 2, 3, 4, 5)
    thread.join(20)
    assert not thread.is_alive()
    assert take(ring) == [(_ring.RECEIVED, 1, 2, 3, 4, 5)]


@pytest.mark.timeout(60)
def test_a_nudge_ends_a_wait(agent):
    ring = Ring(*agent.paths)
    ring.nudge()
    ring.wait(30_000)
    assert take(ring) == []


def test_what_must_not_wait_is_left_only_where_nothing_is_waited_for(agent):
    ring = Ring(*agent.paths)
    with ring._lock, ThreadPoolExecutor(1) as another:
        assert not ring.try_put(_ring.RELEASE, 1, 7)
        assert not another.submit(ring.try_put, _ring.RELEASE, 1, 7).result(20)
    agent.words[24] = 1
    assert ring.try_put(_ring.RELEASE, 1, 7)
    assert (agent.rung(), agent.commands()) == (1, [(_ring.RELEASE, 1, 7, 0)])
    for number in range(RECORDS):
        ring.put(_ring.RECV, 1, number)
    assert not ring.try_put(_ring.RELEASE, 1, 7)


def test_events_that_wait_for_room_are_asked_for(agent):
    ring = Ring(*agent.paths)
    agent.tell(_ring.SENT, 1, 0, 0, 0, 0)
    agent.words[56] = 1
    assert len(take(ring)) == 1
    assert agent.rung() == 1


@pytest.mark.timeout(60)
def test_an_agent_that_dies_or_ends_the_session_is_noticed(tmp_path):
    agent = FakeAgent(tmp_path)
    ring = Ring(*agent.paths)
    agent.tell(_ring.SENT, 1, 0, 0, 0, 0)
    agent.words[64] = 1
    with pytest.raises(RingOver):
        ring.put(_ring.RECV, 1, 0)
    assert len(take(ring)) == 1, "what was told before the end is heard"
    ring.wait(10_000)
    with pytest.raises(RingOver):
        take(ring)
    agent.words[64] = 0
    agent.die()
    ring.wait(10_000)
    with pytest.raises(RingOver):
        take(ring)


@pytest.mark.parametrize("tail", [-1, RECORDS + 1, 1 << 62])
def test_positions_that_cannot_be_end_it(agent, tail):
    ring = Ring(*agent.paths)
    agent.words[32] = tail
    with pytest.raises(RingOver):
        take(ring)


def test_another_version_is_refused(tmp_path):
    agent = FakeAgent(tmp_path, magic=b"CMRING99")
    with pytest.raises(cm.AgentUnavailable, match="another version"):
        Ring(*agent.paths)
    agent.die()


FORKING = """
import os, sys, crossmesh as cm
from crossmesh import _ring
ring = _ring.Ring(*sys.argv[1:])
child = os.fork()
if child == 0:
    status = 1
    try:
        ring.put(_ring.RECV, 1, 7)
    except cm.AgentUnavailable as error:
        status = 0 if "forked" in str(error) else 2
    finally:
        os._exit(status)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ring.put(_ring.RECV, 1, 8)
sys.exit(status)
"""


@pytest.mark.timeout(60)
def test_a_forked_child_cannot_write_into_its_parents_ring(agent):
    assert subprocess.run([sys.executable, "-c", FORKING, *agent.paths], check=False).returncode == 0
    [(kind, channel, step, _)] = agent.commands()
    assert (kind, channel, step) == (_ring.RECV, 1, 8)
