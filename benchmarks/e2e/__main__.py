"""The command of the benchmark."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from lab.errors import CannotStart, LabError
from lab.system import require_tools

from .measure import measure
from .results import Cell, keep, read

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@app.command("timed")
def timed(
    results: Annotated[Path, typer.Argument(help="Where all numbers are kept, as JSON; cells that are there go.")],
    model: Annotated[str, typer.Option(help="gpt or u_transformer.")] = "u_transformer",
    stages: Annotated[int, typer.Option(help="Stages, each on a host of its own.")] = 2,
    rhos: Annotated[str, typer.Option("--rho", help="2c / T; several, separated by commas.")] = "0.15,0.3,0.6,1.0,1.3",
    repeats: Annotated[int, typer.Option(help="Steps of each method that count; the median is taken.")] = 5,
    traces: Annotated[Path | None, typer.Option(help="Folder for a trace of each method, of the last ratio.")] = None,
    compute: Annotated[float, typer.Option("--compute-ms", help="T: what a micro-batch takes on a stage.")] = 30.0,
) -> None:
    """Run timed stages on a lab."""
    run(results, model, stages, rhos, repeats, jax=False, compute=compute / 1e3, traces=traces)


@app.command("jax")
def computed(
    results: Annotated[Path, typer.Argument(help="Where all numbers are kept, as JSON; cells that are there go.")],
    model: Annotated[str, typer.Option(help="gpt or u_transformer.")] = "u_transformer",
    rhos: Annotated[str, typer.Option("--rho", help="2c / T; several, separated by commas.")] = "0.15,0.3,0.6,1.0,1.3",
    repeats: Annotated[int, typer.Option(help="Steps of each method that count; the median is taken.")] = 5,
) -> None:
    """Run two stages that compute on a lab."""
    run(results, model, 2, rhos, repeats, jax=True)


@app.command("picture")
def picture(
    trace: Annotated[Path, typer.Argument(help="A trace that a run has written.")],
    path: Annotated[Path, typer.Argument(help="The picture, .svg or .png.")],
) -> None:
    """Draw the typical step of a trace."""
    from .plots import draw_step

    draw_step(trace, path)


def run(results: Path, model: str, stages: int, rhos: str, repeats: int, *, jax: bool, **options: Any) -> None:
    """Measure, and keep what was measured however it ends; `options` as in `measure`."""
    require_tools()
    found: list[Cell] = []
    try:
        ratios = [float(rho) for rho in rhos.split(",")]
        measure(model, ratios, stages, repeats, progress, found, jax=jax, **options)
    finally:
        keep(results, found)


@app.command("report")
def show(
    results: Annotated[Path, typer.Argument(help="What a run has written.")],
    plots: Annotated[Path | None, typer.Option(help="Directory for the figures.")] = None,
) -> None:
    """Print the tables and the limits that are missed; status 1 if one is."""
    from .report import misses, tables

    found = read(results)
    print(tables(found))
    if plots is not None:
        from .plots import draw

        draw(found, plots)
    if misses(found):
        raise typer.Exit(1)


def main() -> None:
    """Run; status 2 where the lab cannot be built, 1 where something ended in the middle."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except CannotStart as error:
        progress(str(error))
        sys.exit(2)
    except LabError as error:
        progress(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
