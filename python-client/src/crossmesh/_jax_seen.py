"""JAX as far as the caller has brought it in: nothing here imports it."""

from __future__ import annotations

import contextlib
import sys
from contextlib import AbstractContextManager
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


def explicit_transfer() -> AbstractContextManager[Any]:
    """Around a copy that the caller has asked for: `jax_transfer_guard` is against those that nobody asked for.

    A guard that is against explicit ones as well stands.
    """
    jax = jax_if_imported()
    if jax is None:
        return contextlib.nullcontext()
    guards = ("jax_transfer_guard", "jax_transfer_guard_host_to_device", "jax_transfer_guard_device_to_host")
    if any(str(getattr(jax.config, guard, None)).endswith("_explicit") for guard in guards):
        return contextlib.nullcontext()
    guard: AbstractContextManager[Any] = jax.transfer_guard("allow")
    return guard
