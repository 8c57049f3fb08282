"""Hosts as network namespaces behind switches, every NIC a veth pair shaped in both directions.

Nothing is made in the namespace that the lab is started from: switches are bridges in a namespace of their own. So
removing a network is ending what runs in its namespaces and deleting them. Whatever ends a run, its state directory
tells the next one what to remove: a lock inside is held by a run that lives, and dropped by the kernel with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import CannotStart, LabError
from .system import run

STATE = Path("/dev/shm")
PREFIX = "cmlab"
BURST_SECONDS = 0.001
BURST_BYTES_MIN = 131072  # room for a whole GSO packet: smaller, the shaper cuts it up, at a core per receiver
SMOOTH_SECONDS = 0.0005  # more than a shaper's timer is late, or the line would lose what it may not save up
SMOOTH_BYTES = (8192, BURST_BYTES_MIN)
QUEUE = "50ms"
SETTINGS = [
    "net.ipv4.tcp_slow_start_after_idle=0",
    "net.ipv4.tcp_wmem=4096 4194304 8388608",
    "net.ipv4.tcp_rmem=4096 4194304 8388608",
]
"""As on hosts tuned for bulk transfers.

With slow start, every step after a pause probes anew for a rate that it had. A socket that begins with the kernel's
16 KiB grows to a few milliseconds of the line: a link falls idle whenever its sender waits longer than that for a core,
of which the hosts of a lab share few.
"""

END_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Shape:
    """What is built.

    `rate` is that of a NIC in each direction and `uplink` that of a rack, in bit/s. Hosts fill the racks in order.
    With `smooth` a line saves up next to nothing in a pause: its shapers' buckets are small, and packets half of that,
    which costs more of the processor.
    """

    hosts: int
    rate: int
    nics: int = 1
    racks: int = 1
    uplink: int = 0
    smooth: bool = False

    @property
    def names(self) -> list[str]:
        """The hosts, as the cases name them."""
        return [f"h{i}" for i in range(self.hosts)]

    def rack(self, host: str) -> int:
        """The rack of a host."""
        return int(host[1:]) * self.racks // self.hosts


class Network:
    """A network that exists from construction to `close`.

    **Raises:** `CannotStart` if namespaces, links or shaping are not allowed or not there; nothing is left then.
    """

    def __init__(self, shape: Shape) -> None:
        remove_leftovers()
        self.shape = shape
        self._prefix = f"{PREFIX}{os.getpid()}-"
        self.directory = STATE / f"{PREFIX}{os.getpid()}"
        self.directory.mkdir(mode=0o700)
        self._lock = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._build()
        except LabError as error:
            self.close()
            raise CannotStart(f"No lab can be built here: {error}") from None
        except BaseException:
            self.close()
            raise

    def namespace(self, host: str) -> str:
        """The namespace of a host."""
        return self._prefix + host

    def address(self, host: str, nic: int = 0) -> str:
        """The address of one of its NICs."""
        return f"10.77.{nic}.{int(host[1:]) + 1}"

    def inside(self, host: str) -> list[str]:
        """What is put before a command so that it runs on a host."""
        return ["ip", "netns", "exec", self.namespace(host)]

    def set_rate(self, rate: int) -> None:
        """Give every NIC another rate, in bit/s, while what runs goes on. Racks' uplinks stay as they are.

        Connections that are open keep the packets of the rate before.
        """
        switches = self._prefix + "sw"
        for host in self.shape.names:
            for nic in range(self.shape.nics):
                self._limit(self.namespace(host), f"eth{nic}", rate, "change")
                self._limit(switches, f"{host}n{nic}", rate, "change")

    def take_down(self, host: str) -> None:
        """Cut a host off: its cables are pulled at the switch, and nothing is said to anybody."""
        self._cables(host, "down")

    def bring_up(self, host: str) -> None:
        """Put its cables in again."""
        self._cables(host, "up")

    def _cables(self, host: str, state: str) -> None:
        for nic in range(self.shape.nics):
            run("ip", "-n", self._prefix + "sw", "link", "set", f"{host}n{nic}", state)

    def processes(self, host: str) -> list[int]:
        """The processes that run on a host."""
        return _processes(self.namespace(host))

    def close(self) -> None:
        """End what runs on the hosts and remove them all; a signal waits until that is done.

        A second call does nothing.
        """
        if self._lock < 0:
            return
        with _undisturbed():
            _remove(self._prefix)
            shutil.rmtree(self.directory, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _build(self) -> None:
        switches = self._prefix + "sw"
        run("ip", "netns", "add", switches)
        for nic in range(self.shape.nics):
            for rack in range(self.shape.racks):
                run("ip", "-n", switches, "link", "add", f"br{nic}r{rack}", "type", "bridge")
                run("ip", "-n", switches, "link", "set", f"br{nic}r{rack}", "up")
        for host in self.shape.names:
            run("ip", "netns", "add", self.namespace(host))
            run("ip", "-n", self.namespace(host), "link", "set", "lo", "up")
            run(*self.inside(host), "sysctl", "-qw", *SETTINGS)
            for nic in range(self.shape.nics):
                self._plug(switches, host, nic)
        if self.shape.racks > 1:
            for nic in range(self.shape.nics):
                self._join_racks(switches, nic)

    def _plug(self, switches: str, host: str, nic: int) -> None:
        there, port, device = self.namespace(host), f"{host}n{nic}", f"eth{nic}"
        run("ip", "link", "add", port, "netns", switches, "type", "veth", "peer", "name", device, "netns", there)
        bridge = f"br{nic}r{self.shape.rack(host)}"
        run("ip", "-n", switches, "link", "set", port, "master", bridge, "up")
        run("ip", "-n", there, "addr", "add", f"{self.address(host, nic)}/24", "dev", device)
        run("ip", "-n", there, "link", "set", device, "up")
        self._limit(there, device, self.shape.rate)
        self._limit(switches, port, self.shape.rate)

    def _join_racks(self, switches: str, nic: int) -> None:
        core = f"core{nic}"
        run("ip", "-n", switches, "link", "add", core, "type", "bridge")
        run("ip", "-n", switches, "link", "set", core, "up")
        for rack in range(self.shape.racks):
            up, down = f"up{nic}r{rack}", f"dn{nic}r{rack}"
            run("ip", "-n", switches, "link", "add", up, "type", "veth", "peer", "name", down)
            run("ip", "-n", switches, "link", "set", up, "master", f"br{nic}r{rack}", "up")
            run("ip", "-n", switches, "link", "set", down, "master", core, "up")
            for device in (up, down):
                self._limit(switches, device, self.shape.uplink // self.shape.nics)

    def _limit(self, namespace: str, device: str, rate: int, verb: str = "add") -> None:
        burst = bucket(rate, smooth=self.shape.smooth)
        shaping = ["root", "tbf", "rate", f"{rate}bit", "burst", str(burst), "latency", QUEUE]
        run("tc", "-n", namespace, "qdisc", verb, "dev", device, *shaping)
        if self.shape.smooth:
            run("ip", "-n", namespace, "link", "set", device, "gso_max_size", str(burst // 2))


def bucket(rate: int, *, smooth: bool) -> int:
    """Bytes that a shaper lets through at once after a pause."""
    if not smooth:
        return max(BURST_BYTES_MIN, int(rate / 8 * BURST_SECONDS))
    least, most = SMOOTH_BYTES
    return min(most, max(least, int(rate / 8 * SMOOTH_SECONDS)))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def namespaces() -> list[str]:
    """The named namespaces of this machine."""
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip()]


def remove_leftovers() -> None:
    """Remove what runs left that were killed; those that live are left alone."""
    for directory in STATE.glob(f"{PREFIX}*"):
        try:
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another run is at its first or its last step
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(f"{directory.name}-")
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)


def _remove(prefix: str) -> None:
    try:
        mine = [name for name in namespaces() if name.startswith(prefix)]
    except LabError:
        return
    for name in mine:
        _end_all(name)
        with contextlib.suppress(LabError):
            run("ip", "netns", "delete", name)


def _processes(namespace: str) -> list[int]:
    return [int(pid) for pid in run("ip", "netns", "pids", namespace).split()]


def _end_all(namespace: str) -> None:
    """End what runs in a namespace: only a lab's processes are in a lab's namespaces."""
    deadline = time.monotonic() + END_SECONDS_MAX
    with contextlib.suppress(LabError):
        while (pids := [pid for pid in _processes(namespace) if not _is_zombie(pid)]) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
