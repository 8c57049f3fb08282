"""What one warm `cm.jax.reshard` of a small array costs a job of two processes with two agents.

    .venv/bin/python benchmarks/reshard.py [--beside FOLDER]

`--beside` names a folder that holds another build of the package (`FOLDER/crossmesh`). Jobs of both builds run in turn,
and the difference of their medians is printed with its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CALLS_WARM_UP = 100
CALLS = 300
TURNS = 5
MICROSECONDS_MORE_MAX = 300.0
HOSTS = ["a", "b"]
JOB = "CROSSMESH_BENCH_RESHARD"
SECONDS_MAX = 120


def job(rank: int, port: str) -> None:
    """One process: the array goes there and back."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.distributed.initialize(f"127.0.0.1:{port}", len(HOSTS), rank)
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    import crossmesh as cm

    ends = [
        NamedSharding(
            Mesh(np.array([d for d in jax.devices() if d.process_index == number]), ("x",)), PartitionSpec(*cut)
        )
        for number, cut in enumerate([("x",), (None, "x")])
    ]
    full = np.arange(64, dtype=np.float32).reshape(8, 8)
    x: Any = jax.ShapeDtypeStruct(full.shape, full.dtype, sharding=ends[0])
    if rank == 0:
        x = jax.make_array_from_callback(full.shape, ends[0], lambda box: full[box])
    seconds = []
    processor = 0.0
    for number in range(CALLS_WARM_UP + CALLS):
        if number == CALLS_WARM_UP:
            processor = time.process_time()
        start = time.perf_counter()
        x = cm.jax.reshard(cm.jax.reshard(x, ends[1]), ends[0])
        seconds.append((time.perf_counter() - start) / 2)
    processor = (time.process_time() - processor) / (2 * CALLS)
    print(json.dumps([statistics.median(seconds[CALLS_WARM_UP:]), processor]), flush=True)


def run(package: Path | None) -> tuple[float, float]:
    """The median seconds of a call, of the process that waited longer; processor seconds of both processes."""
    program = (
        "import json, os, sys, crossmesh as cm\n"
        f"with cm.LocalCluster({HOSTS!r}) as cluster:\n"
        f"    print(json.dumps([cluster.env(host) for host in {HOSTS!r}]), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    path = {} if package is None else {"PYTHONPATH": str(package)}
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        common = {
            "CROSSMESH_HOSTS": ",".join(HOSTS),
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            **path,
        }
        children = [
            subprocess.Popen(
                [sys.executable, __file__],
                env=os.environ | common | env | {JOB: f"{rank} {port}"},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank, env in enumerate(json.loads(cluster.stdout.readline()))
        ]
        try:
            told = [json.loads(child.communicate(timeout=SECONDS_MAX)[0]) for child in children]
            return max(median for median, _ in told), sum(processor for _, processor in told)
        finally:
            for child in children:
                child.kill()  # jax.distributed catches SIGTERM
                child.wait()


def main() -> int:
    """Measure, print, and say whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="a folder with another build of the package")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    builds: list[Path | None] = [None] if options.beside is None else [options.beside, None]
    medians: dict[Path | None, list[float]] = {build: [] for build in builds}
    for _ in range(options.turns):
        for build in builds:
            median, processor = run(build)
            medians[build].append(median)
            print(
                f"{build or 'this build'}: {1e6 * median:.0f} us a call, "
                f"{1e6 * processor:.0f} us of processor time in the trainers",
                flush=True,
            )
    if options.beside is None:
        return 0
    more = 1e6 * (statistics.median(medians[None]) - statistics.median(medians[options.beside]))
    print(f"this build takes {more:+.0f} us, limit {MICROSECONDS_MORE_MAX:+.0f} us")
    return int(more > MICROSECONDS_MORE_MAX)


if __name__ == "__main__":
    if JOB in os.environ:
        words = os.environ[JOB].split()
        job(int(words[0]), words[1])
    else:
        sys.exit(main())
