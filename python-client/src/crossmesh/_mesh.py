"""Meshes: an n-dimensional arrangement of devices, each of which belongs to a host."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, SupportsIndex

from ._errors import LayoutError

DEVICES_MAX = 65_536
AXES_MAX = 65_536
"""Mesh axes, those of size 1 among them."""


class Device(NamedTuple):
    """A device: the name of its host and its index on that host. Equal pairs are the same device, in any mesh."""

    host: str
    index: int  # type: ignore[assignment]


class Mesh:
    """An n-dimensional mesh of devices.

    The position of a device in the row-major order of the mesh is its *device index*; every tile, every
    `{index: array}` and every plan speaks of devices by it.

    **Arguments:**

    - `shape`: the sizes of the mesh axes.
    - `axis_names`: a name for each axis, or `None`. Names are a convenience of whoever writes a layout: two meshes
        that differ by them alone are planned alike.
    - `hosts`: the hosts, in order, each of which holds the same number of consecutive devices, numbered from 0 on
        each host. A host is called by the name that its agent was started with.
    - `devices`: instead of `hosts`, a `(host, local index)` for each position, in row-major order.

    **Raises:**

    `LayoutError` if the sizes do not fit together, a device appears twice, or a name is not usable.

    !!! Example

        ```python
        cm.Mesh((2, 4), hosts=["a", "b"])
        cm.Mesh((2, 2), ("x", "y"), devices=[("a", 0), ("b", 0), ("a", 1), ("b", 1)])
        ```
    """

    __slots__ = ("_axis_names", "_devices", "_hosts", "_shape")

    _shape: tuple[int, ...]
    _axis_names: tuple[str, ...] | None
    _devices: tuple[Device, ...]
    _hosts: tuple[str, ...]

    def __init__(
        self,
        shape: Sequence[SupportsIndex] | SupportsIndex,
        axis_names: Sequence[str] | None = None,
        *,
        hosts: Sequence[str] | None = None,
        devices: Iterable[tuple[str, SupportsIndex]] | None = None,
    ) -> None:
        self._shape = _mesh_shape(shape)
        self._axis_names = _axis_names(axis_names, self._shape)
        if (hosts is None) == (devices is None):
            raise LayoutError(
                f"Mesh{self._shape} needs either `hosts` or `devices`, got {'neither' if hosts is None else 'both'}. "
                'Pass hosts=["a", "b"] for the same number of devices on each host, or devices=[("a", 0), ...].'
            )
        size = math.prod(self._shape)
        self._devices = _spread(hosts, size) if hosts is not None else _listed(devices or (), size, self._shape)
        self._hosts = tuple(dict.fromkeys(device.host for device in self._devices))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the mesh axes."""
        return self._shape

    @property
    def axis_names(self) -> tuple[str, ...] | None:
        """The names of the mesh axes, or `None`."""
        return self._axis_names

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices in row-major order; the position is the device index."""
        return self._devices

    @property
    def hosts(self) -> tuple[str, ...]:
        """The distinct hosts, in order of first appearance."""
        return self._hosts

    @property
    def size(self) -> int:
        """The number of devices."""
        return len(self._devices)

    def devices_of(self, host: str) -> tuple[int, ...]:
        """The device indices that lie on a host, in ascending order; empty if the host is not in this mesh."""
        return tuple(i for i, device in enumerate(self._devices) if device.host == host)

    def coordinates(self, device: int) -> tuple[int, ...]:
        """The position of a device index along each mesh axis."""
        coordinates = []
        for size in reversed(self._shape):
            device, position = divmod(device, size)
            coordinates.append(position)
        return tuple(reversed(coordinates))

    def _to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self._shape),
            "axis_names": list(self._axis_names or ()),
            "devices": [[host, index] for host, index in self._devices],
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Mesh:
        return cls(
            value["shape"],
            value.get("axis_names") or None,
            devices=[(host, index) for host, index in value["devices"]],
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mesh):
            return NotImplemented
        return self._shape == other._shape and self._axis_names == other._axis_names and self._devices == other._devices

    def __hash__(self) -> int:
        return hash((self._shape, self._axis_names, self._devices))

    def __rich__(self) -> Any:
        from ._grid import mesh_grid

        return mesh_grid(self)

    def _repr_html_(self) -> str:
        from ._grid import mesh_grid

        return mesh_grid(self).html()

    def __repr__(self) -> str:
        names = "" if self._axis_names is None else f", {self._axis_names}"
        if self._devices == _even(self._hosts, self.size):
            return f"Mesh({self._shape}{names}, hosts={list(self._hosts)})"
        return f"Mesh({self._shape}{names}, devices={[tuple(device) for device in self._devices]})"


def _mesh_shape(shape: Sequence[SupportsIndex] | SupportsIndex) -> tuple[int, ...]:
    try:
        if isinstance(shape, SupportsIndex):
            sizes: tuple[int, ...] = (operator.index(shape),)
        else:
            sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        raise LayoutError(
            f"A mesh shape is a tuple of positive integers, got {shape!r}. Write for instance Mesh((2, 4), ...)."
        ) from None
    if len(sizes) > AXES_MAX:
        raise LayoutError(f"A mesh has at most {AXES_MAX} axes, got {len(sizes)}.")
    if any(size < 1 for size in sizes):
        raise LayoutError(f"A mesh axis has at least one device, got the shape {sizes}. Leave out what is empty.")
    if math.prod(sizes) > DEVICES_MAX:
        raise LayoutError(f"A mesh of shape {sizes} has more than {DEVICES_MAX} devices. Use a smaller one.")
    return sizes


def _axis_names(names: Sequence[str] | None, shape: tuple[int, ...]) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str):
        names = (names,)
    checked = tuple(names)
    if any(not isinstance(name, str) or not name for name in checked) or len(set(checked)) != len(checked):
        raise LayoutError(f"Mesh axis names are distinct non-empty strings, got {checked}. Rename them.")
    if len(checked) != len(shape):
        raise LayoutError(
            f"A mesh of shape {shape} has {len(shape)} axes, got {len(checked)} names {checked}. Name every axis."
        )
    return checked


def _even(hosts: Sequence[str], size: int) -> tuple[Device, ...]:
    if not hosts or size % len(hosts):
        return ()
    each = size // len(hosts)
    return tuple(Device(host, index) for host in hosts for index in range(each))


def _spread(hosts: Sequence[str], size: int) -> tuple[Device, ...]:
    if isinstance(hosts, str):
        raise LayoutError(f'hosts is a list of names, got the string {hosts!r}. Write hosts=["{hosts}"].')
    names = tuple(_host(name) for name in hosts)
    if len(set(names)) != len(names):
        raise LayoutError(
            f"hosts names a host twice: {list(names)}. Use devices=[(host, index), ...] for a placement of your own."
        )
    devices = _even(names, size)
    if not devices:
        raise LayoutError(
            f"{size} devices cannot be spread evenly over {len(names)} hosts {list(names)}. "
            "Change the mesh shape or the hosts, or use devices=[(host, index), ...]."
        )
    return devices


def _listed(devices: Iterable[tuple[str, SupportsIndex]], size: int, shape: tuple[int, ...]) -> tuple[Device, ...]:
    listed = []
    for entry in devices:
        try:
            host, index = entry
            device = Device(_host(host), operator.index(index))
        except (TypeError, ValueError) as error:
            if isinstance(error, LayoutError):
                raise
            raise LayoutError(f"A device is a pair (host, local index), got {entry!r}.") from None
        if device.index < 0:
            raise LayoutError(f"The local index of a device is not negative, got {tuple(device)}.")
        listed.append(device)
    if len(listed) != size:
        raise LayoutError(f"A mesh of shape {shape} has {size} devices, got {len(listed)}. List one for each position.")
    seen: set[Device] = set()
    for device in listed:
        if device in seen:
            raise LayoutError(f"Device {tuple(device)} appears twice in one mesh. A device has one position.")
        seen.add(device)
    return tuple(listed)


def _host(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise LayoutError(f"A host is named by a non-empty string, got {name!r}. Use the name of its agent.")
    return name
