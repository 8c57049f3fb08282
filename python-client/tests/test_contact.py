"""Mistakes in a cluster of two hosts: what the agents say of them at once, what trainers say, and that both say so
again when it is mended. What is printed here is what docs/troubleshooting.md shows."""

import itertools
import json
import subprocess
import sys

import pytest

from two_hosts import ADDRESSES, PORT, TwoHosts, listening, peers, why_not

WHY_NOT = why_not()
SAID_SECONDS_MAX = 5.0
CHANGE_SECONDS_MAX = 20.0  # a question every two seconds, on a machine that may be busy

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture
def hosts(tmp_path):
    with_two = TwoHosts(tmp_path)
    try:
        yield with_two
    finally:
        with_two.close()


def changes(agent):
    """What it said of its peers; the time in front apart."""
    lines = (line.partition(" crossmesh: ")[2] for line in agent.said().splitlines())
    return [line for line in lines if line.startswith("peer ")]


def status_of(hosts, agent):
    """The peers as the agent's own status tells them, by host."""
    door = json.loads(agent.info.read_text())["flight"]
    code = "import json; import crossmesh as cm; print(json.dumps(cm.connect().status()['peers']))"
    done = subprocess.run(
        hosts.inside(agent.name, "env", f"CROSSMESH_AGENT={door['host']}:{door['port']}",
                     f"CROSSMESH_TOKEN={door['token']}", sys.executable, "-c", code),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {peer["host"]: peer for peer in json.loads(done.stdout)}


def test_agents_that_find_each_other_say_so_and_nothing_is_blamed_on_the_network(hosts):
    a = hosts.agent("a", *listening("a"), *peers())
    b = hosts.agent("b", *listening("b"), *peers())
    ready = a.ready().says("agent 'a' is ready", seconds=SAID_SECONDS_MAX)
    for part in ("Flight 10.78.0.1:7601", "transport ucx", "arena 16MiB in /dev/shm/", "metrics http://127.0.0.1:",
                 f"info file {a.info}"):  # fmt: skip
        assert part in ready
    b.ready()
    for agent, other in ((a, "b"), (b, "a")):
        agent.says(f"peer '{other}'", "is connected", seconds=CHANGE_SECONDS_MAX)
    said = hosts.said_by_trainer(a, "src", timeout=1.0)
    assert "no process has opened the destination side" in said
    assert "'b'" in said
    peer = status_of(hosts, a)["b"]
    assert (peer["state"], peer["reason"]) == ("connected", None)
    assert peer["address"] == f"{ADDRESSES['b']}:{PORT}"


def test_different_tokens(hosts):
    a = hosts.agent("a", *listening("a"), *peers()).ready()
    b = hosts.agent("b", *listening("b"), *peers(), token="another-token-than-that").ready()
    for agent, other in ((a, "b"), (b, "a")):
        agent.says(f"peer '{other}'", "refuses the token", "CROSSMESH_TOKEN", seconds=CHANGE_SECONDS_MAX)
    assert "Host 'b' is not connected: the agent at 10.78.0.2:7601 refuses the token" in hosts.said_by_trainer(a, "src")
    said = hosts.said_by_trainer(b, "dst")
    assert "Host 'a' is not connected: the agent at 10.78.0.1:7601 refuses the token" in said
    assert "no process has opened" not in said
    peer = status_of(hosts, a)["b"]
    assert peer["state"] == "not connected"
    assert "refuses the token" in peer["reason"]
    b.end()
    hosts.agent("b", *listening("b"), *peers()).ready()
    a.says("peer 'b'", "is connected", seconds=CHANGE_SECONDS_MAX)
    said = changes(a)
    assert all(line != before for line, before in itertools.pairwise(said)), "each change is said once"
    assert len(said) <= 5


def test_a_missing_bind(hosts):
    a = hosts.agent("a", *listening("a"), *peers()).ready()
    b = hosts.agent("b", "--flight-port", str(PORT), *peers()).ready()
    a.says("peer 'b'", "10.78.0.2:7601 refuses connections", "--bind", seconds=CHANGE_SECONDS_MAX)
    b.says("--peer b=10.78.0.2:7601 names this agent, which listens on 127.0.0.1:7601",
           "--bind 10.78.0.2", seconds=SAID_SECONDS_MAX)  # fmt: skip
    b.says("peer 'a'", "it answers, but does not reach this agent: 10.78.0.2:7601 refuses connections",
           seconds=CHANGE_SECONDS_MAX)  # fmt: skip
    assert "10.78.0.2:7601 refuses connections" in hosts.said_by_trainer(a, "src")
    assert "10.78.0.2:7601 refuses connections" in hosts.said_by_trainer(b, "dst")


def test_a_missing_peer(hosts):
    a = hosts.agent("a", *listening("a"), *peers()).ready()
    b = hosts.agent("b", *listening("b")).ready()
    remedy = "agent 'b' has no --peer for 'a'; start 'b' with --peer a=10.78.0.1:7601"
    a.says("peer 'b'", "it answers, but does not reach this agent", remedy, seconds=CHANGE_SECONDS_MAX)
    b.says("peer 'a'", remedy, seconds=CHANGE_SECONDS_MAX)
    assert remedy in hosts.said_by_trainer(a, "src")
    said = hosts.said_by_trainer(b, "dst")
    assert remedy in said
    assert "no process has opened" not in said


def test_no_peers_at_all(hosts):
    a = hosts.agent("a", *listening("a")).ready()
    a.says("agent 'a' is ready", "no peers", seconds=SAID_SECONDS_MAX)
    said = hosts.said_by_trainer(a, "src")
    assert "agent 'a' knows no other host; start it with --peer NAME=HOST:PORT" in said
    assert "no process has opened" not in said


@pytest.mark.parametrize(("door", "says"), [
    ("10.78.0.2:7777", "10.78.0.2:7777 refuses connections"),
    ("10.78.0.9:7601", "nothing answers at 10.78.0.9:7601"),
    ("10.99.0.9:7601", "there is no way to 10.99.0.9:7601 (Network is unreachable)"),
    ("no-such-host.invalid:7601", "the name 'no-such-host.invalid' does not resolve"),
    ("10.78.0.1:7601", "the agent at 10.78.0.1:7601 is 'a', not 'b'; correct --peer b=10.78.0.1:7601"),
])  # fmt: skip
def test_a_wrong_peer(hosts, door, says):
    a = hosts.agent("a", *listening("a"), *peers(b=door)).ready()
    a.says("peer 'b'", says, seconds=CHANGE_SECONDS_MAX)
    said = hosts.said_by_trainer(a, "src")
    assert f"Host 'b' is not connected: {says}" in said
    assert "no process has opened" not in said


def test_a_peer_that_does_not_answer_is_named_within_five_seconds(hosts):
    a = hosts.agent("a", *listening("a"), *peers(b="10.78.0.9:7601")).ready()
    a.says("peer 'b'", "nothing answers at 10.78.0.9:7601", seconds=SAID_SECONDS_MAX)


def test_a_nic_without_carrier_at_start_is_named_and_waited_for(hosts):
    hosts.cable("b", "down")
    a = hosts.agent("a", *listening("a"), *peers())
    b = hosts.agent("b", *listening("b"), *peers())
    for agent in (a, b):
        agent.says("NIC 'eth0'", "no carrier", seconds=30)
    hosts.cable("b", "up")
    for agent in (a, b):
        agent.says("NIC 'eth0' has a carrier", seconds=SAID_SECONDS_MAX)
        agent.ready()
    with hosts.trainer(b, "dst", 40) as there, hosts.trainer(a, "src", 40) as here:
        assert here.stdout.readline() == "open\n"
        assert there.stdout.readline() == "open\n"
        here.communicate("\n", timeout=60)
        there.communicate("\n", timeout=60)


def test_an_agent_that_waits_for_its_nic_ends_when_it_is_told_to(hosts):
    hosts.cable("b", "down")
    a = hosts.agent("a", *listening("a"), *peers())
    a.says("NIC 'eth0'", "no carrier", seconds=30)
    a.process.terminate()
    assert a.process.wait(SAID_SECONDS_MAX) is not None


@pytest.mark.parametrize(("options", "token", "says"), [
    ([*peers()], None, "--peer names other agents (b), but there is no token that they share"),
    (["--bind", "10.78.9.9"], "a-token-0123", "no NIC of this host has the address --bind 10.78.9.9"),
])  # fmt: skip
def test_what_cannot_work_ends_at_once_with_its_reason(hosts, options, token, says):
    a = hosts.agent("a", *options, token=token)
    assert a.process.wait(40) in (1, 2)
    lines = a.said().strip().splitlines()
    assert says in lines[0]
    assert len(lines) <= 2


def test_an_agent_whose_port_is_taken_names_who_has_it_and_ends_at_once(hosts):
    a = hosts.agent("a", *listening("a")).ready()
    other = hosts.agent("c", "--bind", ADDRESSES["a"], "--flight-port", str(PORT), host="a")
    other.says("process", f"{a.process.pid}", f"has port {PORT} of 10.78.0.1", seconds=40)
    assert other.process.wait(SAID_SECONDS_MAX) == 1


def test_loopback_that_is_down_is_named(hosts):
    subprocess.run(hosts.inside("a", "ip", "link", "set", "lo", "down"), check=True)
    a = hosts.agent("a", *listening("a"))
    assert a.process.wait(40) == 1
    assert "127.0.0.1 takes no connections (" in a.said()  # how the kernel puts it depends on its routes
    assert "ip link set lo up" in a.said()
