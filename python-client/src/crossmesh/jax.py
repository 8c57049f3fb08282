"""The JAX side: arrays of tiles, and global arrays to other processes. Importing it imports JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    import jax
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ImportError('cm.jax needs JAX. Install it with: pip install "crossmesh[jax]"', name="jax") from None
import numpy as np

from ._errors import LayoutError
from ._jax_arrays import assemble
from ._reshard import reshard

__all__ = ["array", "reshard"]


def array(tiles: Mapping[int, np.ndarray[Any, Any]], local_sharding: jax.sharding.NamedSharding) -> jax.Array:
    """The `jax.Array` whose shards are these tiles, without a copy where the device can read host memory.

    On the CPU a tile that is C-contiguous and aligned to 64 bytes (as everything that `recv` returns) is aliased: it
    must not be written while the array lives. Devices with memory of their own get one copy.

    **Arguments:**

    - `tiles`: `{device index: ndarray}` for every device of the sharding that belongs to this process. The device
        index is the position in `local_sharding.mesh.devices`.
    - `local_sharding`: the sharding that the array will have.

    **Returns:**

    A `jax.Array` with exactly that sharding.

    **Raises:**

    `LayoutError` if a tile is missing, or the tiles are not equal in shape and type.

    !!! Example

        ```python
        x = cm.jax.array(rx.recv().result(), NamedSharding(mesh, PartitionSpec("x")))
        ```
    """
    spec = local_sharding.spec
    first = next(iter(tiles.values()), None)
    if first is None:
        raise LayoutError("No tiles were given. Pass one for each device of the sharding.")
    shape = list(first.shape)
    for dimension, entry in enumerate(spec):
        for axis in entry if isinstance(entry, tuple) else (entry,):
            if axis is not None:
                shape[dimension] *= local_sharding.mesh.shape[axis]
    return assemble(tiles, local_sharding, tuple(shape))
