"""Rows of an Arrow file as a sequence of objects that are made when they are looked at."""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

ROWS_AT_ONCE = 1024


class Rows(Sequence[T], Generic[T]):
    """The rows of an Arrow file, which is mapped: its directory may go, and what is not read costs nothing.

    Two are equal if their rows are.

    **Arguments:**

    - `path`: the file.
    - `make`: makes the object of a row from its columns' values in order.

    **Raises:** `OSError` if the file cannot be mapped.
    """

    def __init__(self, path: str, make: Callable[..., T]) -> None:
        import pyarrow as pa

        reader = pa.ipc.open_file(pa.memory_map(path))
        self._batches: list[Any] = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._ends = list(itertools.accumulate(batch.num_rows for batch in self._batches))
        self._make = make

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"index {index} of {len(self)} rows")
        number = bisect.bisect_right(self._ends, at)
        batch = self._batches[number]
        row = at - self._ends[number] + batch.num_rows
        return self._make(*(column[row].as_py() for column in batch.columns))

    def __iter__(self) -> Iterator[T]:
        for batch in self._batches:
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                columns = batch.slice(start, ROWS_AT_ONCE).columns
                yield from map(self._make, *(column.to_pylist() for column in columns))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} rows>" if len(self) > 4 else repr(tuple(self))
