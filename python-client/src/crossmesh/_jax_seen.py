"""JAX as far as the caller has brought it in: nothing here imports it."""

from __future__ import annotations

import sys
from typing import Any


def jax_if_imported() -> Any | None:
    """The `jax` module if the process has imported it (completely), else `None`."""
    module = sys.modules.get("jax")
    return module if module is not None and hasattr(module, "sharding") and hasattr(module, "tree_util") else None


def is_jax_array(value: object) -> bool:
    """Whether a value is a concrete or abstract `jax.Array`."""
    jax = jax_if_imported()
    return jax is not None and isinstance(value, jax.Array)


def is_jax_sharding(value: object) -> bool:
    """Whether a value is any `jax.sharding.Sharding`."""
    jax = jax_if_imported()
    return jax is not None and isinstance(value, jax.sharding.Sharding)


def is_named_sharding(value: object) -> bool:
    """Whether a value is a `jax.sharding.NamedSharding`."""
    jax = jax_if_imported()
    return jax is not None and isinstance(value, jax.sharding.NamedSharding)


def is_partition_spec(value: object) -> bool:
    """Whether a value is a `jax.sharding.PartitionSpec`."""
    jax = jax_if_imported()
    return jax is not None and isinstance(value, jax.sharding.PartitionSpec)


def is_abstract(named: Any) -> bool:
    """Whether the mesh of a `NamedSharding` has no devices."""
    return type(named.mesh).__name__ == "AbstractMesh"
