"""The data of a step, checked before anything of it is computed or sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._spec import TensorSpec
from .errors import BatchRefused
from .graph import Value


def check_batch(stage: str, values: Iterable[Value], batch: Any, microbatches: int) -> None:
    """Refuse a batch that is not what the pipeline states for a stage.

    A value comes as one array whose first axis are the micro-batches, or as a list with an array for each of them.

    **Raises:** `BatchRefused` naming the stage, the value, what came and what is wanted.
    """
    for value in values:
        found = _wrong(value, batch, microbatches)
        if found is not None:
            wanted = (microbatches, *value.spec.shape)
            raise BatchRefused(
                f"Stage {stage!r} takes the data {value.name!r} of shape {wanted} (micro-batches first) and type "
                f"{value.spec.dtype}; {found}"
            )


def _wrong(value: Value, batch: Any, microbatches: int) -> str | None:
    """What is wrong with the data of one value, or `None`."""
    if not isinstance(batch, Mapping):
        return f"the batch is of type {type(batch).__name__}. Pass a dictionary from names to arrays."
    given = batch.get(value.name)
    if given is None:
        return f"the batch has none. It has {sorted(map(str, batch))}."
    if isinstance(given, list | tuple):
        return _wrong_list(value.spec, given, microbatches)
    return _wrong_array(TensorSpec((microbatches, *value.spec.shape), value.spec.dtype), given, "the batch has")


def _wrong_list(spec: TensorSpec, given: Sequence[Any], microbatches: int) -> str | None:
    if len(given) != microbatches:
        return f"the batch has a list of {len(given)}. Pass an array for each micro-batch."
    for number, one in enumerate(given):
        found = _wrong_array(spec, one, f"micro-batch {number} of the list has")
        if found is not None:
            return found
    return None


def _wrong_array(spec: TensorSpec, given: Any, has: str) -> str | None:
    if not all(hasattr(given, name) for name in ("shape", "dtype", "__getitem__")):
        return (
            f"{has} the type {type(given).__name__}. Pass arrays of NumPy or JAX: np.asarray(value, "
            f"{spec.dtype.name!r}) makes one."
        )
    if tuple(given.shape) != spec.shape:
        return (
            f"{has} shape {tuple(given.shape)} and type {given.dtype}. All micro-batches have one shape: pad or drop "
            "the smaller ones."
        )
    if not _same(given.dtype, spec.dtype):
        return f"{has} shape {tuple(given.shape)} and type {given.dtype}. Convert it, or state that type."
    if hasattr(given, "is_deleted") and given.is_deleted():
        return f"{has} an array whose memory was donated or deleted. Keep a copy, or do not donate it."
    if not getattr(given, "is_fully_addressable", True):
        return f"{has} an array that lies on devices of other processes too. Pass what this process's stages take."
    return None


def _same(dtype: Any, wanted: np.dtype[Any]) -> bool:
    try:
        return bool(np.dtype(dtype) == wanted)
    except TypeError:  # of another library, which NumPy does not know
        return False
