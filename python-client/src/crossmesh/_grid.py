"""Who holds what: meshes and layouts as grids, for a terminal and for a notebook.

A grid has at most two dimensions, as in `jax.debug.visualize_array_sharding`; what has another rank, or does not fit,
is a table of its cells.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._sheet import Sheet

if TYPE_CHECKING:
    from ._mesh import Mesh
    from ._sharding import Sharding

# Okabe and Ito's colours, paled so that black text is read on them.
COLOURS = ("#56B4E9", "#E69F00", "#66C2A5", "#E5A6CB", "#F0E442", "#E89A6B", "#B3B3B3", "#B8A3D9")
CELLS_MAX = 1024
ROWS_MAX = 64
HOSTS_SHOWN = 3


@dataclass(frozen=True)
class Cell:
    """A place of the grid: its lines of text, and the number of its colour."""

    at: tuple[int, ...]
    lines: tuple[str, ...]
    colour: int


@dataclass(frozen=True)
class Grid:
    """Cells in row-major order of `shape`, for `rich.print` and notebooks.

    **Arguments:**

    - `title`, `notes`: what stands above it.
    - `shape`: how many cells each dimension has.
    - `axes`: what the table of cells calls the dimensions.
    - `heads`: what it calls the lines of a cell.
    """

    title: str
    notes: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    heads: tuple[str, ...]
    cells: tuple[Cell, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="bold")
        for note in self.notes:
            yield Text(note, style="dim")
        if self.drawn:
            table = Table(show_header=False, show_lines=True, box=box.SQUARE, padding=0)
            for row in self._rows():
                table.add_row(*(_coloured(cell) for cell in row))
            if Measurement.get(console, options.update(max_width=10_000), table).maximum <= options.max_width:
                yield table
                return
        shown = self.cells[:ROWS_MAX]
        sheet = Sheet("", *(f">{axis}" for axis in self.axes), *self.heads, more=len(self.cells) - len(shown))
        for cell in shown:
            sheet.add(*map(str, cell.at), *cell.lines)
        yield from sheet.body(console, options)

    def html(self) -> str:
        """The grid for a notebook."""
        title = f"<b>{html.escape(self.title)}</b>"
        notes = "".join(f"<br>{html.escape(note)}" for note in self.notes)
        if self.drawn:
            rows = (f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in self._rows())
            return f"<div>{title}{notes}<table style='border-collapse:collapse'>{''.join(rows)}</table></div>"
        shown = self.cells[:ROWS_MAX]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in (*self.axes, *self.heads))
        lines = "".join(
            f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in (*cell.at, *cell.lines))}</tr>"
            for cell in shown
        )
        more = len(self.cells) - len(shown)
        rest = f"<p>... and {more:,} more</p>" if more else ""
        return f"<div>{title}{notes}<table><tr>{head}</tr>{lines}</table>{rest}</div>"

    @property
    def drawn(self) -> bool:
        """Whether it is a grid; else it is a table of its cells."""
        return len(_drawn(self.shape)) <= 2 and len(self.cells) <= CELLS_MAX

    def _rows(self) -> Iterator[tuple[Cell, ...]]:
        drawn = _drawn(self.shape)
        across = self.shape[drawn[-1]] if drawn else 1
        return (self.cells[at : at + across] for at in range(0, len(self.cells), across))


def mesh_grid(mesh: Mesh) -> Grid:
    """Which device is where: its index in the mesh, its host and its index there."""
    hosts = {host: number for number, host in enumerate(mesh.hosts)}
    cells = tuple(
        Cell(mesh.coordinates(number), (str(number), f"{device.host}:{device.index}"), hosts[device.host])
        for number, device in enumerate(mesh.devices)
    )
    shape = "x".join(map(str, mesh.shape)) or "1"
    axes = tuple(f"axis {name}" for name in _axes(mesh))
    notes = tuple(f"{axes[axis]} of {mesh.shape[axis]} {way}" for axis, way in _ways(mesh.shape).items())
    return Grid(f"Mesh {shape} of {_listed(mesh.hosts)}", notes, mesh.shape, axes, ("device", "host:index"), cells)


def sharding_grid(sharding: Sharding) -> Grid:
    """Which devices hold each block of a tensor."""
    mesh = sharding.mesh
    names = _axes(mesh)
    parts = tuple(math.prod(mesh.shape[axis] for axis in axes) for axes in sharding.spec)
    held: dict[tuple[int, ...], list[int]] = {at: [] for at in itertools.product(*map(range, parts))}
    for device, bounds in enumerate(sharding.boxes(parts)):
        held[tuple(lo for lo, _ in bounds)].append(device)
    cells = []
    for number, (at, devices) in enumerate(held.items()):
        hosts = list(dict.fromkeys(mesh.devices[device].host for device in devices))
        cells.append(Cell(at, (_ranges(devices), _listed(hosts)), number))
    ways = _ways(parts)
    notes = []
    for dimension, (axes, count) in enumerate(zip(sharding.spec, parts, strict=True)):
        cut = f"in {count} blocks by axis {', '.join(names[axis] for axis in axes)}" if axes else "not cut"
        notes.append(f"dimension {dimension}: {cut}{f', {ways[dimension]}' if dimension in ways and axes else ''}")
    shape = "x".join(map(str, mesh.shape)) or "1"
    title = f"{str(sharding) or 'scalar'} on a mesh {shape} of {_listed(mesh.hosts)}: devices of each block"
    heads = ("devices", "hosts")
    return Grid(title, tuple(notes), parts, tuple(f"dimension {n}" for n in range(len(parts))), heads, tuple(cells))


def _drawn(shape: Sequence[int]) -> list[int]:
    """The dimensions that a grid shows: of more than two those that have more than one place."""
    return [number for number, size in enumerate(shape) if size > 1 or len(shape) <= 2]


def _ways(shape: Sequence[int]) -> dict[int, str]:
    """Which way each dimension runs that a grid shows."""
    drawn = _drawn(shape)
    return dict(zip(drawn, ("down", "across")[-len(drawn) :] if drawn else (), strict=True)) if len(drawn) < 3 else {}


def _axes(mesh: Mesh) -> tuple[str, ...]:
    return mesh.axis_names or tuple(map(str, range(len(mesh.shape))))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - HOSTS_SHOWN
    return ", ".join(names[:HOSTS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _ranges(numbers: Sequence[int]) -> str:
    """`[0, 1, 2, 3, 8]` as `0-3, 8`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(lo) if lo == hi else f"{lo}, {hi}" if hi == lo + 1 else f"{lo}-{hi}" for lo, hi in found)


def _coloured(cell: Cell) -> Padding:
    colour = COLOURS[cell.colour % len(COLOURS)]
    lines = [Text(line if line.isprintable() else repr(line)[1:-1]) for line in cell.lines]
    return Padding(Text("\n").join(lines), (0, 1), style=f"black on {colour}")


def _html_cell(cell: Cell) -> str:
    colour = COLOURS[cell.colour % len(COLOURS)]
    style = f"background:{colour};color:#000;border:1px solid #444;padding:2px 8px;text-align:center"
    return f"<td style='{style}'>{'<br>'.join(html.escape(line) for line in cell.lines)}</td>"
