"""Random kills of agents in the middle of a step, every byte and every end checked.

With `--links N`, the links of N hosts of the lab go down as well, after which they join again.

A cluster has more agents than a case needs, so that several die before it is started anew.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lab.cases import all_cases
from lab.errors import CannotStart
from lab.network import Network, Shape

import crossmesh as cm
from crossmesh._demo import Case, tensor

from . import links
from .outcome import REPLICATED, SLACK, Kill, report, roles

TIMEOUT = 20.0
STOPPED = 5.0
TCP = {"UCX_TLS": "tcp"}
"""As between hosts. Who is killed while it writes into the shared memory of another leaves that deaf to all others."""
AGENTS = 9
STOPS = 0.1  # so many are stopped, the others killed
LINK_MIB = 16.0  # so that a step takes long enough to be cut
MANY_TO_MANY = ("1", "2", "3", "4", "5", "6", "7", "9")
RELAYED = ("7", "m5", "m6", "m7")


def moved(case: Case, hosts: list[str]) -> Case:
    """The case on other hosts."""
    cut = len(case.src.mesh.hosts)
    src, dst = (
        cm.Sharding(cm.Mesh(side.mesh.shape, hosts=names), side.spec)
        for side, names in ((case.src, hosts[:cut]), (case.dst, hosts[cut:]))
    )
    return Case(case.name, case.spec, src, dst)


def end(transfer: cm.Transfer[Any]) -> tuple[str, Any]:
    """How a transfer ended: "done" or the name of its error, and what came of it."""
    try:
        return "done", transfer.result(TIMEOUT + SLACK)
    except TimeoutError as hang:
        return (type(hang).__name__ if isinstance(hang, cm.CrossmeshError) else "HANG"), None
    except cm.CrossmeshError as error:
        return type(error).__name__, None


def kill(cluster: cm.LocalCluster, case: Case, how: str, role: str, dice: random.Random) -> Kill | None:
    """One step of a case with one host killed; nothing if no host has the role."""
    x = tensor(case.spec)
    tiles = {device: x[index] for device, index in case.src.shards(x.shape).items()}
    wanted = case.dst.shards(x.shape)
    name = f"kills/{dice.getrandbits(60):x}"
    faults: list[str] = []
    with contextlib.ExitStack() as stack:
        txs = {h: cluster.agent(h).sender(name, case.spec, case.src, timeout=TIMEOUT) for h in case.src.mesh.hosts}
        rxs = {h: cluster.agent(h).receiver(name, case.spec, case.dst, timeout=TIMEOUT) for h in case.dst.mesh.hosts}
        for party in [*txs.values(), *rxs.values()]:
            stack.callback(quietly, party.close)
            party.wait_open(TIMEOUT)
        plan = next(iter(txs.values())).plan
        victims = [host for host, does in roles(plan, case).items() if does == role]
        if not victims:
            return None
        victim = dice.choice(victims)
        pending = {host: rx.recv() for host, rx in rxs.items()}
        sent = {}
        for host, tx in txs.items():
            mine = {d: tiles[d] for d, (on, _) in enumerate(case.src.mesh.devices) if on == host}
            sent[host] = tx.send(mine)
        for transfer in sent.values():
            transfer.read(TIMEOUT)
        time.sleep(dice.uniform(0, 0.03))
        begun = time.monotonic()
        os.kill(cluster.pid(victim), signal.SIGKILL if how == "kill" else signal.SIGSTOP)
        if how == "stop":
            time.sleep(STOPPED)
            os.kill(cluster.pid(victim), signal.SIGCONT)
        ends = []
        for host, transfer in pending.items():
            if how == "kill" and host == victim:
                continue
            outcome, got = end(transfer)
            ends.append(outcome)
            here = [d for d, (on, _) in enumerate(case.dst.mesh.devices) if on == host]
            if got is not None and not all(np.array_equal(got[d], x[wanted[d]]) for d in here):
                faults.append(f"wrong bytes on {host}")
            del got
        seconds = time.monotonic() - begun
        for host, transfer in sent.items():
            if how == "stop" or host != victim:
                outcome, _ = end(transfer)
                if outcome not in ("done", "PeerLost"):
                    faults.append(f"{host} was told {outcome}")
        must = how == "stop" or role != "source" or case.name in REPLICATED
        if any(e != "done" and (must or e != "PeerLost") for e in ends):
            faults.append(f"ended as {ends}")
        if seconds > TIMEOUT + SLACK:
            faults.append(f"took {seconds:.1f} s")
    return Kill(case.name, how, role, tuple(ends), seconds, tuple(faults))


def quietly(close: Any) -> None:
    """Closes an end whose agent may be dead."""
    with contextlib.suppress(cm.CrossmeshError):
        close()


def main() -> int:
    """Kills, and prints a table of what came of it; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--mib", type=float, default=4.0, help="size of a tensor")
    parser.add_argument("--links", type=int, default=0, help="so many links of the lab go down, too (needs root)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))  # noqa: S311
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    dice = random.Random(chosen.seed)  # noqa: S311
    stop = time.monotonic() + 60 * chosen.minutes
    found: list[Kill] = []

    def more() -> bool:
        return len(found) < chosen.kills and time.monotonic() < stop

    def cut_links() -> None:
        with links.Cables() as cables:
            while sum(one.how == "link" for one in found) < chosen.links and time.monotonic() < stop:
                role, case = draw(dice, LINK_MIB)
                keep(cables.cut(case, LINK_MIB, role, dice))

    def keep(one: Kill | None) -> None:
        for fault in one.faults if one else ():
            print(f"FAULT in {one}: {fault}", flush=True)
        found.extend([one] if one else [])

    while more():
        alive = [f"k{i}" for i in range(AGENTS)]
        with cm.LocalCluster(alive, arena="256MiB", env=TCP) as cluster:
            while more():
                role, case = draw(dice, chosen.mib)
                needed = len(case.src.mesh.hosts) + len(case.dst.mesh.hosts)
                if needed > len(alive):
                    break
                how = "stop" if dice.random() < STOPS else "kill"
                before = list(alive)
                keep(kill(cluster, moved(case, dice.sample(alive, needed)), how, role, dice))
                alive = [host for host in before if is_alive(cluster.pid(host))]
    if chosen.links and can_build_a_lab():
        cut_links()
    report(found)
    return 1 if any(one.faults for one in found) else 0


def draw(dice: random.Random, mib: float) -> tuple[str, Case]:
    """Whom to hit, and a case where somebody does that: without several receivers of a slice nobody relays."""
    role = dice.choice(("source", "relay", "receiver"))
    cases = [case for case in all_cases(mib) if case.name in (RELAYED if role == "relay" else MANY_TO_MANY)]
    return role, dice.choice(cases)


def can_build_a_lab() -> bool:
    """Whether links can go down here; says so if not."""
    try:
        Network(Shape(2, links.RATE)).close()
    except CannotStart as error:
        print(f"No links go down: {error}")
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
