"""Where things lie on each stage, and the pipeline that follows.

Neighbours divide their work differently, which is what makes the boundary between them a reshard. Processes of an even
number divide the batch over ``x`` and the features over ``y`` (data x tensor parallel), the others the sequence over
``y`` and the features over ``x`` (sequence x tensor parallel). Each has four devices.
"""

from __future__ import annotations

from typing import Final

import crossmesh as cm
import crossmesh.pipeline as pp
import jax
from jax.sharding import PartitionSpec as P

from gpt3.config import SIZES
from gpt3.model import cut, microbatch, stages
from training.layers import Params, Part, drawn

TOKENS: Final = (P("x", None), P(None, "y"))
"""Layout of bytes, (batch, sequence), in processes of an even and of an odd number."""

STREAM: Final = (P("x", None, "y"), P(None, "y", "x"))
"""Layout of what crosses, (batch, sequence, hidden)."""

FEATURES: Final = ("y", "x")
"""The axis over which matrices are divided."""


def parts(size: str, number: int) -> list[Part]:
    """The model in so many stages, as functions.

    Raises:
        ValueError: it has fewer layers than that.
    """
    return stages(SIZES[size], cut(size, number))


def pipeline(size: str, processes: int, virtual: int = 1, seed: int = 0) -> pp.Pipeline:
    """A GPT on hosts ``stage0``, ``stage1`` ... with ``virtual`` stages in each process.

    Parameters are drawn from the seed, whatever the number of stages.

    Raises:
        ValueError: the model has fewer blocks than that.
    """
    cut_up = parts(size, processes * virtual)
    made = [_stage(number, part, processes, seed, last=len(cut_up) - 1) for number, part in enumerate(cut_up)]
    tied = [pp.Tied("part0.embed.embedding", f"part{len(cut_up) - 1}.embed.embedding")] if len(cut_up) > 1 else []
    return pp.Pipeline(made, microbatch(SIZES[size]), tied)


def _stage(number: int, part: Part, processes: int, seed: int, last: int) -> pp.Stage:
    side = number % processes % 2
    layouts = {"tokens": TOKENS[side], "targets": TOKENS[side], "loss": P()}
    return pp.Stage(
        f"part{number}",
        part.apply,
        drawn(part, seed),
        mesh=cm.Mesh((2, 2), ("x", "y"), hosts=[f"stage{number % processes}"]),
        inputs={name: layouts.get(name, STREAM[side]) for name in part.inputs},
        outputs={name: layouts.get(name, STREAM[side]) for name in part.outputs},
        params=parameter_layouts(part.params, FEATURES[side], scores=number == last),
    )


def parameter_layouts(params: Params, axis: str, *, scores: bool) -> Params:
    """A layout for each parameter.

    As in Megatron: the first matrix of a pair is divided by its outputs, the second by its inputs, so that one
    all-reduce a pair is enough. The embedding is divided by its features where bytes are looked up and by its bytes
    where they are scored: the two copies of one parameter do not lie alike. What is not named here is replicated.
    """
    out, into = P(None, axis), P(axis)
    divided = {
        "query/kernel": out,
        "key/kernel": out,
        "value/kernel": out,
        "query/bias": into,
        "key/bias": into,
        "value/bias": into,
        "out/kernel": into,
        "up/kernel": out,
        "up/bias": into,
        "down/kernel": into,
        "embed/embedding": into if scores else out,
        "positions": out,
    }

    def layout(path: tuple[jax.tree_util.DictKey, ...], _: object) -> P:
        return divided.get("/".join(key.key for key in path[-2:]), P())

    return jax.tree_util.tree_map_with_path(layout, params)
