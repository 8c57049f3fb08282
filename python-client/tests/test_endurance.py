"""The long runs, short: many transfers over four agents, and many clients at one."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from endurance import figures, load, transfers

pytestmark = pytest.mark.timeout(120)


def test_transfers_come_right_and_every_process_has_figures():
    marks = transfers.run(160)
    assert list(marks) == ["10%", "50%", "100%"]
    for processes in marks.values():
        assert len(processes) == 8
        assert all(each.files > 0 and each.threads > 0 and each.native_mib > 1 for each in processes.values())
        agents = [each for name, each in processes.items() if name.startswith("agent")]
        assert all(each.heap_mib > 1 and each.arena_mib > 0 for each in agents)
    first, *_, last = marks.values()
    for process, before in first.items():
        # Memory of a process this young still grows; what is counted one by one does not.
        assert last[process].files <= before.files + figures.TOLERANCES["files"], process
        assert last[process].arena_mib <= before.arena_mib + figures.TOLERANCES["arena_mib"], process


def test_what_grows_is_named():
    before = figures.Figures(10, 20, 100.0, 30.0, 1.0, 5.0)
    assert figures.growth(before, before) == []
    (grown,) = figures.growth(before, figures.Figures(50, 20, 100.0, 30.0, 1.0, 5.0))
    assert grown.startswith("files grew from 10.0 to 50.0")


def test_channels_and_clients_get_through(capsys):
    wrong = load.under_load(2.0, channels=8, clients=16)
    assert not [what for what in wrong if "grew" not in what], capsys.readouterr().out


def test_clients_over_their_quota_are_told_so_and_get_through(capsys):
    assert load.over_quota(60, calls=6) == [], capsys.readouterr().out
