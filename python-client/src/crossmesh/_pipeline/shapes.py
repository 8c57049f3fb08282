"""Shapes of parameters and values, found by tracing the stages without computing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import LayoutError
from .._mesh import Mesh
from .._spec import TensorSpec
from .stage import AnyStage, Stage, TimedStage


def params_of(abstract: Any) -> dict[str, list[Any]]:
    """Shape and type of each parameter by its path, for example `{"blocks.0.w": [[8, 8], "float32"]}`."""
    if isinstance(abstract, dict) and not abstract:  # of a timed stage, which needs no JAX
        return {}
    import jax

    leaves, _ = jax.tree_util.tree_flatten_with_path(abstract)
    return {path_text(path): [list(leaf.shape), leaf.dtype.name] for path, leaf in leaves}


def path_text(path: Any) -> str:
    """The path of a leaf as `blocks.0.w`."""
    import jax

    return str(jax.tree_util.keystr(path, simple=True, separator="."))


def abstract_params(stage: AnyStage) -> Any:
    """The parameters as `ShapeDtypeStruct`s; none of a stage that only waits."""
    if isinstance(stage, TimedStage):
        return {}
    import jax

    try:
        return jax.eval_shape(lambda: stage.init(jax.random.key(0)))
    except Exception as error:
        raise LayoutError(f"Stage {stage.name!r}: init(key) fails: {type(error).__name__}: {error}") from error


def shapes_of(
    stages: Sequence[AnyStage], params: Sequence[Any], data: Mapping[str, TensorSpec]
) -> dict[str, TensorSpec]:
    """Shape and type of every value, of one micro-batch.

    **Arguments:**

    - `params`: the `abstract_params` of each stage.
    - `data`: what the stages take from the caller.

    **Raises:** `LayoutError` naming the stage that does not take its inputs, and what they are.
    """
    known = dict(data)
    makers: dict[str, str] = {}
    for stage, abstracts in zip(stages, params, strict=True):
        made = dict(stage.outputs) if isinstance(stage, TimedStage) else _outputs(stage, abstracts, known, makers)
        if set(made) != set(stage.outputs):
            raise LayoutError(
                f"Stage {stage.name!r} returns the values {sorted(made)}, its outputs state {sorted(stage.outputs)}. "
                "Make them the same."
            )
        for name, spec in made.items():
            known[name] = stated_spec(spec, f"Stage {stage.name!r}, value {name!r}")
        for name, stated in stage.outputs.items():
            layout = stated.sharding if isinstance(stage, TimedStage) else stated
            makers[name] = f"stage {stage.name!r}, laid out there as {layout}"
    return known


def _outputs(stage: Stage, params: Any, known: Mapping[str, TensorSpec], makers: Mapping[str, str]) -> dict[str, Any]:
    import jax

    inputs = {name: abstract(known[name]) for name in stage.inputs}
    try:
        with on_mesh(abstract_mesh(stage.mesh)):
            return dict(jax.eval_shape(stage.fn, params, inputs))
    except LayoutError:
        raise
    except Exception as error:
        came = ", ".join(
            f"{name}: {known[name].dtype.name}{list(known[name].shape)} "
            + (f"made by {makers[name]}" if name in makers else "given as data")
            + f", laid out here as {stage.inputs[name]}"
            for name in stage.inputs
        )
        raise LayoutError(
            f"Stage {stage.name!r} does not take its inputs ({came}): {type(error).__name__}: {error}. "
            "Correct its function, or what makes the value."
        ) from error


def stated_spec(stated: Any, what: str) -> TensorSpec:
    """Shape and type of a value, which is one array.

    **Raises:** `LayoutError` that begins with `what`.
    """
    if not (hasattr(stated, "shape") and hasattr(stated, "dtype")):
        raise LayoutError(
            f"{what} is a {type(stated).__name__}, which has no .shape and .dtype. A value is one array: give each "
            "array a name of its own."
        )
    try:
        return TensorSpec(stated.shape, stated.dtype)
    except LayoutError as error:
        raise LayoutError(f"{what}: {error}") from None


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether JAX gives a gradient to such numbers: the floating ones of NumPy and `ml_dtypes`, and complex ones."""
    return dtype.kind in "fc" or "float" in dtype.name


def abstract(spec: TensorSpec) -> Any:
    """A tensor's shape and type as JAX states them."""
    import jax

    make: Any = jax.ShapeDtypeStruct
    return make(spec.shape, spec.dtype)


def on_mesh(mesh: Any) -> Any:
    """A context in which a bare `PartitionSpec` means this abstract mesh, for functions that are being traced."""
    import jax

    return jax.sharding.use_abstract_mesh(mesh)


def abstract_mesh(mesh: Mesh) -> Any:
    """The stage's mesh without devices, with the axes of the mesh it runs on."""
    import jax

    return jax.sharding.AbstractMesh(mesh.shape, axis_names(mesh), axis_types=axis_types(mesh))


def axis_types(mesh: Mesh) -> tuple[Any, ...]:
    """All `Auto`, stated: what JAX takes by default differs between its versions and kinds of meshes.

    Layouts inside of a stage are hints to the compiler. With `Explicit` axes a constraint is an assertion instead.
    """
    import jax

    return (jax.sharding.AxisType.Auto,) * len(mesh.shape)


def axis_names(mesh: Mesh) -> tuple[str, ...]:
    """The names of the axes in JAX's mesh; `d0`, `d1` ... where the `cm.Mesh` has none."""
    return mesh.axis_names or tuple(f"d{axis}" for axis in range(len(mesh.shape)))
