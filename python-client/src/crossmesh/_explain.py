"""A plan as a page that a person reads: tables for a terminal, for `print`, and for a notebook.

All numbers come from the planner; nothing is planned or added up here but for shares of the makespan.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ._sheet import Sheet

ROWS = 16
WIDTH = 100

Report = Mapping[str, Any]


def page(report: Report, comparison: Report | None) -> Group:
    """The page, for a rich console.

    **Arguments:**

    - `report`, `comparison`: what the planner says of the plan and of the baselines beside it.
    """
    parts: list[RenderableType] = [heading(report), _request(report), _strategies(report), _hosts(report)]
    if report["limits"]["total"]:
        parts.append(_limits(report))
    parts += [_tasks(report), _moves(report)]
    if comparison is not None:
        parts.append(_beside(report, comparison))
    return Group(*parts)


def text(renderable: RenderableType, width: int = WIDTH) -> str:
    """What a console of that many columns would show, without colours."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False, force_jupyter=False, emoji=False).print(
        renderable
    )
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def heading(report: Report) -> Text:
    """What was planned, how near to the bound it ends, and what the bound is."""
    return Text.assemble(
        (f"Plan {report['digest'][:12]}", "bold"),
        f": strategy {report['strategy']}, order {report['order']}\n",
        (f"makespan {seconds(report['makespan'])}", "bold"),
        f", lower bound {seconds(report['lower_bound'])}, ",
        (f"gap {100 * report['gap']:.2f} %", "green" if report["gap"] < 0.05 else "yellow"),
        f", {size(report['bytes'])} over NICs\n{_why_bound(report['bound'])}\n",
    )


def _why_bound(bound: Report) -> str:
    hosts, rate = bound["hosts"], f"{size(bound['bytes'])} at {speed(bound['bandwidth'])}"
    match bound["kind"]:
        case "ingress":
            return f"The bound is set by what host {hosts} needs and lacks: {rate}."
        case "egress":
            together = " together" if ", " in hosts else ""
            return f"The bound is set by what is held by {hosts} only and must leave: {rate}{together}."
        case "entering":
            return f"The bound is set by what must enter the group {hosts}: {rate} shared."
        case "leaving":
            return f"The bound is set by what must leave the group {hosts}: {rate} shared."
        case _:
            return "No byte crosses a NIC."


def _cut(report: Report, part: str, title: str, *columns: str, rest: str = "") -> tuple[Sheet, list[Report]]:
    rows = report[part]["rows"]
    total = report[part]["total"]
    return Sheet(f"{title} ({total:,})", *columns, more=total - len(rows), what=rest), rows


def _named(report: Report) -> bool:
    """Whether tensors have names worth a column."""
    return bool(report["tensors"]["total"] > 1 or report["tensors"]["rows"][0]["key"])


def _spaced(table: Sheet) -> Group:
    return Group(table, "")


def _request(report: Report) -> RenderableType:
    timed = [">arrives", ">deadline"] if any("deadline" in row for row in report["tensors"]["rows"]) else []
    first = ["@tensor"] if _named(report) else []
    table, rows = _cut(report, "tensors", "Tensors", *first, "shape", "dtype", ">bytes", *timed, "from", "to")
    for row in rows:
        shape = "x".join(map(str, row["shape"])) or "scalar"
        cells: list[str | Text] = [*([row["key"] or "-"] if first else []), shape, row["dtype"], size(row["bytes"])]
        if timed:
            due = row.get("deadline")
            late = due is not None and row["arrives"] > due
            cells.append(Text(seconds(row["arrives"]) + (" late" if late else ""), style="red" if late else ""))
            cells.append("-" if due is None else seconds(due))
        table.add(*cells, _layout(row["src"]), _layout(row["dst"]))
    return _spaced(table)


def _layout(layout: Report) -> str:
    mesh = "x".join(map(str, layout["mesh"])) or "1"
    return f"{layout['spec'] or 'scalar'} on {mesh} of {layout['hosts']}"


def _strategies(report: Report) -> RenderableType:
    rows = report["tensors"]["rows"]
    names = list(dict.fromkeys(c["strategy"] for row in rows for c in row["candidates"]))
    first = ["@tensor"] if _named(report) else []
    columns = [*first, ">chunk", *(f">{name}" for name in names)]
    table, rows = _cut(report, "tensors", "Strategy: predicted time of each tensor alone", *columns)
    for row in rows:
        predicted = {c["strategy"]: c for c in row["candidates"]}
        cells = [Text("too many moves", style="dim") for _ in names]
        for number, name in enumerate(names):
            if name in predicted:
                looked = predicted[name]["considered"]
                shown = seconds(predicted[name]["seconds"])
                if name == row["strategy"]:
                    cells[number] = Text(f"*{shown}", style="green")
                else:
                    cells[number] = Text(shown if looked else f"({shown})", style="" if looked else "dim")
        table.add(*([row["key"] or "-"] if first else []), size(row["chunk_bytes"]), *cells)
    why = f"* was taken: {report['strategy']} was asked for."
    if report["strategy"] == "auto":
        why = "* was taken: auto takes the soonest of those it looks at; those in brackets it does not."
    return Group(table, Text(why, style="dim"), "")


def _hosts(report: Report) -> RenderableType:
    makespan = report["makespan"]
    table, rows = _cut(
        report, "hosts", "Hosts", "@host", "NICs", ">sends", ">busy", ">share", ">receives", ">busy", ">share",
        rest=", less busy",
    )  # fmt: skip
    for row in rows:
        cells = []
        for count in (row["sent"], row["received"]):
            busy = count / row["bandwidth"]
            cells += [size(count), seconds(busy), _share(busy, makespan)]
        nics = f"{row['nics']} x " if row["nics"] > 1 else ""
        table.add(row["host"], f"{nics}{speed(row['bandwidth'] / max(row['nics'], 1))}", *cells)
    return _spaced(table)


def _limits(report: Report) -> RenderableType:
    makespan = report["makespan"]
    table, rows = _cut(
        report, "limits", "Shared limits", "hosts", "both ways", ">leaves", ">busy", ">share", ">enters", ">busy",
        ">share",
    )  # fmt: skip
    for row in rows:
        cells = []
        for count in (row["left"], row["entered"]):
            busy = count / row["bandwidth"]
            cells += [size(count), seconds(busy), _share(busy, makespan)]
        table.add(row["hosts"], speed(row["bandwidth"]), *cells)
    return _spaced(table)


def _share(busy: float, makespan: float) -> str:
    return f"{100 * busy / makespan:.1f} %" if makespan else "-"


def _tasks(report: Report) -> RenderableType:
    first = ["@tensor"] if _named(report) else []
    table, rows = _cut(report, "tasks", "Unit tasks", *first, "slice", ">bytes", "held by devices", "needed by devices")
    for row in rows:
        held, needed = (
            f"{row[k]} on {row[h]}" for k, h in (("holders", "holder_hosts"), ("receivers", "receiver_hosts"))
        )
        table.add(*([row["tensor"]] if first else []), row["slice"], size(row["bytes"]), held, needed)
    return _spaced(table)


def _moves(report: Report) -> RenderableType:
    first = ["@tensor"] if _named(report) else []
    table, rows = _cut(
        report, "moves", "Moves", *first, "slice", ">bytes", ">chunks", ">from", "route", "to devices", ">start", ">end"
    )
    for row in rows:
        hops = row["hops"] + 1 - len(row["route"])
        route = " > ".join(row["route"]) + (f" and {hops} more" if hops > 0 else "")
        table.add(
            *([row["tensor"]] if first else []), row["slice"], size(row["bytes"]), str(row["chunks"]),
            str(row["sender"]), route if row["hops"] else f"inside {route}", row["receivers"],
            seconds(row["start"]), seconds(row["end"]),
        )  # fmt: skip
    return _spaced(table)


def _beside(report: Report, comparison: Report) -> RenderableType:
    if "rows" not in comparison:
        return Text(
            f"The baselines are not planned beside more than {comparison['cheap_tasks']:,} unit tasks unless asked: "
            "explain(compare=True), or crossmesh plan --compare.",
            style="dim",
        )
    return compared(report, comparison)


def compared(report: Report, comparison: Report) -> Group:
    """Other strategies and orders beside the plan, with what they would take."""
    table = Sheet(
        "Beside it: other strategies and orders",
        "@strategy",
        "@order",
        ">makespan",
        ">over bound",
        ">over NICs",
        ">moves",
        grouped=True,
    )
    notes: list[Text] = []
    best = min((row["makespan"] for row in comparison["rows"] if "makespan" in row), default=0)
    for row in comparison["rows"]:
        if "refused" in row:
            table.add(row["strategy"], row["order"], "-", "-", "-", "-")
            notes.append(Text(f"{row['strategy']}, {row['order']}: {row['refused']}", style="dim"))
            continue
        ours = (row["strategy"], row["order"]) == (report["strategy"], report["order"])
        name = f"{row['order']} (this plan)" if ours else row["order"]
        style = "bold" if ours else "green" if row["makespan"] <= best * (1 + 1e-9) else ""
        cells = (seconds(row["makespan"]), f"{row['over_bound']:.3f}", size(row["bytes"]), f"{row['moves']:,}")
        table.add(row["strategy"], Text(name, style=style), *(Text(cell, style=style) for cell in cells))
    return Group(table, *notes)


def notebook(report: Report) -> str:
    """The plan for a notebook: its heading and its hosts, as HTML."""
    lines = "<br>".join(html.escape(line) for line in heading(report).plain.strip().splitlines())
    makespan = report["makespan"]
    rows: list[str] = []
    for row in report["hosts"]["rows"]:
        cells = [f"<td style='text-align:left'>{html.escape(row['host'])}</td>"]
        for count in (row["sent"], row["received"]):
            share = 100 * count / row["bandwidth"] / makespan if makespan else 0
            bar = f"background:linear-gradient(90deg,#9ecae1 {share:.1f}%,transparent {share:.1f}%)"
            cells.append(f"<td style='{bar}'>{size(count)}, {share:.1f} %</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = report["hosts"]["total"] - len(report["hosts"]["rows"])
    rest = f"<p>... and {more:,} hosts more</p>" if more else ""
    head = "".join(f"<th>{name}</th>" for name in ("host", "sends, share of makespan", "receives, share of makespan"))
    return f"<p>{lines}</p><table><tr>{head}</tr>{''.join(rows)}</table>{rest}"


def size(count: float) -> str:
    """Bytes, as in `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} EiB"


def seconds(value: float) -> str:
    """Seconds, as in `12.34 ms`."""
    if value == 0:
        return "0 s"
    if value < 1e-3:
        return f"{value * 1e6:.1f} us"
    return f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.3f} s"


def speed(rate: float) -> str:
    """Bytes per second, as in `1.25 GB/s`."""
    for scale, unit in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
        if rate >= scale:
            return f"{rate / scale:.4g} {unit}"
    return f"{rate:.4g} B/s"
