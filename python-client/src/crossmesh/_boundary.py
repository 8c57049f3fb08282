"""Boundaries: what is planned together, and when each tensor of it is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from ._errors import LayoutError
from ._sharding import Sharding, json_tables
from ._spec import Leaf, resolve
from ._topology import Topology
from ._tree import broadcast_prefix


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """One edge between two stages of a pipeline: what crosses it, and when its consumer needs it.

    **Arguments:**

    - `tree`: a pytree of anything with `.shape` and `.dtype`.
    - `src`, `dst`: a layout (`cm.Sharding` or `jax.sharding.NamedSharding`) or a tree prefix of layouts. Where it is
      `None`, the leaves' own `.sharding`.
    - `deadline`: seconds from the start of the plan, or a tree prefix of them; `None` where nothing waits.
    - `name`: what the key paths of its tensors begin with in the plan; by default `[0]`, `[1]` ... by position.

    !!! Example

        ```python
        early = cm.Boundary(acts, stage0, stage1, deadline=0.0, name="act/0-1")
        late = cm.Boundary(grads, stage3, stage2, deadline=0.5, name="grad/3-2")
        plan = cm.plan([early, late])
        plan.finish["act/0-1"]
        ```
    """

    tree: Any
    src: Any = None
    dst: Any = None
    deadline: Any = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """One tensor as it lies and as it is needed, and when."""

    source: Leaf
    destination: Leaf
    deadline: float | None


def as_boundaries(value: Any) -> list[Boundary] | None:
    """The boundaries that are planned together, named; `None` if the value is a tree of tensors."""
    if isinstance(value, Boundary):
        value = [value]
    if not isinstance(value, list | tuple) or not any(isinstance(item, Boundary) for item in value):
        return None
    named: dict[str, Boundary] = {}
    for number, item in enumerate(value):
        if not isinstance(item, Boundary):
            raise LayoutError(
                f"Item {number} beside boundaries is a {type(item).__name__}. Wrap it: cm.Boundary(tree, src, dst)."
            )
        if item.name is not None and not isinstance(item.name, str):
            raise LayoutError(f"The name of boundary {number} is a string, got {item.name!r}.")
        name = f"[{number}]" if item.name is None else item.name
        if name in named:
            raise LayoutError(f"Two boundaries have the name {name!r}. Give each its own.")
        named[name] = replace(item, name=name)
    return list(named.values())


def needs(boundary: Boundary, hosts: Sequence[str] | None) -> list[Need]:
    """The tensors of a boundary, its name before their key paths.

    **Raises:** `LayoutError` naming the tensor whose layout or deadline does not fit.
    """
    try:
        sources, _ = resolve(boundary.tree, boundary.src, "source", hosts)
        destinations, _ = resolve(boundary.tree, boundary.dst, "destination", hosts)
        deadlines = broadcast_prefix(boundary.deadline, boundary.tree, _is_deadline, "deadline")
        found = [
            Need(replace(source, key=(boundary.name or "") + source.key), destination, _seconds(source, deadline))
            for source, destination, deadline in zip(sources, destinations, deadlines, strict=True)
        ]
    except LayoutError as error:
        raise LayoutError(f"Boundary {boundary.name!r}: {error}" if boundary.name else str(error)) from None
    return found


def plan_request(needed: Sequence[Need], topology: Topology | None, strategy: str, order: str) -> dict[str, Any]:
    """The request document for tensors that are stated on both sides."""
    for name, value in (("strategy", strategy), ("order", order)):
        if not isinstance(value, str):
            raise LayoutError(f"{name} is a string, got {value!r}.")
    sides: list[Sharding] = [leaf.sharding for need in needed for leaf in (need.source, need.destination)]
    meshes, layouts, where = json_tables(sides)
    tensors = [
        {
            "key": need.source.key,
            "shape": list(need.source.shape),
            "dtype": need.source.dtype.name,
            "src": where[2 * number],
            "dst": where[2 * number + 1],
        }
        | ({} if need.deadline is None else {"deadline": need.deadline})
        for number, need in enumerate(needed)
    ]
    return {
        "v": 1,
        "meshes": meshes,
        "layouts": layouts,
        "tensors": tensors,
        "topology": None if topology is None else topology._to_json(),
        "strategy": strategy,
        "order": order,
    }


def _is_deadline(value: Any) -> bool:
    return value is None or isinstance(value, Real | str)


def _seconds(leaf: Leaf, deadline: Any) -> float | None:
    if deadline is None:
        return None
    seconds = math.nan if isinstance(deadline, bool | str) else float(deadline)
    if not 0 <= seconds < math.inf:
        raise LayoutError(
            f"The deadline of {leaf.label} is {deadline!r}. State finite seconds from the start of the plan, "
            "0 or more, or None where nothing waits."
        )
    return seconds
