"""The paper's cases as every peer is given them."""

from __future__ import annotations

import numpy as np

import crossmesh as cm
from crossmesh._demo import Case

from .boxes import Box, Work, messages


def work_of(case: Case) -> Work:
    """Which host holds and wants which tiles, and what has to travel."""
    shape, dtype = case.spec.shape, case.spec.dtype
    held, wanted = _by_host(case.src, shape), _by_host(case.dst, shape)
    equal = case.src.mesh.shape == case.dst.mesh.shape and str(case.src) == str(case.dst)
    hosts, devices = case.src.mesh.shape
    found = tuple(messages(held, wanted, np.dtype(dtype).itemsize))
    return Work(case.name, tuple(shape), str(dtype), held, wanted, found, equal, (hosts, devices), str(case.src))


def _by_host(sharding: cm.Sharding, shape: tuple[int, ...]) -> dict[str, tuple[Box, ...]]:
    boxes = sharding.boxes(shape)
    mesh = sharding.mesh
    return {host: tuple(dict.fromkeys(boxes[device] for device in mesh.devices_of(host))) for host in mesh.hosts}
