import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

import crossmesh as cm
from crossmesh import _tree
from crossmesh._spec import as_dtype, resolve

Pair = namedtuple("Pair", ["first", "second"])


@pytest.fixture
def sharding():
    return cm.Sharding(cm.Mesh((2,), hosts=["a"]), PartitionSpec())


@pytest.mark.parametrize(
    "name",
    ["bool", "int8", "uint64", "float16", "float64", "complex64", "bfloat16", "float8_e4m3fn", "int4", "float4_e2m1fn",
     "datetime64[ns]", "timedelta64[s]", "float128", "complex256"],
)  # fmt: skip
def test_dtypes_by_name(name):
    assert as_dtype(name).name == name
    assert as_dtype(as_dtype(name)) == as_dtype(name)


@pytest.mark.parametrize("dtype", [object, "U3", "S4", [("x", "i4")], ">i4", "nonsense", "V8"])
def test_dtypes_that_cannot_travel(dtype):
    with pytest.raises(cm.LayoutError):
        as_dtype(dtype)


def test_prng_keys_are_refused_with_a_way_out():
    with pytest.raises(cm.LayoutError, match="key_data"):
        resolve(jax.random.key(0), cm.Sharding(cm.Mesh((1,), hosts=["a"]), ""), "source")


def test_tensor_spec():
    spec = cm.TensorSpec([2, 3], "bfloat16")
    assert spec.shape == (2, 3)
    assert spec.dtype == ml_dtypes.bfloat16
    assert spec == cm.TensorSpec((2, 3), ml_dtypes.bfloat16)
    with pytest.raises(cm.LayoutError, match="at most 8"):
        cm.TensorSpec((1,) * 9, "int8")
    with pytest.raises(cm.LayoutError, match="negative"):
        cm.TensorSpec((-1,), "int8")


TREES = [
    np.zeros(2),
    {"b": 1, "a": [2, (3, None)]},
    Pair(1, {"x": [2]}),
    OrderedDict([("z", 1), ("a", 2)]),
    defaultdict(int, {"z": 1, "a": 2}),
    [None, (), {}, 5],
    None,
]


def as_arrays(tree):
    return jax.tree.map(lambda leaf: np.full(2, leaf) if isinstance(leaf, int) else leaf, tree)


@pytest.mark.parametrize("tree", [as_arrays(tree) for tree in TREES])
def test_own_walk_agrees_with_jax(tree, monkeypatch):
    keys, leaves, treedef = _tree.flatten(tree)
    monkeypatch.setattr(_tree, "jax_if_imported", lambda: None)
    own_keys, own_leaves, own_treedef = _tree.flatten(tree)
    assert own_keys == keys
    assert all(a is b for a, b in zip(own_leaves, leaves, strict=True))
    for rebuilt in (treedef.unflatten(leaves), own_treedef.unflatten(leaves)):
        assert type(rebuilt) is type(tree)
        assert all(a is b for a, b in zip(treedef.flatten_up_to(rebuilt), leaves, strict=True))
        assert all(a is b for a, b in zip(own_treedef.flatten_up_to(rebuilt), leaves, strict=True))


@pytest.mark.parametrize("with_jax", [True, False])
def test_prefix_layouts(with_jax, monkeypatch, sharding):
    if not with_jax:
        monkeypatch.setattr(_tree, "jax_if_imported", lambda: None)
    other = cm.Sharding(sharding.mesh, (0,))
    tree = {"a": [np.zeros(2), np.zeros(2)], "b": np.zeros(2)}
    leaves, _ = resolve(tree, {"a": sharding, "b": other}, "source")
    assert [str(leaf.sharding) for leaf in leaves] == ["R", "R", "S0"]
    assert [leaf.key for leaf in leaves] == ["['a'][0]", "['a'][1]", "['b']"]
    leaves, _ = resolve(tree, {"a": [other, sharding], "b": other}, "source")
    assert [str(leaf.sharding) for leaf in leaves] == ["S0", "R", "S0"]
    for bad in ({"a": sharding}, [sharding, other], {"a": [sharding], "b": other}):
        with pytest.raises(cm.LayoutError):
            resolve(tree, bad, "source")


@pytest.mark.parametrize("with_jax", [True, False])
def test_send_trees_are_read_up_to_the_stated_structure(with_jax, monkeypatch):
    if not with_jax:
        monkeypatch.setattr(_tree, "jax_if_imported", lambda: None)
    _, _, treedef = _tree.flatten({"w": np.zeros(2), "b": (np.zeros(1),)})
    tiles = {0: np.zeros(1), 1: np.ones(1)}
    assert treedef.flatten_up_to({"w": tiles, "b": ({0: 1},)}) == [{0: 1}, tiles]
    for bad in ({"w": tiles}, [tiles], {"w": tiles, "b": tiles}, {"w": tiles, "b": ()}):
        with pytest.raises(cm.LayoutError):
            treedef.flatten_up_to(bad)


def test_layouts_that_the_leaves_carry(sharding):
    tree = {"a": cm.TensorSpec((4,), "int8", sharding), "b": cm.TensorSpec((2, 2), "int8", sharding)}
    leaves, _ = resolve(tree, None, "source")
    assert [str(leaf.sharding) for leaf in leaves] == ["R", "R R"]
    named = NamedSharding(jax.make_mesh((4,), ("x",)), PartitionSpec("x"))
    leaves, _ = resolve(jax.device_put(jnp.zeros(8), named), None, "source", ["h"])
    assert leaves[0].named is named
    assert leaves[0].sharding.mesh.hosts == ("h",)
    assert leaves[0].key == ""


def test_refusals_name_the_tensor(sharding):
    with pytest.raises(cm.LayoutError, match=r"No layout is stated for tensor \['w'\] of shape \(2,\)"):
        resolve({"w": np.zeros(2)}, None, "source")
    with pytest.raises(cm.LayoutError, match=r"source layout of tensor \['w'\] of shape \(2, 2\).*states 1"):
        resolve({"w": np.zeros((2, 2))}, cm.Sharding(sharding.mesh, "S0"), "source")
    with pytest.raises(cm.LayoutError, match="SingleDeviceSharding"):
        resolve(np.zeros(2), SingleDeviceSharding(jax.devices()[0]), "source")
    with pytest.raises(cm.LayoutError, match=r"cm\.Sharding"):
        resolve(np.zeros(2), "S0", "source")
    with pytest.raises(cm.LayoutError, match=r"is a P.*NamedSharding\(mesh, spec\)"):
        resolve({"w": np.zeros(2)}, PartitionSpec("x"), "source")
    with pytest.raises(cm.LayoutError, match=r"no \.shape"):
        resolve({"w": 3.0}, sharding, "source")


def test_import_brings_in_neither_jax_nor_the_gateway():
    code = (
        "import sys, crossmesh as cm;"
        "m = cm.Mesh((2,), ('x',), hosts=['a']);"
        "from crossmesh._spec import resolve;"
        "resolve({'a': cm.TensorSpec((2,), 'bfloat16')}, cm.Sharding(m, 'S0'), 'source');"
        "assert not {'jax', 'py4j', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
