"""Trains a GPT in stages on the sources of Python's standard library.

    python examples/gpt3/train.py [--size small] [--stages 2] [--schedule eager-1f1b] [--steps 300]

Starts an agent and a process for each stage on this machine. Writes the loss curve, the timeline of a step, a trace for
Perfetto, the figures and the parameters into a folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).resolve().parents[1]))

from needs import need

need("crossmesh", "jax", "optax", "flax", "matplotlib")

from gpt3.config import SIZES
from gpt3.data import batches
from gpt3.layouts import parts, pipeline
from training.job import main
from training.stage import Example

EXAMPLE: Final = Example("gpt3", SIZES, parts, pipeline, batches, "cross-entropy of a byte, nats", steps=300)

if __name__ == "__main__":
    sys.exit(main(EXAMPLE, Path(__file__).resolve(), __doc__ or ""))
