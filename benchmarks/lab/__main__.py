"""The command of the lab."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crossmesh._topology import bandwidth

from . import cases as catalogue
from .errors import CannotStart, LabError
from .measure import Result, measure
from .network import Shape
from .report import misses, nic_ratios, table
from .system import require_tools

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(width=None if sys.stdout.isatty() else 150)


def chosen(text: str, known: list[str], what: str) -> list[str]:
    """Those of `known` that a list in text names; `all` is all of them."""
    names = known if text == "all" else [name for name in re.split(r"[,;]\s*", text) if name]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise CannotStart(f"There is no {what} {', '.join(unknown) or 'named'}. Available: {', '.join(known)}.")
    return names


def bits(text: str) -> int:
    """`"500Mbit/s"` in bit/s."""
    return round(bandwidth(text) * 8)


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@app.command("run")
def run_cases(
    rates: Annotated[str, typer.Option("--rate", help="Of each NIC and direction; several, separated by commas.")] = (
        "500Mbit/s,200Mbit/s"
    ),
    cases: Annotated[str, typer.Option(help="Names of cases, or all.")] = "all",
    variants: Annotated[str, typer.Option(help="Names as in the table, or all.")] = "all",
    hosts: Annotated[int, typer.Option(help="Hosts of the lab.")] = 5,
    nics: Annotated[int, typer.Option(help="NICs of each host.")] = 1,
    racks: Annotated[int, typer.Option(help="Racks that the hosts are divided into.")] = 1,
    uplink: Annotated[str, typer.Option(help="Rate of a rack's uplink.")] = "1Gbit/s",
    mib: Annotated[float | None, typer.Option(help="MiB of each tensor, instead of the paper's by 8.")] = None,
    repeats: Annotated[int, typer.Option(help="Steps of each case and variant; the median counts.")] = 3,
    baselines: Annotated[int, typer.Option(help="At most so many of all but auto.")] = 3,
    checksums: Annotated[str, typer.Option(help="The agents' --checksums: on, off or auto.")] = "auto",
    slow: Annotated[float, typer.Option(help="Seconds from which on one step is enough.")] = 10.0,
    results: Annotated[Path | None, typer.Option("--json", help="Where to write all numbers.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Directory for the figures.")] = None,
) -> None:
    """Build a lab, run cases in it, print times over the lower bound, remove the lab. Status 1 if a limit is missed."""
    require_tools()
    known = catalogue.all_cases(mib)
    wanted = chosen(cases, [case.name for case in known], "case")
    available = catalogue.available()
    names = chosen(variants, [variant.name for variant in available], "variant")
    picked = [case for case in known if case.name in wanted]
    need = max(len(set(case.src.mesh.hosts + case.dst.mesh.hosts)) for case in picked)
    if hosts < need:
        raise CannotStart(f"These cases need {need} hosts: --hosts {need}.")
    found: list[Result] = []
    try:
        for rate in rates.split(","):
            measure(
                Shape(hosts, bits(rate), nics, racks, bits(uplink) if racks > 1 else 0),
                picked,
                [variant for variant in available if variant.name in names],
                repeats=repeats,
                baseline_repeats=baselines,
                mib=mib,
                slow_seconds=slow,
                options=["--checksums", checksums],
                say=progress,
                into=found,
            )
    finally:
        if results is not None:
            results.write_text(json.dumps([result.to_dict() for result in found], indent=1) + "\n")
    show(found, plots)


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="What --json wrote; parts of one lab are joined.")],
    plots: Annotated[Path | None, typer.Option(help="Directory for the figures.")] = None,
) -> None:
    """Print and draw results of earlier runs."""
    joined: dict[tuple[Shape, float | None], Result] = {}
    for path in files:
        for value in json.loads(path.read_text()):
            part = Result.from_dict(value)
            before = joined.setdefault((part.shape, part.mib), part)
            if before is not part:
                before.records += part.records
    show(list(joined.values()), plots)


def show(found: list[Result], plots: Path | None) -> None:
    """Tables, figures, and the limits that are missed."""
    said = []
    for result in found:
        console.print(table(result))
        said += [f"{result.shape.rate / 1e6:g} Mbit/s, {line}" for line in misses(result)]
        if plots is not None:
            from .plots import draw

            for path in draw(result, plots):
                console.print(f"drawn: {path}")
    one, two = ([r for r in found if r.shape.nics == n] for n in (1, 2))
    for (rate, case), ratio in nic_ratios(one, two).items():
        console.print(f"two NICs of {rate:g} Mbit/s a host, case {case}: {ratio:.2f} times one")
    for line in said:
        console.print(line, style="red", markup=False)
    if said:
        raise typer.Exit(1)


def main() -> None:
    """Run the command; what it cannot do is one line and status 2, what failed in a run is status 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except LabError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False)
        sys.exit(2 if isinstance(error, CannotStart) else 1)


if __name__ == "__main__":
    main()
