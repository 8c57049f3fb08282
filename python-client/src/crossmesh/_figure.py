"""Pictures: figures of matplotlib that a notebook shows, and the files they may become."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import CrossmeshError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def picture(width: float, height: float, path: Path | None, error: type[CrossmeshError]) -> Figure:
    """A figure of that many inches.

    **Raises:** `ImportError` saying what to install; `error` for a path whose ending is no format that matplotlib
    writes.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('Pictures need matplotlib. Install it with: pip install "crossmesh[plot]"') from None
    made: Figure = _shown_by_notebooks(Figure)(figsize=(width, height), layout="constrained")
    if path is not None and path.suffix.removeprefix(".").lower() not in made.canvas.get_supported_filetypes():
        raise error(f"Cannot draw into {path.name!r}: name a file that ends in .png, .svg or .pdf.")
    return made


def written(figure: Figure, path: Path | None) -> Figure:
    """The figure, once it is in its file."""
    if path is not None:
        figure.savefig(path, dpi=DPI)
    return figure


@functools.cache
def _shown_by_notebooks(figure: type[Figure]) -> Any:
    """The class with what a notebook asks for, which otherwise takes pyplot and its global figures."""

    class Picture(figure):  # type: ignore[misc, valid-type]
        """A figure that a notebook shows."""

        def _repr_png_(self) -> bytes:
            out = io.BytesIO()
            self.savefig(out, format="png", dpi=DPI)
            return out.getvalue()

    return Picture
