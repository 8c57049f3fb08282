"""Trains a U-Transformer in stages to tell the noise of noisy digits, and then lets it write digits.

    python examples/u_transformer/train.py [--size small] [--stages 2] [--schedule eager-1f1b] [--steps 300]

Starts an agent and a process for each stage on this machine. Writes the loss curve, the timeline of a step, digits that
the model has made, a trace for Perfetto, the figures and the parameters into a folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).resolve().parents[1]))

from needs import need

need("crossmesh", "jax", "optax", "flax", "matplotlib", "sklearn")

from rich.console import Console

from training.job import Trained, main
from training.stage import Example
from u_transformer.config import SIZES
from u_transformer.data import batches
from u_transformer.layouts import parts, pipeline
from u_transformer.sample import draw, load, sample

EXAMPLE: Final = Example("u_transformer", SIZES, parts, pipeline, batches, "mean square error of the noise", steps=300)


def show_digits(trained: Trained, console: Console) -> None:
    """Draws digits that the trained model has made."""
    args = trained.args
    with console.status("drawing digits"):
        model = load(args.size, args.stages * args.virtual, trained.directory / "params")
        draw(sample(model, SIZES[args.size], seed=args.seed), trained.directory / "digits.png")


if __name__ == "__main__":
    sys.exit(main(EXAMPLE, Path(__file__).resolve(), __doc__ or "", show_digits))
