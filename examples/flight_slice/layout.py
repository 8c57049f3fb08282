"""Which part of a tensor lies on which device: all that a client has to know of layouts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Box = tuple[tuple[int, int], ...]
"""A part of a tensor: the first index and the one after the last, for each dimension."""


@dataclass(frozen=True)
class Layout:
    """A mesh of devices and, for each dimension of a tensor, the mesh axes that divide it.

    Attributes:
        mesh: size of each mesh axis.
        devices: (host, index on that host) of each device, in row-major order of the mesh.
        spec: for each dimension the numbers of the mesh axes that divide it, most significant first.
    """

    mesh: tuple[int, ...]
    devices: tuple[tuple[str, int], ...]
    spec: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """The form in which layouts travel in descriptors and actions."""
        mesh = {"shape": self.mesh, "axis_names": [], "devices": self.devices}
        return {"mesh": mesh, "spec": self.spec}

    def tile(self, shape: tuple[int, ...], device: int) -> Box:
        """The part of a tensor of this shape that lies on a device.

        A dimension of n elements divided p times falls into blocks of ceil(n / p); the last may be short.
        """
        coordinates: list[int] = []
        rest = device
        for size in reversed(self.mesh):
            rest, coordinate = divmod(rest, size)
            coordinates.insert(0, coordinate)
        box = []
        for extent, axes in zip(shape, self.spec, strict=True):
            block, parts = 0, 1
            for axis in axes:
                block = block * self.mesh[axis] + coordinates[axis]
                parts *= self.mesh[axis]
            length = math.ceil(extent / parts)
            box.append((min(block * length, extent), min((block + 1) * length, extent)))
        return tuple(box)


def slices(box: Box) -> tuple[slice, ...]:
    """The box as an index into a NumPy array."""
    return tuple(slice(low, high) for low, high in box)
