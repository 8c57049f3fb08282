"""The backward pass in two parts: the same gradients, nothing computed twice, and whole where it cannot be cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.sharding import NamedSharding, PartitionSpec

from crossmesh._pipeline.backward import Layouts, backward

WIDTH = 16


def block(p, x):
    """A pre-norm attention and MLP block: softmax, jitted library functions, a residual."""
    h = (x - x.mean(-1, keepdims=True)) * p["scale"]
    q, k, v = jnp.split(h @ p["qkv"], 3, -1)
    x = x + jax.nn.softmax(q @ k.swapaxes(-1, -2) / WIDTH**0.5) @ v @ p["out"]
    return x + jax.nn.gelu(x @ p["up"] + p["bias"]) @ p["down"]


def stage(params, inputs):
    x = inputs["x"]
    for p in params:
        x = block(p, x)
    return {"y": x, "skip": inputs["x"] * 2, "length": inputs["n"] + 1, "norm": jnp.sqrt((x**2).mean())}


def parameters(rng, blocks=1):
    shapes = {"scale": (), "qkv": (3 * WIDTH,), "out": (WIDTH,), "up": (32,), "bias": (), "down": (WIDTH,)}
    fan = {"up": (WIDTH, 32), "down": (32, WIDTH), "scale": (WIDTH,), "bias": (32,)}
    return [
        {n: jnp.asarray(rng.normal(size=fan.get(n, (WIDTH, *s))) / 4, jnp.float32) for n, s in shapes.items()}
        for _ in range(blocks)
    ]


def values(rng):
    return {"x": jnp.asarray(rng.normal(size=(4, 8, WIDTH)), jnp.float32), "n": jnp.int32(8)}


def cotangents(rng, outputs, names):
    return {name: jnp.asarray(rng.normal(size=outputs[name].shape), jnp.float32) for name in names}


def reference(fn, params, inputs, given):
    """Gradients by one `jax.vjp`, compiled as one program."""

    @jax.jit
    def both(params, x):
        _, vjp = jax.vjp(lambda p, x: {n: fn(p, inputs | {"x": x})[n] for n in given}, params, x)
        return vjp(given)

    return both(params, inputs["x"])


def products(program):
    """How many matrix products a program has, also inside of calls and loops."""
    return sum(
        (e.primitive.name == "dot_general") + sum(products(body) for body in core.jaxprs_in_params(e.params))
        for e in program.eqns
    )


def products_of(function, *arguments):
    return products(jax.make_jaxpr(function)(*arguments).jaxpr)


def equal(got, expected):
    """Each element, to some units in the last place of the largest one: XLA fuses two programs unlike one."""

    def check(a, b):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6 * float(jnp.abs(b).max()))

    jax.tree.map(check, got, expected)


@pytest.mark.parametrize(("of", "remat"), [(("y",), False), (("norm", "skip", "y"), False), (("norm",), True)])
def test_both_parts_together_are_the_vjp(of, remat):
    rng = np.random.default_rng(1)
    params, inputs = parameters(rng), values(rng)
    parts = backward(stage, params, inputs, of=of, remat=remat)
    assert parts.whole is None
    assert parts.wrt == ("x",)
    outputs, residuals = parts.forward(params, inputs)
    equal(outputs, jax.jit(stage)(params, inputs))
    given = cotangents(rng, outputs, of)
    of_inputs, rest = parts.input_grads(residuals, given)
    of_params, of_x = reference(stage, params, inputs, given)
    equal(of_inputs, {"x": of_x})
    equal(parts.weight_grads(rest), of_params)
    total = jax.tree.map(jnp.ones_like, params)
    equal(parts.add_weight_grads(total, rest), jax.tree.map(lambda g: g + 1, of_params))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(total))


@pytest.mark.parametrize("remat", [False, True])
def test_no_product_is_computed_twice(remat):
    rng = np.random.default_rng(2)
    params, inputs = parameters(rng, blocks=2), values(rng)
    cut, whole = (backward(stage, params, inputs, of=["y"], remat=remat, cut=cut) for cut in (True, False))
    assert whole.whole is not None
    outputs, residuals = cut.forward(params, inputs)
    given = cotangents(rng, outputs, ["y"])
    _, rest = cut.input_grads(residuals, given)
    first, second = products_of(cut.input_grads, residuals, given), products_of(cut.weight_grads, rest)
    assert first + second == products_of(whole.input_grads, residuals, given)
    assert second == 2 * 4  # one for each of a block's matrices
    forwards = 2 * 6
    assert products_of(cut.forward, params, inputs) == forwards
    assert first == 2 * (4 + 4) + (forwards - 1 if remat else 0)  # the last product of the forward pass is not needed


def test_rematerialisation_waits_for_the_cotangent_and_saves_the_inputs_only():
    rng = np.random.default_rng(3)
    params, inputs = parameters(rng), values(rng)
    saved, again = (backward(stage, params, inputs, of=["y"], remat=remat) for remat in (False, True))
    assert again.residual_bytes <= inputs["x"].nbytes + 4
    assert saved.residual_bytes > 8 * inputs["x"].nbytes
    outputs, residuals = again.forward(params, inputs)
    text = jax.jit(again.input_grads).lower(residuals, cotangents(rng, outputs, ["y"])).as_text()
    assert "optimization_barrier" in text


def test_residuals_hold_the_parameters_themselves_and_the_rest_what_it_says():
    rng = np.random.default_rng(4)
    params, inputs = parameters(rng), values(rng)
    parts = backward(stage, params, inputs, of=["y"])
    outputs, residuals = parts.forward(params, inputs)
    places = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(params)}
    assert sum(r.nbytes for r in residuals if r.unsafe_buffer_pointer() not in places) == parts.residual_bytes
    _, rest = parts.input_grads(residuals, cotangents(rng, outputs, ["y"]))
    assert sum(r.nbytes for r in rest if r.unsafe_buffer_pointer() not in places) == parts.rest_bytes


@pytest.mark.parametrize("cut", [True, False])
def test_sharded_arrays_keep_their_layouts(cut):
    rng = np.random.default_rng(5)
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "model"))

    def on(*spec):
        return NamedSharding(mesh, PartitionSpec(*spec))

    layouts = {"scale": on(), "qkv": on(None, "model"), "out": on("model"), "up": on(None, "model")}
    layouts = [layouts | {"bias": on("model"), "down": on("model", None)}]
    params = jax.device_put(parameters(rng), layouts)
    inputs = values(rng)
    inputs = jax.device_put(inputs, {"x": on("data"), "n": on()})
    names = Layouts(layouts, {"x": on("data")}, {"y": on("data", "model"), "skip": on(None, "data")})
    parts = backward(stage, params, inputs, of=["y", "skip"], cut=cut, layouts=names)
    assert (parts.whole is None) == cut
    outputs, residuals = parts.forward(params, inputs)
    assert outputs["y"].sharding == on("data", "model")
    given = cotangents(rng, outputs, ["y", "skip"])
    of_inputs, rest = parts.input_grads(residuals, jax.device_put(given, {n: outputs[n].sharding for n in given}))
    assert of_inputs["x"].sharding == on("data")
    grads = parts.weight_grads(rest)
    of_params, of_x = reference(stage, params, inputs, given)
    equal(grads, of_params)
    equal(of_inputs["x"], of_x)
    total = parts.add_weight_grads(jax.tree.map(jnp.zeros_like, params), rest)
    assert jax.tree.map(lambda g: g.sharding, total) == layouts


def indivisible(params, inputs):
    x, _ = jax.lax.scan(lambda x, _: (x @ params, None), inputs["x"], None, length=2)
    return {"y": x}


@pytest.mark.parametrize(
    ("fn", "options", "why"),
    [(indivisible, {}, "scan yields both"), (stage, {"wrt": []}, "No input"), (stage, {"cut": False}, "asked")],
)
def test_whole_where_it_cannot_be_cut_and_it_says_why(fn, options, why):
    rng = np.random.default_rng(6)
    inputs = values(rng)
    params = jnp.eye(WIDTH) / 3 if fn is indivisible else parameters(rng)
    parts = backward(fn, params, inputs, of=["y"], **options)
    assert why in parts.whole
    outputs, residuals = parts.forward(params, inputs)
    given = cotangents(rng, outputs, ["y"])
    of_inputs, rest = parts.input_grads(residuals, given)
    of_params, of_x = reference(fn, params, inputs, given)
    equal(parts.weight_grads(rest), of_params)
    equal(of_inputs, {"x": of_x} if parts.wrt else {})
    equal(parts.add_weight_grads(jax.tree.map(jnp.zeros_like, params), rest), of_params)


def test_names_and_types_without_gradients_are_refused():
    rng = np.random.default_rng(7)
    params, inputs = parameters(rng), values(rng)
    with pytest.raises(ValueError, match="'z' is an input that the stage does not have"):
        backward(stage, params, inputs, wrt=["z"])
    with pytest.raises(ValueError, match="'length' is an output that the stage has, but whose type is not floating"):
        backward(stage, params, inputs, of=["length"])
    with pytest.raises(TypeError, match=r"Parameter \['n'\] is int32"):
        backward(stage, {"n": jnp.int32(1)}, inputs)
