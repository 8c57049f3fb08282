"""The planner's lower bound against linear programs that another solver solves.

What each host must get is found element by element, by NumPy over `Sharding.shards`: nothing of the planner's own
decomposition, nor of its maximum flow, is in the reference.
"""

import math

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

import crossmesh as cm

HOSTS = ("a", "b", "c", "d", "e", "f")
SAME = 1e-9


def classes(shape, src, dst, itemsize):
    """Bytes of each pair (hosts that hold, hosts that need and lack), of elements that some host needs and lacks."""
    holds, needs = {}, {}
    for sharding, by_host in ((src, holds), (dst, needs)):
        for device, box in sharding.shards(shape).items():
            host = sharding.mesh.devices[device].host
            by_host.setdefault(host, np.zeros(shape, bool))[box] = True
    bytes_of = {}
    for element in np.ndindex(*shape):
        holders = frozenset(host for host, held in holds.items() if held[element])
        lacking = frozenset(host for host, needed in needs.items() if needed[element]) - holders
        if lacking:
            bytes_of[holders, lacking] = bytes_of.get((holders, lacking), 0) + itemsize
    return bytes_of


class Program:
    """Minimise a sum of named variables, none negative, over rows of the kind `sum <= rest` or `sum = rest`."""

    def __init__(self):
        self.columns = {}
        self.most = []
        self.equal = []

    def solve(self, objective):
        def matrix(rows):
            entries = [
                (number, self.columns.setdefault(name, len(self.columns)), value)
                for number, (terms, _) in enumerate(rows)
                for name, value in terms.items()
            ]
            return entries, [rest for _, rest in rows]

        (most, most_rest), (equal, equal_rest) = matrix(self.most), matrix(self.equal)
        width = len(self.columns)

        def sparse(entries, height):
            number, column, value = zip(*entries, strict=True) if entries else ((), (), ())
            return coo_matrix((value, (number, column)), shape=(height, width))

        cost = np.zeros(width)
        cost[self.columns[objective]] = 1
        found = linprog(
            cost,
            A_ub=sparse(most, len(most_rest)),
            b_ub=most_rest,
            A_eq=sparse(equal, len(equal_rest)) if equal_rest else None,
            b_eq=equal_rest or None,
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        assert found.status == 0, found.message
        return found.fun


def scaled(bytes_of, topology, hosts):
    """Bytes and rates near 1, where the solver's absolute tolerances are relative ones; and the unit of time."""
    total = sum(bytes_of.values())
    rate = max(topology.bandwidth(host) for host in hosts)
    return {key: count / total for key, count in bytes_of.items()}, rate, total / rate


def least_time(bytes_of, topology, *, limits=True):
    """Seconds: slices divided among their holders as one likes, each sent out once, each receiver getting all.

    What must enter or leave a limited group is what no member, or no one else, holds.
    """
    if not bytes_of:
        return 0.0
    hosts = sorted({host for pair in bytes_of for side in pair for host in side})
    parts, top, unit = scaled(bytes_of, topology, hosts)
    program = Program()
    for number, ((holders, _), count) in enumerate(parts.items()):
        program.equal.append(({(number, host): 1.0 for host in holders}, count))
    for host in hosts:
        speed = topology.bandwidth(host) / top
        sent = {(number, host): 1.0 for number, (holders, _) in enumerate(parts) if host in holders}
        program.most.append((sent | {"T": -speed}, 0.0))
        program.most.append(({"T": -speed}, -sum(count for (_, lacking), count in parts.items() if host in lacking)))
    for group, bandwidth in topology.limits.items() if limits else ():
        inside = set(group)
        enters = sum(count for (holders, lacking), count in parts.items() if lacking & inside and not holders & inside)
        leaves = sum(count for (holders, lacking), count in parts.items() if lacking - inside and not holders - inside)
        program.most.append(({"T": -bandwidth / top}, -max(enters, leaves)))
    return program.solve("T") * unit


def least_time_by_receiver(bytes_of, topology):
    """Seconds, more finely: each receiver may get each byte from another holder, and what is sent crosses limits.

    No plan can be faster, as bytes for several receivers leave a holder, or cross a limit, at best once.
    """
    if not bytes_of:
        return 0.0
    hosts = sorted({host for pair in bytes_of for side in pair for host in side})
    parts, top, unit = scaled(bytes_of, topology, hosts)
    program = Program()
    for number, ((holders, lacking), count) in enumerate(parts.items()):
        for to in lacking:
            program.equal.append(({(number, host, to): 1.0 for host in holders}, count))
            program.most += [({(number, host, to): 1.0, (number, host): -1.0}, 0.0) for host in holders]
    for host in hosts:
        speed = topology.bandwidth(host) / top
        sent = {(number, host): 1.0 for number, (holders, _) in enumerate(parts) if host in holders}
        program.most.append((sent | {"T": -speed}, 0.0))
        program.most.append(({"T": -speed}, -sum(count for (_, lacking), count in parts.items() if host in lacking)))
    for which, (group, bandwidth) in enumerate(topology.limits.items()):
        for inside in (set(group), set(hosts) - set(group)):
            crossing = {}
            for number, (holders, lacking) in enumerate(parts):
                through = (which, min(inside, default=""), number)
                for to in lacking & inside:
                    terms = {(number, host, to): 1.0 for host in holders - inside}
                    program.most.append((terms | {through: -1.0}, 0.0))
                    crossing[through] = 1.0
            program.most.append((crossing | {"T": -bandwidth / top}, 0.0))
    return program.solve("T") * unit


@st.composite
def meshes(draw, hosts):
    names = draw(st.lists(st.sampled_from(hosts), min_size=1, max_size=4, unique=True))
    each = draw(st.integers(1, 2))
    return cm.Mesh((len(names), each), hosts=names)


@st.composite
def reshards(draw):
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    sides = []
    # Disjoint sides, or sides that may share hosts.
    for hosts in draw(st.sampled_from([("abcd", "ef"), ("ab", "cdef"), ("abcdef", "abcdef"), ("abc", "bcd")])):
        mesh = draw(meshes(hosts))
        spec = [[] for _ in shape]
        for axis in draw(st.permutations(range(2))):
            dimension = draw(st.integers(-1, len(shape) - 1))
            if dimension >= 0:
                spec[dimension].append(axis)
        sides.append(cm.Sharding(mesh, tuple(map(tuple, spec))))
    return shape, *sides


nics = st.lists(st.builds(cm.Nic, st.sampled_from([1.0, 1e9, 1.25e9, 3e9]).map(lambda rate: rate + 1e6)), min_size=1,
                max_size=3)  # fmt: skip
groups = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=4, unique=True).map(lambda hosts: tuple(sorted(hosts)))
limited = st.dictionaries(groups, st.sampled_from([5e8, 1e9, 2.5e9]), max_size=3)


@st.composite
def topologies(draw, limits):
    return cm.Topology({host: draw(nics) for host in HOSTS}, limits=draw(limits))


many = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)


def bound(shape, src, dst, topology):
    plan = cm.plan(shape, "float32", src, dst, topology=topology, strategy="broadcast", order="size")
    return plan.lower_bound, plan.makespan


@many
@given(reshards(), topologies(st.just({})))
def test_without_limits_it_is_the_optimum_of_the_linear_program(reshard, topology):
    found, _ = bound(*reshard, topology)
    bytes_of = classes(*reshard, 4)
    assert math.isclose(found, least_time(bytes_of, topology), rel_tol=SAME)
    assert math.isclose(found, least_time_by_receiver(bytes_of, topology), rel_tol=SAME)


@many
@given(reshards(), topologies(limited))
def test_with_limits_it_is_the_optimum_and_no_plan_is_faster(reshard, topology):
    found, makespan = bound(*reshard, topology)
    bytes_of = classes(*reshard, 4)
    assert math.isclose(found, least_time(bytes_of, topology), rel_tol=SAME)
    assert found <= least_time_by_receiver(bytes_of, topology) * (1 + SAME)
    assert makespan >= least_time_by_receiver(bytes_of, topology) * (1 - SAME)
