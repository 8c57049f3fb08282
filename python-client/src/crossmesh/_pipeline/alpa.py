"""A model's layers put into stages as a stage plan says: that of Alpa, of the paper, or one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from .. import _models
from .._errors import LayoutError
from .._mesh import Device, Mesh
from .graph import Pipeline
from .stage import LOSS, Stage, Tied

AXES = ("data", "model")
_FIELDS = ("forward_stage_layer_ids", "submesh_physical_shapes", "submesh_logical_shapes")


@dataclass(frozen=True, eq=False)
class Layer:
    """A piece of a model that no plan cuts: a `Stage` that has no devices yet.

    **Arguments:** as in `Stage`; layouts name the axes that `StagePlan.pipeline` gives to all meshes.
    """

    name: str
    fn: Callable[[Any, dict[str, Any]], Mapping[str, Any]]
    init: Callable[[Any], Any]
    inputs: Mapping[str, Any] = field(kw_only=True)
    outputs: Mapping[str, Any] = field(kw_only=True)
    params: Any = field(default=None, kw_only=True)


@dataclass(frozen=True)
class StagePlan:
    """Which layers each stage has, and which devices.

    **Arguments:**

    - `layers`: for each stage the numbers of its layers; all stages together have each layer once, in order.
    - `submeshes`: for each stage its hosts and its devices on each of them.
    - `logical`: for each stage the shape of its mesh, of as many devices.

    **Raises:** `LayoutError` if they do not fit each other.

    !!! Example

        ```python
        plan = pp.StagePlan([[0, 1], [2, 3]], submeshes=[(1, 4), (1, 4)], logical=[(2, 2), (1, 4)])
        pipeline = plan.pipeline(layers, hosts=["a", "b"], microbatch={"tokens": tokens, "targets": tokens})
        ```
    """

    layers: tuple[tuple[int, ...], ...]
    submeshes: tuple[tuple[int, int], ...]
    logical: tuple[tuple[int, ...], ...]

    def __init__(
        self,
        layers: Iterable[Iterable[int]],
        submeshes: Iterable[Sequence[int]],
        logical: Iterable[Sequence[int]],
    ) -> None:
        object.__setattr__(self, "layers", tuple(tuple(int(layer) for layer in stage) for stage in layers))
        object.__setattr__(self, "submeshes", tuple(_pair(shape) for shape in submeshes))
        object.__setattr__(self, "logical", tuple(tuple(int(n) for n in shape) for shape in logical))
        counts = {len(self.layers), len(self.submeshes), len(self.logical)}
        if len(counts) != 1:
            raise LayoutError(
                f"A plan states layers, submesh and logical mesh of each stage: there are {len(self.layers)}, "
                f"{len(self.submeshes)} and {len(self.logical)} of them."
            )
        numbers = [layer for stage in self.layers for layer in stage]
        if numbers != list(range(len(numbers))) or not all(self.layers):
            raise LayoutError(
                f"The layers of the stages are {[list(stage) for stage in self.layers]}. Each stage has some, and "
                "together they are all from 0 on, once and in order."
            )
        for number, (submesh, logical_shape) in enumerate(zip(self.submeshes, self.logical, strict=True)):
            if math.prod(submesh) != math.prod(logical_shape):
                raise LayoutError(
                    f"Stage {number} has a submesh of {submesh[0]} x {submesh[1]} devices, which is no mesh of shape "
                    f"{logical_shape}. Choose a logical shape of as many devices."
                )

    @classmethod
    def from_alpa(cls, plan: Any) -> Self:
        """The plan that Alpa made, or was given.

        **Arguments:**

        - `plan`: anything with Alpa's `forward_stage_layer_ids`, `submesh_physical_shapes` and
            `submesh_logical_shapes`, as attributes (`ManualStageOption`) or keys; or what `get_last_dp_result()`
            returned, in which a cost stands before these three.

        **Raises:** `LayoutError` if it has none of them.
        """
        found: list[Any]
        if isinstance(plan, Mapping):
            found = [plan.get(name) for name in _FIELDS]
        elif isinstance(plan, tuple | list) and len(plan) >= 4:
            found = list(plan[1:4])
        else:
            found = [getattr(plan, name, None) for name in _FIELDS]
        missing = [name for name, value in zip(_FIELDS, found, strict=True) if value is None]
        if missing:
            raise LayoutError(
                f"{type(plan).__name__} is no stage plan of Alpa's: {', '.join(missing)} is missing. Pass a "
                "ManualStageOption, or StagePlan(layers, submeshes, logical)."
            )
        return cls(*found)

    @classmethod
    def preset(cls, model: str, stages: int | None = None) -> Self:
        """How the paper cut one of its models: see `crossmesh plan --model`.

        **Raises:** `LayoutError` naming the models, or the cuts that there are.
        """
        cut = _models.preset(model, stages)
        return cls(cut.layers, [cut.submesh] * cut.stages, [cut.logical] * cut.stages)

    def meshes(
        self, hosts: Sequence[str], *, devices_per_host: int | None = None, axis_names: Sequence[str] = AXES
    ) -> list[Mesh]:
        """The mesh of each stage.

        **Arguments:**

        - `hosts`: in the order in which stages take them.
        - `devices_per_host`: several stages share a host of so many devices, as Alpa packs them. By default each stage
            has hosts of its own.
        - `axis_names`: of all meshes.

        **Raises:** `LayoutError` if there are too few hosts, or a submesh does not fit on them.
        """
        devices: list[Device] = []
        wanted = sum(h * (d if devices_per_host is not None else 1) for h, d in self.submeshes)
        there = len(hosts) * (devices_per_host or 1)
        if wanted > there:
            unit = "hosts" if devices_per_host is None else "devices"
            raise LayoutError(f"The plan needs {wanted} {unit}, {list(hosts)} have {there}. Name more hosts.")
        meshes = []
        taken = 0
        for number, ((count, each), shape) in enumerate(zip(self.submeshes, self.logical, strict=True)):
            if devices_per_host is None:
                devices = [Device(host, index) for host in hosts[taken : taken + count] for index in range(each)]
                taken += count
            else:
                offset = taken % devices_per_host
                if not (offset + each <= devices_per_host if count == 1 else offset == 0 and each == devices_per_host):
                    raise LayoutError(
                        f"Stage {number}, {count} x {each} devices, does not fit on what stages before it leave of "
                        f"hosts with {devices_per_host} devices. Order the stages so that none straddles a host."
                    )
                slots = range(taken, taken + count * each)
                devices = [Device(hosts[slot // devices_per_host], slot % devices_per_host) for slot in slots]
                taken += count * each
            meshes.append(Mesh(shape, tuple(axis_names)[: len(shape)], devices=devices))
        return meshes

    def pipeline(
        self,
        layers: Sequence[Layer],
        *,
        hosts: Sequence[str],
        microbatch: Mapping[str, Any],
        tied: Iterable[Tied] = (),
        devices_per_host: int | None = None,
        axis_names: Sequence[str] = AXES,
        remat: bool = False,
    ) -> Pipeline:
        """The pipeline of a model's layers.

        Stage k is called `"stage{k}"`; its parameters are `{layer name: parameters of the layer}`. What layers of one
        stage hand to each other stays in it.

        **Arguments:**

        - `layers`: of the model, in order.
        - `hosts`, `devices_per_host`, `axis_names`: as in `meshes`.
        - `microbatch`: as in `Pipeline`.
        - `tied`: `pp.Tied("layer.path", ...)` by the names of layers; those in one stage become one parameter.
        - `remat`: as in `Stage`.

        **Raises:** `LayoutError` if the layers are not those of the plan; what `Pipeline` raises.
        """
        total = sum(len(stage) for stage in self.layers)
        names = [layer.name for layer in layers]
        if len(layers) != total or len(set(names)) != total or any("." in name for name in names):
            raise LayoutError(
                f"The plan puts {total} layers into stages; there are {len(layers)}, {names}. Pass as many, with "
                "distinct names without dots."
            )
        stage_of = {names[number]: stage for stage, numbers in enumerate(self.layers) for number in numbers}
        groups = [_Group(tie, stage_of) for tie in tied]
        meshes = self.meshes(hosts, devices_per_host=devices_per_host, axis_names=axis_names)
        stages = [
            _stage(number, [layers[layer] for layer in own], layers[own[-1] + 1 :], mesh, groups, remat=remat)
            for number, (own, mesh) in enumerate(zip(self.layers, meshes, strict=True))
        ]
        return Pipeline(stages, microbatch, [group.tied for group in groups if group.tied is not None])


class _Group:
    """Tied parameters of layers: the first holder in each stage is the parameter, others in that stage read it."""

    def __init__(self, tie: Tied, stage_of: Mapping[str, int]) -> None:
        self.reads: dict[int, dict[tuple[str, str], tuple[str, str]]] = {}
        first: dict[int, tuple[str, str]] = {}
        for layer, path in tie.members:
            if layer not in stage_of:
                raise ValueError(f"There is no layer {layer!r} to tie. The layers are {list(stage_of)}.")
            stage = stage_of[layer]
            held = first.setdefault(stage, (layer, path))
            if held != (layer, path):
                self.reads.setdefault(stage, {})[layer, path] = held
        paths = [f"{_name(stage)}.{layer}.{path}" for stage, (layer, path) in first.items()]
        self.tied = Tied(*paths) if len(paths) > 1 else None


def _name(stage: int) -> str:
    return f"stage{stage}"


def _stage(
    number: int, own: Sequence[Layer], later: Sequence[Layer], mesh: Mesh, groups: Sequence[_Group], *, remat: bool
) -> Stage:
    reads = {alias: held for group in groups for alias, held in group.reads.get(number, {}).items()}
    made = {name for layer in own for name in layer.outputs}
    inputs: dict[str, Any] = {}
    for layer in own:
        for name, layout in layer.inputs.items():
            if name not in made:
                inputs.setdefault(name, layout)
    needed = {name for layer in later for name in layer.inputs} | {LOSS}
    outputs = {name: layout for layer in own for name, layout in layer.outputs.items() if name in needed}

    def fn(params: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        known = dict(values)
        whole = {layer.name: params[layer.name] for layer in own}
        for (layer_name, path), (holder, held) in reads.items():
            whole[layer_name] = _filled(whole[layer_name], path, _leaf(params[holder], held))
        for layer in own:
            known.update(layer.fn(whole[layer.name], {name: known[name] for name in layer.inputs}))
        return {name: known[name] for name in outputs}

    def init(key: Any) -> dict[str, Any]:
        import jax

        drawn = {layer.name: layer.init(jax.random.fold_in(key, place)) for place, layer in enumerate(own)}
        for layer_name, path in reads:
            drawn[layer_name] = _filled(drawn[layer_name], path, None)
        return drawn

    params = {layer.name: layer.params for layer in own}
    return Stage(_name(number), fn, init, mesh=mesh, inputs=inputs, outputs=outputs, params=params, remat=remat)


def _leaf(tree: Any, path: str) -> Any:
    import jax

    from .shapes import path_text

    return next(leaf for at, leaf in jax.tree_util.tree_flatten_with_path(tree)[0] if path_text(at) == path)


def _filled(tree: Any, path: str, value: Any) -> Any:
    """The tree with another leaf, or none, at a path."""
    import jax

    from .shapes import path_text

    places = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda leaf: leaf is None)[0]
    if path not in {path_text(at) for at, _ in places}:
        raise ValueError(f"There is no parameter {path!r} to tie. There are {[path_text(at) for at, _ in places]}.")
    return jax.tree_util.tree_map_with_path(
        lambda at, leaf: value if path_text(at) == path else leaf, tree, is_leaf=lambda leaf: leaf is None
    )


def _pair(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise LayoutError(f"A submesh is (hosts, devices on each), got {tuple(shape)}.")
    return int(shape[0]), int(shape[1])
