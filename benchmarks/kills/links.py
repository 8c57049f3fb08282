"""Links that go down in the middle of a step, in the lab: nothing is closed, so who is cut off must be missed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

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
REJOIN_SECONDS_MAX = 60.0
START_SECONDS = 0.2
LOST_AFTER = ["--lost-after", "4"]


class Cables:
    """Five hosts of the lab whose cables are pulled, one at a time, and put in again."""

    def __init__(self) -> None:
        self._network = Network(Shape(HOSTS, RATE))
        try:
            self._hosts = Hosts(self._network, "256MiB", options=lambda _: LOST_AFTER)
        except BaseException:
            self._network.close()
            raise
        self._plans = topology(self._network.shape, RATE * PAYLOAD, 1e-4)

    def cut(self, case: Case, mib: float, role: str, dice: random.Random) -> Kill | None:
        """One step of a case during which the link of one host goes down; nothing if no host has the role.

        Afterwards the host has joined the others again.

        **Arguments:**

        - `mib`: the size that the case was made with.
        """
        hosts = self._hosts
        plan = cm.plan(case.spec, src=case.src, dst=case.dst, topology=self._plans)
        victims = [host for host, does in roles(plan, case).items() if does == role]
        if not victims:
            return None
        victim = dice.choice(victims)
        sources, sinks = list(case.src.mesh.hosts), list(case.dst.mesh.hosts)
        channel = f"kills/{dice.getrandbits(60):x}"
        request = {"do": "open", "case": case.name, "mib": mib, "channel": channel, "timeout": TIMEOUT}
        request |= {"strategy": "auto", "order": "optimal", "topology": self._plans.to_json()}
        both = sources + sinks
        hosts.ask(both, request)
        hosts.answers(both, OPEN_SECONDS_MAX)
        hosts.ask(both, {"do": "step", "timeout": TIMEOUT + SLACK})
        hosts.answers(both, OPEN_SECONDS_MAX)
        start = time.perf_counter() + START_SECONDS
        hosts.ask(both, {"at": start})
        time.sleep(start - time.perf_counter() + dice.uniform(0, plan.makespan))
        self._network.take_down(victim)
        begun = time.monotonic()
        told = {host: _end(hosts.trainers[host]) for host in both}
        seconds = time.monotonic() - begun
        self._network.bring_up(victim)
        hosts.ask(both, {"do": "close"})
        hosts.answers(both, OPEN_SECONDS_MAX)
        self._wait_joined()
        return _judge(case, role, victim, sinks, told, seconds)

    def _wait_joined(self) -> None:
        names = self._hosts.names
        deadline = time.monotonic() + REJOIN_SECONDS_MAX
        while True:
            self._hosts.ask(names, {"do": "peers"})
            known = self._hosts.answers(names, OPEN_SECONDS_MAX)
            if all(known[host]["connected"] == sorted(set(names) - {host}) for host in names):
                return
            if time.monotonic() > deadline:
                raise LabError(f"The hosts did not join again within {REJOIN_SECONDS_MAX:g} s: {known}")
            time.sleep(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._hosts.close()
        finally:
            self._network.close()


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
    faults = [f"{host} was told {end}" for host, end in told.items() if end not in ("done", "PeerLost")]
    if any(end != "done" and (must or end != "PeerLost") for end in ends):
        faults.append(f"ended as {ends}")
    if seconds > TIMEOUT + SLACK:
        faults.append(f"took {seconds:.1f} s")
    return Kill(case.name, "link", role, ends, seconds, tuple(faults))
