"""What a tensor is before anyone has it: shape, element type and, where stated, layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ._errors import LayoutError
from ._jax_seen import is_jax_sharding, is_named_sharding
from ._sharding import Sharding, as_shape, is_layout
from ._tree import TreeDef, broadcast_prefix, flatten

RANK_MAX = 8
TENSORS_MAX = 65_536


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """An element type that can travel.

    **Arguments:**

    - `dtype`: what NumPy takes as a dtype, or the name of one of `ml_dtypes` (`"bfloat16"`, `"float8_e4m3fn"`).

    **Raises:**

    `LayoutError` for element types that are not plain bytes (objects, strings, records, JAX's PRNG keys) or that are
    in the other byte order.
    """
    if isinstance(dtype, str) and hasattr(ml_dtypes, dtype):
        dtype = getattr(ml_dtypes, dtype)
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        hint = (
            "Send jax.random.key_data(keys) instead." if "key<" in str(dtype) else "Use a dtype of NumPy or ml_dtypes."
        )
        raise LayoutError(f"{dtype!r} is no element type that crossmesh moves. {hint}") from None
    plain = found.kind in "biufcmM" or (found.kind == "V" and hasattr(ml_dtypes, found.name))
    if not plain or found.hasobject:
        raise LayoutError(f"Elements of type {found} cannot travel: they are not plain numbers. View them as bytes.")
    if not found.isnative:
        raise LayoutError(f"Elements of type {found.str} are in the other byte order. Convert them with astype first.")
    return found


@dataclass(frozen=True, slots=True, init=False)
class TensorSpec:
    """Shape and element type of a tensor, and its layout if it is stated with it.

    **Arguments:**

    - `shape`: the extents of the whole tensor, up to eight of them.
    - `dtype`: a dtype of NumPy, or one of `ml_dtypes` by object or name.
    - `sharding`: a `cm.Sharding` or `jax.sharding.NamedSharding`, used where no other layout is given.

    **Raises:**

    `LayoutError` if the shape or the element type is not one that crossmesh moves.

    !!! Example

        ```python
        cm.TensorSpec((64, 128), "bfloat16")
        ```
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sharding: Any = None

    def __init__(self, shape: Sequence[int], dtype: Any, sharding: Any = None) -> None:
        object.__setattr__(self, "shape", as_shape(shape))
        object.__setattr__(self, "dtype", as_dtype(dtype))
        object.__setattr__(self, "sharding", sharding)
        if len(self.shape) > RANK_MAX:
            raise LayoutError(f"A tensor has at most {RANK_MAX} dimensions, got the shape {self.shape}. Reshape it.")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor of a side: its key path, spec and layout, and the JAX sharding if it was stated as one."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sharding: Sharding
    named: Any = None

    @property
    def label(self) -> str:
        """How messages call this tensor."""
        return f"tensor {self.key or '(the only one)'} of shape {self.shape} and type {self.dtype.name}"


def resolve(tree: Any, layout: Any, side: str, hosts: Sequence[str] | None = None) -> tuple[list[Leaf], TreeDef]:
    """The tensors of one side with their layouts.

    **Arguments:**

    - `tree`: a pytree of anything with `.shape` and `.dtype`.
    - `layout`: a layout, a tree prefix of layouts, or `None` for the leaves' own `.sharding`.
    - `side`: what messages call this side.
    - `hosts`: the host of each JAX process, for layouts stated as `NamedSharding`.

    **Raises:**

    `LayoutError` naming the tensor, its shape and the layout that does not fit.
    """
    keys, leaves, treedef = flatten(tree)
    if len(leaves) > TENSORS_MAX:
        raise LayoutError(
            f"A tree has at most {TENSORS_MAX} tensors, got {len(leaves)}. Split it, or stack its leaves."
        )
    layouts = broadcast_prefix(layout, tree, lambda value: value is None or is_layout(value) or _is_alien(value))
    resolved = []
    for key, leaf, stated in zip(keys, leaves, layouts, strict=True):
        spec = _spec_of(key, leaf)
        own = stated if stated is not None else getattr(leaf, "sharding", None)
        resolved.append(_leaf(key, spec, own, side, hosts))
    return resolved, treedef


def _spec_of(key: str, leaf: Any) -> TensorSpec:
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        where = f" at {key}" if key else ""
        raise LayoutError(
            f"A leaf{where} is {type(leaf).__name__}, which has no .shape and .dtype. "
            "Use arrays, jax.ShapeDtypeStruct or cm.TensorSpec(shape, dtype)."
        )
    try:
        return TensorSpec(leaf.shape, leaf.dtype)
    except LayoutError as error:
        raise LayoutError(f"Tensor {key}: {error}" if key else str(error)) from None


def _leaf(key: str, spec: TensorSpec, layout: Any, side: str, hosts: Sequence[str] | None) -> Leaf:
    what = f"tensor {key} of shape {spec.shape}" if key else f"the tensor of shape {spec.shape}"
    if layout is None:
        raise LayoutError(
            f"No layout is stated for {what} on the {side} side. "
            "Pass a cm.Sharding or NamedSharding, or leaves that carry a .sharding."
        )
    if not is_layout(layout):
        raise LayoutError(
            f"The layout of {what} on the {side} side is a {type(layout).__name__}: {layout}. "
            "State it as cm.Sharding(mesh, spec) or jax.sharding.NamedSharding(mesh, spec)."
        )
    named = layout if is_named_sharding(layout) else None
    try:
        sharding = Sharding.from_jax(layout, hosts) if named is not None else layout
        return Leaf(key, spec.shape, spec.dtype, sharding.padded(len(spec.shape)), named)
    except LayoutError as error:
        raise LayoutError(f"{side} layout of {what}: {error}") from None


def _is_alien(value: Any) -> bool:
    """A layout of a kind that is refused: as a leaf, so that the message can name the tensor."""
    from ._jax_seen import is_partition_spec

    return isinstance(value, str) or is_partition_spec(value) or is_jax_sharding(value)
