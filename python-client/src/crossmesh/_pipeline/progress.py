"""A progress bar for a training: steps, loss, and where the time of this process goes."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from .stats import StepStats


class Progress:
    """A line that shows how a training gets on. A context manager; call it with the statistics of each step.

    **Arguments:**

    - `steps`: how many there will be.
    - `console`: a `rich.console.Console`; by default standard error.

    !!! Example

        ```python
        with pp.Progress(1000) as show:
            for batch in batches:
                show(trainer.step(batch))
        ```
    """

    def __init__(self, steps: int, *, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console or Console(stderr=True))
        self._task = self._bar.add_task("", total=steps)

    def __call__(self, stats: StepStats) -> None:
        """Show a step."""
        self._bar.update(self._task, completed=stats.step + 1, description=describe(stats))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def describe(stats: StepStats) -> str:
    """A step in one line: the loss, its time, and the shares of the makespan on this process."""
    shares = {"compute": stats.compute, "exposed": stats.exposed, "bubble": stats.bubble}
    parts = " ".join(f"{name} {seconds / stats.makespan:.0%}" for name, seconds in shares.items())
    return f"loss {stats.loss:.4g}  {stats.seconds:.3g} s/step  {parts}  {stats.schedule}"
