"""The models of the paper and how they were cut into stages, as presets: what crosses a boundary, from shapes alone.

GPT and U-Transformer configurations of arXiv 2211.05322. A micro-batch, a cut and the sizes of a model say which
tensors one stage hands to the next.
"""

from __future__ import annotations

import csv
import importlib.resources
import math
import re
from dataclasses import dataclass
from typing import Any

from ._errors import LayoutError
from ._mesh import Mesh
from ._sharding import Sharding
from ._spec import TensorSpec

_RANGE = re.compile(r"(\d+)-(\d+)")
_SUBMESH = re.compile(r"\d+x\((\d+)x(\d+)\)")
_LOGICAL = re.compile(r"(?:dp)?(\d+)\s*x\s*(?:op)?(\d+)")


@dataclass(frozen=True, slots=True)
class Preset:
    """A model and its cut.

    `layers` are those of each stage, numbered through the model; `submesh` is hosts by devices of a stage, and
    `logical` the shape of its mesh, data parallel by operator parallel; `micro_batch` counts samples.
    """

    model: str
    family: str
    sizes: dict[str, str]
    micro_batch: int
    micro_batches: int
    layers: tuple[range, ...]
    submesh: tuple[int, int]
    logical: tuple[int, int]

    @property
    def stages(self) -> int:
        """The number of stages."""
        return len(self.layers)

    def crossing(self, boundary: int) -> dict[str, TensorSpec]:
        """The tensors of one micro-batch that stage `boundary` makes and later stages need, by name.

        **Raises:** `LayoutError` if there is no such boundary.
        """
        if not 0 <= boundary < self.stages - 1:
            raise LayoutError(
                f"{self.model} in {self.stages} stages has boundaries 0 to {self.stages - 2}, not {boundary}."
            )
        last = self.layers[boundary].stop - 1
        if self.family == "gpt":
            return {"h": TensorSpec((self.micro_batch, int(self.sizes["seq"]), int(self.sizes["hidden"])), "float16")}
        return self._u_transformer(last)

    def layout(self, stage: int, rank: int) -> Sharding:
        """The batch over the data-parallel axis of the stage's mesh, the rest whole on each device."""
        hosts = [f"s{stage}h{host}" for host in range(self.submesh[0])]
        return Sharding(Mesh(self.logical, hosts=hosts), "S0" + "R" * (rank - 1))

    def _u_transformer(self, last: int) -> dict[str, TensorSpec]:
        """A U-Net of L levels is 3L + 1 layers: encoders with a halving between two, the middle, decoders, the output.

        The encoder of level i is layer 2i and the decoder that takes its skip is layer 3L - 1 - i; a decoder doubles
        its input first, except that of the last level.
        """
        base, image = int(self.sizes["channels"]), int(self.sizes["image"])
        channels = [base * int(block.removesuffix("c") or 1) for block in self.sizes["blocks"].split(",")]
        levels = len(channels)

        def spec(level: int, width: int) -> TensorSpec:
            side = image >> level
            return TensorSpec((self.micro_batch, side, side, width), "float32")

        if last < 2 * levels - 1:
            level = last // 2
            h = spec(level + last % 2, channels[level])
        else:
            level = min(levels - 1, 3 * levels - 1 - last)
            h = spec(level, channels[level])
        skips = [level for level in range(levels) if 2 * level <= last < 3 * levels - 1 - level]
        return {"h": h} | {f"skip{level}": spec(level, channels[level]) for level in skips}


def names() -> tuple[str, ...]:
    """The models that have a preset."""
    return tuple(dict.fromkeys(row["model"] for row in _rows("stage_splits.csv")))


def preset(model: str, stages: int | None = None) -> Preset:
    """A model of the paper in its stages; the first cut it has, or the one of so many stages.

    **Raises:** `LayoutError` naming the models, or the cuts that there are.
    """
    cuts = [row for row in _rows("stage_splits.csv") if row["model"] == model]
    if not cuts:
        raise LayoutError(f"There is no preset {model!r}. The presets are {', '.join(names())}.")
    chosen = [cut for cut in cuts if stages in (None, int(cut["stages"]))]
    if not chosen:
        counts = " or ".join(cut["stages"] for cut in cuts)
        raise LayoutError(
            f"{model} was cut into {counts} stages, not {stages}. Leave the number out, or use one of these."
        )
    cut = chosen[0]
    row = next(row for row in _rows("models.csv") if row["model"] == model)
    count = int(cut["stages"])
    batch, pieces = int(cut["global_batch"]), int(cut["micro_batches"])
    return Preset(
        model=model,
        family=row["family"],
        sizes=dict(item.split("=") for item in row["config"].split()),
        micro_batch=batch // pieces,
        micro_batches=pieces,
        layers=_layers(cut["layers_per_stage"], count),
        submesh=_pair(_SUBMESH, cut["submesh"]),
        logical=_pair(_LOGICAL, cut["logical_mesh"]),
    )


def volume(crossing: dict[str, TensorSpec]) -> int:
    """Bytes of one micro-batch over a boundary, one way, each tensor once."""
    return sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in crossing.values())


def _layers(text: str, stages: int) -> tuple[range, ...]:
    """`"0-6;7-12"`, or how many layers each stage has: `"8;8;8;8"`, `"3 each"`."""
    if text.endswith(" each"):
        counts = [int(text.removesuffix(" each"))] * stages
    elif "-" in text:
        bounds = [_pair(_RANGE, part) for part in text.split(";")]
        return tuple(range(first, last + 1) for first, last in bounds)
    else:
        counts = [int(part) for part in text.split(";")]
    starts = [sum(counts[:stage]) for stage in range(stages)]
    return tuple(range(start, start + count) for start, count in zip(starts, counts, strict=True))


def _pair(pattern: re.Pattern[str], text: str) -> tuple[int, int]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match.group(1)), int(match.group(2))


def _rows(table: str) -> list[dict[str, Any]]:
    text = (importlib.resources.files(__package__) / "_cases" / table).read_text()
    return list(csv.DictReader(text.splitlines()))
