"""Layouts of stages as JAX states them. Importing it imports JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._errors import LayoutError
from .._mesh import Mesh
from .._sharding import Sharding, is_layout
from .._tree import broadcast_prefix
from .graph import Pipeline
from .shapes import axis_names, axis_types
from .stage import Stage, even, layout_on

partition: Any = PartitionSpec


def jax_mesh(mesh: Mesh) -> jax.sharding.Mesh:
    """A stage's mesh over the devices of this process: the lowest index of the host is its first device.

    **Raises:** `LayoutError` if this process has fewer devices.
    """
    indices = sorted(device.index for device in mesh.devices)
    here = jax.local_devices()
    if len(here) < len(indices):
        raise LayoutError(
            f"{mesh!r} has {len(indices)} devices, this process has {len(here)}. On CPUs set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={len(indices)} before JAX is imported."
        )
    chosen = [here[indices.index(device.index)] for device in mesh.devices]
    return jax.sharding.Mesh(np.array(chosen).reshape(mesh.shape), axis_names(mesh), axis_types=axis_types(mesh))


def named(mesh: jax.sharding.Mesh, sharding: Sharding) -> NamedSharding:
    """The same layout on JAX's mesh."""
    entries = [tuple(mesh.axis_names[axis] for axis in axes) or None for axes in sharding.spec]
    return NamedSharding(mesh, partition(*entries))


def value_layouts(pipeline: Pipeline, part: int, mesh: jax.sharding.Mesh) -> Mapping[str, NamedSharding]:
    """The layout of each input and output of a stage."""
    values = (*pipeline.incoming(part), *pipeline.data_of(part), *pipeline.outgoing(part))
    return {value.name: named(mesh, pipeline.layout(part, value)) for value in values}


def param_layouts(stage: Stage, mesh: jax.sharding.Mesh, params: Any) -> Any:
    """The layout of each parameter, in the tree of the parameters.

    **Raises:** `LayoutError` naming the parameter that the layout does not fit.
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(params)
    try:
        specs = broadcast_prefix(stage.params, params, _is_spec)
    except LayoutError as error:
        raise LayoutError(f"Stage {stage.name!r}, layouts of the parameters: {error}") from None
    found = []
    for (path, leaf), spec in zip(paths, specs, strict=True):
        what = f"Stage {stage.name!r}, parameter {jax.tree_util.keystr(path, simple=True, separator='.')}"
        sharding = layout_on(stage.mesh, spec, len(leaf.shape), what)
        if not even(sharding, leaf.shape):
            raise LayoutError(
                f"{what} of shape {leaf.shape}: the layout {str(sharding)!r} over a mesh of shape {stage.mesh.shape} "
                "has uneven shards, which JAX cannot hold. Choose axes that divide the shape."
            )
        found.append(named(mesh, sharding))
    return jax.tree_util.tree_unflatten(treedef, found)


def _is_spec(value: Any) -> bool:
    return value is None or isinstance(value, str | PartitionSpec) or is_layout(value)
