"""What the program's logs hear of crossmesh: starts, connections, channels and losses, and nothing of steps."""

import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import crossmesh as cm
from waiting import until


@pytest.fixture
def heard(caplog):
    caplog.set_level(logging.DEBUG, "crossmesh")
    return lambda: [(record.name, record.levelno, record.getMessage()) for record in caplog.records]


def said(records, text, level):
    return any(text in message and at == level and name.startswith("crossmesh") for name, at, message in records)


def test_starts_connections_channels_and_ends_are_heard_and_steps_are_not(heard):
    src, dst = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "S0") for host in "ab")
    spec = cm.TensorSpec((1024,), "int8")
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        a, b = cluster.agent("a"), cluster.agent("b")
        with a.sender("act", spec, src) as tx, b.receiver("act", spec, dst) as rx:
            rx.wait_open(60)
            tx.wait_open(60)
            before = len(heard())
            for _ in range(20):
                arriving = rx.recv()
                tx.send({0: np.zeros(1024, np.int8)}).result(60)
                arriving.result(60)
            assert not heard()[before:]
    records = heard()
    assert said(records, "is ready, process", logging.INFO)
    assert said(records, "channel 'act' opens on 'a'", logging.DEBUG)
    assert said(records, "Receiver of channel 'act' is open on 'b'", logging.INFO)
    assert said(records, "Sender of channel 'act' is over", logging.INFO)
    assert not [message for _, level, message in records if level >= logging.WARNING]


def test_a_loss_is_a_warning(heard):
    src, dst = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "S0") for host in "ab")
    spec = cm.TensorSpec((1024,), "int8")
    with cm.LocalCluster(["a", "b"], arena="64MiB") as cluster:
        a, b = cluster.agent("a"), cluster.agent("b")
        tx, rx = a.sender("act", spec, src), b.receiver("act", spec, dst)
        rx.wait_open(60)
        arriving = rx.recv()
        tx.wait_open(60)
        tx.abort("loss is NaN")
        with pytest.raises(cm.TransferCancelled):
            arriving.result(60)
        assert said(heard(), "Receiver of channel 'act' is over", logging.INFO)
        rx = b.receiver("next", spec, dst)
        tx = a.sender("next", spec, src)
        rx.wait_open(60)
        arriving = rx.recv()
        os.kill(cluster.pid("a"), signal.SIGKILL)
        with pytest.raises(cm.CrossmeshError):
            arriving.result(60)
        until(lambda: said(heard(), "Receiver of channel 'next' is over", logging.WARNING))


def test_without_logging_set_up_nothing_is_printed():
    code = (
        "import crossmesh as cm; "
        "s = cm.Sharding(cm.Mesh((1,), hosts=['a']), 'R'); cm.plan((8,), 'int8', s, s); "
        "import logging; logging.getLogger('crossmesh.jvm').warning('hidden')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
