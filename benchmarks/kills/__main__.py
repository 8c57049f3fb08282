"""Random kills of agents in the middle of a step, every byte and every end checked.

A cluster has more agents than a case needs, so that several die before it is started anew.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lab.cases import all_cases

import crossmesh as cm
from crossmesh._demo import Case, tensor

TIMEOUT = 20.0
SLACK = 2.0
STOPPED = 5.0
AGENTS = 9
REPLICATED = ("2", "5")  # another source host holds every slice


@dataclass(frozen=True)
class Kill:
    """What was done to whom, and what became of the live receivers."""

    case: str
    how: str
    role: str
    ends: tuple[str, ...]
    seconds: float
    faults: tuple[str, ...]


def moved(case: Case, hosts: list[str]) -> Case:
    """The case on other hosts."""
    cut = len(case.src.mesh.hosts)
    src, dst = (
        cm.Sharding(cm.Mesh(side.mesh.shape, hosts=names), side.spec)
        for side, names in ((case.src, hosts[:cut]), (case.dst, hosts[cut:]))
    )
    return Case(case.name, case.spec, src, dst)


def roles(plan: cm.Plan, case: Case) -> dict[str, str]:
    """What each host does in a plan."""
    known = dict.fromkeys(case.dst.mesh.hosts, "receiver")
    starts = [move.route[0] for move in plan.moves]
    known |= {host: "relay" for move in plan.moves for host in move.route[1:-1]}
    known |= {host: "relay" for host in starts if host in known}
    return known | dict.fromkeys(case.src.mesh.hosts, "source")


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
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))  # noqa: S311
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    dice = random.Random(chosen.seed)  # noqa: S311
    cases = [case for case in all_cases(chosen.mib) if len(case.src.mesh.hosts) > 1 or case.name == "7"]
    stop = time.monotonic() + 60 * chosen.minutes
    found: list[Kill] = []
    while len(found) < chosen.kills and time.monotonic() < stop:
        alive = [f"k{i}" for i in range(AGENTS)]
        with cm.LocalCluster(alive, arena="256MiB") as cluster:
            while len(found) < chosen.kills and time.monotonic() < stop:
                case = dice.choice(cases)
                needed = len(case.src.mesh.hosts) + len(case.dst.mesh.hosts)
                if needed > len(alive):
                    break
                how = "stop" if dice.random() < 0.1 else "kill"
                one = moved(case, dice.sample(alive, needed))
                before = list(alive)
                result = kill(cluster, one, how, dice.choice(("source", "relay", "receiver")), dice)
                if result is not None:
                    found.append(result)
                    for fault in result.faults:
                        print(f"FAULT in {result}: {fault}", flush=True)
                alive = [host for host in before if is_alive(cluster.pid(host))]
    report(found)
    return 1 if any(one.faults for one in found) else 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def report(found: list[Kill]) -> None:
    """The table of documentation: of each case and role, who completed."""
    rows: dict[tuple[str, str, str], list[Kill]] = collections.defaultdict(list)
    for one in found:
        rows[one.case, one.how, one.role].append(one)
    print("| case | | role | times | live receivers that completed | got PeerLost | slowest |")
    print("|---|---|---|---|---|---|---|")
    for (case, how, role), kills in sorted(rows.items()):
        ends = [e for one in kills for e in one.ends]
        print(
            f"| {case} | {how} | {role} | {len(kills)} | {ends.count('done')} of {len(ends)} "
            f"| {ends.count('PeerLost')} | {max(one.seconds for one in kills):.2f} s |"
        )
    print(f"{len(found)} kills, {sum(bool(one.faults) for one in found)} with faults")


if __name__ == "__main__":
    sys.exit(main())
