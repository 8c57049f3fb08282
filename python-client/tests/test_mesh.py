import numpy as np
import pytest

import crossmesh as cm


def test_hosts_share_the_devices_in_order():
    mesh = cm.Mesh((2, 4), hosts=["a", "b"])
    assert mesh.shape == (2, 4)
    assert mesh.size == 8
    assert mesh.hosts == ("a", "b")
    assert mesh.devices[3] == ("a", 3)
    assert mesh.devices[4] == ("b", 0)
    assert mesh.devices_of("b") == (4, 5, 6, 7)
    assert mesh.devices_of("c") == ()


def test_any_placement_and_host_order_of_first_appearance():
    mesh = cm.Mesh((2, 2), ("x", "y"), devices=[("b", 0), ("a", 0), ("b", 1), ("a", 7)])
    assert mesh.hosts == ("b", "a")
    assert mesh.axis_names == ("x", "y")
    assert mesh.coordinates(2) == (1, 0)


def test_equality_hash_and_repr():
    one = cm.Mesh((np.int64(2), 2), hosts=["a", "b"])
    two = cm.Mesh((2, 2), devices=[("a", 0), ("a", 1), ("b", 0), ("b", 1)])
    assert one == two
    assert hash(one) == hash(two)
    assert one != cm.Mesh((4,), hosts=["a", "b"])
    assert one != "mesh"
    assert repr(one) == "Mesh((2, 2), hosts=['a', 'b'])"
    assert "devices=" in repr(cm.Mesh((2,), devices=[("a", 1), ("a", 0)]))
    assert eval(repr(one), {"Mesh": cm.Mesh}) == one


def test_json_round_trip():
    mesh = cm.Mesh((2, 2), ("x", "y"), devices=[("b", 0), ("a", 0), ("b", 1), ("a", 7)])
    assert cm.Mesh._from_json(mesh._to_json()) == mesh
    assert mesh._to_json()["devices"] == [["b", 0], ["a", 0], ["b", 1], ["a", 7]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(shape=(2, 2)), "needs either"),
        (dict(shape=(2,), hosts=["a"], devices=[("a", 0), ("a", 1)]), "both"),
        (dict(shape=(3,), hosts=["a", "b"]), "cannot be spread evenly"),
        (dict(shape=(2,), hosts="ab"), r"Write hosts=\[\"ab\"\]"),
        (dict(shape=(2,), hosts=["a", "a"]), "twice"),
        (dict(shape=(2,), hosts=[]), "evenly"),
        (dict(shape=(0,), hosts=["a"]), "at least one device"),
        (dict(shape=("x",), hosts=["a"]), "positive integers"),
        (dict(shape=(2,), devices=[("a", 0)]), "List one for each position"),
        (dict(shape=(2,), devices=[("a", 0), ("a", 0)]), "appears twice"),
        (dict(shape=(1,), devices=[("a", -1)]), "not negative"),
        (dict(shape=(1,), devices=["a"]), "pair"),
        (dict(shape=(1,), devices=[("", 0)]), "non-empty"),
        (dict(shape=(2, 2), axis_names=("x",), hosts=["a"]), "Name every axis"),
        (dict(shape=(2, 2), axis_names=("x", "x"), hosts=["a"]), "distinct"),
    ],
)
def test_bad_meshes_are_refused(arguments, message):
    with pytest.raises(cm.LayoutError, match=message):
        cm.Mesh(**arguments)
