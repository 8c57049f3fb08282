"""Stages put together: which value goes where, in which shape, and in which process each stage runs.

Everything here is a function of what the user stated, so every process finds the same and compares digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import LayoutError
from .._sharding import Sharding
from .._spec import TensorSpec
from .shapes import abstract_params, is_floating, params_of, shapes_of, stated_spec
from .stage import LOSS, AnyStage, Stage, Tied, TimedStage, even


@dataclass(frozen=True)
class Value:
    """What travels under one name: the shape of one micro-batch, who makes it (`None` for data) and who takes it."""

    name: str
    spec: TensorSpec
    producer: int | None
    consumers: tuple[int, ...]

    @property
    def has_gradient(self) -> bool:
        """Whether a gradient comes back for it: numbers that are not whole."""
        return self.producer is not None and is_floating(self.spec.dtype)


@dataclass(frozen=True)
class Process:
    """A process of the job: the host and the devices it has, and the stages that run there."""

    host: str
    devices: tuple[int, ...]
    parts: tuple[int, ...]


class Pipeline:
    """A model in stages, in the order in which a micro-batch passes them. Checked when it is made.

    **Arguments:**

    - `stages`: `Stage`s, or `TimedStage`s. Part k runs in process `k % processes`; stages on the same devices of the
        same host share a process, which is how virtual stages are stated.
    - `microbatch`: shape and type (anything with `.shape` and `.dtype`) of one micro-batch of each data value.
    - `tied`: parameters that are one.

    **Raises:**

    `LayoutError` for a value whose shape does not fit a stage or a layout, `ValueError` for a graph that is none;
    both name the stage and the value.

    !!! Example

        ```python
        pipeline = pp.Pipeline([embed, head], microbatch={"tokens": jax.ShapeDtypeStruct((8, 128), "int32"), ...})
        ```
    """

    def __init__(
        self,
        stages: Sequence[AnyStage],
        microbatch: Mapping[str, Any] | None = None,
        tied: Iterable[Tied] = (),
    ) -> None:
        self.stages = tuple(stages)
        self.compiled: dict[Any, Any] = {}
        """What this process has compiled of it: a second trainer compiles nothing."""
        self.tied = tuple(tied)
        _check_names(self.stages)
        producers = _producers(self.stages)
        self.processes = _processes(self.stages)
        data = {name: stated_spec(spec, f"microbatch, value {name!r}") for name, spec in (microbatch or {}).items()}
        _check_data(self.stages, producers, data)
        self.abstract_params = tuple(abstract_params(stage) for stage in self.stages)
        """Of each stage, as JAX states shapes: traced once here, which takes longer than all else that is checked."""
        self.params = tuple(params_of(abstract) for abstract in self.abstract_params)
        specs = shapes_of(self.stages, self.abstract_params, data)
        self.values = {name: _value(name, spec, producers.get(name), self.stages) for name, spec in specs.items()}
        self._check_layouts()
        self._check_loss()
        self._check_tied()

    @property
    def loss_part(self) -> int:
        """The stage that makes the loss; the last one if all stages are timed waits."""
        value = self.values.get(LOSS)
        return len(self.stages) - 1 if value is None or value.producer is None else value.producer

    @property
    def virtual(self) -> int:
        """The number of stages in each process."""
        return len(self.stages) // len(self.processes)

    def index(self, name: str) -> int:
        """The position of a stage.

        **Raises:** `ValueError` if there is none of that name.
        """
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise ValueError(f"There is no stage {name!r}. The stages are {names}.")
        return names.index(name)

    def process_of(self, part: int) -> int:
        """The process in which a stage runs."""
        return part % len(self.processes)

    def incoming(self, part: int) -> list[Value]:
        """What a stage takes from others, by name."""
        return [v for _, v in sorted(self.values.items()) if part in v.consumers and v.producer is not None]

    def data_of(self, part: int) -> list[Value]:
        """What a stage takes from the caller, by name."""
        return [v for _, v in sorted(self.values.items()) if part in v.consumers and v.producer is None]

    def outgoing(self, part: int) -> list[Value]:
        """What a stage makes, by name, the loss among it."""
        return [v for _, v in sorted(self.values.items()) if v.producer == part]

    @property
    def pairs(self) -> list[tuple[int, int, tuple[Value, ...]]]:
        """(producer, consumer, values) for each two stages between which something travels."""
        found: dict[tuple[int, int], list[Value]] = {}
        for _, value in sorted(self.values.items()):
            for consumer in value.consumers:
                if value.producer is not None:
                    found.setdefault((value.producer, consumer), []).append(value)
        return [(producer, consumer, tuple(values)) for (producer, consumer), values in sorted(found.items())]

    def layout(self, part: int, value: Value) -> Sharding:
        """The layout of a value on a stage."""
        return self.stages[part].layout(value.name, len(value.spec.shape))

    @property
    def statements(self) -> dict[str, str]:
        """A digest of each stage and of what joins them, by what a message calls it."""
        found = {"the order of the stages": _digest([stage.name for stage in self.stages])}
        for part, stage in enumerate(self.stages):
            found[f"stage {stage.name!r}"] = _digest(self._stage_json(part, stage))
        found["the tied parameters"] = _digest([list(tied.paths) for tied in self.tied])
        return found

    @property
    def digest(self) -> str:
        """64 hexadecimal digits, equal where stages, shapes, layouts and tied parameters are."""
        return _digest(self.statements)

    def _stage_json(self, part: int, stage: AnyStage) -> Any:
        shown = [
            [v.name, list(v.spec.shape), v.spec.dtype.name, v.producer, str(self.layout(part, v))]
            for v in (*self.incoming(part), *self.data_of(part), *self.outgoing(part))
        ]
        return [stage.name, stage.mesh._to_json(), shown, self.params[part], getattr(stage, "remat", None)]

    def _check_layouts(self) -> None:
        for value in self.values.values():
            users = value.consumers if value.producer is None else (value.producer, *value.consumers)
            layouts = {part: self.layout(part, value) for part in users}
            for part, layout in layouts.items():
                if isinstance(self.stages[part], Stage) and not even(layout, value.spec.shape):
                    both = ", ".join(f"{str(ly)!r} on stage {self.stages[p].name!r}" for p, ly in layouts.items())
                    raise LayoutError(
                        f"Stage {self.stages[part].name!r}, value {value.name!r} of shape {value.spec.shape}: "
                        f"the layout {str(layout)!r} over a mesh of shape {layout.mesh.shape} has uneven shards, which "
                        f"JAX cannot hold. Stated are {both}. Choose axes that divide the shape, or pad the value."
                    )

    def _check_loss(self) -> None:
        loss = self.values.get(LOSS)
        if loss is None:
            if any(isinstance(stage, Stage) for stage in self.stages):
                raise ValueError(f'No stage makes "{LOSS}". Add it to the outputs of the last stage, as a scalar.')
            return
        if loss.producer is None or loss.consumers:
            raise ValueError(f'"{LOSS}" is an output of one stage and the input of none. Rename the other value.')
        if loss.spec.shape or not is_floating(loss.spec.dtype) or loss.spec.dtype.kind == "c":
            raise LayoutError(
                f"Stage {self.stages[loss.producer].name!r}, value {LOSS!r}: a loss is a floating-point scalar, got "
                f"shape {loss.spec.shape} and type {loss.spec.dtype}. Return the mean over the micro-batch."
            )

    def _check_tied(self) -> None:
        for tied in self.tied:
            stated: dict[str, Any] = {}
            for stage, path in tied.members:
                params = self.params[self.index(stage)]
                if path not in params:
                    raise ValueError(f"Stage {stage!r} has no parameter {path!r} to tie. It has {sorted(params)}.")
                stated[f"{stage}.{path}"] = params[path]
            if len({json.dumps(spec) for spec in stated.values()}) > 1:
                raise LayoutError(f"Tied parameters have one shape and type, got {stated}. Transpose inside the stage.")

    def __repr__(self) -> str:
        names = " > ".join(stage.name for stage in self.stages)
        return f"<Pipeline {names}: {len(self.processes)} processes, {len(self.pairs)} boundaries>"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _value(name: str, spec: TensorSpec, producer: int | None, stages: Sequence[AnyStage]) -> Value:
    consumers = tuple(part for part, stage in enumerate(stages) if name in stage.inputs)
    return Value(name, spec, producer, consumers)


def _check_names(stages: Sequence[AnyStage]) -> None:
    if not stages:
        raise ValueError("A pipeline has at least one stage.")
    names = [stage.name for stage in stages]
    for stage in stages:
        if not isinstance(stage, Stage | TimedStage):
            raise TypeError(f"A pipeline is made of pp.Stage or pp.TimedStage, got {type(stage).__name__}.")
        if not isinstance(stage.name, str) or not stage.name or "." in stage.name or names.count(stage.name) > 1:
            raise ValueError(f"Stages have distinct names without dots, which are strings, got {names}.")
        both = sorted(set(stage.inputs) & set(stage.outputs))
        if both:
            raise ValueError(f"Stage {stage.name!r} takes and makes {both}: a cycle. Give its outputs other names.")


def _producers(stages: Sequence[AnyStage]) -> dict[str, int]:
    """Who makes each value; refuses two makers, cycles, orders that do not fit, and what nobody takes."""
    made: dict[str, int] = {}
    for part, stage in enumerate(stages):
        for value in stage.outputs:
            if value in made:
                other = stages[made[value]].name
                raise ValueError(f"The stages {other!r} and {stage.name!r} both make {value!r}. Rename one of them.")
            made[value] = part
    after: dict[int, set[int]] = {part: set() for part in range(len(stages))}
    for part, stage in enumerate(stages):
        for value in stage.inputs:
            if value in made:
                after[made[value]].add(part)
    cycle = _cycle(after)
    if cycle:
        raise ValueError(f"The stages make a cycle: {' > '.join(stages[part].name for part in cycle)}. Cut it.")
    for part, stage in enumerate(stages):
        for value in stage.inputs:
            if made.get(value, -1) >= part:
                maker = stages[made[value]].name
                raise ValueError(f"Stage {stage.name!r} takes {value!r} of {maker!r}, which comes later. Swap them.")
    for value, part in made.items():
        if value != LOSS and not any(value in stage.inputs for stage in stages):
            raise ValueError(f"No stage takes {value!r}, which {stages[part].name!r} makes. Take it out of outputs.")
    return made


def _cycle(after: Mapping[int, set[int]]) -> list[int]:
    """A cycle, its first stage repeated at its end; empty if there is none."""
    done: set[int] = set()

    def visit(part: int, path: list[int]) -> list[int]:
        if part in path:
            return [*path[path.index(part) :], part]
        if part in done:
            return []
        for following in sorted(after[part]):
            found = visit(following, [*path, part])
            if found:
                return found
        done.add(part)
        return []

    return next((found for part in after if (found := visit(part, []))), [])


def _processes(stages: Sequence[AnyStage]) -> tuple[Process, ...]:
    places: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for part, stage in enumerate(stages):
        if len(stage.mesh.hosts) != 1:
            raise LayoutError(
                f"Stage {stage.name!r} lies on the hosts {list(stage.mesh.hosts)}. A stage runs in one process: "
                "give it a mesh of one host."
            )
        devices = tuple(sorted(device.index for device in stage.mesh.devices))
        places.setdefault((stage.mesh.hosts[0], devices), []).append(part)
    seen: dict[tuple[str, int], str] = {}
    for (host, devices), parts in places.items():
        for device in devices:
            other = seen.setdefault((host, device), stages[parts[0]].name)
            if other != stages[parts[0]].name:
                raise LayoutError(
                    f"The stages {other!r} and {stages[parts[0]].name!r} share device {device} of {host!r}, but not "
                    "all of their devices. Give them the same devices (one process) or none in common (two)."
                )
    count = len(places)
    for number, parts in enumerate(places.values()):
        if parts != list(range(number, len(stages), count)):
            order = [[stages[part].name for part in some] for some in places.values()]
            raise ValueError(
                f"The stages lie on their processes as {order}. Stage k runs in process k % {count}, and every process "
                "has as many: order the stages, or their devices, so."
            )
    return tuple(Process(host, devices, tuple(parts)) for (host, devices), parts in places.items())


def _check_data(stages: Sequence[AnyStage], made: Mapping[str, int], data: Mapping[str, TensorSpec]) -> None:
    for stage in stages:
        for value in stage.inputs:
            if value not in made and value not in data:
                raise ValueError(
                    f"Nobody makes {value!r}, which stage {stage.name!r} takes. Add it to the outputs of a stage "
                    "before, or, if it is data, its shape to microbatch."
                )
    for value in data:
        if value in made:
            raise ValueError(f"{value!r} is data by microbatch, and stage {stages[made[value]].name!r} makes it.")
        if not any(value in stage.inputs for stage in stages):
            raise ValueError(f"No stage takes {value!r}, which microbatch states. Take it out, or add it to inputs.")


def bytes_of(values: Iterable[Value]) -> int:
    """The bytes of one micro-batch of these values, each counted once."""
    return sum(int(np.prod(value.spec.shape, dtype=np.int64)) * value.spec.dtype.itemsize for value in values)
