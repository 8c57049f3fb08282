"""What meshes, layouts, schedules and simulations show of themselves: on a terminal, in a notebook, as pictures."""

import re
import xml.etree.ElementTree as ET

import pytest

import crossmesh as cm
from crossmesh._explain import text

MESH = cm.Mesh((2, 4), ("data", "model"), hosts=["a", "b"])


def on_terminal(thing, width=90):
    return text(thing, width)


def in_notebook(thing):
    """The elements, after a parse that refuses what is not well formed."""
    return ET.fromstring(thing._repr_html_().replace("<br>", "<br/>").replace("&nbsp;", " "))


def cells(thing):
    return [["/".join(cell.itertext()) for cell in row.iter("td")] for row in in_notebook(thing).iter("tr")]


def test_a_mesh_shows_its_devices_and_hosts():
    assert on_terminal(MESH).splitlines() == [
        "Mesh 2x4 of a, b",
        "axis data of 2 down",
        "axis model of 4 across",
        "┌─────┬─────┬─────┬─────┐",
        "│ 0   │ 1   │ 2   │ 3   │",
        "│ a:0 │ a:1 │ a:2 │ a:3 │",
        "├─────┼─────┼─────┼─────┤",
        "│ 4   │ 5   │ 6   │ 7   │",
        "│ b:0 │ b:1 │ b:2 │ b:3 │",
        "└─────┴─────┴─────┴─────┘",
    ]
    assert cells(MESH) == [["0/a:0", "1/a:1", "2/a:2", "3/a:3"], ["4/b:0", "5/b:1", "6/b:2", "7/b:3"]]


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [
        ("S0 S1", [["0/a", "1/a", "2/a", "3/a"], ["4/b", "5/b", "6/b", "7/b"]]),
        ("S0 R", [["0-3/a"], ["4-7/b"]]),
        ("R S1", [["0, 4/a, b", "1, 5/a, b", "2, 6/a, b", "3, 7/a, b"]]),
        ("S10", [["0/a", "4/b", "1/a", "5/b", "2/a", "6/b", "3/a", "7/b"]]),
        ("R R", [["0-7/a, b"]]),
        ("", [["0-7/a, b"]]),
        ("S0 R S1", [["0/a", "1/a", "2/a", "3/a"], ["4/b", "5/b", "6/b", "7/b"]]),
    ],
)
def test_a_layout_shows_who_holds_each_block(spec, blocks):
    sharding = cm.Sharding(MESH, spec)
    assert cells(sharding) == blocks
    page = on_terminal(sharding)
    for block in (block for row in blocks for block in row):
        devices, hosts = block.split("/")
        assert devices in page
        assert hosts in page


def test_the_blocks_are_those_that_jax_shows():
    sharding = cm.Sharding(MESH, "S1 S0")
    tiles = sharding.shards((4, 2))
    for row, line in enumerate(cells(sharding)):
        for column, cell in enumerate(line):
            (device,) = (d for d, box in tiles.items() if box == (slice(row, row + 1), slice(column, column + 1)))
            assert cell.startswith(f"{device}/")


def test_more_than_two_dimensions_are_a_table():
    mesh = cm.Mesh((2, 2, 2), hosts=["a", "b"])
    assert on_terminal(mesh).splitlines()[:4] == [
        "Mesh 2x2x2 of a, b",
        "axis 0  axis 1  axis 2  device  host:index",
        "─" * 42,
        "     0       0       0  0       a:0",
    ]
    sharding = cm.Sharding(mesh, "S0 S1 S2")
    assert "     0            0            1  1        a" in on_terminal(sharding)
    assert cells(sharding)[-1] == ["1", "1", "1", "7", "b"]


def test_axes_of_one_device_are_not_drawn():
    names = tuple(f"axis{n}" for n in range(6))
    mesh = cm.Mesh((1, 2, 1, 1, 4, 1), names, hosts=["a", "b"])
    assert len(cells(mesh)) == 2
    assert "axis axis1 of 2 down" in on_terminal(mesh)


def test_what_does_not_fit_is_a_table_and_what_is_large_is_cut():
    assert "device  host:index" in on_terminal(cm.Mesh((1, 40), hosts=["a"]))
    large = cm.Mesh((64, 64), hosts=[f"h{n}" for n in range(64)])
    assert len(on_terminal(large).splitlines()) < 80
    assert "... and 4,032 more" in on_terminal(large)
    assert "and 61 more" in on_terminal(large)
    assert len(large._repr_html_()) < 20_000


def test_names_are_escaped():
    mesh = cm.Mesh((2,), ("<i>&",), hosts=["<script>alert(1)</script>[red]"])
    for thing in (mesh, cm.Sharding(mesh, "S0")):
        assert "<script" not in thing._repr_html_()
        assert "<i>" not in thing._repr_html_()
        in_notebook(thing)
        assert "<script>alert(1)</script>[red]" in on_terminal(thing, 200)


@pytest.fixture(scope="module")
def schedules():
    return {
        "1f1b": cm.schedule("1f1b", stages=4, microbatches=8),
        "zb-h1": cm.schedule("zb-h1", stages=3, microbatches=6),
        "interleaved-1f1b": cm.schedule("interleaved-1f1b", stages=2, microbatches=4),
        "inference": cm.schedule("gpipe", stages=3, microbatches=4, inference=True),
    }


@pytest.mark.parametrize("name", ["1f1b", "zb-h1", "interleaved-1f1b", "inference"])
def test_a_schedule_shows_the_order_of_its_operations(schedules, name):
    made = schedules[name]
    page = on_terminal(made, 120)
    for stage in range(made.stages):
        line = next(line for line in page.splitlines() if line.startswith(f"stage {stage} "))
        shown = re.findall(r"([FBW])(\d+)", line)
        assert shown == [(op.kind, str(op.microbatch)) for op in made.stage(stage)]
    drawn = in_notebook(made)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}rect"))) == sum(
        len(made.stage(stage)) for stage in range(made.stages)
    )
    assert max(map(len, on_terminal(made, 30).splitlines())) <= 30


def test_a_simulation_shows_its_table_and_its_timeline(schedules):
    result = cm.simulate(schedules["1f1b"], forward=0.01, backward=0.02, transfer=0.008)
    page = on_terminal(result)
    assert result.explain().splitlines()[0] in page
    assert "stage 3" in page
    assert "458 ms across" in page
    assert cells(result)[1:][0] == ["0", "240 ms", "162 ms", "56 ms", "4"]
    assert max(map(len, result.explain(width=40).splitlines())) <= 40


def test_many_operations_are_not_drawn_in_a_page():
    made = cm.schedule("1f1b", stages=80, microbatches=200)
    assert len(made._repr_html_()) < 5000
    assert "16 more stages" in made._repr_html_()
    assert len(on_terminal(made).splitlines()) < 80


def test_pictures_without_a_path_are_figures(schedules, tmp_path):
    from matplotlib.figure import Figure

    src, dst = cm.Sharding(cm.Mesh((2,), hosts=["a", "b"]), "S0"), cm.Sharding(cm.Mesh((2,), hosts=["c", "d"]), "R")
    things = [
        cm.plan((1 << 20,), "int8", src, dst),
        schedules["zb-h1"],
        cm.simulate(schedules["1f1b"], forward=0.01, backward=0.02),
    ]
    for number, thing in enumerate(things):
        figure = thing.plot()
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert thing.plot(tmp_path / f"{number}.png") is not None
        assert (tmp_path / f"{number}.png").stat().st_size > 1000
        with pytest.raises(ValueError, match=r"\.png"):
            thing.plot(tmp_path / "p.xyz")
    assert "in forwards" in next(axes.get_xlabel() for axes in schedules["zb-h1"].plot().axes)


def test_a_plan_is_a_page_for_rich():
    sharding = cm.Sharding(MESH, "S0 R")
    plan = cm.plan((8, 8), "int8", sharding, cm.Sharding(MESH, "R S0"))
    assert on_terminal(plan, 100) == plan.explain()
