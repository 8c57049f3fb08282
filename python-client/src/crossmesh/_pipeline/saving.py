"""Saved training: a folder for each step, in it a file for each stage. Importing it imports JAX.

Every process writes its own stages, whether the disk is shared or not, and each file is there whole or not at all. A
step can be resumed when all processes have it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import ml_dtypes
import numpy as np

from .._errors import LayoutError
from .naming import plain
from .trained import bits_of, is_key, like

if TYPE_CHECKING:
    from .part import Part

Saved = tuple[list[Any], list[Any]]
"""The leaves of a stage's parameters and of its optimizer's state, as they lie in a file."""
VERSION = 1
_STEP = re.compile(r"step-(\d{10})")


def save_parts(directory: Path, step: int, parts: dict[str, Part], digests: dict[str, str]) -> None:
    """Write the parameters and the optimizer's state of stages, by name, after `step` steps.

    **Raises:** `OSError` if it cannot be written; then no file of that step is there by its name.
    """
    folder = _folder(directory, step)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        arrays: dict[str, Any] = {}
        types: dict[str, str] = {}
        for kind, tree in (("params", part.params), ("optimizer", part.opt_state)):
            for number, leaf in enumerate(jax.tree.leaves(tree)):
                value = np.asarray(bits_of(leaf))
                types[f"{kind}/{number}"] = leaf.dtype.name
                # npz knows the types of NumPy alone; others travel as bytes of the same width.
                arrays[f"{kind}/{number}"] = value if value.dtype.kind in "biufc" else value.view(_raw(value.dtype))
        about = {"v": VERSION, "step": step, "stage": digests[name], "types": types}
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        temporary = folder / f".{plain(name)}.{os.getpid()}"
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, about=text, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(_file(folder, name))


def read_parts(directory: Path, step: int, parts: dict[str, Part], digests: dict[str, str]) -> dict[str, Saved]:
    """Read what `save_parts` wrote, changing nothing; `use_saved` takes it.

    **Raises:** `LayoutError` if it is of another stage than this one.
    """
    found: dict[str, Saved] = {}
    for name, part in parts.items():
        path = _file(_folder(directory, step), name)
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]).decode())
            if about["v"] != VERSION or about["stage"] != digests[name]:
                raise LayoutError(
                    f"{path} was saved by another stage {name!r} than this one: shapes or layouts differ. Resume with "
                    "the pipeline that saved it, or start in an empty folder."
                )
            found[name] = (
                _read(part.params, "params", file, about["types"]),
                _read(part.opt_state, "optimizer", file, about["types"]),
            )
    return found


def use_saved(parts: dict[str, Part], saved: dict[str, Saved]) -> None:
    """Give stages the parameters and the optimizer's state that were read."""
    for name, (params, state) in saved.items():
        parts[name].params = _placed(parts[name].params, params)
        parts[name].opt_state = _placed(parts[name].opt_state, state)


def saved_steps(directory: Path, names: list[str]) -> list[int]:
    """The steps for which all these stages have a file here, in ascending order."""
    if not directory.is_dir():
        return []
    found = [(match, entry) for entry in directory.iterdir() if (match := _STEP.fullmatch(entry.name))]
    return sorted(int(match[1]) for match, entry in found if all(_file(entry, name).is_file() for name in names))


def drop_old(directory: Path, names: list[str], keep: int) -> None:
    """Delete these stages' files of all but the last steps, and folders that nobody has files in."""
    for step in saved_steps(directory, names)[:-keep]:
        folder = _folder(directory, step)
        for name in names:
            _file(folder, name).unlink(missing_ok=True)
        if not any(folder.glob("*.npz")):
            shutil.rmtree(folder, ignore_errors=True)


def _folder(directory: Path, step: int) -> Path:
    return directory / f"step-{step:010d}"


def _file(folder: Path, name: str) -> Path:
    """The file of a stage, whose name may have any characters."""
    return folder / f"{plain(name)}.npz"


def _raw(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def _read(tree: Any, kind: str, file: Any, types: dict[str, str]) -> list[Any]:
    """The saved leaves for a tree."""
    leaves = jax.tree.leaves(tree)
    names = [f"{kind}/{number}" for number in range(len(leaves))]
    if sum(name.startswith(kind) for name in types) != len(names):
        raise LayoutError(f"The saved {kind} have another structure. Resume with the optimizer that saved them.")
    found = []
    for name, leaf in zip(names, leaves, strict=True):
        value, expected = file[name], jax.eval_shape(bits_of, leaf).shape
        if value.shape != expected or types[name] != leaf.dtype.name:
            raise LayoutError(
                f"The saved {kind} hold {types[name]}{list(value.shape)} where {leaf.dtype}{list(expected)} is "
                "expected. Resume with the optimizer and model that they were saved by."
            )
        found.append(value if is_key(leaf) else value.view(_dtype(types[name])))
    return found


def _placed(tree: Any, saved: list[Any]) -> Any:
    """Saved leaves in the structure and layouts of a tree."""
    leaves, treedef = jax.tree.flatten(tree)
    pairs = zip(leaves, saved, strict=True)
    return jax.tree_util.tree_unflatten(treedef, [jax.device_put(like(leaf, v), leaf.sharding) for leaf, v in pairs])
