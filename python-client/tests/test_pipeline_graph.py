"""What a pipeline refuses when it is made, naming stage and value; and what it finds."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import crossmesh as cm
import crossmesh.pipeline as pp

X = jax.ShapeDtypeStruct((4, 8), "float32")


def mesh(host, shape=(2, 2)):
    return cm.Mesh(shape, ("x", "y")[: len(shape)], hosts=[host])


def stage(name, host, takes, makes, fn=None, **more):
    """A stage that adds what it takes and gives it under all names."""

    def add(params, inputs):
        total = sum(inputs.values()) + params["b"]
        return {value: total.mean() if value == "loss" else total for value in makes}

    inputs = {value: P("x") for value in takes}
    outputs = {value: P() if value == "loss" else P("x", "y") for value in makes}
    stated = {"mesh": mesh(host), "inputs": inputs, "outputs": outputs} | more
    return pp.Stage(name, fn or add, lambda key: {"b": jnp.zeros(8)}, **stated)


def three(**more):
    return [
        stage("first", "a", ["x"], ["h", "long"]),
        stage("middle", "b", ["h"], ["g"], **more),
        stage("last", "c", ["g", "long"], ["loss"]),
    ]


def test_a_graph_with_a_skip():
    pipeline = pp.Pipeline(three(), {"x": X})
    assert [(a, b, [v.name for v in values]) for a, b, values in pipeline.pairs] == [
        (0, 1, ["h"]),
        (0, 2, ["long"]),
        (1, 2, ["g"]),
    ]
    assert pipeline.loss_part == 2
    assert pipeline.values["g"].spec == cm.TensorSpec((4, 8), "float32")
    assert [process.parts for process in pipeline.processes] == [(0,), (1,), (2,)]


def test_a_constraint_in_a_stage_is_a_hint_to_the_compiler_whatever_jax_takes_by_default():
    from crossmesh._pipeline.layouts import jax_mesh

    seen = []

    def fn(params, inputs):
        seen.append(jax.sharding.get_abstract_mesh())
        return {"h0": jax.lax.with_sharding_constraint(inputs["x"] + params["b"], P(None, "y"))}

    stages = [stage("s0", "a", ["x"], ["h0"], fn), stage("s1", "b", ["h0"], ["loss"])]
    pipeline = pp.Pipeline(stages, {"x": X})
    assert pipeline.values["h0"].spec == cm.TensorSpec((4, 8), "float32")
    assert {one.axis_types for one in (*seen, jax_mesh(mesh("a")))} == {(jax.sharding.AxisType.Auto,) * 2}


def test_stages_on_the_same_devices_share_a_process():
    stages = [stage("s0", "a", ["x"], ["h0"]), stage("s1", "b", ["h0"], ["h1"])]
    stages += [stage("s2", "a", ["h1"], ["h2"]), stage("s3", "b", ["h2"], ["loss"])]
    pipeline = pp.Pipeline(stages, {"x": X})
    assert [process.parts for process in pipeline.processes] == [(0, 2), (1, 3)]
    assert pipeline.virtual == 2
    with pytest.raises(ValueError, match="k % 2"):
        pp.Pipeline([*stages[:3], stage("s3", "a", ["h2"], ["loss"])], {"x": X})


def test_the_digest_is_of_what_is_stated():
    same = [pp.Pipeline(three(), {"x": X}) for _ in range(2)]
    assert same[0].digest == same[1].digest
    for other in (
        pp.Pipeline(three(inputs={"h": P("y")}), {"x": X}),
        pp.Pipeline(three(remat=True), {"x": X}),
        pp.Pipeline(three(), {"x": X}, [pp.Tied("first.b", "last.b")]),
    ):
        assert other.digest != same[0].digest
        assert sum(same[0].statements[key] != digest for key, digest in other.statements.items()) == 1


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([stage("a", "a", ["x", "g"], ["h"]), stage("b", "b", ["h"], ["g", "loss"])], ["cycle", "a > b > a"]),
        ([stage("a", "a", ["x", "h"], ["h", "loss"])], ["'a'", "'h'", "cycle"]),
        ([stage("a", "a", ["h"], ["loss"]), stage("b", "b", ["x"], ["h"])], ["'a'", "'b'", "'h'", "later"]),
        ([stage("a", "a", ["x"], ["h"]), stage("b", "b", ["h", "k"], ["loss"])], ["'k'", "'b'", "microbatch"]),
        ([stage("a", "a", ["x"], ["h"]), stage("b", "b", ["h"], ["h", "loss"])], ["'b'", "'h'"]),
        ([stage("a", "a", ["x"], ["h", "k"]), stage("b", "b", ["h"], ["loss"])], ["'k'", "'a'", "No stage takes"]),
        ([stage("a", "a", ["x"], ["h"]), stage("b", "b", ["h"], [])], ["loss"]),
        ([stage("a", "a", ["x"], ["h"]), stage("a", "b", ["h"], ["loss"])], ["distinct"]),
        ([], ["at least one"]),
    ],
)
def test_graphs_that_are_none(stages, words):
    with pytest.raises(ValueError, match="(?s).*".join(words[:1])) as caught:
        pp.Pipeline(stages, {"x": X})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": {"h": "S0 R S1"}}, ["'middle'", "'h'", "3 dimensions"]),
        ({"mesh": mesh("b", (3, 1))}, ["'middle'", "'h'", "uneven", "'S0 R'", "'first'"]),
        ({"outputs": {"g": P("z")}}, ["'middle'", "'g'", "'z'"]),
        ({"mesh": cm.Mesh((2, 2), ("x", "y"), hosts=["b", "d"])}, ["'middle'", "one host"]),
        (
            {"fn": lambda params, inputs: {"g": inputs["h"] @ jnp.zeros((4, 8))}},
            ["'middle'", "float32[4, 8]", "'first'", "P('x', 'y')", "P('x',)"],
        ),
        ({"fn": lambda params, inputs: {"k": inputs["h"]}}, ["'middle'", "['k']", "['g']"]),
    ],
)
def test_layouts_and_shapes_that_do_not_fit(change, words):
    with pytest.raises(cm.LayoutError) as caught:
        pp.Pipeline(three(**change), {"x": X})
    for word in words:
        assert word in str(caught.value)


def test_parameters_that_cannot_be_tied():
    with pytest.raises(ValueError, match="no parameter 'c'"):
        pp.Pipeline(three(), {"x": X}, [pp.Tied("first.b", "last.c")])
    with pytest.raises(ValueError, match="no stage 'end'"):
        pp.Pipeline(three(), {"x": X}, [pp.Tied("first.b", "end.b")])
    with pytest.raises(ValueError, match="two or more"):
        pp.Tied("first.b")


def test_a_batch_that_is_not_what_was_stated():
    import optax

    one = pp.single(pp.Pipeline(three(), {"x": X}), microbatches=2, optimizer=optax.sgd(0.1))
    with pytest.raises(cm.LayoutError, match=r"'first'.*'x'.*\(2, 4, 8\).*none"):
        one.step({})
    with pytest.raises(cm.LayoutError, match=r"\(2, 4, 7\)"):
        one.step({"x": np.zeros((2, 4, 7), np.float32)})
    with pytest.raises(pp.NonFiniteLoss):
        one.step({"x": np.full((2, 4, 8), np.nan, np.float32)})
    before = one.params["last"]["b"].copy()
    assert one.step({"x": np.ones((2, 4, 8), np.float32)}) == pytest.approx(2.0)
    np.testing.assert_allclose(one.params["last"]["b"], before - 0.1 / 8, rtol=1e-6)


def test_what_is_compiled_does_not_hold_the_parameters():
    import optax

    pipeline = pp.Pipeline(three(), {"x": X})
    one = pp.single(pipeline, microbatches=1, optimizer=optax.sgd(0.1))
    one.step({"x": np.ones((1, 4, 8), np.float32)})
    parameter = weakref.ref(one.params["first"]["b"])
    del one
    gc.collect()
    assert parameter() is None


def test_the_time_of_a_transfer_is_that_in_which_the_link_is_busy():
    from crossmesh._pipeline.running import busy

    def each(made, arrived):
        return busy(np.array(made, float), np.array(arrived, float)) / len(made)

    assert each([0, 10, 20], [5, 15, 25]) == 5  # alone on the link
    assert each([0, 1, 2], [5, 10, 15]) == 5  # one waits for the other
    assert each([0, 0, 0], [15, 15, 15]) == 5  # all share the link
    assert each([0, 1], [6, 5]) == 3  # the second overtakes the first
