"""An exception may arrive at any line of a call: it costs that step or that end, and nothing else.

Each test raises at every line of a call in turn (`interrupting`). Then another step goes through the same channel, or
another channel through the same connection, and its bytes are right.
"""

import gc
import itertools
import signal
import threading
import time

import numpy as np
import pytest

import crossmesh as cm
from interrupting import interrupting
from waiting import until

pytestmark = [
    pytest.mark.timeout(300),
    # Some of the lines are those of finalizers, where Python drops an exception, and says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SPEC = cm.TensorSpec((64,), "int32")
LINES_MAX = 400
WAIT = 20


@pytest.fixture(scope="module")
def cluster():
    with cm.LocalCluster(["a", "b"], arena="64MiB") as made:
        yield made


numbers = itertools.count()


class Pair:
    """A channel between the two agents, and what was sent and asked for."""

    def __init__(self, cluster, **options):
        self.name = f"c{next(numbers)}"
        where = [cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab"]
        self.tx = cluster.agent("a").sender(self.name, SPEC, where[0], **options)
        self.rx = cluster.agent("b").receiver(self.name, SPEC, where[1], **options)
        self.tx.wait_open(WAIT)
        self.rx.wait_open(WAIT)

    def step(self, step):
        """Move a step, whose number its bytes are."""
        asked = self.rx.recv(step=step)
        self.tx.send(values(step), step=step).result(WAIT)
        got = asked.result(WAIT)[0]
        assert (got == step).all()

    def close(self):
        self.tx.close()
        self.rx.close()


def values(step):
    return np.full(64, step, "int32")


def outcome(transfer):
    """The bytes that came, all alike, or the class of the error."""
    try:
        got = transfer.result(WAIT)
    except cm.CrossmeshError as error:
        return type(error).__name__ if str(error) else "an empty error"
    if got is None:
        return None
    assert len(set(got[0].tolist())) == 1, "torn"
    return int(got[0][0])


def at_each_line(call, check, prepare=lambda at: None):
    """Call with an interrupt at each line in turn, and check after each, until none is hit any more."""
    for at in range(1, LINES_MAX):
        prepare(at)
        with interrupting(at) as hit:
            call(at)
        try:
            check(at, bool(hit))
        except BaseException as error:
            error.add_note(f"after an interrupt at {hit}")
            raise
        if not hit:
            assert at > 3, "nothing was traced"
            return
    raise AssertionError("more lines than this test expects")


@pytest.mark.parametrize("depth", [1, 3])
def test_in_send(cluster, depth):
    pair = Pair(cluster, depth=depth)

    def check(at, hit):
        if pair.tx._last_step < 2 * at:
            pair.tx.send(values(at), step=2 * at)
        sent = pair.tx.send(values(-at), step=2 * at + 1)
        got = outcome(pair.rx.recv(step=2 * at))
        assert got == at or (hit and got == "TransferCancelled")
        assert outcome(pair.rx.recv(step=2 * at + 1)) == -at
        assert outcome(sent) is None
        assert not pair.tx._transfers

    at_each_line(lambda at: pair.tx.send(values(at), step=2 * at), check)
    assert pair.tx._holders == [None] * depth
    pair.close()


def test_in_send_while_the_receiver_has_not_asked(cluster):
    """What an interrupted call left behind keeps its bytes until somebody asks for it."""
    pair = Pair(cluster, depth=2)
    where, taken = [], []

    def check(at, hit):
        where.append(at)
        taken.append(pair.tx._last_step == at)
        if not taken[-1]:
            pair.tx.send(values(at), step=at)

    at_each_line(lambda at: pair.tx.send(values(at), step=at), check)
    for at in where:
        got = outcome(pair.rx.recv(step=at))
        assert got == at or (taken[at - 1] and got == "TransferCancelled"), at
    pair.step(LINES_MAX)
    pair.close()


def test_in_send_of_what_is_staged_beside_the_caller(cluster):
    spec, where = cm.TensorSpec((1 << 18,), "int32"), [cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab"]
    tx, rx = cluster.agent("a").sender("large", spec, where[0]), cluster.agent("b").receiver("large", spec, where[1])
    tx.wait_open(WAIT)
    x, sent = np.empty(1 << 18, "int32"), []

    def call(at):
        x[:] = at
        sent[:] = [tx.send(x, step=2 * at)]

    def check(at, hit):
        if not hit:
            sent[0].read(WAIT)
        x[:] = -1  # the caller knows of no transfer, and may overwrite it
        if tx._last_step < 2 * at:
            tx.send(np.full_like(x, at), step=2 * at)
        tx.send(np.full_like(x, -at), step=2 * at + 1)
        got = outcome(rx.recv(step=2 * at))
        assert got == at or (hit and got == "TransferCancelled")
        assert outcome(rx.recv(step=2 * at + 1)) == -at

    at_each_line(call, check)
    tx.close()
    rx.close()


def test_in_recv(cluster):
    pair = Pair(cluster)

    def check(at, hit):
        if pair.rx._last_step < 2 * at:
            pair.rx.recv(step=2 * at)
        later = pair.rx.recv(step=2 * at + 1)
        first, second = pair.tx.send(values(at), step=2 * at), pair.tx.send(values(-at), step=2 * at + 1)
        assert outcome(later) == -at
        assert outcome(second) is None
        assert outcome(first) in ((None, "TransferCancelled") if hit else (None,))
        until(lambda: not pair.rx._transfers)

    at_each_line(lambda at: pair.rx.recv(step=2 * at), check)
    pair.close()


@pytest.mark.parametrize("late", [False, True])
def test_in_result(cluster, late):
    """The step that was waited for is still there, and so are others that its events came with."""
    pair = Pair(cluster)
    asked, sending = [], []

    def send(at):
        for step in (2 * at, 2 * at + 1):
            pair.tx.send(values(step), step=step)

    def prepare(at):
        asked[:] = [pair.rx.recv(step=2 * at), pair.rx.recv(step=2 * at + 1)]
        sending[:] = [threading.Timer(0.005 if late else 0, send, [at])]
        sending[0].start()
        if not late:
            sending[0].join()

    def check(at, hit):
        sending[0].join()
        got = [outcome(one) for one in asked]
        assert got[0] == 2 * at or (hit and got[0] == "TransferCancelled")
        assert got[1] == 2 * at + 1
        until(lambda: not pair.tx._transfers and not pair.rx._transfers)

    at_each_line(lambda at: asked[0].result(WAIT), check, prepare)
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
    pair.step(2 * LINES_MAX)
    pair.close()


def test_in_cancel(cluster):
    pair = Pair(cluster)
    asked = []

    def check(at, hit):
        sent = pair.tx.send(values(at), step=at)
        assert outcome(asked[0]) in (("TransferCancelled", at) if hit else ("TransferCancelled",))
        assert outcome(sent) in (("TransferCancelled", None) if hit else ("TransferCancelled",))
        until(lambda: not pair.tx._transfers and not pair.rx._transfers)

    at_each_line(
        lambda at: asked[0].cancel(), check, lambda at: asked.__setitem__(slice(None), [pair.rx.recv(step=at)])
    )
    pair.step(LINES_MAX)
    pair.close()


def test_in_opening(cluster):
    """Whatever was begun does not stand in the way of whoever opens the channel again."""
    where = [cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab"]
    a, b = cluster.agent("a"), cluster.agent("b")
    ends = {}

    def call(at):
        ends.clear()
        ends["rx"] = b.receiver(f"open{at}", SPEC, where[1], timeout=WAIT)

    def moves(at, rx):
        with a.sender(f"open{at}", SPEC, where[0], timeout=WAIT) as tx, rx:
            asked = rx.recv()
            tx.send(values(at))
            return outcome(asked)

    def check(at, hit):
        gc.collect()
        got = moves(at, ends.pop("rx", None) or b.receiver(f"open{at}", SPEC, where[1], timeout=WAIT))
        if hit and got == "TransferCancelled":  # the sender's agent heard only now that the first end is gone
            got = moves(at, b.receiver(f"open{at}", SPEC, where[1], timeout=WAIT))
        assert got == at

    at_each_line(call, check)


def test_in_close(cluster):
    where = [cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in "ab"]
    a, b = cluster.agent("a"), cluster.agent("b")
    ends = []

    def prepare(at):
        ends[:] = a.sender("close", SPEC, where[0]), b.receiver("close", SPEC, where[1])
        asked = ends[1].recv()
        ends[0].send(values(at))
        assert outcome(asked) == at

    def check(at, hit):
        for end in ends:
            end.close()
            assert end.is_over()

    at_each_line(lambda at: ends[0].close(), check, prepare)


def test_an_alarm_whose_handler_raises(cluster):
    """As programs bound a call by SIGALRM: whenever it comes, the connection goes on."""
    pair = Pair(cluster, depth=1)
    before = signal.getsignal(signal.SIGALRM)

    class TooLate(Exception):
        pass

    def ring(number, frame):
        raise TooLate

    signal.signal(signal.SIGALRM, ring)
    step = 0
    try:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            wait = 0.00002 + (step % 97) * 0.00001
            step = max(pair.tx._last_step, pair.rx._last_step) + 1
            got = None
            try:
                signal.setitimer(signal.ITIMER_REAL, wait)
                for one in range(step, step + 4):
                    asked = pair.rx.recv(step=one)
                    pair.tx.send(values(one), step=one)
                    got = asked.result(WAIT)[0]
                    assert (got == one).all()
            except (TooLate, cm.CrossmeshError):
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except TooLate:
        pass  # at the last line
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    last = max(pair.tx._last_step, pair.rx._last_step)
    pair.step(last + 1)
    pair.close()
