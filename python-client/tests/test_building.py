"""Steps that are built in the agent's memory."""

import gc
import time

import numpy as np
import pytest

import crossmesh as cm
from crossmesh import _sender
from test_channel import SPEC, agent, control, layout, tiles  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def copies(monkeypatch):
    """What `send` copies."""
    made = []

    copy_tile = _sender.copy_tile

    def counting(place, source):
        made.append(source.nbytes)
        copy_tile(place, source)

    monkeypatch.setattr(_sender, "copy_tile", counting)
    return made


def test_what_is_built_in_place_is_sent_without_a_copy(agent, layout, copies):  # noqa: F811
    tx, rx = agent.sender("c", SPEC, layout, depth=2), agent.receiver("c", SPEC, layout, depth=2)
    for n in range(5):
        whole, _ = tiles(n)
        x = tx.arrays(10)
        assert x.keys() == {0, 1, 2, 3}
        assert x[0] is x[1]
        x[0][:], x[2][:] = whole[:2], whole[2:]
        tx.send(x)
        del x
        arrived = rx.recv().result(10)
        assert np.array_equal(arrived[1], whole[:2])
        assert np.array_equal(arrived[3], whole[2:])
        del arrived
    assert copies == []


def test_a_tile_from_elsewhere_is_copied_beside_those_in_place(agent, layout, copies):  # noqa: F811
    tx, rx = agent.sender("c", SPEC, layout), agent.receiver("c", SPEC, layout)
    whole, parts = tiles(7)
    x = tx.arrays(10)
    x[0][:] = whole[:2]
    tx.send({0: x[0], 2: parts[2]})
    arrived = rx.recv().result(10)
    assert np.array_equal(arrived[0], whole[:2])
    assert np.array_equal(arrived[2], whole[2:])
    assert copies == [parts[2].nbytes]


def test_arrays_of_one_channel_are_copied_into_another(agent, layout, copies):  # noqa: F811
    first, second = agent.sender("c", SPEC, layout), agent.sender("d", SPEC, layout)
    agent.receiver("c", SPEC, layout)
    rx = agent.receiver("d", SPEC, layout)
    whole, _ = tiles(3)
    x = first.arrays(10)
    x[0][:], x[2][:] = whole[:2], whole[2:]
    second.arrays(10)
    second.send(x)
    assert np.array_equal(rx.recv().result(10)[2], whole[2:])
    assert len(copies) == 2


def test_memory_that_is_never_sent_comes_back(agent, layout):  # noqa: F811
    tx = agent.sender("c", SPEC, layout, depth=2)
    agent.receiver("c", SPEC, layout, depth=2)
    held = []
    with pytest.raises(TimeoutError, match="no free memory"):
        while len(held) < 100:
            held.append(tx.arrays(0.2))
    count = len(held)
    assert count >= 2
    held.clear()
    deadline = time.monotonic() + 10
    while len(held) < count:
        gc.collect()
        held.append(tx.arrays(max(0.0, deadline - time.monotonic())))


def test_arrays_of_a_channel_that_is_over(agent, layout):  # noqa: F811
    tx = agent.sender("c", SPEC, layout, depth=1)
    agent.receiver("c", SPEC, layout, depth=1)
    x = tx.arrays(10)
    tx.abort("enough")
    with pytest.raises(cm.TransferCancelled):
        tx.arrays(10)
    del x
    gc.collect()
    with pytest.raises(cm.TransferCancelled):
        tx.arrays(10)
