"""What people hand to a pipeline: parameters that are no weights, batches as lists, stages with any name."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import crossmesh as cm
import crossmesh.pipeline as pp
import pipeline_toy as toys
from crossmesh._pipeline.naming import plain
from crossmesh._pipeline.saving import read_parts, save_parts, saved_steps, use_saved

ROWS = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 4, 8)
X = jax.ShapeDtypeStruct((4, 8), "float32")


def only(init, fn=None, name="only", microbatch=X, **more):
    def mean(params, inputs):
        return {"loss": jnp.mean((inputs["x"] @ params["w"] - 2) ** 2)}

    stage = pp.Stage(
        name, fn or mean, init, mesh=cm.Mesh((2, 2), ("x", "y"), hosts=["a"]),
        inputs={"x": P("x")}, outputs={"loss": P()}, **more,
    )  # fmt: skip
    return pp.Pipeline([stage], {"x": microbatch})


def single(pipeline, optimizer=None, **more):
    return pp.single(pipeline, microbatches=2, optimizer=optimizer or optax.adam(1e-2), **more)


EXTRA = {
    "table": lambda key: jnp.arange(8)[::-1],
    "mask": lambda key: jnp.ones(8, bool),
    "counter": lambda key: 3,
    "flag": lambda key: True,
    "bytes": lambda key: jnp.arange(8, dtype="uint8"),
    "quantised": lambda key: jnp.ones((8, 8), "int4"),
    "key": lambda key: key,
    "keys": lambda key: jax.random.split(key, 4),
    "raw key": lambda key: jax.random.key_data(key),
    "other key": lambda key: jax.random.key(7, impl="rbg"),
    "nested": lambda key: {"a": [jnp.arange(3), jnp.zeros(8)], "b": (key, None)},
}


@pytest.mark.parametrize("name", EXTRA)
def test_a_parameter_without_a_gradient_stays_while_the_rest_trains(name, tmp_path):
    made = EXTRA[name](jax.random.fold_in(jax.random.key(0), 0))
    one = single(only(lambda key: {"w": jnp.eye(8), name: EXTRA[name](key)}), optax.adamw(1e-2), clip_norm=1.0)
    plain_one = single(only(lambda key: {"w": jnp.eye(8)}), optax.adamw(1e-2), clip_norm=1.0)
    losses = [one.step({"x": ROWS}) for _ in range(3)]
    assert losses == [plain_one.step({"x": ROWS}) for _ in range(3)]
    assert losses[2] < losses[0]
    before, after = toys.flat({"": jax.tree.map(jnp.asarray, made)}), toys.flat({"": one.params["only"][name]})
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, strict=True)
    # It is saved and read like the others.
    parts = {"only": next(iter(one._core.parts.values()))}
    save_parts(tmp_path, 3, parts, {"only": "d"})
    one.step({"x": ROWS})
    use_saved(parts, read_parts(tmp_path, 3, parts, {"only": "d"}))
    assert one.step({"x": ROWS}) == plain_one.step({"x": ROWS})
    again = toys.flat({"": one.params["only"][name]})
    for path, value in before.items():
        np.testing.assert_array_equal(again[path], value, strict=True)


def test_such_a_parameter_is_an_argument_of_the_stage_and_trains_what_it_selects():
    def init(key):
        return {"w": jax.random.normal(key, (8, 8)), "order": jnp.arange(8)[::-1], "mask": jnp.arange(8) < 6}

    def fn(params, inputs):
        x = jnp.where(params["mask"], inputs["x"], 0)[:, params["order"]]
        return {"loss": jnp.mean((x @ params["w"] - 1) ** 2)}

    one = single(only(init, fn), optax.sgd(0.1))
    params = init(jax.random.fold_in(jax.random.key(0), 0))
    expected = []
    for _ in range(3):
        loss, gradient = jax.value_and_grad(
            lambda w, params=params: sum(fn(params | {"w": w}, {"x": x})["loss"] for x in ROWS) / 2
        )(params["w"])
        expected.append(float(loss))
        params["w"] = params["w"] - 0.1 * gradient
    assert [one.step({"x": ROWS}) for _ in range(3)] == pytest.approx(expected, rel=1e-5)


def test_an_optimizer_sees_paths_and_no_parameter_that_does_not_train():
    seen = []
    decay = optax.masked(optax.add_decayed_weights(0.1), lambda params: jax.tree.map(lambda w: w.ndim > 1, params))

    def init(params):
        seen.extend(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params))
        return optax.EmptyState()

    look = optax.GradientTransformation(init, lambda updates, state, params: (updates, state))
    one = single(only(lambda key: {"w": jnp.eye(8), "n": jnp.int32(1)}), optax.chain(look, decay, optax.sgd(0.1)))
    assert one.step({"x": ROWS}) > one.step({"x": ROWS})
    assert seen == ["['w']"]


def test_a_stage_whose_parameters_are_all_whole_numbers():
    def fn(params, inputs):
        return {"loss": jnp.mean(inputs["x"] * params["order"])}

    one = single(only(lambda key: {"order": jnp.arange(8)}, fn), clip_norm=1.0)
    assert one.step({"x": ROWS}) == one.step({"x": ROWS})


def test_whole_numbers_of_few_bits_have_no_gradient_between_stages():
    mesh = cm.Mesh((1,), hosts=["a"])
    first = pp.Stage(
        "first", lambda params, inputs: {"q": inputs["x"].astype("int4"), "h": inputs["x"] * params}, lambda key: 2.0,
        mesh=mesh, inputs={"x": None}, outputs={"q": None, "h": None},
    )  # fmt: skip
    last = pp.Stage(
        "last", lambda params, inputs: {"loss": (inputs["h"] * inputs["q"].astype("float32")).mean()}, lambda key: (),
        mesh=mesh, inputs={"h": None, "q": None}, outputs={"loss": None},
    )  # fmt: skip
    pipeline = pp.Pipeline([first, last], {"x": X})
    assert not pipeline.values["q"].has_gradient
    assert pipeline.values["q"].spec.dtype == ml_dtypes.int4
    one = single(pipeline)
    assert one.step({"x": 3 * ROWS}) > one.step({"x": 3 * ROWS})


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda x: jax.random.key(0), ["'first'", "'h'", "key_data"]),
        (lambda x: (x, x), ["'first'", "'h'", "tuple", "name of its own"]),
        (lambda x: None, ["'first'", "'h'", "NoneType"]),
    ],
)
def test_a_value_that_is_no_array_is_refused_by_name(output, words):
    mesh = cm.Mesh((1,), hosts=["a"])
    first = pp.Stage(
        "first", lambda params, inputs: {"h": output(inputs["x"])}, lambda key: (),
        mesh=mesh, inputs={"x": None}, outputs={"h": None},
    )  # fmt: skip
    last = pp.Stage(
        "last", lambda params, inputs: {"loss": inputs["h"].mean()}, lambda key: (),
        mesh=mesh, inputs={"h": None}, outputs={"loss": None},
    )  # fmt: skip
    with pytest.raises(cm.LayoutError) as caught:
        pp.Pipeline([first, last], {"x": X})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("stated", [[4, 8], "float32", jax.eval_shape(lambda: jax.random.key(0))])
def test_data_that_is_stated_as_no_array_is_refused_by_name(stated):
    with pytest.raises(cm.LayoutError, match="microbatch, value 'x'"):
        only(lambda key: {"w": jnp.eye(8)}, microbatch=stated)


def test_a_list_of_microbatches_trains_as_their_array():
    pipeline = only(lambda key: {"w": jnp.eye(8)})
    ways = [{"x": ROWS}, {"x": list(ROWS)}, {"x": tuple(map(jnp.asarray, ROWS))}, {"x": jnp.asarray(ROWS)}]
    assert len({single(pipeline).step(batch) for batch in ways}) == 1


def gone():
    array = jnp.asarray(ROWS)
    array.delete()
    return array


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"x": [ROWS[0], ROWS[1][:2]]}, ["micro-batch 1", "(2, 8)", "pad or drop"]),
        ({"x": [ROWS[0]]}, ["a list of 1"]),
        ({"x": ROWS.tolist()}, ["micro-batch 0", "list", "np.asarray(value, 'float32')"]),
        ({"x": [ROWS[0], None]}, ["micro-batch 1", "NoneType"]),
        ({"x": ROWS[:, :3]}, ["(2, 3, 8)"]),
        ({"x": ROWS.astype("float64")}, ["float64", "Convert"]),
        ({"x": ROWS.astype(">f4")}, [">f4", "Convert"]),
        ({"x": ROWS.astype(object)}, ["object"]),
        ({"x": iter(ROWS)}, ["iterator", "np.asarray"]),
        ({"x": jax.ShapeDtypeStruct((2, 4, 8), "float32")}, ["ShapeDtypeStruct"]),
        ({"x": 1.0}, ["float", "np.asarray"]),
        ({"x": gone()}, ["donated or deleted"]),
        ({"y": ROWS}, ["has none", "['y']"]),
        ({}, ["has none"]),
        (ROWS, ["ndarray", "dictionary"]),
        ([ROWS], ["list", "dictionary"]),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_by_name_and_the_next_one_trains(batch, words):
    one = single(only(lambda key: {"w": jnp.eye(8)}))
    with pytest.raises(pp.BatchRefused) as caught:
        one.step(batch)
    for word in ("'only'", "'x'", "(2, 4, 8)", "float32", *words):
        assert word in str(caught.value)
    assert one.step({"x": ROWS}) > 0


NAMES = [
    "a/b",
    "../up",
    "/root",
    "a\\b",
    "a>b",
    "50%",
    "50%2F",
    "näme",
    "two words",
    "nul\0",
    "tab\t",
    "x" * 300,
    "-n",
    "~",
    "[red]",
]


def test_stages_of_any_name_are_saved_and_loaded(tmp_path):
    assert len({plain(name) for name in NAMES} | {"a%2Fb", "x" * 299}) == len(NAMES) + 1
    assert plain("decoder_3-a") == "decoder_3-a"
    for name in (n for n in NAMES if "." not in n):
        one = single(only(lambda key: {"w": jnp.eye(8)}, name=name))
        one.step({"x": ROWS})
        parts = {name: next(iter(one._core.parts.values()))}
        save_parts(tmp_path, 1, parts, {name: "d"})
        assert saved_steps(tmp_path, [name]) == [1]
        assert read_parts(tmp_path, 1, parts, {name: "d"}).keys() == {name}
    files = list(tmp_path.rglob("*"))
    assert len(files) == len(NAMES)  # a folder, and a file for each name but the one with dots


@pytest.mark.parametrize("name", ["", "a.b", 3, None])
def test_names_that_stages_cannot_have(name):
    with pytest.raises(ValueError, match="distinct names without dots"):
        only(lambda key: {"w": jnp.eye(8)}, name=name)
