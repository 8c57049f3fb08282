"""What a plan shows of itself: the page, the picture, the trace, the notebook, and the command line."""

import itertools
import json
import re
import struct
import sys
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

import crossmesh as cm
from crossmesh import _cli
from tensors import layouts, rows, shape

BOTH = "2x4 S0RR -> 2x4 RS0R"


def case(name):
    row = next(row for row in rows("paper_n_to_m.csv") + rows("paper_1_to_m.csv") if row["case"] == name)
    return cm.plan(shape(row), row["dtype"], *layouts(row))


def tree_plan(count=3):
    src = cm.Sharding(cm.Mesh((4, 2), hosts=list("abcd")), (0, 1))
    dst = cm.Sharding(cm.Mesh((3, 2), hosts=list("bce")), (1, None))
    tree = {f"layer{i:02}": cm.TensorSpec((256 * (i + 1), 300), "float32") for i in range(count)}
    topology = cm.Topology({host: cm.Nic() for host in "abcde"}, limits={("a", "b"): "5Gbit/s"})
    return cm.plan(tree, src=src, dst=dst, topology=topology)


def command(*arguments):
    return CliRunner().invoke(_cli.app, ["plan", *arguments])


def test_the_page_says_what_a_reader_asks():
    plan = case("6")
    page = plan.explain()
    for part in ("S0 R R on 2x4 of h0, h1", "S0 R R on 3x4 of h2, h3, h4", "3072x1024x170", "int32", "h0 > h2"):
        assert part in page
    for title in ("Tensors (1)", "Unit tasks (4)", f"Moves ({len(plan.moves)})", "Hosts (5)", "Strategy"):
        assert title in page
    assert re.search(r"what is held by h[01] only and must leave: 1020\.0 MiB at 1\.25 GB/s\.", page)
    for name in ("naive", "size", "search", "greedy", "optimal (this plan)", "send_recv", "split_broadcast"):
        assert name in page
    assert all(line == line.rstrip() and len(line) <= 100 for line in page.splitlines())
    assert "\x1b" not in page
    assert "Beside it" not in plan.explain(compare=False)


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_keeps_to_its_width(width):
    assert max(map(len, tree_plan().explain(width=width).splitlines())) <= width


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_names_and_strategies_stay_in_one_piece(width):
    src = cm.Sharding(cm.Mesh((4, 2), ("fsdp", "tp"), hosts=["trainer-0", "trainer-1"]), ("fsdp", "tp"))
    dst = cm.Sharding(cm.Mesh((1, 4), ("fsdp", "tp"), hosts=["engine-0"]), (None, "tp"))
    names = [f"model.layers.{n}.self_attn.{p}_proj.kernel" for n in range(3) for p in "qkvo"]
    tree = {name: cm.TensorSpec((64, 64), "bfloat16") for name in [*names, "model." + "deep." * 40 + "w"]}
    plan = cm.plan(tree, src=src, dst=dst, deadline=1.0)
    page = plan.explain(width=width)
    assert max(map(len, page.splitlines())) <= width
    shown = page[page.index("Strategy") : page.index("Hosts (")]
    for name in names:
        assert f"['{name}']" in shown or width <= len(name) + 4
    for strategy in ("send_recv", "local_all_gather", "global_all_gather", "broadcast", "split_broadcast"):
        assert strategy in shown
        assert strategy in page[page.index("Beside it") :]
    for host in ("trainer-0", "trainer-1", "engine-0"):
        assert host in page[page.index("Hosts (") :]
    assert re.search(r"\['model\.de.*\.\.\..*deep\.w'\]", shown) or width == 200 or width <= 60
    assert not [line for line in page.splitlines() if 0 < len(line) < 5 and not line.startswith("auto")]


def test_shared_limits_and_tensors_have_their_tables():
    page = tree_plan(count=20).explain()
    assert "Shared limits (1)" in page
    assert "a, b" in page
    assert "Tensors (20)" in page
    assert "... and 4 more" in page


def test_a_missed_deadline_is_named():
    src = cm.Sharding(cm.Mesh((2,), hosts=["a", "b"]), "S0 R")
    dst = cm.Sharding(cm.Mesh((2,), hosts=["c", "d"]), "R S0")
    tree = {name: cm.TensorSpec((1024, 1024), "float32") for name in ("first", "later")}
    page = cm.plan(tree, src=src, dst=dst, deadline={"first": 1e-6, "later": 9.0}).explain()
    assert re.search(r"'first'.* ms late +1.0 us ", page)
    assert re.search(r"'later'.* ms +9.000 s ", page)


def test_the_page_of_a_large_plan_is_a_page():
    src = cm.Sharding(cm.Mesh((32, 8), hosts=[f"s{i}" for i in range(32)]), "S01 R")
    dst = cm.Sharding(cm.Mesh((32, 8), hosts=[f"d{i}" for i in range(32)]), "S0 S1")
    plan = cm.plan((8192, 512), "float32", src, dst)
    assert len(plan.explain().splitlines()) < 150
    assert "more than 256 unit tasks unless asked" in plan.explain()
    assert "this plan" in plan.explain(compare=True)


def test_the_trace_has_a_track_for_each_nic_direction(tmp_path):
    plan = case("7")
    plan.trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    hosts = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    tracks = {}
    for event in events:
        if event["ph"] == "X":
            tracks.setdefault((hosts[event["pid"]], named[event["pid"], event["tid"]]), []).append(event)
    crossed = {pair for move in plan.moves for pair in itertools.pairwise(move.route)}
    assert set(tracks) == {(a, "sends") for a, _ in crossed} | {(b, "receives") for _, b in crossed}
    assert ("h0", "sends") in tracks
    for (host, direction), intervals in tracks.items():
        intervals.sort(key=lambda event: event["ts"])
        for before, after in itertools.pairwise(intervals):
            assert before["ts"] + before["dur"] <= after["ts"] * (1 + 1e-9)
        count = (plan.bytes_sent if direction == "sends" else plan.bytes_received)[host]
        assert sum(event["dur"] for event in intervals) == pytest.approx(count / 1.25e9 * 1e6)
        assert intervals[-1]["ts"] + intervals[-1]["dur"] <= plan.makespan * 1e6 * (1 + 1e-9)


def test_limits_have_tracks_of_their_own(tmp_path):
    tree_plan().trace(tmp_path / "t.json")
    names = [event["args"].get("name") for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"]]
    assert "shared limits" in names
    assert "leaving a, b" in names


def test_a_picture_is_drawn(tmp_path):
    plan = case("6")
    plan.plot(tmp_path / "p.png")
    head = (tmp_path / "p.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width > 1000
    assert height > 300
    plan.plot(tmp_path / "p.svg")
    ET.parse(tmp_path / "p.svg")
    assert f"gap to the bound {100 * plan.gap:.2f} %" in (tmp_path / "p.svg").read_text()
    with pytest.raises(cm.LayoutError, match=r"\.png"):
        plan.plot(tmp_path / "p.xyz")


@pytest.mark.parametrize("count", [1, 12])
def test_trees_and_limits_are_drawn(tmp_path, count):
    tree_plan(count).plot(tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text()
    assert "lower bound" in text
    assert "leaving a, b" in text
    assert ("5 others" in text) == (count == 12)


def test_nothing_to_send_is_drawn(tmp_path):
    sharding = cm.Sharding(cm.Mesh((2,), hosts=["a", "b"]), "S0")
    plan = cm.plan((4,), "int8", sharding, sharding)
    plan.plot(tmp_path / "p.png")
    plan.trace(tmp_path / "t.json")
    assert "No byte crosses a NIC" in plan.explain()


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "crossmesh\[plot\]"'):
        case("1").plot(tmp_path / "p.png")


def test_a_notebook_shows_hosts_and_shares():
    plan = case("2")
    shown = plan._repr_html_()
    ET.fromstring(f"<div>{shown.replace('<br>', '<br/>')}</div>")
    assert "<td style='text-align:left'>h3</td>" in shown
    assert "100.0 %" in shown


def test_the_command_compares_every_strategy_with_every_order(tmp_path):
    arguments = [BOTH, "--shape", "64x32x8", "--dtype", "int32", "--compare"]
    shown = command(*arguments, "--plot", str(tmp_path / "p.png"), "--trace", str(tmp_path / "t.json"))
    assert shown.exit_code == 0, shown.output
    assert "optimal (this plan)" in shown.output
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    document = json.loads(command(*arguments, "--json").output)
    ways = {(row["strategy"], row["order"]) for row in document["rows"]}
    assert len(ways) == len(document["rows"]) == 5 * len({strategy for strategy, _ in ways})
    assert {"auto", "send_recv", "broadcast", "split_broadcast"} <= {strategy for strategy, _ in ways}
    assert cm.Plan.from_json(json.dumps(document["plan"])).digest == document["plan"]["digest"]


def test_the_command_takes_the_network_from_a_file(tmp_path):
    racks = cm.Topology({f"h{i}": cm.Nic("100Gbit/s") for i in range(4)}, limits={("h0", "h1"): "10Gbit/s"})
    racks.to_file(tmp_path / "racks.json")
    shown = command(BOTH, "--shape", "64x32x8", "--topology", str(tmp_path / "racks.json"))
    assert shown.exit_code == 0, shown.output
    assert "what must leave the group h0, h1" in shown.output
    assert "Shared limits (1)" in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology", "none.json"], "Cannot read the topology none.json"),
        (["--topology", "racks.json", "--nics", "2"], "Leave --bandwidth"),
        (["--topology", "racks.json"], r"racks.json is no JSON"),
        (["--bandwidth", "fast"], "Cannot read the bandwidth"),
        (["--latency", "-1"], "A latency is a number"),
        (["--nics", "0"], "at least one NIC"),
        (["--strategy", "teleport"], "use one of auto, send_recv"),
        (["--order", "best"], "use one of naive"),
        (["--dtype", "float33"], "float33"),
        (["--plot", "p.xyz"], "ends in .png"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "racks.json").write_text("racks")
    monkeypatch.setattr("sys.argv", ["crossmesh", "plan", BOTH, "--shape", "8x8x8", *arguments])
    with pytest.raises(SystemExit) as ended:
        _cli.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
