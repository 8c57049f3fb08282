"""Many small tensors in one transfer, beside one tensor of as many bytes."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ._cluster import LocalCluster
from ._errors import CrossmeshError
from ._mesh import Mesh
from ._sharding import Sharding
from ._spec import TensorSpec
from ._wires import wire

WARM_UP_ROUNDS = 10  # until the JVMs have compiled what a step runs through
WAIT_SECONDS_MAX = 60.0


@dataclass
class ManyResult:
    """What `crossmesh bench many` found: seconds of a transfer, one value for each round."""

    count: int
    bytes: int
    many: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median time of the many over that of the one."""
        return statistics.median(self.many) / statistics.median(self.one)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"ratio": self.ratio}


def many(*, transport: str = "tcp", count: int = 1000, nbytes: int = 64 << 10, rounds: int = 15) -> ManyResult:
    """Measure from before `send()` until `recv().result()` has returned, many and one in turn.

    Between two agents over loopback, from and to this process; every byte is compared in the first and last round.

    **Arguments:**

    - `transport`: a name of `_wires.WIRES`.
    - `count`: of the small tensors, all in one transfer.
    - `nbytes`: of each.
    - `rounds`: timed rounds of each.
    """
    rng = np.random.default_rng(7)
    whole = rng.integers(0, 256, count * nbytes, dtype=np.uint8)
    small = {f"{number:05d}": whole[number * nbytes : (number + 1) * nbytes] for number in range(count)}
    result = ManyResult(count, nbytes)
    arena = 12 * count * nbytes + (64 << 20)
    with wire(transport).cluster(["a", "b"], arena) as cluster:
        ends = [_Pair(cluster, "bench/many", small), _Pair(cluster, "bench/one", whole)]
        for number in range(WARM_UP_ROUNDS + rounds):
            check = number in (0, WARM_UP_ROUNDS + rounds - 1)
            seconds = [pair.step(check) for pair in ends]
            if number >= WARM_UP_ROUNDS:
                result.many.append(seconds[0])
                result.one.append(seconds[1])
        for pair in ends:
            pair.close()
    return result


class _Pair:
    """Both ends of a channel from host a to host b, and what is sent over it."""

    def __init__(self, cluster: LocalCluster, name: str, tree: Any) -> None:
        here, there = (Sharding(Mesh((1,), hosts=[host]), "R") for host in ("a", "b"))
        spec = _map(tree, lambda array: TensorSpec(array.shape, "uint8"))
        self.tree = tree
        self.sender = cluster.agent("a").sender(name, spec, here, depth=2)
        self.receiver = cluster.agent("b").receiver(name, spec, there, depth=2)
        self.sender.wait_open(WAIT_SECONDS_MAX)
        self.receiver.wait_open(WAIT_SECONDS_MAX)

    def step(self, check: bool) -> float:
        posted = self.receiver.recv()
        start = time.perf_counter()
        sent = self.sender.send(self.tree)
        got = posted.result(WAIT_SECONDS_MAX)
        seconds = time.perf_counter() - start
        sent.result(WAIT_SECONDS_MAX)
        pairs = [(self.tree, got)] if 0 in got else [(self.tree[key], got[key]) for key in self.tree]
        if check and not all(np.array_equal(wanted, held[0]) for wanted, held in pairs):
            raise CrossmeshError("Other bytes arrived than were sent. Please report it.")
        return seconds

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


def _map(tree: Any, made: Any) -> Any:
    return {key: made(value) for key, value in tree.items()} if isinstance(tree, dict) else made(tree)
