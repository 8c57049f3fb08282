"""Where things lie on each stage, and the pipeline that follows.

Neighbours divide their work differently, which is what makes the boundary between them a reshard. Processes of an even
number divide the batch over ``x`` and the channels over ``y`` (data x tensor parallel), the others the batch over all
four devices (data parallel).
"""

from __future__ import annotations

from typing import Final

import crossmesh as cm
import crossmesh.pipeline as pp
import jax
from jax.sharding import PartitionSpec as P

from training.layers import Params, Part, drawn
from u_transformer.config import SIZES
from u_transformer.model import cut, microbatch, stages

DATA: Final = (P("x"), P(("x", "y")))
"""Layout of images, times and contexts in processes of an even and of an odd number: by samples."""

ACTIVATIONS: Final = (P("x", None, None, "y"), P(("x", "y")))
"""Layout of what crosses, (batch, height, width, channels): the stream and the skips."""

SHARED: Final = ("time1.kernel", "time2.kernel")
"""Parameters of which every stage that knows the time has a copy."""


def parts(size: str, number: int) -> list[Part]:
    """The model in so many stages, as functions.

    Raises:
        ValueError: it has fewer layers than that.
    """
    return stages(SIZES[size], cut(size, number))


def pipeline(size: str, processes: int, virtual: int = 1, seed: int = 0) -> pp.Pipeline:
    """A U-Transformer on hosts ``stage0``, ``stage1`` ... with ``virtual`` stages in each process.

    Parameters are drawn from the seed, whatever the number of stages.

    Raises:
        ValueError: the model has fewer layers than that.
    """
    cut_up = parts(size, processes * virtual)
    made = [_stage(number, part, processes, seed) for number, part in enumerate(cut_up)]
    holders = [stage.name for stage, part in zip(made, cut_up, strict=True) if "time" in part.inputs]
    tied = [pp.Tied(*(f"{stage}.{path}" for stage in holders)) for path in SHARED] if len(holders) > 1 else []
    return pp.Pipeline(made, microbatch(SIZES[size]), tied)


def _stage(number: int, part: Part, processes: int, seed: int) -> pp.Stage:
    side = number % processes % 2
    layouts = dict.fromkeys(("noisy", "noise", "time", "context"), DATA[side]) | {"loss": P()}
    return pp.Stage(
        f"part{number}",
        part.apply,
        drawn(part, seed),
        mesh=cm.Mesh((2, 2), ("x", "y"), hosts=[f"stage{number % processes}"]),
        inputs={name: layouts.get(name, ACTIVATIONS[side]) for name in part.inputs},
        outputs={name: layouts.get(name, ACTIVATIONS[side]) for name in part.outputs},
        params=P() if side else parameter_layouts(part.params),
    )


def parameter_layouts(params: Params) -> Params:
    """A layout for each parameter of a stage whose channels are divided over ``y``.

    Convolutions are divided by the channels that they make. In the transformers the first matrix of a pair is divided
    by its outputs, the second by its inputs, so that one all-reduce a pair is enough. The last convolution makes too
    few channels to be divided.
    """
    convolution = P(None, None, None, "y")
    out, into = P(None, "y"), P("y")
    divided = {"query": out, "key": out, "value": out, "out": into, "up": out, "gate": out, "down": into, "time": out}

    def layout(path: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> P:
        names = [key.key for key in path]
        if names[0] == "leave" or names[-1] != "kernel":
            return P()
        return convolution if len(leaf.shape) == 4 else divided.get(names[-2], P())

    return jax.tree_util.tree_map_with_path(layout, params)
