"""Processes that tests start: each is a trainer with an agent of its own. Run as `python trainers.py ROLE ...`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def start(role, *arguments, env):
    """Start a role; its standard output is a pipe of lines, its input a pipe that is held open."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(HERE / "trainers.py"), role, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | env,
    )


def gone(pid, seconds=20):
    """Whether a process that is not our child ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def say(*words):
    print(*words, flush=True)


def stage(steps):
    """Stage 1 of two: gets activations over y, doubles them, sends them back over x."""
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    import crossmesh as cm

    mesh = jax.make_mesh((2, 2), ("x", "y"))
    spec = jax.ShapeDtypeStruct((8, 6, 4), "float32")
    mine = NamedSharding(mesh, PartitionSpec(None, None, ("x", "y")))
    back = NamedSharding(mesh, PartitionSpec("y"))
    double = jax.jit(lambda x: 2 * x, out_shardings=back)
    with cm.connect() as agent, agent.receiver("act", spec, mine) as rx, agent.sender("grad", spec, back) as tx:
        for _ in range(int(steps)):
            x = rx.recv().result(30)
            assert x.sharding == mine
            tx.send(double(x)).result(30)
    say("done")


def hold(name):
    """Opens a sender of float32[4], sends step 0 and then waits for its end."""
    import numpy as np

    import crossmesh as cm

    agent = cm.connect()
    tx = agent.sender(name, cm.TensorSpec((4,), "float32"), cm.Sharding(cm.Mesh((1,), hosts=[agent.name]), "R"))
    tx.send(np.arange(4, dtype=np.float32)).result(30)
    say("sent")
    sys.stdin.read()


def forks(name):
    """As `hold`, with a forked child and a program that live until they are killed; says their process ids."""
    import numpy as np

    import crossmesh as cm

    agent = cm.connect()
    tx = agent.sender(name, cm.TensorSpec((4,), "float32"), cm.Sharding(cm.Mesh((1,), hosts=[agent.name]), "R"))
    tx.send(np.arange(4, dtype=np.float32)).result(30)
    child = os.fork()
    if child == 0:
        time.sleep(300)
        os._exit(0)
    program = subprocess.Popen(["sleep", "300"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    say(child, program.pid)
    sys.stdin.read()


def steps(name):
    """Receives steps of float32[4] and says the first value of each, until the channel ends."""
    import crossmesh as cm

    with cm.connect(timeout=30) as agent:
        layout = cm.Sharding(cm.Mesh((1,), hosts=[agent.name]), "R")
        rx = agent.receiver(name, cm.TensorSpec((4,), "float32"), layout)
        say("open")
        while True:
            say(int(rx.recv().result(60)[0][0]))


def half(name, first):
    """One of two processes of a host: holds devices first and first + 1 of four, sends rows of float32[4, 2]."""
    import numpy as np

    import crossmesh as cm

    first = int(first)
    with cm.connect() as agent:
        layout = cm.Sharding(cm.Mesh((4,), hosts=[agent.name]), "S0 R")
        with agent.sender(name, cm.TensorSpec((4, 2), "float32"), layout, devices=[first, first + 1]) as tx:
            tx.send({d: np.full((1, 2), d, np.float32) for d in (first, first + 1)}).result(30)
    say("done")


def parent(*hosts):
    """Starts a cluster, says the agents' process ids, waits."""
    import crossmesh as cm

    with cm.LocalCluster(hosts) as cluster:
        cluster.agent(hosts[0])
        say(*(jvm.pid for jvm in cluster._jvms.values()))
        say(*(info["arena"]["path"] for info in cluster._infos.values()))
        sys.stdin.read()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
