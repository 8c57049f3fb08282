"""The network lab: what it measures is its own affair; here, that it refuses in a line and always cleans up."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossmesh._certificates import Authority
from waiting import until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from lab import __main__ as command  # noqa: E402
from lab import cases, hosts, measure, network, report, system  # noqa: E402

pytestmark = pytest.mark.timeout(120)

TINY = ["run", "--rate", "500Mbit/s", "--cases", "m1", "--variants", "auto", "--mib", "2", "--hosts", "2"]
AT_THE_WIRE = "case m1"
WAIT_SECONDS_MAX = 45


def names_of_the_machine(pid):
    """Namespaces, those of labs of other processes apart, interfaces and state directories."""
    if shutil.which("ip") is None:
        return set(), set(), set()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    spaces = {line.split()[0] for line in listed.splitlines() if line.strip()}
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    mine = f"{network.PREFIX}{pid}"
    return (
        {space for space in spaces if space.startswith(mine) or not space.startswith(network.PREFIX)},
        {line.split(":")[1] for line in links.splitlines()},
        set(network.STATE.glob(f"{mine}*")),
    )


def possible():
    try:
        system.require_tools()
    except system.CannotStart:
        return False
    return True


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        cwd=BENCHMARKS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process, text):
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"the lab ended before {text!r}: {''.join(said)}")


def ends_without_a_trace(process):
    said = process.communicate(timeout=WAIT_SECONDS_MAX)[1]
    spaces, _, directories = names_of_the_machine(process.pid)
    assert not any(space.startswith(network.PREFIX) for space in spaces)
    assert not directories
    return said


def refused(process):
    """What a machine that cannot make labs answers: nothing is left to test there."""
    said = ends_without_a_trace(process)
    assert process.returncode == 2
    assert len(said.strip().splitlines()) == 1
    return said


def called(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lab", *arguments])
    before = names_of_the_machine(os.getpid())
    with pytest.raises(SystemExit) as end:
        command.main()
    assert names_of_the_machine(os.getpid()) == before
    assert end.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    return said[-1], said[:-1]


def test_without_root_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said, before = called(monkeypatch, capsys, *TINY)
    assert "run it as root" in said
    assert not before


@pytest.mark.parametrize("tool", ["ip", "tc", "iperf3"])
def test_without_a_tool_it_says_what_to_install(monkeypatch, capsys, tool):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/bin/{name}")
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["lab", *TINY])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    assert f"needs {tool}: apt-get install {system.TOOLS[tool]}" in capsys.readouterr().err


def test_without_the_right_to_make_namespaces_it_says_so(monkeypatch, capsys, tmp_path):
    fake = tmp_path / "ip"
    fake.write_text('#!/bin/sh\n[ "$2" = list ] && exit 0\necho "Operation not permitted" >&2\nexit 1\n')
    fake.chmod(0o755)
    for tool in ("tc", "iperf3"):
        (tmp_path / tool).symlink_to("/bin/false")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["lab", *TINY])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No lab can be built here" in said
    assert "Operation not permitted" in said
    assert not list(network.STATE.glob(f"{network.PREFIX}{os.getpid()}*"))


@pytest.mark.parametrize(("option", "value", "says"), [
    ("--cases", "m1,nine", "There is no case nine"),
    ("--variants", "fast", "There is no variant fast"),
    ("--hosts", "1", "need 2 hosts"),
])  # fmt: skip
def test_what_is_not_there_is_refused(monkeypatch, capsys, option, value, says):
    monkeypatch.setattr(command, "require_tools", lambda: None)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    said, _ = called(monkeypatch, capsys, *TINY, option, value)
    assert says in said


def test_a_host_that_is_killed_ends_the_run_which_names_it_and_cleans_up():
    before = names_of_the_machine(0)
    with start(*TINY, "--repeats", "100000") as lab:
        if not possible():
            refused(lab)
            return
        read_until(lab, AT_THE_WIRE)
        info = network.STATE / f"{network.PREFIX}{lab.pid}" / "h1.json"
        os.kill(json.loads(info.read_text())["pid"], signal.SIGKILL)
        said = ends_without_a_trace(lab)
    assert lab.returncode == 1
    assert "The agent of h1 ended" in said
    assert names_of_the_machine(0) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_cleans_up(number):
    before = names_of_the_machine(0)
    with start(*TINY) as lab:
        if not possible():
            refused(lab)
            return
        read_until(lab, "measuring the line")
        lab.send_signal(number)
        ends_without_a_trace(lab)
    assert lab.returncode not in (0, 2)
    assert names_of_the_machine(0) == before


def test_what_a_killed_run_left_is_removed_by_the_next():
    before = names_of_the_machine(0)
    with start(*TINY) as lab:
        if not possible():
            refused(lab)
            return
        read_until(lab, "measuring the line")
        lab.kill()
        lab.wait(WAIT_SECONDS_MAX)
    left = {space for space in names_of_the_machine(lab.pid)[0] if space.startswith(f"{network.PREFIX}{lab.pid}-")}
    assert left
    with network.Network(network.Shape(2, 500_000_000, nics=2, racks=2, uplink=500_000_000)) as made:
        # Where other labs begin on this machine just now, one of them may be at it.
        until(lambda: not names_of_the_machine(lab.pid)[0] & left)
        other = made.address("h1", nic=1)
        ping = [*made.inside("h0"), sys.executable, "-c", ECHO_ONE, other]
        server = [*made.inside("h1"), sys.executable, "-c", ECHO_OTHER, other]
        with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as answering:
            assert answering.stdout.readline() == "ready\n"
            assert subprocess.run(ping, timeout=20, check=True, capture_output=True).stdout == b"across racks\n"
    assert names_of_the_machine(0) == before
    assert not list(network.STATE.glob(f"{network.PREFIX}{lab.pid}*"))


ECHO_ONE = "import socket, sys; print(socket.create_connection((sys.argv[1], 9), 10).recv(99).decode())"
ECHO_OTHER = """
import socket, sys
with socket.create_server((sys.argv[1], 9)) as s:
    print("ready", flush=True)
    s.accept()[0].sendall(b"across racks")
"""


CAPTURE = """
import json, select, socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth0", 0))
wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
print("ready", flush=True)
seen = marked = 0
over = False
while not over or select.select([wire], [], [], 0)[0]:
    readable = select.select([wire, sys.stdin], [], [])[0] if not over else [wire]
    over = over or sys.stdin in readable
    if wire in readable:
        packet = wire.recv(1 << 17)
        seen += len(packet)
        marked += sys.argv[1].encode() in packet
print(json.dumps([seen, marked]))
"""

MARKER = "crossmesh was here"
MOVE = f"""
import sys
import numpy as np, crossmesh as cm
x = np.tile(np.frombuffer(b"{MARKER}", np.uint8), 1 << 17)
a, b = (cm.Sharding(cm.Mesh((1,), hosts=[host]), "R") for host in ("h0", "h1"))
with cm.connect() as agent:
    if agent.name == "h0":
        with agent.sender("marked", x, a) as tx:
            tx.send(x).result(60)
    else:
        with agent.receiver("marked", x, b) as rx:
            assert np.array_equal(rx.recv().result(60)[0], x)
"""


def wire(made, options, env):
    """Bytes on a host's wire while a tensor of markers leaves it, and packets with a marker in them."""
    with hosts.Hosts(made, "64MiB", env, trainers=False, options=options) as agents:
        capture = [*made.inside("h0"), sys.executable, "-c", CAPTURE, MARKER]
        with subprocess.Popen(capture, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as capturing:
            assert capturing.stdout.readline() == "ready\n"
            moving = [
                subprocess.Popen([*made.inside(host), sys.executable, "-c", MOVE], env=agents.env(host))
                for host in ("h0", "h1")
            ]
            assert [process.wait(90) for process in moving] == [0, 0]
            said, _ = capturing.communicate(timeout=30)
    return json.loads(said)


def test_what_crosses_a_wire_can_be_read_over_ucx_and_not_over_tls():
    if not possible():
        refused(start(*TINY))
        return
    authority = Authority()
    client = authority.issue("client")

    def encrypted(host):
        files = authority.issue(host, address=made.address(host))
        named = ["--tls-ca", files.ca, "--tls-cert", files.cert, "--tls-key", files.key]
        return ["--transport", "flight", *map(str, named)]

    moved = len(MARKER) << 17
    try:
        with network.Network(network.Shape(2, 500_000_000)) as made:
            seen, marked = wire(made, None, {})
            assert seen > moved
            assert marked > moved / (1 << 17)
            for old in made.directory.glob("h*.json"):
                old.unlink()
            seen, marked = wire(made, encrypted, client.env())
            assert seen > moved
            assert marked == 0
    finally:
        authority.close()


def result():
    """One lab with made-up times: all variants of two cases."""
    made = measure.Result(network.Shape(5, 500_000_000), 60e6, 50e-6, None)
    for case in cases.all_cases():
        if case.name in ("1", "9", "m1", "m3", "m5", "m8"):
            for number, variant in enumerate(reversed(cases.VARIANTS)):
                seconds = [2.0 + number, 2.1 + number, 1.9 + number]
                made.records.append(
                    measure.Record(case.name, variant.strategy, variant.order, 1 << 27, (1 + number) << 27, 2.0, 2.0,
                                   1 << 20, "broadcast", seconds)
                )  # fmt: skip
    return made


def test_results_survive_json_and_say_what_misses_a_limit():
    made = measure.Result.from_dict(json.loads(json.dumps(result().to_dict())))
    assert made == result()
    assert report.speed_up(made, "m8", cases.SEND_RECV) == (9.0 / 2.0, 8.0)
    said = report.misses(made)
    assert any("case m8: auto is 4.50 times as fast as send_recv" in line for line in said)
    assert not any("takes" in line for line in said)
    for record in made.records:
        record.seconds = [record.seconds[0] * 1.2]
    assert any("case 1: auto takes 1.200 of the bound" in line for line in report.misses(made))


def test_pictures_are_drawn(tmp_path):
    from lab import plots

    drawn = plots.draw(result(), tmp_path)
    assert [path.name for path in drawn] == ["lab-receivers-500.svg", "lab-cases-500.svg"]
    for path in drawn:
        text = path.read_text()
        assert "send_recv" in text
        assert "effective Gbit/s" in text


def test_small_tensors_keep_the_slices_of_the_cases():
    small = {case.name: case for case in cases.all_cases(8.0)}
    for case in cases.all_cases():
        assert 7 << 20 < cases.nbytes(small[case.name].spec) < 9 << 20
        tiles = {
            tuple(high > low for low, high in box) for box in small[case.name].dst.boxes(small[case.name].spec.shape)
        }
        assert tiles == {(True,) * len(case.spec.shape)}


@pytest.mark.parametrize(
    ("mbit", "smooth", "rough"), [(100, 8192, 131072), (500, 31250, 131072), (4000, 131072, 500000)]
)
def test_a_smooth_line_saves_up_little_in_a_pause(mbit, smooth, rough):
    rate = mbit * 1_000_000
    assert network.bucket(rate, smooth=True) == smooth
    assert network.bucket(rate, smooth=False) == rough


def test_values_are_the_numbers_of_their_places():
    part = cases.values((3, 4, 5), ((1, 3), (0, 2), (4, 5)), "int32")
    assert part.tolist() == [[[24], [29]], [[44], [49]]]


def test_processes_that_will_not_end_are_ended():
    if not possible():
        refused(start(*TINY))
        return
    with network.Network(network.Shape(1, 500_000_000)) as made:
        stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
        sleeper = subprocess.Popen([*made.inside("h0"), sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
        with sleeper:
            assert sleeper.stdout.readline() == b"up\n"
            began = time.monotonic()
            made.close()
            assert sleeper.wait(10) == -signal.SIGKILL
            assert time.monotonic() - began < 10
    with contextlib.suppress(ProcessLookupError):
        os.kill(sleeper.pid, 0)
        raise AssertionError("the process lives")
