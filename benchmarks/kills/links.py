"""Links that go down in the middle of a step, in the lab: nothing is closed, so who is cut off must be missed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from lab.cases import Case
from lab.errors import LabError
from lab.hosts import Hosts, Trainer
from lab.measure import topology
from lab.network import Network, Shape

import crossmesh as cm

from .outcome import REPLICATED, SLACK, Kill, roles

HOSTS = 5
RATE = 500_000_000
PAYLOAD = 0.95 / 8  # bytes per second of a line's bits
TIMEOUT = 30.0
OPEN_SECONDS_MAX = 60.0
START_SECONDS = 0.2
LOST_AFTER = ["--lost-after", "4"]


def cut(case: Case, mib: float, role: str, dice: random.Random) -> Kill | None:
    """One step of a case during which the link of one host goes down; nothing if no host has the role.

    **Arguments:**

    - `mib`: the size that the case was made with.
    """
    shape = Shape(HOSTS, RATE)
    network_of_plan = topology(shape, RATE * PAYLOAD, 1e-4)
    plan = cm.plan(case.spec, src=case.src, dst=case.dst, topology=network_of_plan)
    victims = [host for host, does in roles(plan, case).items() if does == role]
    if not victims:
        return None
    victim = dice.choice(victims)
    sources, sinks = list(case.src.mesh.hosts), list(case.dst.mesh.hosts)
    request = {"do": "open", "case": case.name, "mib": mib, "channel": "kills/link", "timeout": TIMEOUT}
    request |= {"strategy": "auto", "order": "optimal", "topology": network_of_plan.to_json()}
    with Network(shape) as network, Hosts(network, "256MiB", options=lambda _: LOST_AFTER) as hosts:
        both = sources + sinks
        hosts.ask(both, request)
        hosts.answers(both, OPEN_SECONDS_MAX)
        hosts.ask(both, {"do": "step", "timeout": TIMEOUT + SLACK})
        hosts.answers(both, OPEN_SECONDS_MAX)
        start = time.perf_counter() + START_SECONDS
        hosts.ask(both, {"at": start})
        time.sleep(start - time.perf_counter() + dice.uniform(0, plan.makespan))
        network.take_down(victim)
        begun = time.monotonic()
        told = {host: _end(hosts.trainers[host]) for host in both}
        seconds = time.monotonic() - begun
    return _judge(case, role, victim, sinks, told, seconds)


def _end(trainer: Trainer) -> str:
    """How a host's part ended: "done", "wrong", the name of an error, or "HANG"."""
    try:
        return "done" if trainer.answer(TIMEOUT + 2 * SLACK).get("exact", True) else "wrong"
    except LabError as error:
        text = str(error)
        named = [name for name in ("PeerLost", "TransferTimeout", "TransferCancelled") if f": {name}: " in text]
        return named[0] if named else "HANG" if "did not answer" in text or "TimeoutError" in text else text


def _judge(case: Case, role: str, victim: str, sinks: Sequence[str], told: dict[str, str], seconds: float) -> Kill:
    ends = tuple(told[host] for host in sinks if host != victim)
    must = role != "source" or case.name in REPLICATED
    faults = [f"{host} was told {end}" for host, end in told.items() if end in ("wrong", "HANG")]
    if any(end != "done" and (must or end != "PeerLost") for end in ends):
        faults.append(f"ended as {ends}")
    return Kill(case.name, "link", role, ends, seconds, tuple(faults))
