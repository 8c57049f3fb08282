"""What an example needs beside Python, looked for before the first import of it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

INSTALLED_BY = {
    "crossmesh": "the wheel, as the README's section Install says",
    "jax": 'pip install "crossmesh[jax]"',
    "optax": 'pip install "crossmesh[train]"',
    "flax": "pip install flax",
    "matplotlib": 'pip install "crossmesh[plot]"',
    "sklearn": "pip install scikit-learn",
}
"""How each package is installed; an extra of crossmesh is, once crossmesh itself is there."""


def need(*packages: str) -> None:
    """End the program, naming what is missing and how it is installed, unless all packages are there."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        lines = [f"  {package}: {INSTALLED_BY[package]}" for package in missing]
        print("This example needs packages that are not installed here:", *lines, sep="\n", file=sys.stderr)
        raise SystemExit(2)
