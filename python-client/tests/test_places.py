"""Arrays over the tiles of a set."""

import mmap

import numpy as np
import pytest

import crossmesh as cm
from crossmesh._events import Tile
from crossmesh._places import Places
from crossmesh._spec import Leaf
from crossmesh._tree import flatten

MESH = cm.Mesh((1,), hosts=["a"])


def set_of(*stated):
    """Leaves of these shapes and types, their tiles in a set, and its size."""
    leaves, tiles, offset = [], [], 0
    for number, (shape, dtype) in enumerate(stated):
        leaf = Leaf(str(number), shape, np.dtype(dtype), cm.Sharding(MESH, " ".join("R" * len(shape))))
        leaves.append(leaf)
        nbytes = leaf.dtype.itemsize * int(np.prod(shape))
        tiles.append(Tile(number, (0,), tuple((0, n) for n in shape), offset, nbytes))
        offset += -(-nbytes // 64) * 64
    return leaves, tiles, offset


@pytest.mark.parametrize(
    "stated",
    [
        [((16, 4), "float32")] * 5,
        [((3,), "uint8")] * 4,  # gaps between the tiles
        [((), "int32")] * 3,
        [((0, 4), "int32"), ((0, 4), "int32"), ((2, 4), "int32")],
        [((4,), "int32"), ((4,), "float32"), ((4,), "float32"), ((2, 2), "float32"), ((4,), "float32")],
        [((16,), "int32"), ((16,), "int32"), ((1,), "int8"), ((16,), "int32"), ((16,), "int32"), ((2, 3, 5), "int16")],
    ],
)
def test_each_tile_lies_where_the_agent_says(stated):
    leaves, tiles, nbytes = set_of(*stated)
    memory = np.frombuffer(mmap.mmap(-1, max(nbytes, 64)), np.uint8)
    memory[:] = np.arange(len(memory)) % 251
    places = Places(tiles, leaves, lambda tile: tile.tensor == 1)
    arrays = places.over(memory)
    for array, leaf, tile in zip(arrays, leaves, tiles, strict=True):
        assert isinstance(array, np.ndarray)
        assert (array.shape, array.dtype) == (leaf.shape, leaf.dtype)
        assert array.tobytes() == memory[tile.offset : tile.offset + tile.bytes].tobytes()
        assert array.flags.c_contiguous
        assert array.base is memory  # it alone keeps the set
        assert array.flags.writeable == (tile.tensor != 1)
    held = places.by_device(arrays)
    assert [list(one) for one in held] == [[0]] * len(leaves)
    assert all(one[0] is array for one, array in zip(held, arrays, strict=True))


def test_devices_of_a_tensor_are_in_order_and_share_their_tile():
    mesh = cm.Mesh((2, 2), hosts=["a"])
    leaf = Leaf("x", (4,), np.dtype("int32"), cm.Sharding(mesh, "S0"))
    tiles = [Tile(0, (2, 3), ((2, 4),), 0, 8), Tile(0, (0, 1), ((0, 2),), 64, 8)]
    arrays = Places(tiles, [leaf], None).over(memory := np.zeros(128, np.uint8))
    memory[0] = 7
    held = Places(tiles, [leaf]).by_device(arrays)[0]
    assert list(held) == [0, 1, 2, 3]
    assert held[2] is held[3] is arrays[0]
    assert held[2][0] == 7


def test_an_array_of_a_run_keeps_the_whole_set_and_only_it():
    leaves, tiles, nbytes = set_of(*[((16,), "int32")] * 100)
    arrays = Places(tiles, leaves).over(np.zeros(nbytes, np.uint8))
    last = arrays[-1]
    del arrays
    assert last.base.nbytes == nbytes
    assert last.base.base is None


def test_another_structure_is_refused_however_quickly_a_tree_is_read():
    _, _, treedef = flatten({"a": np.zeros(1), "b": [np.zeros(1), (np.zeros(1), None)]})
    a, b, c = np.ones(1), np.ones(2), np.ones(3)
    assert [id(x) for x in treedef.flatten_up_to({"b": [b, (c, None)], "a": a})] == [id(a), id(b), id(c)]
    for other in ({"a": a}, {"a": a, "b": [b]}, {"a": a, "b": [b, [c, None]]}, {"a": a, "c": [b, (c, None)]}, [a]):
        with pytest.raises(cm.LayoutError):
            treedef.flatten_up_to(other)
