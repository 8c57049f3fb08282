"""The network as the planner sees it: the NICs of each host, and what groups of hosts share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ._errors import LayoutError

T = TypeVar("T")

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

# What the planner accepts as well; said here, a mistake is met where it is made.
BANDWIDTH_MIN = 1.0
BANDWIDTH_MAX = 1e15
LATENCY_MAX = 3600.0
HOSTS_MAX = 131_072
NICS_MAX = 64
LIMITS_MAX = 1024
FILE_BYTES_MAX = 64 << 20


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
    if not BANDWIDTH_MIN <= rate <= BANDWIDTH_MAX:
        raise LayoutError(
            f"A bandwidth is a number of bytes per second from {BANDWIDTH_MIN:g} to {BANDWIDTH_MAX:g}, got {value!r}."
        )
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
        if not 0 <= self.latency <= LATENCY_MAX:
            raise LayoutError(f"A latency is a number of seconds from 0 to {LATENCY_MAX:g}, got {latency!r}.")


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
            if len(listed) > NICS_MAX:
                raise LayoutError(f"Host {host!r} has {len(listed)} NICs. Give it at most {NICS_MAX}.")
            if not isinstance(host, str) or not host.strip():
                raise LayoutError(f"A host has a name, got {host!r}. Name it as its agent is named.")
            self._hosts[host] = listed
        if len(self._hosts) > HOSTS_MAX or len(limits or ()) > LIMITS_MAX:
            raise LayoutError(
                f"A topology of {len(self._hosts)} hosts and {len(limits or ())} limits. "
                f"Give at most {HOSTS_MAX} and {LIMITS_MAX}."
            )
        self._limits = {}
        for group, rate in (limits or {}).items():
            members = (group,) if isinstance(group, str) else tuple(group)
            unknown = [host for host in members if host not in self._hosts]
            if unknown or not members:
                raise LayoutError(f"The limit on {members} names hosts {unknown} without NICs. Add them to hosts.")
            if len(set(members)) < len(members):
                raise LayoutError(f"The limit on {members} names a host twice. Name each once.")
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
        return cls._read(text, "The topology")

    def to_file(self, path: str | Path) -> None:
        """Write this topology for `from_file`, laid out for people to read and change."""
        Path(path).write_text(json.dumps(self._to_json(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_file(cls, path: str | Path) -> Topology:
        """The topology of a JSON file, as `to_file` writes it or as a person does.

        Bandwidths may be text such as `"25Gbit/s"`; a NIC without a latency has the default, and `limits` may be left
        out.

        **Raises:** `LayoutError` naming the file and the place in it; `OSError` if there is no such file.
        """
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise LayoutError(f"{path} has more than {FILE_BYTES_MAX} bytes. Give a topology of fewer hosts.")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise LayoutError(f"{path} is no UTF-8 text: {error}. Write the topology as JSON.") from None
        return cls._read(text, str(path))

    @classmethod
    def _read(cls, text: str, name: str) -> Topology:
        try:
            return cls._from_json(json.loads(text, object_pairs_hook=_distinct))
        except LayoutError as error:
            raise LayoutError(f"{name}: {error}") from None
        except RecursionError:
            raise LayoutError(f"{name} is nested too deeply. Write it as Topology.to_json does.") from None
        except ValueError as error:  # also of numbers with thousands of digits
            raise LayoutError(f"{name} is no JSON: {error}. Write it as Topology.to_json does.") from None

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
        _check_fields(value, "the topology", {"hosts"}, {"limits"})
        hosts: dict[str, list[Nic]] = {}
        for host, nics in _typed(value["hosts"], dict, "hosts").items():
            hosts[host] = []
            for number, nic in enumerate(_typed(nics, list, f"hosts.{host}")):
                where = f"hosts.{host}[{number}]"
                _check_fields(nic, where, {"bandwidth"}, {"latency"})
                hosts[host].append(Nic(_rate(nic, where), _number(nic.get("latency", LATENCY), f"{where}.latency")))
        limits: dict[tuple[str, ...] | str, float | str] = {}
        for number, limit in enumerate(_typed(value.get("limits", []), list, "limits")):
            where = f"limits[{number}]"
            _check_fields(limit, where, {"hosts", "bandwidth"}, set())
            members = tuple(
                _typed(host, str, f"{where}.hosts") for host in _typed(limit["hosts"], list, f"{where}.hosts")
            )
            if members in limits:
                raise LayoutError(f"{where} is a second limit on the hosts {members}. State the smaller one.")
            limits[members] = _rate(limit, where)
        return cls(hosts, limits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topology):
            return NotImplemented
        return self._hosts == other._hosts and self._limits == other._limits

    def __hash__(self) -> int:
        return hash((tuple(self._hosts.items()), tuple(self._limits.items())))

    def __repr__(self) -> str:
        limits = f", limits={self._limits}" if self._limits else ""
        return f"Topology({ {host: list(nics) for host, nics in self._hosts.items()} }{limits})"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refusing one that states a field twice: the second would silently win."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LayoutError(f"the field {twice!r} is stated twice. State it once.")
    return made


def _typed(value: Any, kind: type[T], where: str) -> T:
    if not isinstance(value, kind):
        name = "an object" if kind is dict else "an array" if kind is list else "a string"
        raise LayoutError(f"{where} is {name}, got {value!r:.60}.")
    return value


def _check_fields(value: Any, where: str, needed: set[str], more: set[str]) -> None:
    fields = set(_typed(value, dict, where))
    lacking, unknown = sorted(needed - fields), sorted(fields - needed - more)
    if lacking:
        raise LayoutError(f"{where} lacks the field {lacking[0]!r}.")
    if unknown:
        raise LayoutError(f"{where} has the unknown field {unknown[0]!r:.60}. The fields are {sorted(needed | more)}.")


def _rate(value: Mapping[str, Any], where: str) -> float | str:
    rate = value["bandwidth"]
    return rate if isinstance(rate, str) else _number(rate, f"{where}.bandwidth")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LayoutError(f"{where} is a number, got {value!r:.60}.")
    try:
        return float(value)
    except OverflowError:
        raise LayoutError(f"{where} is a number too large to be one.") from None
