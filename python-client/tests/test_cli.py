import json

import pytest
from typer.testing import CliRunner

import crossmesh as cm
from crossmesh import _bench, _cli
from crossmesh._bench import LinkResult, _read_perftest
from crossmesh._schedule_text import duration


def run(*arguments):
    return CliRunner().invoke(_cli.app, list(arguments))


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert cm.__version__ in result.output


def test_plan_explains_and_prints_json(tmp_path):
    arguments = ["plan", "2x2@a,b S0 S1 -> 1x4@c R R", "--shape", "8x6", "--dtype", "float32"]
    result = run(*arguments, "--trace", str(tmp_path / "t.json"))
    assert result.exit_code == 0, result.output
    assert "lower bound" in result.output
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    document = json.loads(run(*arguments, "--json").output)
    assert document["bytes_received"]["c"] == 8 * 6 * 4


def test_plan_names_hosts_that_are_not_stated():
    document = json.loads(run("plan", "2x4 S0RR -> 3x4 RS0R", "--shape", "6x9x2", "--json").output)
    assert list(document["bytes_sent"]) == ["h0", "h1", "h2", "h3", "h4"]
    assert document["bytes_received"]["h4"] == 6 * 3 * 2 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1@a RR -> 1@b RR", "--shape", "8y6"], "Cannot read the shape"),
        (["S0 -> 1@b RR", "--shape", "8x6"], "mesh, hosts and layout"),
        (["1@a RR", "--shape", "8x6"], "source -> destination"),
        (["1@a RR -> 1@b RR"], "or --model"),
        (["--model", "gpt-2.6b", "--shape", "8x6"], "Leave --shape out"),
        (["--model", "gpt-5"], "The presets are gpt-2.6b"),
        (["1@a R -> 1@b RR", "--shape", "8x6"], "states 1"),
    ],
)
def test_failures_are_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["crossmesh", "plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        _cli.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_plan_of_a_model_of_the_paper():
    result = run("plan", "--model", "utransformer-2b")
    assert result.exit_code == 0, result.output
    assert "304.5 MiB of each micro-batch of 64" in result.output
    assert "skip0: 64x32x32x672 float32, 168 MiB" in result.output
    assert "80 MiB of each" in run("plan", "--model", "gpt-2.6b").output
    document = json.loads(
        run("plan", "2x2@a S0RR -> 2x2@b S01RR", "--model", "gpt-2.6b", "--stages", "4", "--json").output
    )
    assert document["bytes_received"]["b"] == 40 << 20


COMPARE = ["schedule", "--compare", "--stages", "4", "--microbatches", "16", "--forward", "10ms", "--backward", "20ms",
           "--transfer", "8ms"]  # fmt: skip


@pytest.mark.parametrize("columns", ["80", "120"])
def test_schedules_are_compared(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    result = run(*COMPARE)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= int(columns)
    for name in ("gpipe", "1f1b", "eager-1f1b", "interleaved-1f1b", "zb-h1", "adaptive", "network free"):
        assert name in result.output
    assert "618 ms" in result.output
    assert "…" not in result.output
    numbers = json.loads(run(*COMPARE, "--json").output)
    assert numbers["eager-1f1b"]["makespan"] == pytest.approx(0.618)
    assert numbers["adaptive"]["makespan"] <= min(numbers[name]["makespan"] for name in ("gpipe", "1f1b", "zb-h1"))
    assert numbers["network free"]["makespan"] <= numbers["adaptive"]["makespan"]
    assert "eager-1f1b: needs 7 of memory" in run(*COMPARE, "--memory", "4").output


def test_one_schedule_is_told_and_drawn(tmp_path):
    files = ["--trace", str(tmp_path / "t.json"), "--plot", str(tmp_path / "t.svg")]
    arguments = ["schedule", "zb-h1", "--forward", "10us,20us", "--backward", "20us", "--stages", "2"]
    result = run(*arguments, "--transfer", "8us/6us", *files)
    assert result.exit_code == 0, result.output
    assert "half of the backward" in result.output
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert (tmp_path / "t.svg").read_text().count("<path") > 10
    numbers = json.loads(run(*arguments, "--blocking", "--hosts", "a,b", "--json").output)
    assert numbers["work"] == pytest.approx([16 * 30e-6, 16 * 40e-6])


def test_what_skips_stages_is_stated_and_waited_for():
    arguments = ["schedule", "1f1b", "--stages", "3", "--microbatches", "1", "--json"]
    free, waited = (json.loads(run(*arguments, *skip).output) for skip in ([], ["--skip", "0-2:5ms/7ms"]))
    assert waited["makespan"] - free["makespan"] == pytest.approx(0.004 + 0.005)
    assert "Write 0-3:8ms" in str(run(*arguments, "--skip", "0,2").exception)
    assert "A skip from 0 to 1" in str(run(*arguments, "--skip", "0-1:5ms").exception)
    assert "Name a schedule" in str(run("schedule", "--compare", "--skip", "0-2:5ms").exception)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10ms", 0.01), ("2s", 2.0), ("150us", 150e-6), ("1.5e3 ns", 1.5e-6), ("0", 0.0)]
)
def test_durations(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10 parsecs", "-1ms", "ms", "1,5ms"])
def test_what_is_no_duration(text):
    with pytest.raises(cm.ScheduleError, match="150us"):
        duration(text)


PERFTEST = """
|    Stage     | # iterations | 50.0%ile | average | overall |  average |  overall |  average  |  overall  |
Final:                    10   6974.510 43558.383 43558.383     1469.29    1369.29          23          23
"""


def test_reading_ucx_perftest_and_the_ratio():
    assert _read_perftest(PERFTEST) == pytest.approx(1369.29 * 2**20 / 1e9)
    assert _read_perftest("nothing") is None
    result = LinkResult("tcp", 1, 1, 1, [2.0, 4.0, 3.0], {"tag_bw": [3.0, 4.0, 5.0], "ucp_am_bw": [6.0, 2.0, 2.0]})
    assert result.median == 3.0
    assert result.reference == ("tag_bw", 4.0)
    assert result.to_dict()["ratio"] == 0.75
    assert LinkResult("tcp", 1, 1, 1, [1.0]).to_dict()["ratio"] is None


@pytest.mark.timeout(180)
def test_a_measured_link_is_a_topology_to_plan_with(tmp_path, monkeypatch):
    monkeypatch.setattr(_bench, "WARM_UP_SECONDS", 0.1)
    path = tmp_path / "measured.json"
    small = ["--mib", "1", "--steps", "4", "--repeats", "1", "--depth", "2", "--json"]
    measured = run("bench", "link", *small, "--write-topology", str(path), "--hosts", "a, b,c")
    assert measured.exit_code == 0, measured.output
    found = json.loads(measured.output)
    topology = cm.Topology.from_file(path)
    assert set(topology.hosts) == {"a", "b", "c"}
    assert topology.bandwidth("c") == pytest.approx(found["gb_per_s"] * 1e9)
    assert 0 < topology.hosts["a"][0].latency == found["latency"] < 1
    planned = run("plan", "2@a,b S0 -> 1@c R", "--shape", "4096", "--topology", str(path), "--json")
    assert json.loads(planned.output)["topology"] == json.loads(path.read_text())
