"""What checksums of chunks and digests of tiles cost a transfer: the same link without and with either, in turn.

    .venv/bin/python benchmarks/checksums.py              # tcp, shm, flight and flight-tls, with 64 MiB and 1 MiB
    .venv/bin/python benchmarks/checksums.py tcp --mib 64

Two pairs of agents run all the time, and three channels take turns moving; a ratio is that of two turns of the same
round, and the median of those ratios is printed. Both ends share the machine, so this is the most that they can cost.
"""

from __future__ import annotations

import argparse
import statistics
import time

from crossmesh import _bench
from crossmesh._cluster import LocalCluster
from crossmesh._wires import WIRES, wire

MIB = 2**20
DEPTH = 4
ROUND_BYTES = 1 << 30
WARM_UP_SECONDS = 8.0
PLAIN, CHECKSUMS, DIGESTS = "neither", "checksums", "digests"


def compare(transport: str, nbytes: int, rounds: int) -> None:
    """Print rates with neither, with checksums and with digests, and what those cost."""
    steps = max(1, ROUND_BYTES // nbytes)
    arena = 6 * DEPTH * nbytes + 64 * MIB
    way = wire(transport)
    rates: dict[str, list[float]] = {PLAIN: [], CHECKSUMS: [], DIGESTS: []}
    with (
        way.cluster(["a", "b"], arena, ["--checksums", "off"]) as plain,
        way.cluster(["a", "b"], arena, ["--checksums", "on"]) as checked,
    ):
        links = {
            PLAIN: ends(plain, "plain", nbytes, verify=False),
            CHECKSUMS: ends(checked, "checksums", nbytes, verify=False),
            DIGESTS: ends(plain, "digests", nbytes, verify=True),
        }
        for source, target in links.values():
            warm = time.monotonic() + WARM_UP_SECONDS
            while time.monotonic() < warm:
                _bench._run(source, target, steps=max(8, 256 * MIB // nbytes), depth=DEPTH)
        for turn in range(rounds):
            for name in sorted(links, reverse=turn % 2 == 1):
                seconds = _bench._run(*links[name], steps=steps, depth=DEPTH)
                rates[name].append(nbytes * steps / seconds / 1e9)
    print(f"{transport}, {nbytes // MIB} MiB, {rounds} rounds: {statistics.median(rates[PLAIN]):.2f} GB/s", flush=True)
    for name in (CHECKSUMS, DIGESTS):
        costs = [without / having - 1 for without, having in zip(rates[PLAIN], rates[name], strict=True)]
        print(
            f"  with {name} {statistics.median(rates[name]):.2f} GB/s; a transfer takes "
            f"{100 * statistics.median(costs):.1f} % longer ({100 * min(costs):.1f} to {100 * max(costs):.1f})",
            flush=True,
        )


def ends(cluster: LocalCluster, name: str, nbytes: int, *, verify: bool) -> tuple[_bench._End, _bench._End]:
    """Both ends of an open channel."""
    source, target, _ = _bench._open(cluster, f"{name}/{nbytes}", nbytes, DEPTH, verify=verify)
    return source, target


def main() -> None:
    """Measure what was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transports", nargs="*", choices=[[], *WIRES], help="which; all if none is named")
    parser.add_argument("--mib", type=int, action="append", help="MiB of a transfer; 64 and 1 if not stated")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    for transport in args.transports or WIRES:
        for mib in args.mib or (64, 1):
            compare(transport, mib * MIB, args.rounds)


if __name__ == "__main__":
    main()
