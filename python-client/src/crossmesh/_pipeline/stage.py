"""What a pipeline is made of: stages, as a user states them."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import LayoutError
from .._mesh import Mesh
from .._sharding import Sharding
from .._spec import TensorSpec

LOSS = "loss"
"""The output that training makes small: a scalar of exactly one stage, the mean over a micro-batch."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of the model: a pure function of parameters and named inputs to named outputs.

    A value that is an output here and an input of a later stage travels between them; several stages may take it, and
    stages in between may be skipped. A value that no stage makes is data, which the caller gives to `Trainer.step`.

    **Arguments:**

    - `name`: what the stage is called, without dots.
    - `fn`: `fn(params, {value: array}) -> {value: array}`, of one micro-batch. Pure: it is traced by JAX once.
    - `init`: `init(key) -> params`, a pytree of arrays.
    - `mesh`: the `cm.Mesh` of the stage's devices, all on one host. Stages on the same devices run in one process.
    - `inputs`, `outputs`: the layout of each value on this stage's mesh: a `PartitionSpec`, the notation `"S0 R"`, a
        tuple of axes, or `None` for replicated.
    - `params`: the layout of the parameters, or a tree prefix of layouts; `None` replicates them.
    - `remat`: keep only the inputs of a micro-batch until its backward, which computes the rest again.

    !!! Example

        ```python
        pp.Stage("head", fn, init, mesh=cm.Mesh((2, 2), ("x", "y"), hosts=["b"]),
                 inputs={"h": P(None, "y"), "targets": P("x")}, outputs={"loss": P()})
        ```
    """

    name: str
    fn: Callable[[Any, dict[str, Any]], Mapping[str, Any]]
    init: Callable[[Any], Any]
    mesh: Mesh = field(kw_only=True)
    inputs: Mapping[str, Any] = field(kw_only=True)
    outputs: Mapping[str, Any] = field(kw_only=True)
    params: Any = field(default=None, kw_only=True)
    remat: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("jax") is None:
            raise ImportError('Stages that compute need JAX: pip install "crossmesh[train]".')

    def layout(self, value: str, rank: int) -> Sharding:
        """The layout of an input or output of that rank.

        **Raises:** `LayoutError` naming the stage and the value.
        """
        spec = self.outputs[value] if value in self.outputs else self.inputs[value]
        return layout_on(self.mesh, spec, rank, f"Stage {self.name!r}, value {value!r}")


@dataclass(frozen=True, eq=False)
class TimedStage:
    """A stage whose computing is a wait of stated length, while real bytes move between it and the others.

    **Arguments:**

    - `name`, `mesh`, `inputs`: as in `Stage`.
    - `forward`, `backward`: seconds of a micro-batch. With `weight`, `backward` is the gradient of the inputs alone.
    - `weight`: seconds of the gradient of the weights.
    - `outputs`: a `cm.TensorSpec` with its sharding for each value.

    !!! Example

        ```python
        h = cm.TensorSpec((64, 1024), "float32", cm.Sharding(mesh, "S0 R"))
        pp.TimedStage("first", mesh=mesh, inputs={}, outputs={"h": h}, forward=0.01, backward=0.02)
        ```
    """

    name: str
    mesh: Mesh = field(kw_only=True)
    inputs: Mapping[str, Any] = field(kw_only=True)
    outputs: Mapping[str, TensorSpec] = field(kw_only=True)
    forward: float = field(kw_only=True)
    backward: float = field(kw_only=True)
    weight: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for what in ("forward", "backward", "weight"):
            seconds = getattr(self, what)
            if seconds is not None and not 0 <= seconds < math.inf:
                raise ValueError(f"Stage {self.name!r}: {what}={seconds!r} is not a time. State seconds, 0 or more.")

    def layout(self, value: str, rank: int) -> Sharding:
        """The layout of an input or output of that rank.

        **Raises:** `LayoutError` naming the stage and the value.
        """
        what = f"Stage {self.name!r}, value {value!r}"
        if value not in self.outputs:
            return layout_on(self.mesh, self.inputs[value], rank, what)
        sharding = self.outputs[value].sharding
        if not isinstance(sharding, Sharding):
            raise LayoutError(f"{what} states no layout. Pass TensorSpec(shape, dtype, cm.Sharding(mesh, spec)).")
        return sharding.padded(rank)


AnyStage = Stage | TimedStage


@dataclass(frozen=True)
class Tied:
    """Parameters that are one: their gradients are summed over the stages that hold them.

    The value that the first one is initialised with counts for all; they then stay equal, because every holder
    applies the same gradient to the same value.

    **Arguments:**

    - `paths`: `"stage.path"` for each holder, the path as in `jax.tree_util.keystr(path, simple=True, separator=".")`.

    !!! Example

        ```python
        pp.Tied("embed.table", "head.table")
        ```
    """

    paths: tuple[str, ...]

    def __init__(self, *paths: str) -> None:
        object.__setattr__(self, "paths", paths)
        if len(paths) < 2 or any("." not in path for path in paths):
            raise ValueError(f"Tied parameters are two or more of the form 'stage.path', got {list(paths)}.")

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """(stage, path) of each holder."""
        return tuple((path.partition(".")[0], path.partition(".")[2]) for path in self.paths)


def layout_on(mesh: Mesh, spec: Any, rank: int, what: str) -> Sharding:
    """The layout that `spec` means on a mesh for a value of that rank.

    **Raises:** `LayoutError` that begins with `what`.
    """
    try:
        if spec is None:
            spec = ((),) * rank
        sharding = spec if isinstance(spec, Sharding) else Sharding(mesh, spec)
        return sharding.padded(rank)
    except LayoutError as error:
        raise LayoutError(f"{what}: {error}") from None


def even(sharding: Sharding, shape: tuple[int, ...]) -> bool:
    """Whether every device holds a tile of the same shape, which is what a `jax.Array` can be."""
    parts = (math.prod(sharding.mesh.shape[axis] for axis in axes) for axes in sharding.padded(len(shape)).spec)
    return all(extent % count == 0 for extent, count in zip(shape, parts, strict=True))
