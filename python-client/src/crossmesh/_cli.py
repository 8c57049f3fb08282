"""The command `crossmesh`."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from . import __version__, _cli_schedule, _explain
from ._errors import CrossmeshError, LayoutError
from ._mesh import Mesh
from ._models import Preset, volume
from ._models import preset as preset_of
from ._plan import Plan
from ._plan import plan as make_plan
from ._sharding import Sharding
from ._spec import TensorSpec
from ._topology import BANDWIDTH, LATENCY, Topology

app = typer.Typer(name="crossmesh", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
bench_app = typer.Typer(no_args_is_help=True, help="Benchmarks, each beside a reference measured in the same run.")
app.add_typer(bench_app, name="bench")
app.command("schedule")(_cli_schedule.command)
console = Console()

VERDICTS = {True: ("ok", "green"), None: ("look", "yellow"), False: ("fails", "red")}
STRATEGIES = "auto, send_recv, local_all_gather, global_all_gather, broadcast or split_broadcast."
WIRES = "tcp or shm (UCX), flight or flight-tls (streams), all over loopback."


def main() -> None:
    """Run the command; failures are one line. Exit status 2 says that the input is wrong, 1 anything else."""
    try:
        app()
    except (CrossmeshError, ImportError, OSError) as error:
        line = f"{type(error).__name__}: {error}"
        Console(stderr=True, soft_wrap=True).print(line, style="red", markup=False, highlight=False)
        sys.exit(2 if isinstance(error, LayoutError) else 1)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Move sharded tensors between device meshes."""
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def plan(
    layouts: Annotated[
        str | None,
        typer.Argument(
            help="Mesh and layout of either side, as in '2x4 S0RR -> 2x4 RS0R' or '2x4@a,b S0 R R -> 1x8@b R R S1'."
        ),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="The whole tensor, as in 1024x1024x512.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Instead of a shape what crosses a boundary of a model of the paper: gpt-2.6b ..."),
    ] = None,
    stages: Annotated[int | None, typer.Option(help="With --model: in how many stages it is cut.")] = None,
    boundary: Annotated[int, typer.Option(help="With --model: between this stage and the next.")] = 0,
    dtype: Annotated[str, typer.Option(help="Its element type, as in int32 or bfloat16.")] = "float32",
    bandwidth: Annotated[str | None, typer.Option(help="Of each NIC and direction; without it 10Gbit/s.")] = None,
    latency: Annotated[float | None, typer.Option(help="Seconds; without it 50e-6.")] = None,
    nics: Annotated[int | None, typer.Option(help="NICs of each host; without it 1.")] = None,
    topology: Annotated[Path | None, typer.Option(help="The network, as Topology.to_file writes it.")] = None,
    strategy: Annotated[str, typer.Option(help=STRATEGIES)] = "auto",
    order: Annotated[str, typer.Option(help="optimal, size, naive, search or greedy.")] = "optimal",
    compare: Annotated[bool, typer.Option("--compare", help="Every strategy with every order beside it.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the timeline of each NIC (.png, .svg, .pdf).")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write the timeline for Perfetto or chrome://tracing.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs.")] = False,
) -> None:
    """Plan a transfer and say what moves, over which hosts, and how long it should take.

    Where no hosts are named, mesh axis 0 is the hosts, and no host is on both sides. With --model the layouts may be
    left out: the paper's meshes, the batch over their data-parallel axis.
    """
    preset = None if model is None else preset_of(model, stages)
    tree, source, destination = wanted(layouts, shape, dtype, preset, boundary)
    hosts = dict.fromkeys(source.mesh.hosts + destination.mesh.hosts)
    if topology is None:
        network = Topology.uniform(
            hosts,
            BANDWIDTH if bandwidth is None else bandwidth,
            LATENCY if latency is None else latency,
            1 if nics is None else nics,
        )
    elif (bandwidth, latency, nics) == (None, None, None):
        try:
            network = Topology.from_file(topology)
        except OSError as error:
            raise LayoutError(f"Cannot read the topology {topology}: {error.strerror}.") from None
    else:
        raise LayoutError("--topology states the NICs of every host. Leave --bandwidth, --latency and --nics out.")
    made: Plan = make_plan(tree, src=source, dst=destination, topology=network, strategy=strategy, order=order)
    if trace is not None:
        made.trace(trace)
    if plot is not None:
        made.plot(plot)
    if as_json:
        document = made.to_json()
        print(json.dumps({"plan": json.loads(document)} | made._compare("all")) if compare else document)  # noqa: T201
    else:
        if preset is not None:
            print(crossing(preset, boundary))  # noqa: T201
        show(made._page("all" if compare else "cheap"))


def wanted(
    layouts: str | None, shape: str | None, dtype: str, preset: Preset | None, boundary: int
) -> tuple[Any, Sharding, Sharding]:
    """The tensors to plan and both layouts, as the options of `plan` say."""
    if preset is not None:
        if shape is not None:
            raise LayoutError("--model says the shapes. Leave --shape out, or --model.")
        tensors = preset.crossing(boundary)
        rank = len(tensors["h"].shape)
        own = (preset.layout(boundary, rank), preset.layout(boundary + 1, rank))
        return tensors, *(both_layouts(layouts) if layouts else own)
    if shape is None or layouts is None:
        raise LayoutError("State layouts and --shape, or --model. For instance '2x4 S0RR -> 2x4 RS0R' --shape 8x8x8.")
    return TensorSpec(sizes(shape), dtype), *both_layouts(layouts)


def crossing(preset: Preset, boundary: int) -> str:
    """What crosses a boundary of a model of the paper: a line for the whole, and one for each tensor."""
    tensors = preset.crossing(boundary)
    whole = f"{volume(tensors) / 2**20:g} MiB of each micro-batch of {preset.micro_batch}"
    lines = [f"{preset.model}, stage {boundary} to {boundary + 1} of {preset.stages}: {whole}"]
    for name, spec in tensors.items():
        extents = "x".join(map(str, spec.shape))
        lines.append(f"  {name}: {extents} {spec.dtype.name}, {volume({name: spec}) / 2**20:g} MiB")
    return "\n".join(lines)


def show(page: RenderableType) -> None:
    """Print a page: in the width of the terminal, or as `explain` gives it where there is none."""
    if console.is_terminal:
        console.print(page)
    else:
        asked = os.environ.get("COLUMNS", "")
        width = int(asked) if asked.isdecimal() and int(asked) > 0 else _explain.WIDTH
        print(_explain.text(page, width), end="")  # noqa: T201


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,  # the agent itself lists its options
    short_help="Run the agent of this host until it is stopped. Its --help lists the options.",
)
def agent(context: typer.Context) -> None:
    """Run the agent of this host until it is stopped, with the options that the agent itself reads and explains."""
    from ._aot import cache_flags, cache_path
    from ._java import find_jar
    from ._jvm import JVM_FLAGS, child_env, java_command, make_class_cache
    from ._private import PrivateDirectory
    from ._ucx import find_ucx

    options = list(context.args)
    if {"--help", "-h", "--version", "-V"} & set(options):
        java = java_command(with_ucx=False)
        os.execve(java[0], [*java, "-jar", str(find_jar()), "agent", *options], child_env())  # noqa: S606
    ucx = find_ucx()
    if not ucx.available and _stated(options, "--transport") is None and _stated(options, "--config") is None:
        lack = f"Without UCX this agent only plans and serves Flight: {ucx.reason}"
        print(f"{lack}; or give all agents --transport flight.", file=sys.stderr, flush=True)  # noqa: T201
        options += ["--transport", "none"]
    directory = PrivateDirectory()
    stated = _stated(options, "--info-file")
    info = Path(stated) if stated is not None else directory.path / "info.json"
    if stated is None:
        options += ["--info-file", str(info)]
    java, jar = java_command(with_ucx=True), find_jar()
    flags = cache_flags(cache_path(Path(java[0]), JVM_FLAGS, jar))
    command = [*java, *flags, f"-Djava.io.tmpdir={directory.path}", "-jar", str(jar), "agent", *options]
    env = child_env() | {key: os.environ[key] for key in ("CROSSMESH_TOKEN",) if key in os.environ}
    make_class_cache(after=info)
    # The agent takes this process's place: signals, exit status and output are its own.
    os.set_inheritable(directory.lock, True)
    os.execve(command[0], command, env)  # noqa: S606


def _stated(options: list[str], name: str) -> str | None:
    """The value of an option of the agent, if the command line has it."""
    for option, following in itertools.pairwise([*options, ""]):
        if option == name:
            return following
        if option.startswith(f"{name}="):
            return option.partition("=")[2]
    return None


@bench_app.command()
def link(
    transport: Annotated[str, typer.Option(help=WIRES)] = "tcp",
    mib: Annotated[int, typer.Option(help="MiB of one transfer.")] = 64,
    steps: Annotated[int | None, typer.Option(help="Transfers of a repeat; by default 3 GiB of them.")] = None,
    depth: Annotated[int, typer.Option(help="Transfers on the wire.")] = 4,
    repeats: Annotated[int, typer.Option(help="Repeats, in turn with the reference.")] = 5,
    write_topology: Annotated[
        Path | None, typer.Option(help="Write what was measured as a topology, for crossmesh plan --topology.")
    ] = None,
    hosts: Annotated[str, typer.Option(help="The hosts of that topology, as in a,b,c.")] = "a,b",
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs.")] = False,
) -> None:
    """One-way bandwidth from agent to agent, arena to arena, beside ucx_perftest."""
    from ._bench import link as measure

    result = measure(transport=transport, nbytes=mib << 20, steps=steps, depth=depth, repeats=repeats)
    if write_topology is not None:
        result.topology([host.strip() for host in hosts.split(",")]).to_file(write_topology)
    if as_json:
        print(json.dumps(result.to_dict()))  # noqa: T201
        return
    table = Table(title=f"One way, {mib} MiB transfers, {depth} on the wire, over {transport}: medians of {repeats}")
    table.add_column("")
    table.add_column("GB/s", justify="right")
    table.add_column("of the reference", justify="right")
    best = result.reference
    for name, rates in result.perftest.items():
        median = sorted(rates)[len(rates) // 2]
        table.add_row(f"ucx_perftest {name}", f"{median:.2f}", "reference" if best and best[0] == name else "")
    ratio = "no ucx_perftest here (apt-get install ucx-utils)" if result.ratio is None else f"{result.ratio:.2f}"
    table.add_row("crossmesh, agent to agent", f"{result.median:.2f}", ratio)
    console.print(table)
    if result.latency is not None:
        console.print(f"One way, a step of few bytes: {_explain.seconds(result.latency)}, with the calls to the agents")


@bench_app.command()
def latency(
    transport: Annotated[str, typer.Option(help=WIRES)] = "shm",
    nbytes: Annotated[int, typer.Option("--bytes", help="Bytes of the tensor.")] = 4096,
    rounds: Annotated[int, typer.Option(help="Timed rounds.")] = 3000,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs.")] = False,
) -> None:
    """A small reshard from send() in one process to recv().result() in another, beside a TCP echo between the two."""
    from ._latency import latency as measure

    result = measure(transport=transport, nbytes=nbytes, rounds=rounds)
    if as_json:
        print(json.dumps(result.to_dict()))  # noqa: T201
        return
    table = Table(title=f"{nbytes} bytes from process to process, agents over {transport}, {rounds} rounds")
    for heading in ("", "reshard, us", "TCP echo, us", "ratio"):
        table.add_column(heading, justify="right")
    for percent in (50, 99):
        ours, plain, ratio = result.at(percent)
        table.add_row(f"p{percent}", f"{ours * 1e6:.0f}", f"{plain * 1e6:.0f}", f"{ratio:.2f}")
    console.print(table)


@bench_app.command()
def many(
    transport: Annotated[str, typer.Option(help=WIRES)] = "tcp",
    count: Annotated[int, typer.Option(help="Tensors in one transfer.")] = 1000,
    kib: Annotated[int, typer.Option(help="KiB of each.")] = 64,
    rounds: Annotated[int, typer.Option(help="Timed rounds.")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs.")] = False,
) -> None:
    """Many small tensors in one transfer, beside one tensor of as many bytes, from send() to recv().result()."""
    from ._many import many as measure

    result = measure(transport=transport, count=count, nbytes=kib << 10, rounds=rounds)
    if as_json:
        print(json.dumps(result.to_dict()))  # noqa: T201
        return
    table = Table(title=f"One transfer over {transport}, medians of {rounds}")
    for heading in ("", "ms", "from", "to"):
        table.add_column(heading, justify="right")
    for name, seconds in ((f"{count} of {kib} KiB", result.many), (f"1 of {count * kib} KiB", result.one)):
        ordered = sorted(1e3 * value for value in seconds)
        table.add_row(name, f"{ordered[len(ordered) // 2]:.1f}", f"{ordered[0]:.1f}", f"{ordered[-1]:.1f}")
    console.print(table)
    console.print(f"ratio {result.ratio:.2f}")


@app.command()
def demo(
    divide: Annotated[int, typer.Option(help="What dimension 0 of every tensor is divided by.")] = 8,
    strategy: Annotated[str, typer.Option(help=STRATEGIES)] = "auto",
    order: Annotated[str, typer.Option(help="optimal, size, naive, search or greedy.")] = "optimal",
) -> None:
    """Move the paper's 15 cases between agents on this machine and check each byte. Exit status 1 if one is wrong."""
    from ._demo import run

    if not run(divide=divide, strategy=strategy, order=order, console=console):
        raise typer.Exit(1)


@app.command()
def doctor(
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Flight door of another agent, as host:port or name=host:port; repeat for several."),
    ] = None,
    token: Annotated[str, typer.Option(envvar="CROSSMESH_TOKEN", help="The cluster's token, to ask peers.")] = "",
) -> None:
    """Say what an installation has and what it lacks. Exit status 1 if planning or moving bytes cannot work."""
    from ._doctor import ask, examine

    findings = []
    for found in itertools.chain(examine(), ask(peer or (), token)):
        findings.append(found)
        word, style = VERDICTS[found.good]
        # Lines are the terminal's to break: what is piped keeps each fact on one line.
        line = Text.assemble((f"{word:5}", style), f" {found.name:16} ", found.text)
        console.print(line, soft_wrap=True)
    if any(found.good is False for found in findings):
        raise typer.Exit(1)


def sizes(text: str) -> tuple[int, ...]:
    """`"2x3"` as `(2, 3)`; `""` is rank 0."""
    try:
        return tuple(int(size) for size in re.split(r"[x,]", text)) if text else ()
    except ValueError:
        raise LayoutError(f"Cannot read the shape {text!r}. Write for instance 1024x1024x512.") from None


def both_layouts(text: str) -> tuple[Sharding, Sharding]:
    """`"2x4 S0RR -> 2x4@x,y RS0R"` as two shardings; hosts that are not named are h0, h1, ..."""
    sides = text.split("->")
    if len(sides) != 2:
        raise LayoutError(f"Cannot read {text!r}. Write source -> destination, for instance '2x4 S0RR -> 2x4 RS0R'.")
    source = layout(sides[0], first=0)
    return source, layout(sides[1], first=len(source.mesh.hosts))


def layout(text: str, first: int) -> Sharding:
    """`"2x4@a,b S0 R R"` as a sharding; without hosts, one for each index of mesh axis 0, numbered from `first`."""
    match = re.fullmatch(r"\s*([0-9x]+)(?:@(\S+))?(?:\s+(.*?))?\s*", text)
    if match is None:
        raise LayoutError(f"Cannot read {text!r}. Write mesh, hosts and layout, for instance '2x4@a,b S0 R R'.")
    mesh, hosts, spec = match.groups()
    shape = sizes(mesh)
    names = hosts.split(",") if hosts else [f"h{first + i}" for i in range(shape[0] if shape else 1)]
    return Sharding(Mesh(shape, hosts=names), spec or "")


if __name__ == "__main__":
    main()
