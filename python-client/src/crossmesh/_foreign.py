"""Reading the layouts of JAX and Alpa, by what they look like: neither is imported."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from ._errors import LayoutError
from ._mesh import Device, Mesh

_agent_host: list[str] = []


def agent_host_known(host: str) -> None:
    """Remember the host of the agent that this process is connected to: the default of `Sharding.from_jax`."""
    _agent_host[:] = [host]


def known_hosts(hosts: Sequence[str] | None) -> list[str] | None:
    """The hosts that were stated, or those of `$CROSSMESH_HOSTS`."""
    if hosts is not None:
        return [hosts] if isinstance(hosts, str) else list(hosts)
    listed = os.environ.get("CROSSMESH_HOSTS", "")
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return names or None


_REMEDY = 'Pass hosts=["a", ...] (the agent\'s name for each JAX process) or set CROSSMESH_HOSTS=a,...'


def mesh_of_jax(mesh: Any, abstract: bool, hosts: list[str] | None) -> Mesh:
    """The `cm.Mesh` of a JAX mesh; local indices count the devices that JAX's processes have on a host, by id."""
    names = tuple(str(name) for name in mesh.axis_names)
    shape = tuple(mesh.axis_sizes) if hasattr(mesh, "axis_sizes") else tuple(mesh.devices.shape)
    devices = None if abstract else list(mesh.devices.flat)
    if devices is None:
        if hosts is None:
            raise LayoutError(f"The abstract mesh {dict(zip(names, shape, strict=True))} has no hosts. {_REMEDY}.")
        return Mesh(shape, names, hosts=hosts)
    everyone = sorted(devices[0].client.devices(), key=lambda device: (device.process_index, device.id))
    processes = everyone[-1].process_index + 1
    if hosts is None:
        if processes > 1 or not _agent_host:
            raise LayoutError(
                f"The hosts of the JAX mesh {dict(zip(names, shape, strict=True))} are not known: "
                f"{processes} process(es), connected to no agent. {_REMEDY}."
            )
        hosts = list(_agent_host)
    if len(hosts) < processes:
        raise LayoutError(f"JAX runs {processes} processes, but hosts names {len(hosts)}: {hosts}. {_REMEDY}.")
    local = _local_numbers(everyone, hosts)
    return Mesh(shape, names, devices=[local[device] for device in devices])


def _local_numbers(everyone: Sequence[Any], hosts: Sequence[str]) -> dict[Any, Device]:
    """Host and local index of each device of JAX, which are sorted by process."""
    local: dict[Any, Device] = {}
    count: dict[str, int] = {}
    for device in everyone:
        host = hosts[device.process_index]
        local[device] = Device(host, count.get(host, 0))
        count[host] = count.get(host, 0) + 1
    return local


def process_places(devices: Sequence[Any], processes: int, hosts: Sequence[str] | None) -> list[Device]:
    """A device of each JAX process.

    **Raises:** `LayoutError` if the hosts are not known or a process has no device.
    """
    if hosts is None or len(hosts) < processes:
        raise LayoutError(f"JAX runs {processes} processes, but hosts names {len(hosts or ())}: {hosts}. {_REMEDY}.")
    everyone = sorted(devices, key=lambda device: (device.process_index, device.id))
    first: dict[int, Device] = {}
    for device, place in _local_numbers(everyone, hosts).items():
        first.setdefault(device.process_index, place)
    missing = [process for process in range(processes) if process not in first]
    if missing:
        raise LayoutError(f"The JAX processes {missing} have no devices. Start each process of the job with one.")
    return [first[process] for process in range(processes)]


def read_alpa(spec: Any, mesh: Mesh) -> tuple[Mesh, tuple[tuple[int, ...], ...]]:
    """Mesh and spec of an Alpa `ShardingSpec`."""
    chunks: list[int] = []
    numbers: list[list[int]] = []
    for dimension, entry in enumerate(spec.sharding):
        kind = type(entry).__name__
        if kind == "NoSharding":
            numbers.append([])
        elif kind == "Chunked":
            numbers.append(list(range(len(chunks), len(chunks) + len(entry.chunks))))
            chunks.extend(int(parts) for parts in entry.chunks)
        else:
            raise LayoutError(
                f"Dimension {dimension} of the Alpa layout {spec} is {kind}. crossmesh reads NoSharding and Chunked; "
                "stack the dimension first."
            )
    shape: list[int] = []
    axis_of: dict[int, int] = {}
    for axis, entry in enumerate(spec.mesh_mapping):
        if hasattr(entry, "replicas"):
            shape.append(int(entry.replicas))
        else:
            number = int(entry.axis)
            if number >= len(chunks) or number in axis_of:
                raise LayoutError(
                    f"The Alpa layout {spec} maps mesh axis {axis} to chunk {number}, which does not fit."
                )
            axis_of[number] = axis
            shape.append(chunks[number])
    missing = [number for number in range(len(chunks)) if number not in axis_of and chunks[number] != 1]
    if missing or math.prod(shape) != mesh.size:
        raise LayoutError(
            f"The Alpa layout {spec} is for a mesh of shape {tuple(shape)}, which does not fit {mesh!r}. "
            "Pass the mesh that the array lies on."
        )
    fitted = mesh if mesh.shape == tuple(shape) else Mesh(shape or (1,), devices=mesh.devices)
    return fitted, tuple(tuple(axis_of[n] for n in dimension if n in axis_of) for dimension in numbers)
