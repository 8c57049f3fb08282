"""The network as the planner sees it: the NICs of each host, and what groups of hosts share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import LayoutError

_RATE = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([kKMGT]i?)?(bit/s|bps|b/s|B/s|Bps)\s*")
_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 2**10,
    "ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}

BANDWIDTH = 1.25e9
LATENCY = 50e-6


def bandwidth(value: float | str) -> float:
    """Bytes per second out of a number, or text such as `"10Gbit/s"`, `"25 Gbps"` or `"1.2GB/s"`.

    **Raises:** `LayoutError` if it cannot be read or is not positive.
    """
    if isinstance(value, str):
        match = _RATE.fullmatch(value)
        if match is None:
            raise LayoutError(
                f'Cannot read the bandwidth {value!r}. Write bytes per second as a number, or for instance "10Gbit/s".'
            )
        number, scale, unit = match.groups()
        rate = float(number) * _SCALE[scale or ""] / (1 if unit.startswith("B") else 8)
    else:
        rate = float(value)
    if not math.isfinite(rate) or rate <= 0:
        raise LayoutError(f"A bandwidth is positive and finite, got {value!r}.")
    return rate


@dataclass(frozen=True, slots=True, init=False)
class Nic:
    """A full-duplex network card.

    **Arguments:**

    - `bandwidth`: bytes per second in each direction, or text such as `"10Gbit/s"`.
    - `latency`: seconds from one host to another.

    **Raises:** `LayoutError` for what cannot be read.

    !!! Example

        ```python
        cm.Nic("10Gbit/s", latency=5e-6)
        ```
    """

    bandwidth: float
    latency: float

    def __init__(self, bandwidth: float | str = BANDWIDTH, latency: float = LATENCY) -> None:
        object.__setattr__(self, "bandwidth", _bandwidth(bandwidth))
        object.__setattr__(self, "latency", float(latency))
        if not math.isfinite(self.latency) or self.latency < 0:
            raise LayoutError(f"A latency is a number of seconds, not negative, got {latency!r}.")


_bandwidth = bandwidth


class Topology:
    """The hosts and their NICs. Copies inside a host are free.

    **Arguments:**

    - `hosts`: `{host: Nic or list of Nics}`.
    - `limits`: `{(host, ...): bandwidth}`, what a group of hosts shares towards the rest (a rack's uplink).

    **Raises:** `LayoutError` for an empty list of NICs or a limit on a host that is not there.

    !!! Example

        ```python
        cm.Topology({"a": [cm.Nic("10Gbit/s")], "b": [cm.Nic("25Gbit/s")]}, limits={("a", "b"): "20Gbit/s"})
        ```
    """

    __slots__ = ("_hosts", "_limits")

    _hosts: dict[str, tuple[Nic, ...]]
    _limits: dict[tuple[str, ...], float]

    def __init__(
        self,
        hosts: Mapping[str, Nic | Sequence[Nic]],
        limits: Mapping[tuple[str, ...] | str, float | str] | None = None,
    ) -> None:
        self._hosts = {}
        for host, nics in hosts.items():
            listed = (nics,) if isinstance(nics, Nic) else tuple(nics)
            if not listed or not all(isinstance(nic, Nic) for nic in listed):
                raise LayoutError(f"Host {host!r} needs at least one cm.Nic, got {nics!r}.")
            self._hosts[host] = listed
        self._limits = {}
        for group, rate in (limits or {}).items():
            members = (group,) if isinstance(group, str) else tuple(group)
            unknown = [host for host in members if host not in self._hosts]
            if unknown or not members:
                raise LayoutError(f"The limit on {members} names hosts {unknown} without NICs. Add them to hosts.")
            self._limits[members] = _bandwidth(rate)

    @classmethod
    def uniform(
        cls,
        hosts: Iterable[str],
        bandwidth: float | str = BANDWIDTH,
        latency: float = LATENCY,
        nics: int = 1,
    ) -> Topology:
        """Hosts with equal NICs.

        **Arguments:**

        - `hosts`: the names.
        - `bandwidth`: bytes per second (or text) per NIC and direction.
        - `latency`: seconds.
        - `nics`: the number of NICs of each host.
        """
        if nics < 1:
            raise LayoutError(f"A host has at least one NIC, got nics={nics}.")
        return cls({host: [Nic(bandwidth, latency)] * nics for host in hosts})

    @property
    def hosts(self) -> dict[str, tuple[Nic, ...]]:
        """The NICs of each host."""
        return dict(self._hosts)

    @property
    def limits(self) -> dict[tuple[str, ...], float]:
        """What groups of hosts share towards the rest, in bytes per second."""
        return dict(self._limits)

    def bandwidth(self, host: str) -> float:
        """Bytes per second that a host can send, and receive at the same time: its NICs together."""
        return sum(nic.bandwidth for nic in self._hosts[host])

    def to_json(self) -> str:
        """This topology as JSON text, for `from_json`."""
        return json.dumps(self._to_json())

    @classmethod
    def from_json(cls, text: str) -> Topology:
        """The topology that `to_json` wrote.

        **Raises:** `LayoutError` if the text is something else.
        """
        try:
            return cls._from_json(json.loads(text))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise LayoutError(f"This is no topology as Topology.to_json writes it: {error!r}.") from None

    def _to_json(self) -> dict[str, Any]:
        return {
            "hosts": {
                host: [{"bandwidth": nic.bandwidth, "latency": nic.latency} for nic in nics]
                for host, nics in self._hosts.items()
            },
            "limits": [{"hosts": list(group), "bandwidth": rate} for group, rate in self._limits.items()],
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Topology:
        return cls(
            {host: [Nic(n["bandwidth"], n["latency"]) for n in nics] for host, nics in value["hosts"].items()},
            {tuple(limit["hosts"]): limit["bandwidth"] for limit in value.get("limits", ())},
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topology):
            return NotImplemented
        return self._hosts == other._hosts and self._limits == other._limits

    def __hash__(self) -> int:
        return hash((tuple(self._hosts.items()), tuple(self._limits.items())))

    def __repr__(self) -> str:
        limits = f", limits={self._limits}" if self._limits else ""
        return f"Topology({ {host: list(nics) for host, nics in self._hosts.items()} }{limits})"
