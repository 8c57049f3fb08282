"""Shardings: which axes of a mesh cut which dimension of a tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import LayoutError
from ._jax_seen import is_abstract, is_named_sharding, is_partition_spec
from ._mesh import Mesh

_NOTATION = re.compile(r"\s*(?:(R)|S(\d+)|S\(\s*(\d+(?:\s*,\s*\d+)*)\s*\))")

Box = tuple[tuple[int, int], ...]
"""`(lo, hi)` for each dimension, in the whole tensor."""


class Sharding:
    """A tensor's layout: for each dimension the mesh axes that cut it.

    A dimension of `n` elements over axes of product `p` is cut into blocks of `ceil(n / p)`, numbered by the axes in
    the order written (`S10`: axis 1 is the major one). The last blocks may be short or empty, as in GSPMD and
    `torch.chunk`. Axes that cut nothing replicate.

    **Arguments:**

    - `mesh`: the `cm.Mesh`.
    - `spec`: one of

        - the notation of the papers, `"S0 R S1"`; spaces are optional, `S01` cuts by axes 0 and 1, `S(0,11)` by axes
          0 and 11, and `""` is the layout of a tensor of rank 0;
        - a tuple with one entry per dimension: `None`, an axis name or number, or a tuple of them;
        - a `jax.sharding.PartitionSpec`, which is padded with `R` to the rank of the tensor.

    **Raises:**

    `LayoutError` if the spec cannot be read, names an axis that the mesh does not have, or uses one twice.
    `PartitionSpec.UNCONSTRAINED` and unreduced or reduced axes are refused.

    !!! Example

        ```python
        mesh = cm.Mesh((2, 4), ("x", "y"), hosts=["a", "b"])
        cm.Sharding(mesh, "S0 R S1") == cm.Sharding(mesh, ("x", None, "y"))
        ```
    """

    __slots__ = ("_mesh", "_padded", "_spec")

    _mesh: Mesh
    _spec: tuple[tuple[int, ...], ...]
    _padded: bool

    def __init__(self, mesh: Mesh, spec: str | Sequence[Any] | Any) -> None:
        if not isinstance(mesh, Mesh):
            raise LayoutError(
                f"A sharding lies on a cm.Mesh, got {type(mesh).__name__}. "
                "Use Sharding.from_jax(named_sharding) for a layout that JAX made."
            )
        self._mesh = mesh
        self._padded = is_partition_spec(spec)
        self._spec = _parse(mesh, spec, self._padded)
        _check_axes(mesh, self._spec, spec)

    @property
    def mesh(self) -> Mesh:
        """The mesh."""
        return self._mesh

    @property
    def spec(self) -> tuple[tuple[int, ...], ...]:
        """For each dimension the mesh axes that cut it, in the order written."""
        return self._spec

    @property
    def rank(self) -> int:
        """The number of dimensions that the spec states (a `PartitionSpec` stands for higher ranks as well)."""
        return len(self._spec)

    def padded(self, rank: int) -> Sharding:
        """This sharding for a tensor of that rank.

        **Raises:**

        `LayoutError` if the spec is for another rank; a `PartitionSpec` that is shorter is padded with `R`.
        """
        if rank == len(self._spec):
            return self
        if rank < len(self._spec) or not self._padded:
            raise LayoutError(
                f"The layout {self} states {len(self._spec)} dimensions, the tensor has {rank}. "
                "Write one entry for each dimension (R where it is not cut)."
            )
        wider: Sharding = object.__new__(Sharding)
        wider._mesh = self._mesh
        wider._padded = True
        wider._spec = self._spec + ((),) * (rank - len(self._spec))
        return wider

    def shards(self, shape: Sequence[int]) -> dict[int, tuple[slice, ...]]:
        """The slices of the tensor that each device holds.

        **Arguments:**

        - `shape`: the shape of the whole tensor.

        **Returns:**

        `{device index: tuple of slices}` for every device of the mesh, with concrete bounds. Devices whose block is
        empty are there as well.

        **Raises:**

        `LayoutError` if the rank differs.

        !!! Example

            ```python
            sharding.shards((8, 16, 4))[3]      # (slice(0, 4), slice(0, 16), slice(3, 4))
            ```
        """
        return {device: tuple(slice(lo, hi) for lo, hi in box) for device, box in enumerate(self.boxes(shape))}

    def boxes(self, shape: Sequence[int]) -> list[Box]:
        """The box of each device index, in order; see `shards`."""
        spec = self.padded(len(shape))._spec
        return [self._box(spec, shape, self._mesh.coordinates(device)) for device in range(self._mesh.size)]

    def _box(self, spec: tuple[tuple[int, ...], ...], shape: Sequence[int], at: tuple[int, ...]) -> Box:
        box = []
        for extent, axes in zip(shape, spec, strict=True):
            parts, number = 1, 0
            for axis in axes:
                parts *= self._mesh.shape[axis]
                number = number * self._mesh.shape[axis] + at[axis]
            block = -(-extent // parts)
            box.append((min(number * block, extent), min((number + 1) * block, extent)))
        return tuple(box)

    @classmethod
    def from_jax(cls, named: Any, hosts: Sequence[str] | None = None) -> Sharding:
        """The sharding that a `jax.sharding.NamedSharding` means.

        The device index is the position in `named.mesh.devices`. The host of a device is that of the process that
        owns it.

        **Arguments:**

        - `named`: the `NamedSharding`. Its mesh may be abstract.
        - `hosts`: the host of each process of the JAX job, by process index; several processes may share one. For an
            abstract mesh: the hosts that share its devices evenly, in row-major order. By default
            `$CROSSMESH_HOSTS` (names separated by commas), and in a job of a single process the host of the agent
            that this process is connected to.

        **Raises:**

        `LayoutError` if the hosts are not known, or the spec is one that crossmesh refuses.

        !!! Example

            ```python
            cm.Sharding.from_jax(NamedSharding(mesh, PartitionSpec("x", None, "y")), hosts=["a"])
            ```
        """
        if not is_named_sharding(named):
            raise LayoutError(
                f"from_jax takes a jax.sharding.NamedSharding, got {type(named).__name__}. "
                "State the layout as NamedSharding(mesh, PartitionSpec(...))."
            )
        from ._foreign import known_hosts, mesh_of_jax

        return cls(mesh_of_jax(named.mesh, is_abstract(named), known_hosts(hosts)), named.spec)

    @classmethod
    def from_alpa(cls, spec: Any, mesh: Mesh) -> Sharding:
        """The sharding that an Alpa (or `pxla`) `ShardingSpec` means.

        **Arguments:**

        - `spec`: anything with `.sharding` (`NoSharding()` or `Chunked([...])` for each dimension) and
            `.mesh_mapping` (`ShardedAxis(i)` or `Replicated(n)` for each mesh axis).
        - `mesh`: the devices. If the mapping has another shape of the same size (Alpa pads with axes of size 1),
            the mesh is taken in that shape.

        **Raises:**

        `LayoutError` for `Unstacked` dimensions, or if the mapping does not fit the mesh.

        !!! Example

            ```python
            cm.Sharding.from_alpa(alpa_array.sharding_spec, cm.Mesh((2, 2), hosts=["a"]))
            ```
        """
        from ._foreign import read_alpa

        return cls(*read_alpa(spec, mesh))

    def _to_json(self, mesh: int) -> dict[str, Any]:
        return {"mesh": mesh, "spec": [list(axes) for axes in self._spec]}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sharding):
            return NotImplemented
        return self._mesh == other._mesh and self._spec == other._spec

    def __hash__(self) -> int:
        return hash((self._mesh, self._spec))

    def __str__(self) -> str:
        """The notation of the papers: `"S0 R S1"`."""
        return notation(self._spec)

    def __rich__(self) -> Any:
        from ._grid import sharding_grid

        return sharding_grid(self)

    def _repr_html_(self) -> str:
        from ._grid import sharding_grid

        return sharding_grid(self).html()

    def __repr__(self) -> str:
        return f"Sharding({self._mesh!r}, {str(self)!r})"


def notation(spec: Sequence[Sequence[int]]) -> str:
    """`[[0], [], [1, 2], [3, 11]]` as `"S0 R S12 S(3,11)"`: in brackets where a number has more than one digit."""
    return " ".join(_item(axes) for axes in spec)


def _item(axes: Sequence[int]) -> str:
    if all(axis < 10 for axis in axes):
        return "S" + "".join(map(str, axes)) if axes else "R"
    return f"S({','.join(map(str, axes))})"


def _parse(mesh: Mesh, spec: Any, is_jax: bool) -> tuple[tuple[int, ...], ...]:
    if is_jax:
        return _parse_partition_spec(mesh, spec)
    if isinstance(spec, str):
        return _parse_notation(spec)
    if isinstance(spec, Sequence):
        return tuple(_parse_entry(mesh, entry, spec) for entry in spec)
    raise LayoutError(
        f"A layout is written as a string, a tuple or a PartitionSpec, got {type(spec).__name__}: {spec!r}. "
        'Write for instance "S0 R S1".'
    )


def _parse_notation(text: str) -> tuple[tuple[int, ...], ...]:
    parsed: list[tuple[int, ...]] = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _NOTATION.match(stripped, at)
        if match is None:
            raise LayoutError(
                f"Cannot read the layout {text!r} at {stripped[at:].strip()!r}. Write R for a dimension that is not "
                'cut and S with the numbers of mesh axes for one that is, as in "S0 R S12".'
            )
        numbers = match.group(3).split(",") if match.group(3) else match.group(2) or ""
        parsed.append(tuple(int(number) for number in numbers))
        at = match.end()
    return tuple(parsed)


def _parse_partition_spec(mesh: Mesh, spec: Any) -> tuple[tuple[int, ...], ...]:
    for kind in ("unreduced", "reduced"):
        axes = getattr(spec, kind, None)
        if axes:
            raise LayoutError(
                f"The layout {spec} is {kind} over {sorted(map(str, axes))}: its values are partial sums. "
                "Reduce it first (for instance by a jit whose output sharding has no such axes)."
            )
    entries = spec.partitions if hasattr(spec, "partitions") else tuple(spec)
    unconstrained = getattr(type(spec), "UNCONSTRAINED", None)
    for dimension, entry in enumerate(entries):
        if unconstrained is not None and entry is unconstrained:
            raise LayoutError(
                f"Dimension {dimension} of the layout {spec} is PartitionSpec.UNCONSTRAINED, which names no layout. "
                "Write None or mesh axes there."
            )
    return tuple(_parse_entry(mesh, entry, spec) for entry in entries)


def _parse_entry(mesh: Mesh, entry: Any, spec: Any) -> tuple[int, ...]:
    if entry is None:
        return ()
    if isinstance(entry, tuple | list):
        return tuple(_axis(mesh, axis, spec) for axis in entry)
    return (_axis(mesh, entry, spec),)


def _axis(mesh: Mesh, axis: Any, spec: Any) -> int:
    if isinstance(axis, str):
        if mesh.axis_names is None or axis not in mesh.axis_names:
            known = f"has the axes {mesh.axis_names}" if mesh.axis_names else "has no axis names"
            raise LayoutError(
                f"The layout {spec} names the mesh axis {axis!r}, but the mesh of shape {mesh.shape} {known}. "
                "Use one of its axes, or pass axis_names to cm.Mesh."
            )
        return mesh.axis_names.index(axis)
    if hasattr(axis, "__index__") and not isinstance(axis, bool):
        return int(axis)
    raise LayoutError(f"A mesh axis is a name or a number, got {axis!r} in the layout {spec}.")


def _check_axes(mesh: Mesh, spec: tuple[tuple[int, ...], ...], written: Any) -> None:
    used: dict[int, int] = {}
    for dimension, axes in enumerate(spec):
        for axis in axes:
            if not 0 <= axis < len(mesh.shape):
                raise LayoutError(
                    f"The layout {str(written)!r} cuts dimension {dimension} by mesh axis {axis}, but the mesh of "
                    f"shape {mesh.shape} has the axes 0 to {len(mesh.shape) - 1}. Use one of them."
                )
            if axis in used:
                raise LayoutError(
                    f"The layout {str(written)!r} uses mesh axis {axis} twice (dimensions {used[axis]} and "
                    f"{dimension}). An axis cuts one dimension, once."
                )
            used[axis] = dimension


def is_layout(value: object) -> bool:
    """Whether a value is one layout (rather than a tree of them)."""
    return isinstance(value, Sharding) or is_named_sharding(value)


def as_shape(shape: Any) -> tuple[int, ...]:
    """A tensor's shape as a tuple of non-negative integers."""
    sizes = tuple(int(size) for size in shape)
    if any(size < 0 for size in sizes):
        raise LayoutError(f"The shape {sizes} has a negative extent.")
    return sizes


def json_tables(shardings: Sequence[Sharding]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[int]]:
    """Meshes and layouts without repetition, and for each sharding the index of its layout."""
    meshes: dict[Mesh, int] = {}
    layouts: dict[Sharding, int] = {}
    layout_json: list[dict[str, Any]] = []
    where = []
    for sharding in shardings:
        if sharding not in layouts:
            mesh = meshes.setdefault(sharding.mesh, len(meshes))
            layouts[sharding] = len(layouts)
            layout_json.append(sharding._to_json(mesh))
        where.append(layouts[sharding])
    return [mesh._to_json() for mesh in meshes], layout_json, where


def sharding_from_json(meshes: Sequence[Mesh], layout: Mapping[str, Any]) -> Sharding:
    """The sharding that one entry of `layouts` states."""
    return Sharding(meshes[layout["mesh"]], tuple(tuple(axes) for axes in layout["spec"]))
