"""The link from agent to agent with one message size and memory in and out of the cache, beside UCX doing the same.

    .venv/bin/python benchmarks/link.py [--transport tcp|shm] [--mib 1] [--window 256] [--repeats 5]

Four messages are on the wire. *Cycled*: sender and receiver go through a window of memory that no cache holds, as
transfers between training steps do; the reference is agents/stream.c over the same window. *Cached*: both have only as
many buffers as messages on the wire; the reference is stream.c over those, or `ucx_perftest`, which has one. Repeats
of all alternate. Without a C compiler or UCX's headers (Debian: gcc, libucx-dev) only `ucx_perftest` is left.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from crossmesh import _bench
from crossmesh._jvm import child_env
from crossmesh._wires import wire

MIB = 1 << 20
IN_FLIGHT = 4
RATIO_MIN = {"tcp": 0.8, "shm": 0.75}
SECONDS_MAX = 120.0
SOURCE = Path(__file__).parent / "agents" / "stream.c"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="The link beside UCX with memory in and out of the cache.")
    parser.add_argument("--transport", choices=["tcp", "shm"], default="tcp")
    parser.add_argument("--mib", type=float, default=1)
    parser.add_argument("--window", type=int, default=256, help="MiB that either side goes through")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=0, help="of a repeat; by default 3 GiB of them")
    arguments = parser.parse_args()
    nbytes = int(arguments.mib * MIB)
    depth = max(IN_FLIGHT, arguments.window * MIB // nbytes)
    steps = arguments.steps or max(1, _bench.RUN_BYTES // nbytes)
    way = wire(arguments.transport)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as folder,
        way.cluster(["a", "b"], 2 * depth * nbytes + 3 * IN_FLIGHT * nbytes + 64 * MIB) as cluster,
    ):
        program = build(Path(folder))
        sets = {"cycled": depth, "cached": IN_FLIGHT}
        links = {name: _bench._open(cluster, f"link/{name}", nbytes, count)[:2] for name, count in sets.items()}
        warm = time.monotonic() + _bench.WARM_UP_SECONDS
        while time.monotonic() < warm:
            for name, ends in links.items():
                _bench._run(*ends, steps=2 * depth, depth=IN_FLIGHT, sets=sets[name])
        for _ in range(arguments.repeats):
            for name, ends in links.items():
                seconds = _bench._run(*ends, steps=steps, depth=IN_FLIGHT, sets=sets[name])
                rates[name].append(nbytes * steps / seconds / 1e9)
                if program is not None:
                    rate = stream(program, way.ucx_tls, nbytes, steps, sets[name] * nbytes)
                    rates[f"{name}, stream.c"].append(rate)
            for test in _bench.PERFTESTS:
                rate = _bench.perftest(test, way.ucx_tls, nbytes, steps, IN_FLIGHT)
                if rate is not None:
                    rates[f"cached, {test}"].append(rate)
    report(rates, arguments.transport, nbytes)


def build(folder: Path) -> Path | None:
    """The program of stream.c, if it can be built here."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "stream"
    command = [compiler, "-O2", "-o", str(program), str(SOURCE), "-lucp", "-lucs"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    return program if built.returncode == 0 else None


def stream(program: Path, tls: str, nbytes: int, messages: int, window: int) -> float:
    """GB/s of one run of stream.c."""
    env = child_env() | {"UCX_TLS": tls}
    env.pop("LD_LIBRARY_PATH", None)
    command = [str(program), *map(str, (nbytes, messages, IN_FLIGHT, window))]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS_MAX, check=True)
    return float(run.stdout)


def report(rates: dict[str, list[float]], transport: str, nbytes: int) -> None:
    """Print each rate, and each of ours over the fastest reference that has its memory likewise."""
    print(f"{transport}, {nbytes / MIB:g} MiB, {IN_FLIGHT} on the wire, medians of {len(rates['cycled'])}")
    for name, values in rates.items():
        print(f"{name:26} {statistics.median(values):6.2f} GB/s  ({min(values):.2f} to {max(values):.2f})")
    for ours in ("cycled", "cached"):
        beside = {name: statistics.median(value) for name, value in rates.items() if name.startswith(f"{ours}, ")}
        if not beside:
            print(f"{ours}: no reference. Install a C compiler and UCX's headers, as Debian's gcc and libucx-dev.")
            continue
        best = max(beside, key=lambda name: beside[name])
        ratio = statistics.median(rates[ours]) / beside[best]
        limit = f", limit {RATIO_MIN[transport]}" if ours == "cycled" else ""
        print(f"{ours}: {ratio:.2f} of {best.removeprefix(f'{ours}, ')}{limit}")


if __name__ == "__main__":
    main()
