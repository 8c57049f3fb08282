"""Who reads events: the reading thread, or one that waits for what they bring."""

import _thread
import queue
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from crossmesh._reader import Reader
from waiting import until

pytestmark = pytest.mark.timeout(30)


class Line:
    """A source of events that can be nudged, and what was told by which thread."""

    def __init__(self):
        self.events = queue.Queue()
        self.came = threading.Event()
        self.told = []
        self.waiting = None
        self.futures = {}
        self.on_tell = lambda name: None
        self.reader = Reader(self.wait_for_events, self.tell, self.nudge)
        self.ended = False
        self.thread = threading.Thread(target=self.reader.run, args=(lambda: self.ended,), daemon=True)
        self.thread.start()

    def wait_for_events(self, wait_millis):
        self.waiting = threading.current_thread()
        self.came.wait(wait_millis / 1000)
        self.came.clear()

    def nudge(self):
        self.came.set()
        return True

    def put(self, *names):
        for name in names:
            self.events.put(name)
            self.came.set()

    def tell(self, ask):
        while not self.events.empty():
            event = self.events.get()
            if event is None:
                return False
            self.on_tell(event)
            self.told.append((event, threading.current_thread()))
            self.futures[event].set_result(event)
        return True

    def wait(self, name, timeout=None):
        future = self.futures[name]
        self.reader.until(future.done, timeout)
        return self.reader.beside(lambda: future.result(20))

    def expect(self, *names):
        self.futures.update({name: Future() for name in names})


@pytest.fixture
def line():
    made = Line()
    yield made
    made.ended = True
    made.put(None)
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_without_a_waiter_the_reading_thread_tells(line):
    line.expect("a")
    line.put("a")
    assert line.futures["a"].result(20) == "a"
    assert line.told == [("a", line.thread)]


def test_one_that_waits_reads_by_itself_and_tells_what_others_wait_for(line):
    line.expect(*"abc")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(line.wait, "c")
        until(lambda: line.waiting not in (None, line.thread))
        second = pool.submit(line.wait, "b")
        until(lambda: line.reader._beside)
        line.put(*"abc")
        assert (first.result(20), second.result(20)) == ("c", "b")
    assert [name for name, _ in line.told] == ["a", "b", "c"]
    assert line.told[-1][1] is not line.thread
    line.expect("d")
    line.put("d")
    assert line.futures["d"].result(20) == "d"  # somebody reads after the waiter has gone


def test_time_runs_out_and_the_reading_thread_goes_on(line):
    line.expect("late")
    line.reader.until(line.futures["late"].done, 0.05)
    assert not line.futures["late"].done()
    line.put("late")
    assert line.futures["late"].result(20) == "late"


def test_many_threads_that_wait_in_turn_get_what_they_wait_for(line):
    names = [f"{n}" for n in range(200)]
    line.expect(*names)
    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(line.wait, name, 20) for name in names]
        for name in names:
            line.put(name)
        assert [wait.result(20) for wait in waits] == names
    assert [name for name, _ in line.told] == names


def test_a_waiter_leaves_when_no_events_will_come(line):
    line.expect("never")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(line.reader.until, line.futures["never"].done, None)
        line.put(None)
        waiting.result(20)
    line.thread.join(20)
    assert not line.thread.is_alive()


@pytest.fixture
def interruptible():
    """Interrupts raise here, also where this process was started to ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def beside(line, action):
    """Do something on another thread once this one waits for events."""
    threading.Thread(target=lambda: (until(lambda: line.waiting is threading.main_thread()), action())).start()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_heard_while_one_waits(line):
    line.expect("later")
    beside(line, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        line.reader.until(line.futures["later"].done, None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    line.put("later")
    assert line.futures["later"].result(20) == "later"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_events_are_told_loses_none_of_them(line):
    line.expect(*"abc")
    line.on_tell = lambda name: _thread.interrupt_main() if name == "b" else None
    beside(line, lambda: line.put(*"abc"))
    with pytest.raises(KeyboardInterrupt):
        line.reader.until(line.futures["c"].done, None)
    assert [name for name, _ in line.told] == ["a", "b", "c"]
    assert line.told[1][1] is threading.main_thread()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
