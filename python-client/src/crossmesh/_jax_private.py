"""All names that crossmesh takes from JAX's private modules for `cm.jax`.

They hold from JAX 0.4.35 to 0.12. A version without one of them costs what its function says, and nothing else.
"""

from __future__ import annotations

import secrets
from typing import Any

JOB_KEY = "crossmesh/job"
JOB_BYTES = 8
ANSWER_MILLIS_MAX = 10_000
"""How long the coordinator of a job may take for an answer."""


class Store:
    """The key-value store of a `jax.distributed` job, at its coordinator. All processes of the job see one store."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def put(self, key: str, value: str) -> None:
        """Set a key. The first value of a key stays."""
        try:
            self.client.key_value_set(key, value)
        except Exception as error:
            if "ALREADY_EXISTS" not in str(error):
                raise

    def get(self, key: str) -> str:
        """The value of a key that somebody has set."""
        value: str = self.client.blocking_key_value_get(key, ANSWER_MILLIS_MAX)
        return value

    def find(self, folder: str) -> dict[str, str]:
        """The keys below a folder, without it, and their values."""
        return {key.removeprefix(f"{folder}/"): value for key, value in self.client.key_value_dir_get(f"{folder}/")}


def job_store() -> Store | None:
    """The store of this process's job. `None` in a process without one, where jobs cannot be told apart."""
    try:
        from jax._src.distributed import global_state
    except ImportError:
        return None
    client = getattr(global_state, "client", None)
    return None if client is None else Store(client)


def job_id(store: Store | None) -> str:
    """A name for the job that all its processes know and no other job has."""
    if store is None:
        return "job"
    store.put(JOB_KEY, secrets.token_hex(JOB_BYTES))
    return store.get(JOB_KEY)


def with_weak_type(array: Any) -> Any:
    """The same array, whose type gives way to that of others. Without private names: the array as it is."""
    try:
        from jax._src.array import ArrayImpl

        make: Any = ArrayImpl
        shards = [shard.data for shard in array.addressable_shards]
        return make(array.aval.update(weak_type=True), array.sharding, shards, committed=True)
    except (ImportError, AttributeError, TypeError):
        return array
