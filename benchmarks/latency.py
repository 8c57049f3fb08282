"""What a step costs from agent to agent when neither ever sleeps, beside UCX's own active messages.

    .venv/bin/python benchmarks/latency.py [--transport tcp|shm] [--bytes 4096] [--repeats 5]

Two engines, each in a JVM of its own, send a step back and forth: half a round, medians of repeats that alternate with
`ucx_perftest -t ucp_am_lat` on the same transport and size, and with two JVMs that do by JUCX what `ucx_perftest` does:
over a connection each way, as agents have, and over one. What wakes sleeping processes, and what clients do, is in
`crossmesh bench latency`. It needs a JDK, which it finds as agents find theirs.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from crossmesh._java import find_jar, find_java
from crossmesh._jvm import child_env
from crossmesh._ucx import find_ucx
from crossmesh._wires import wire

RATIO_MAX = 1.5
ROUNDS = 50_000
SECONDS_MAX = 90.0
AGENTS = Path(__file__).parent / "agents"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="A step from agent to agent, spinning, beside ucx_perftest.")
    parser.add_argument("--transport", choices=["tcp", "shm"], default="tcp")
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    tls = wire(arguments.transport).ucx_tls
    nbytes = str(arguments.bytes)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "agents": lambda: engines(tls, nbytes),
        "JUCX, a connection each way": lambda: back_and_forth(tls, "Bare", ["2", nbytes]),
        "JUCX, one connection": lambda: back_and_forth(tls, "Bare", ["1", nbytes]),
        "ucx_perftest": lambda: (perftest(tls, arguments.bytes), math.nan),
    }
    halves: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(arguments.repeats):
        for way, measure in ways.items():
            halves[way].append(measure())
    print(f"{arguments.transport}, {arguments.bytes} bytes, half a round, medians of {arguments.repeats}")
    reference = statistics.median(half for half, _ in halves["ucx_perftest"])
    for way, measured in halves.items():
        p50s = [p50 for p50, _ in measured]
        p99 = statistics.median(p99 for _, p99 in measured)
        p50 = statistics.median(p50s)
        print(
            f"{way:28} p50 {p50:6.2f} us ({min(p50s):.2f} to {max(p50s):.2f})"
            + ("" if math.isnan(p99) else f"  p99 {p99:7.2f} us  ratio {p50 / reference:.2f}")
            + (f", limit {RATIO_MAX}" if way == "agents" else "")
        )


def engines(tls: str, nbytes: str) -> tuple[float, float]:
    """Microseconds of half a round between two engines, p50 and p99."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        return back_and_forth(tls, "Ping", [folder, nbytes])


def back_and_forth(tls: str, program: str, arguments: list[str]) -> tuple[float, float]:
    """Microseconds of half a round between two processes of a program of `agents`, p50 and p99."""
    env = child_env() | {"UCX_TLS": tls}
    command = [str(find_java().path), "--add-opens=java.base/java.nio=ALL-UNNAMED"]
    command += ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC"]
    path = find_ucx().library_path
    command += [f"-Djava.library.path={path}"] if path else []
    command += ["-cp", str(find_jar()), str(AGENTS / f"{program}.java")]
    ends = [
        subprocess.Popen(
            [*command, name, *arguments, str(ROUNDS)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    try:
        said = [_line(end) for end in ends]
        for end, other in zip(ends, reversed(said), strict=True):
            _tell(end, other)
        for end in ends:
            assert _line(end) == "ready"
        _tell(ends[0], "go")
        p50, p99 = _line(ends[0]).split()
        for end in ends:
            end.wait(SECONDS_MAX)
    finally:
        for end in ends:
            end.kill()
            end.wait()
    return float(p50), float(p99)


def _line(end: subprocess.Popen[str]) -> str:
    assert end.stdout is not None
    line = end.stdout.readline().strip()
    if not line:
        raise SystemExit("A process has ended; see above what it wrote.")
    return line


def _tell(end: subprocess.Popen[str], line: str) -> None:
    assert end.stdin is not None
    end.stdin.write(line + "\n")
    end.stdin.flush()


def perftest(tls: str, nbytes: int) -> float:
    """Microseconds of half a round by `ucx_perftest`."""
    program = shutil.which("ucx_perftest")
    if program is None:
        raise SystemExit("There is no ucx_perftest to compare with. Install ucx-utils.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = child_env() | {"UCX_TLS": tls}
    env.pop("LD_LIBRARY_PATH", None)
    arguments = ["-t", "ucp_am_lat", "-s", str(nbytes), "-n", str(ROUNDS), "-w", "1000", "-p", port]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([program, *arguments], env=env, **quiet, start_new_session=True)
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            client = subprocess.run(
                [program, "127.0.0.1", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
            )
            final = re.search(r"^Final:\s+\d+\s+([\d.]+)", client.stdout, re.MULTILINE)
            if final:
                return float(final[1])
            time.sleep(0.1)  # the server does not listen yet
        raise SystemExit("ucx_perftest did not answer.")
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
