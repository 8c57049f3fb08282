"""A table that is read in any width: names stay in one piece, numbers on one line.

Where all columns stand beside each other in the width there is, it is an ordinary table. Where they do not, names stand
on lines of their own above the rest of their row; where that does not fit either, a row is a line of words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = 2
INDENT = 2
TEXT_MIN = 20
"""Words are wrapped in a column that is at least so wide, or as wide as its longest word."""

Cell = str | Text


class Sheet:
    """A table for a rich console.

    **Arguments:**

    - `title`: the line above it.
    - `columns`: the headings. `@` before one says that it holds names, `>` that it holds numbers, which stand right;
        what the others hold may be wrapped between words.
    - `grouped`: in a table a first name that is that of the row above is not repeated.
    - `more`: how many rows are left out, and what they are.
    """

    def __init__(self, title: str, *columns: str, more: int = 0, what: str = "", grouped: bool = False) -> None:
        self.title = title
        self._kinds = [column[0] if column[0] in "@>" else "" for column in columns]
        self._headings = [Text(column.lstrip("@>")) for column in columns]
        self._rows: list[list[Text]] = []
        self._grouped = grouped
        self._caption = f"... and {more:,} more{what}" if more > 0 else ""

    def add(self, *cells: Cell) -> None:
        """Add a row, a cell for each column."""
        self._rows.append([_clean(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="bold")
        yield from self.body(console, options)

    def body(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The table without its title."""
        yield from self._rows_in(console, options)
        if self._caption:
            yield Text(self._caption, style="dim")

    def _rows_in(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width
        every = list(range(len(self._kinds)))
        names = [number for number in every if self._kinds[number] == "@"]
        rest = [number for number in every if number not in names]
        line = "-" if options.ascii_only else "\u2500"
        widths = self._widths(every, width)
        if widths is not None:
            yield from self._lines(console, self._headings, every, widths)
            yield Text(line * _across(widths))
            above = Text()
            for row in self._rows:
                repeated = self._grouped and row[0] == above
                yield from self._lines(console, [Text(), *row[1:]] if repeated else row, every, widths)
                above = row[0]
            return
        widths = self._widths(rest, width - INDENT) if names else None
        if widths is not None:
            yield from self._lines(console, self._headings, rest, widths, INDENT)
            yield Text(line * (INDENT + _across(widths)))
            before: list[Text] = []
            for row in self._rows:
                if before != (before := [row[number] for number in names]):
                    yield from _named(before, width)
                yield from self._lines(console, row, rest, widths, INDENT)
            return
        head = names or every[:1]
        for row in self._rows:
            if names:
                yield from _named([row[number] for number in names], width)
            else:
                yield from _named([self._headings[0] + Text(" ") + row[0]], width)
            told = [number for number in every if number not in head and row[number].plain]
            words: list[Text] = []
            for number in told:
                comma = "," if number != told[-1] else ""
                words += _words(self._headings[number], row[number] + Text(comma), self._kinds[number])
            yield from _filled(words, width - INDENT)

    def _widths(self, columns: Sequence[int], width: int) -> dict[int, int] | None:
        """How wide each of these columns is where all fit, else `None`."""
        most: dict[int, int] = {}
        least: dict[int, int] = {}
        for number in columns:
            cells = [self._headings[number], *(row[number] for row in self._rows)]
            most[number] = least[number] = max(cell.cell_len for cell in cells)
            if not self._kinds[number]:
                word = max((Text(word).cell_len for cell in cells for word in cell.plain.split()), default=0)
                least[number] = min(most[number], max(TEXT_MIN, word))
        over = _across(most) - width
        while over > 0:
            # The widest column that can give way does: down to the next one, or as far as it must.
            giving = [number for number in columns if most[number] > least[number]]
            if not giving:
                return None
            widest = max(giving, key=lambda number: most[number])
            others = [most[number] for number in giving if most[number] < most[widest]]
            step = min(over, most[widest] - max([least[widest], *others]))
            most[widest] -= max(1, step)
            over = _across(most) - width
        return most

    def _lines(
        self, console: Console, row: Sequence[Text], columns: Iterable[int], widths: dict[int, int], indent: int = 0
    ) -> Iterator[Text]:
        cells = []
        for number in columns:
            lines = list(row[number].wrap(console, widths[number])) if widths[number] else []
            cells.append((lines, widths[number], self._kinds[number] == ">"))
        for number in range(max(len(lines) for lines, _, _ in cells)):
            line = Text(" " * indent, end="")
            for column, (lines, wide, right) in enumerate(cells):
                piece = lines[number].copy() if number < len(lines) else Text()
                piece.rstrip()
                pad = " " * max(0, wide - piece.cell_len)
                line.append(" " * (GAP if column else 0))
                line = line + (Text(pad) + piece if right else piece + Text(pad))
            line.rstrip()
            line.end = "\n"
            line.no_wrap = True
            yield line


def shortened(text: Text, width: int) -> Text:
    """The text on one line: one that is too long without its middle."""
    if text.cell_len <= width or width < 8:
        return text
    head = (width - 3) // 2
    tail = width - 3 - head
    return text[:head] + Text("...") + text[len(text) - tail :]


def _named(names: list[Text], width: int) -> Iterator[Text]:
    """The names of a row, on one line where there is room."""
    together = Text(", ").join(names)
    yield from [together] if together.cell_len <= width else (shortened(name, width) for name in names)


def _words(heading: Text, cell: Text, kind: str) -> list[Text]:
    """What may stand on different lines: a number stays with its unit and its heading."""
    return [heading + Text(" ") + cell] if kind else [heading, *cell.split(" ")]


def _filled(words: Iterable[Text], width: int) -> Iterator[Text]:
    """The words on as few lines as they need, indented."""
    line = Text()
    for word in words:
        if line.cell_len and line.cell_len + 1 + word.cell_len > width:
            yield Text(" " * INDENT) + line
            line = Text()
        line = line + Text(" ") + word if line.cell_len else shortened(word, width)
    yield Text(" " * INDENT) + line


def _across(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _clean(cell: Cell) -> Text:
    """The cell as one line; never read as markup."""
    text = cell if isinstance(cell, Text) else Text(cell)
    return text if text.plain.isprintable() else Text(repr(text.plain)[1:-1], style=text.style)
