"""The models of the examples by themselves: one model however it is cut, the paper's sizes, the data."""

import math
import sys
from itertools import islice
from pathlib import Path

import jax
import numpy as np
import pytest

from crossmesh import _models

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import gpt3.config
import gpt3.data
import gpt3.model
import u_transformer.config
import u_transformer.data
import u_transformer.model
from training.layers import compose, split

MIB = 2**20


def count(params):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def one_by_one(config, model, stages):
    return model.stages(config, split([1.0] * config.layers, stages))


@pytest.mark.parametrize("example", ["gpt3", "u_transformer"])
def test_parameters_start_the_same_however_the_model_is_cut(example):
    package = sys.modules[example]
    config = package.config.SIZES["tiny"]

    (whole,), last = one_by_one(config, package.model, 1), one_by_one(config, package.model, 3)[-1]

    @jax.jit
    def start(key):
        params = whole.init(key)
        return last.init(key), {name: params[name] for name in last.params}

    jax.tree.map(np.testing.assert_array_equal, *start(jax.random.key(3)))


@pytest.mark.parametrize(
    ("package", "config"),
    [
        (gpt3, gpt3.config.SIZES["tiny"]),
        (u_transformer, u_transformer.config.Config(channels=4, widths=(1, 2), image=4, micro_batch=2, heads=2)),
    ],
    ids=["gpt3", "u_transformer"],
)
def test_a_model_computes_the_same_however_it_is_cut(package, config):
    batch = next(package.data.batches(config, microbatches=1, seed=3))
    data = {name: array[0] for name, array in batch.items()}
    random = np.random.default_rng(3)
    (whole,) = one_by_one(config, package.model, 1)
    params = jax.tree.map(lambda leaf: 0.3 * random.standard_normal(leaf.shape, np.float32), whole.params)
    losses = []
    for stages in (1, 3):
        parts = one_by_one(config, package.model, stages)
        cut = [{name: params[name] for name in part.params} for part in parts]
        assert {name for tree in cut for name in tree} == params.keys()
        losses.append(float(jax.jit(lambda params, data, parts=parts: compose(parts, params, data)["loss"])(cut, data)))
    assert losses == pytest.approx([losses[0]] * 2, rel=1e-5)


@pytest.mark.parametrize(
    ("size", "millions"),
    [("gpt-125m", 125), ("gpt-350m", 356), ("gpt-1.3b", 1316), ("gpt-2.6b", 2651), ("gpt-39b", 39088)],
)
def test_gpt_has_the_parameters_that_its_name_says(size, millions):
    (part,) = gpt3.model.stages(gpt3.config.SIZES[size], [range(gpt3.config.SIZES[size].layers)])
    assert count(part.params) == pytest.approx(millions * 1e6, rel=2e-3)


@pytest.mark.parametrize("size", ["utransformer-470m", "utransformer-1b", "utransformer-2b"])
def test_u_transformer_has_the_parameters_that_its_name_says(size):
    config = u_transformer.config.SIZES[size]
    (part,) = u_transformer.model.stages(config, [range(config.layers)])
    stated = {"470m": 470e6, "1b": 1e9, "2b": 2e9}[size.removeprefix("utransformer-")]
    assert count(part.params) == pytest.approx(stated, rel=0.03)


@pytest.mark.parametrize(
    ("model", "stages"),
    [("gpt-2.6b", 2), ("gpt-1.3b", 2), ("gpt-39b", 16), *((name, 2) for name in _models.names() if name[0] == "u")],
)
def test_what_leaves_a_stage_is_what_the_paper_moved(model, stages):
    preset = _models.preset(model, stages)
    package = gpt3 if preset.family == "gpt" else u_transformer
    config = package.config.SIZES[model]
    assert config.micro_batch == preset.micro_batch
    cut = package.model.cut(model, stages)
    assert tuple(cut) == preset.layers
    crossing = [preset.crossing(boundary) for boundary in range(stages - 1)]
    values = {}
    for part, expected in zip(package.model.stages(config, cut), crossing, strict=False):
        values |= part.outputs
        leaving = {"h" if name[0] == "h" else name: (v.shape, v.dtype) for name, v in part.outputs.items()}
        assert leaving == {name: (spec.shape, spec.dtype) for name, spec in expected.items()}


def test_the_levels_of_a_u_transformer_are_cut_where_the_stages_compute_alike():
    config = u_transformer.config.SIZES["medium"]
    costs = u_transformer.model.costs(config)
    for stages in (2, 3, 4):
        cut = u_transformer.model.cut("medium", stages)
        assert [layer for layers in cut for layer in layers] == list(range(config.layers))
        dearest = max(sum(costs[layer] for layer in layers) for layers in cut)
        assert dearest < 2 * max(max(costs), sum(costs) / stages)


def test_layers_are_cut_into_equal_runs_or_refused():
    assert split([1.0] * 6, 4) == [range(2), range(2, 4), range(4, 5), range(5, 6)]
    assert split([5.0, 1.0, 1.0, 1.0], 2) == [range(1), range(1, 4)]
    for stages in (0, 7):
        with pytest.raises(ValueError, match=f"6 layers cannot be cut into {stages} stages"):
            split([1.0] * 6, stages)


@pytest.mark.parametrize("example", ["gpt3", "u_transformer"])
def test_batches_fit_the_model_and_go_on_where_a_training_stopped(example):
    package = sys.modules[example]
    config = package.config.SIZES["tiny"]
    batches = list(islice(package.data.batches(config, microbatches=3, seed=5), 4))
    expected = {name: ((3, *spec.shape), spec.dtype) for name, spec in package.model.microbatch(config).items()}
    for batch in batches:
        assert {name: (array.shape, array.dtype) for name, array in batch.items()} == expected
    resumed = next(package.data.batches(config, microbatches=3, seed=5, first=3))
    other = next(package.data.batches(config, microbatches=3, seed=6, first=3))
    for name, array in batches[3].items():
        np.testing.assert_array_equal(array, resumed[name])
        assert not np.array_equal(array, batches[2][name])
        assert not np.array_equal(array, other[name])


def test_targets_are_the_bytes_that_follow():
    config = gpt3.config.SIZES["tiny"]
    batch = next(gpt3.data.batches(config, microbatches=2, seed=1))
    np.testing.assert_array_equal(batch["targets"][..., :-1], batch["tokens"][..., 1:])
    text = gpt3.data.corpus().tobytes()
    assert text.index(batch["tokens"][1, 1].astype(np.uint8).tobytes()) >= 0


def test_digits_keep_their_brightness_when_they_are_enlarged():
    small, large = u_transformer.data.images(8), u_transformer.data.images(32)
    assert small.shape == (1797, 8, 8, 1)
    assert large.shape == (1797, 32, 32, 1)
    assert (small.min(), small.max()) == (-1, 1)
    assert np.abs(large).max() <= 1
    np.testing.assert_allclose(large.mean(axis=(1, 2)), small.mean(axis=(1, 2)), atol=0.02)


def test_digits_are_spelled_and_noise_grows_with_time():
    letters = u_transformer.data.spelled(np.array([7, 1]))
    assert [chr(ord("a") + int(place.argmax())) for place in letters[0]] == list("seven")
    assert letters[1].sum() == 3
    image, noise = np.full((3, 2, 2, 1), 0.5, np.float32), np.full((3, 2, 2, 1), -2.0, np.float32)
    mixed = u_transformer.data.mix(image, noise, np.array([0.0, 0.5, 1.0], np.float32))
    np.testing.assert_allclose(mixed[:, 0, 0, 0], [0.5, -1.5 * 0.5**0.5, -2.0], atol=1e-6)
