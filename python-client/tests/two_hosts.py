"""Two hosts on one machine for tests: network namespaces joined by a cable, with an agent each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from waiting import until

ADDRESSES = {"a": "10.78.0.1", "b": "10.78.0.2"}
PORT = 7601
TOKEN = "the-token-of-both-hosts-0123456789"
PREFIX = "contact"
READY_SECONDS_MAX = 90
END_SECONDS_MAX = 20

TRAINER = """
import sys
import crossmesh as cm

host, side, timeout = sys.argv[1], sys.argv[2], float(sys.argv[3])
layouts = {"src": cm.Sharding(cm.Mesh((1,), hosts=["a"]), "R"), "dst": cm.Sharding(cm.Mesh((1,), hosts=["b"]), "R")}
with cm.connect() as agent:
    opened = agent.sender if side == "src" else agent.receiver
    end = opened("w", cm.TensorSpec((8,), "int32"), layouts[side], timeout=timeout)
    try:
        end.wait_open()
        print("open", flush=True)
        sys.stdin.readline()
    except cm.CrossmeshError as error:
        print(f"{type(error).__name__}: {error}")
"""


def why_not() -> str:
    """Why this machine cannot have such hosts; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip: apt-get install iproute2"
    name = f"{PREFIX}{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    run("ip", "netns", "delete", name)
    return ""


def run(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=20)


class AgentOnHost:
    """`crossmesh agent` on one of the hosts, and all that it printed."""

    def __init__(self, hosts: TwoHosts, name: str, host: str, options: tuple[str, ...], token: str | None) -> None:
        self.name = name
        self.log = hosts.directory / f"{name}-{len(hosts.agents)}.log"
        self.info = hosts.directory / f"{name}-{len(hosts.agents)}.json"
        self.token = token
        env = {key: value for key, value in os.environ.items() if key != "CROSSMESH_TOKEN"}
        command = [sys.executable, "-c", "from crossmesh._cli import main; main()", "agent", "--name", name]
        command += ["--info-file", str(self.info), "--arena", "16MiB", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                hosts.inside(host, *command),
                env=env | ({"CROSSMESH_TOKEN": token} if token else {}),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> AgentOnHost:
        """Wait until it can be used."""
        until(lambda: self.info.exists() or self.process.poll() is not None, seconds=READY_SECONDS_MAX)
        assert self.info.exists(), self.said()
        return self

    def said(self) -> str:
        """Everything so far."""
        return self.log.read_text()

    def says(self, *parts: str, seconds: float) -> str:
        """The first line with all of these parts, which has to come in time; without the time in front."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [line for line in self.said().splitlines() if all(part in line for part in parts)]
            return bool(found)

        deadline = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < deadline, f"{self.name} did not say {parts} in time, but: {self.said()}"
            time.sleep(0.02)
        return found[0].partition(" crossmesh: ")[2] or found[0]

    def end(self) -> None:
        """Stop it in order."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class TwoHosts:
    """The hosts `a` and `b`, each a namespace with one NIC."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.agents: list[AgentOnHost] = []
        self._prefix = f"{PREFIX}{os.getpid()}"
        for host in ADDRESSES:
            run("ip", "netns", "add", self._prefix + host)
            run("ip", "-n", self._prefix + host, "link", "set", "lo", "up")
        a, b = (self._prefix + host for host in ADDRESSES)
        run("ip", "link", "add", "eth0", "netns", a, "type", "veth", "peer", "name", "eth0", "netns", b)
        for host, address in ADDRESSES.items():
            run("ip", "-n", self._prefix + host, "addr", "add", f"{address}/24", "dev", "eth0")
            self.cable(host, "up")

    def inside(self, host: str, *command: str) -> list[str]:
        """A command as it runs on a host."""
        return ["ip", "netns", "exec", self._prefix + host, *command]

    def cable(self, host: str, state: str) -> None:
        """Switch a host's NIC `up` or `down`: the other's has a carrier only while both are up."""
        run("ip", "-n", self._prefix + host, "link", "set", "eth0", state)

    def agent(self, name: str, *options: str, host: str | None = None, token: str | None = TOKEN) -> AgentOnHost:
        """Start an agent, on the host of its name by default; does not wait until it is ready."""
        agent = AgentOnHost(self, name, host or name, options, token)
        self.agents.append(agent)
        return agent

    def trainer(self, agent: AgentOnHost, side: str, timeout: float = 3.0) -> subprocess.Popen[str]:
        """A process that opens one end of a channel from `a` to `b`, and prints what comes of it."""
        door = json.loads(agent.info.read_text())["flight"]
        env = os.environ | {"CROSSMESH_AGENT": f"{door['host']}:{door['port']}", "CROSSMESH_TOKEN": door["token"]}
        return subprocess.Popen(
            self.inside(agent.name, sys.executable, "-c", TRAINER, agent.name, side, str(timeout)),
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def said_by_trainer(self, agent: AgentOnHost, side: str, timeout: float = 3.0) -> str:
        """What a trainer prints whose channel does not open."""
        with self.trainer(agent, side, timeout) as trainer:
            return trainer.communicate("\n", timeout=60)[0].strip()

    def end_agents(self) -> None:
        """Stop all agents."""
        for agent in self.agents:
            agent.end()
        self.agents.clear()

    def close(self) -> None:
        """Stop and remove everything."""
        self.end_agents()
        for host in ADDRESSES:
            subprocess.run(["ip", "netns", "delete", self._prefix + host], check=False, capture_output=True)


def peers(**doors: str) -> tuple[str, str]:
    """`--peer` for both hosts; other addresses may be given."""
    there = {host: f"{address}:{PORT}" for host, address in ADDRESSES.items()} | doors
    return "--peer", ",".join(f"{host}={door}" for host, door in there.items())


def listening(host: str) -> tuple[str, ...]:
    """The options of an agent that the other host reaches."""
    return "--bind", ADDRESSES[host], "--flight-port", str(PORT)
