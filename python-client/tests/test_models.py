"""The paper's models and cuts: what crosses a boundary, from shapes alone."""

import csv
import importlib.resources
import re

import pytest

import crossmesh as cm
from crossmesh import _models

MIB = 2**20


@pytest.mark.parametrize(
    ("model", "stages", "mib"),
    [("gpt-2.6b", 2, 80), ("gpt-2.6b", 4, 40), ("gpt-1.3b", 2, 64), ("gpt-39b", 16, 16), ("utransformer-2b", 2, 304.5)],
)
def test_what_crosses_is_what_the_paper_moved(model, stages, mib):
    preset = _models.preset(model, stages)
    assert preset.stages == stages
    for boundary in range(stages - 1):
        assert _models.volume(preset.crossing(boundary)) == mib * MIB


def test_the_tensors_of_the_u_transformer():
    preset = _models.preset("utransformer-2b")
    assert {name: spec.shape for name, spec in preset.crossing(0).items()} == {
        "h": (64, 4, 4, 2688),
        "skip0": (64, 32, 32, 672),
        "skip1": (64, 16, 16, 1344),
        "skip2": (64, 8, 8, 2688),
    }
    assert str(preset.crossing(0)["h"].dtype) == "float32"
    assert list(_models.preset("utransformer-470m").crossing(0)) == ["h", "skip0", "skip1", "skip2", "skip3"]
    assert _models.preset("utransformer-470m").crossing(0)["h"].shape == (64, 4, 4, 1280)


def test_every_cut_covers_its_model_once():
    text = (importlib.resources.files("crossmesh") / "_cases" / "stage_splits.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        preset = _models.preset(row["model"], int(row["stages"]))
        assert preset.layers[0].start == 0
        assert all(one.stop == other.start for one, other in zip(preset.layers, preset.layers[1:], strict=False))
        depth = int(preset.sizes["layers"]) if preset.family == "gpt" else 13
        assert preset.layers[-1].stop == depth
        assert preset.submesh[0] * preset.submesh[1] == preset.logical[0] * preset.logical[1]
        assert preset.submesh[0] * preset.submesh[1] * preset.stages == int(row["gpus"])
        stated = re.search(r"\(([0-9.]+) MiB\)", row["boundary_tensors_per_micro_batch"])
        if stated:
            assert _models.volume(preset.crossing(0)) == float(stated.group(1)) * MIB


def test_layouts_of_a_stage():
    layout = _models.preset("gpt-2.6b").layout(1, rank=3)
    assert str(layout) == "S0 R R"
    assert layout.mesh.shape == (2, 2)
    assert layout.mesh.hosts == ("s1h0",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _models.preset("gpt-5"), "utransformer-2b"),
        (lambda: _models.preset("gpt-2.6b", 3), "2 or 4 stages, not 3"),
        (lambda: _models.preset("gpt-2.6b").crossing(1), "boundaries 0 to 0, not 1"),
    ],
)
def test_what_there_is_no_preset_for(call, message):
    with pytest.raises(cm.LayoutError, match=message):
        call()
