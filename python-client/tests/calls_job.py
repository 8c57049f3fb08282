"""One process of a job whose processes do not make the same calls.

Run as `python calls_job.py RANK PORT SCENARIOS PROCESSES`.

It prints what came of each call of each scenario, as JSON lists: the numbers that the elements have, or the error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import crossmesh as cm

TIMEOUT = 4.0
LONG = 40.0
BEHIND = 2.0
SHAPE = (8, 8)
RESULTS: list = []
SCENARIO: list = []


def mesh_of(rank, names=("x", "y")):
    return Mesh(np.array([d for d in jax.devices() if d.process_index == rank]).reshape(2, 2), names)


def given(value, shape=SHAPE, dtype="float32", spec=("x",), rank=0):
    """An array of process `rank` all of whose elements are one number, or what stands for it on the others."""
    named = NamedSharding(mesh_of(rank), PartitionSpec(*spec))
    if jax.process_index() != rank:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=named)
    full = np.full(shape, value, dtype)
    return jax.make_array_from_callback(shape, named, lambda index: full[index])


def call(x, spec=(None, "y"), timeout=TIMEOUT, to=1, **options):
    """Reshard to process `to` and note what came of it."""
    start = time.monotonic()
    try:
        y = cm.jax.reshard(x, NamedSharding(mesh_of(to), PartitionSpec(*spec)), timeout=timeout, **options)
        found = {
            float(part)
            for leaf in jax.tree.leaves(y)
            for shard in leaf.addressable_shards
            for part in np.asarray(shard.data).flat
        }
        RESULTS.append(sorted(found))
    except cm.CrossmeshError as error:
        RESULTS.append(f"{type(error).__name__} after {time.monotonic() - start:.3f} s: {error}")


def alike(rank):
    for value in (1, 2, 3):
        call(given(value))


def wait_for_others(name):
    from jax._src.distributed import global_state

    global_state.client.wait_at_barrier(f"{SCENARIO[-1]}/{name}", 15_000)


def second_call(deviate):
    """Three calls of one layout; in the second one a process deviates."""

    def run(rank):
        call(given(1))
        deviate(rank)
        wait_for_others("third")
        call(given(3))

    return run


def pick(here, there, at=1):
    """In the second call, process `at` makes another call than the rest."""

    def deviate(rank):
        (there if rank == at else here)()

    return deviate


def normal():
    call(given(2))


def skip():
    """No call."""


def narrow():
    call(given(2, spec=(), dtype="float64"))


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    raise SystemExit(0)


def tree():
    call({"a": given(2), "b": given(2)})


def other_tree():
    call([given(2), given(2)])


def many():
    call({f"t{n:02}": given(2, (8,)) for n in range(40)}, spec=("y",))


def other_of_many():
    call({f"t{n:02}": given(2, (16 if n == 17 else 8,)) for n in range(40)}, spec=("y",))


def careless():
    x = given(2)
    call(jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding))


def deleted():
    x = given(2)
    if isinstance(x, jax.Array):
        x.delete()
    call(x)


def interrupted():
    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        call(given(2))
    except KeyboardInterrupt:
        RESULTS.append("interrupted")


def late():
    time.sleep(2.0)
    call(given(2))


def bystander(rank):
    """Process 2 has no shards: it does not wait, and runs ahead."""
    if rank == 2:
        start = time.monotonic()
        alike(rank)
        RESULTS.append(time.monotonic() - start)
    else:
        time.sleep(BEHIND)
        alike(rank)


def bystander_runs_ahead_of_a_failure(rank):
    """Process 2 has made all its calls before process 1 fails to make the second one."""
    if rank == 2:
        alike(rank)
        wait_for_others("third")
    else:
        second_call(pick(normal, skip))(rank)


def bystander_skips(rank):
    """Process 2, which has no shards, does not make the second call."""
    call(given(1))
    if rank != 2:
        call(given(2))
    wait_for_others("third")
    call(given(3))


def end_in_the_second(rank):
    call(given(1))
    if rank == 1:
        leave()
    call(given(2))


def killed_in_the_second(rank):
    call(given(1))
    if rank == 1:
        time.sleep(1.0)
        kill()
    call(given(2), timeout=LONG)
    print(json.dumps({"killed": RESULTS}), flush=True)
    os._exit(0)  # jax.distributed would wait for the other one


def never_called(rank):
    """Process 1 does not make the first call of all."""
    if rank == 0:
        call(given(1))
    wait_for_others("second")
    call(given(2))
    call(given(3))


def there_and_back(rank):
    for value in range(20):
        call(given(value, rank=value % 2), to=1 - value % 2)


def weak(rank):
    """A weak type goes along, also where the other process states none."""
    x = given(1)
    if rank == 0:
        from crossmesh._jax_private import with_weak_type

        x = with_weak_type(x)
        assert x.weak_type
    y = cm.jax.reshard(x, NamedSharding(mesh_of(1), PartitionSpec("x")))
    RESULTS.append(bool(y.weak_type) if rank == 1 else True)
    y = cm.jax.reshard(given(2), NamedSharding(mesh_of(1), PartitionSpec("x")))
    RESULTS.append(bool(y.weak_type) if rank == 1 else False)


def shardings(rank):
    """One cut in several shardings: each call brings the one it asks for."""
    base = mesh_of(1)
    kinds = sorted(memory.kind for memory in jax.local_devices()[0].addressable_memories())
    wanted = [
        NamedSharding(base, PartitionSpec("x")),
        NamedSharding(base, PartitionSpec("x", None)),
        NamedSharding(Mesh(base.devices, ("p", "q")), PartitionSpec("p")),
        *(NamedSharding(base, PartitionSpec(("x",)), memory_kind=kind) for kind in kinds),
    ]
    if hasattr(jax.sharding, "AxisType"):
        explicit = (jax.sharding.AxisType.Explicit,) * 2
        wanted.append(NamedSharding(Mesh(base.devices, ("x", "y"), axis_types=explicit), PartitionSpec("x")))
    for value, named in enumerate([*wanted, *wanted]):
        y = cm.jax.reshard(given(value), named, timeout=TIMEOUT)
        assert y.sharding == named
        assert str(y.sharding) == str(named)
        for shard in getattr(y, "addressable_shards", ()):
            np.testing.assert_array_equal(np.asarray(shard.data), value)
        # The bytes stay where they are, and the sharding is another one.
        for other in wanted:
            z = cm.jax.reshard(y, other, timeout=TIMEOUT)
            assert z.sharding == other
    RESULTS.append("right")


SCENARIOS = {
    "alike": alike,
    "there_and_back": there_and_back,
    "weak": weak,
    "shardings": shardings,
    "dtype": second_call(pick(normal, lambda: call(given(2, dtype="int32")))),
    "shape": second_call(pick(normal, lambda: call(given(2, shape=(16, 8))))),
    "source": second_call(pick(normal, lambda: call(given(2, spec=("y",))))),
    "destination": second_call(pick(normal, lambda: call(given(2), spec=("x",)))),
    "timeout": second_call(pick(normal, lambda: call(given(2), timeout=TIMEOUT + 1))),
    "tree": second_call(pick(tree, other_tree)),
    "of_many": second_call(pick(many, other_of_many)),
    "narrow": second_call(pick(normal, narrow)),
    "careless": second_call(pick(normal, careless, at=0)),
    "deleted": second_call(pick(normal, deleted, at=0)),
    "receiver_skips": second_call(pick(normal, skip)),
    "sender_skips": second_call(pick(normal, skip, at=0)),
    "interrupted": second_call(pick(late, interrupted, at=0)),
    "end": end_in_the_second,
    "killed": killed_in_the_second,
    "never_called": never_called,
    "bystander": bystander,
    "bystander_runs_ahead": bystander_runs_ahead_of_a_failure,
    "bystander_skips": bystander_skips,
}


def main(rank, port, scenarios, processes):
    jax.distributed.initialize(f"127.0.0.1:{port}", int(processes), int(rank))
    told = {}
    try:
        for scenario in scenarios.split(","):
            RESULTS.clear()
            SCENARIO.append(scenario)
            wait_for_others("scenario")
            SCENARIOS[scenario](int(rank))
            told[scenario] = list(RESULTS)
    finally:
        told.setdefault(scenario, list(RESULTS))
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
