"""Alpa's stage plans become pipelines: the right layers on the right devices, and the same model however it is cut."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import crossmesh as cm
import crossmesh.pipeline as pp

WIDTH, BATCH, LAYERS = 8, 4, 4


def embed(params, inputs):
    return {"h0": params["table"][inputs["tokens"]]}


def body(number):
    def fn(params, inputs):
        return {f"h{number}": jnp.tanh(inputs[f"h{number - 1}"] @ params["w"]) + inputs[f"h{number - 1}"]}

    return fn


def head(params, inputs):
    """Scores with the embedding's table, and takes what the embedding made past the layers between."""
    scores = (inputs["h2"] + inputs["h0"]) @ params["table"].T
    return {"loss": -jnp.mean(jnp.sum(jax.nn.log_softmax(scores) * jax.nn.one_hot(inputs["targets"], 16), -1))}


def matrix(*shape):
    return jnp.cos(jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)) / 3


LAYERS_OF_MODEL = [
    pp.Layer(
        "embed",
        embed,
        lambda _: {"table": matrix(16, WIDTH)},
        inputs={"tokens": P("data")},
        outputs={"h0": P("data", "model")},
    ),
    *(
        pp.Layer(
            f"body{n}",
            body(n),
            lambda _: {"w": matrix(WIDTH, WIDTH)},
            inputs={f"h{n - 1}": P("data", "model")},
            outputs={f"h{n}": P("data", "model")},
            params={"w": P(None, "model")},
        )
        for n in (1, 2)
    ),
    pp.Layer(
        "head",
        head,
        lambda _: {"table": matrix(16, WIDTH)},
        inputs={"h2": P("data"), "h0": P("data"), "targets": P("data")},
        outputs={"loss": P()},
    ),
]
MICROBATCH = {name: jax.ShapeDtypeStruct((BATCH,), "int32") for name in ("tokens", "targets")}
TIED = [pp.Tied("embed.table", "head.table")]


def losses(plan, hosts):
    pipeline = plan.pipeline(LAYERS_OF_MODEL, hosts=hosts, microbatch=MICROBATCH, tied=TIED)
    training = pp.single(pipeline, microbatches=2, optimizer=optax.sgd(0.3))
    rng = np.random.default_rng(0)
    batch = {name: rng.integers(0, 16, (2, BATCH), np.int32) for name in ("tokens", "targets")}
    return [training.step(batch) for _ in range(4)]


def test_the_model_is_the_same_however_it_is_cut():
    one = losses(pp.StagePlan([range(4)], [(1, 1)], [(1, 1)]), ["a"])
    two = losses(pp.StagePlan([[0, 1], [2, 3]], [(1, 4), (1, 2)], [(2, 2), (1, 2)]), ["a", "b"])
    four = losses(pp.StagePlan([[0], [1], [2], [3]], [(1, 2)] * 4, [(2, 1)] * 4), ["a", "b", "c", "d"])
    assert one[-1] < one[0]
    np.testing.assert_allclose(two, one, rtol=1e-5)
    np.testing.assert_allclose(four, one, rtol=1e-5)


def test_what_crosses_is_what_later_stages_take():
    plan = pp.StagePlan([[0, 1], [2], [3]], [(1, 2)] * 3, [(1, 2)] * 3)
    pipeline = plan.pipeline(LAYERS_OF_MODEL, hosts=["a", "b", "c"], microbatch=MICROBATCH, tied=TIED)
    crossing = {(a, b): [value.name for value in values] for a, b, values in pipeline.pairs}
    assert crossing == {(0, 1): ["h1"], (0, 2): ["h0"], (1, 2): ["h2"]}
    assert str(pipeline.layout(0, pipeline.values["h0"])) == "S0 S1"
    assert str(pipeline.layout(2, pipeline.values["h0"])) == "S0 R"
    assert [tied.paths for tied in pipeline.tied] == [("stage0.embed.table", "stage2.head.table")]


def test_alpas_own_words_are_read():
    stated = {
        "forward_stage_layer_ids": [[0, 1], [2, 3]],
        "submesh_physical_shapes": [(1, 4), (2, 4)],
        "submesh_logical_shapes": [(4, 1), (2, 4)],
    }
    plan = pp.StagePlan([(0, 1), (2, 3)], [(1, 4), (2, 4)], [(4, 1), (2, 4)])
    assert pp.StagePlan.from_alpa(stated) == plan
    assert pp.StagePlan.from_alpa(SimpleNamespace(**stated)) == plan
    assert pp.StagePlan.from_alpa((0.25, *stated.values(), [{}, {}])) == plan
    first, second = plan.meshes(["a", "b", "c"])
    assert first == cm.Mesh((4, 1), ("data", "model"), hosts=["a"])
    assert second == cm.Mesh((2, 4), ("data", "model"), hosts=["b", "c"])
    with pytest.raises(cm.LayoutError, match="forward_stage_layer_ids"):
        pp.StagePlan.from_alpa(object())


def test_small_submeshes_share_a_host():
    plan = pp.StagePlan([[0], [1], [2]], [(1, 2), (1, 2), (1, 4)], [(2, 1), (1, 2), (2, 2)])
    meshes = plan.meshes(["a", "b"], devices_per_host=4)
    assert [[(device.host, device.index) for device in mesh.devices] for mesh in meshes] == [
        [("a", 0), ("a", 1)],
        [("a", 2), ("a", 3)],
        [("b", 0), ("b", 1), ("b", 2), ("b", 3)],
    ]
    straddling = pp.StagePlan([[0], [1]], [(1, 3), (1, 2)], [(3,), (2,)])
    with pytest.raises(cm.LayoutError, match="Stage 1, 1 x 2 devices, does not fit"):
        straddling.meshes(["a", "b"], devices_per_host=4)
    with pytest.raises(cm.LayoutError, match="needs 3 hosts"):
        plan.meshes(["a", "b"])


def test_the_papers_cuts_are_there():
    plan = pp.StagePlan.preset("gpt-2.6b", stages=4)
    assert [len(stage) for stage in plan.layers] == [8, 8, 8, 8]
    assert plan.submeshes == ((1, 2),) * 4
    assert plan.logical == ((2, 1),) * 4


@pytest.mark.parametrize(
    ("layers", "submeshes", "logical", "message"),
    [
        ([[0], [2]], [(1, 1)] * 2, [(1, 1)] * 2, "all from 0 on"),
        ([[0], []], [(1, 1)] * 2, [(1, 1)] * 2, "Each stage has some"),
        ([[0], [1]], [(1, 1)], [(1, 1)] * 2, "2, 1 and 2"),
        ([[0]], [(1, 4)], [(3, 1)], "no mesh of shape"),
        ([[0]], [(4,)], [(4,)], "A submesh is"),
    ],
)
def test_plans_that_are_none_are_refused(layers, submeshes, logical, message):
    with pytest.raises(cm.LayoutError, match=message):
        pp.StagePlan(layers, submeshes, logical)


def test_layers_that_are_not_those_of_the_plan_are_refused():
    plan = pp.StagePlan([[0, 1], [2]], [(1, 1)] * 2, [(1, 1)] * 2)
    with pytest.raises(cm.LayoutError, match="3 layers into stages; there are 4"):
        plan.pipeline(LAYERS_OF_MODEL, hosts=["a", "b"], microbatch=MICROBATCH)
    wrong = [pp.Tied("embed.table", "tail.table")]
    whole = pp.StagePlan([range(4)], [(1, 1)], [(1, 1)])
    with pytest.raises(ValueError, match="no layer 'tail'"):
        whole.pipeline(LAYERS_OF_MODEL, hosts=["a"], microbatch=MICROBATCH, tied=wrong)
