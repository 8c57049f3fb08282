"""Columns that carry a tile to the Flight door: the values themselves arrive, all else is refused by name."""

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight, ipc

import crossmesh as cm

NUMBERS = np.arange(8, dtype=np.int32)
PLAIN = pa.array(NUMBERS)
BYTES = [b"abcd"] * 8


@pytest.fixture(scope="module")
def door() -> Iterator["Door"]:
    with cm.LocalCluster(["a"]) as cluster:
        yield Door(cluster.env("a"))


class Door:
    def __init__(self, env: dict[str, str]) -> None:
        self.client = flight.FlightClient("grpc://" + env["CROSSMESH_AGENT"])
        self.names = map("w{}".format, itertools.count())
        self.headers = [(b"authorization", b"Bearer " + env["CROSSMESH_TOKEN"].encode())]

    def put(self, dtype: str, *columns: pa.Array, count: int = 8, compression: str | None = None) -> pa.Array:
        """Puts a tile in batches of one column each and gets it back."""
        name = next(self.names)
        about = {"v": 1, "tensor": name, "shape": [count], "dtype": dtype, "device": 0}
        about["layout"] = {"mesh": {"shape": [1], "axis_names": [], "devices": [["a", 0]]}, "spec": "R"}
        written = ipc.IpcWriteOptions(compression=compression)
        options = flight.FlightCallOptions(timeout=20, headers=self.headers, write_options=written)
        schema = pa.schema([pa.field("data", columns[0].type)])
        writer, _ = self.client.do_put(flight.FlightDescriptor.for_command(json.dumps(about)), schema, options)
        try:
            for column in columns:
                writer.write_batch(pa.record_batch([column], schema=schema))
        finally:
            writer.close()
        ticket = flight.Ticket(json.dumps({"v": 1, "tensor": name}))
        return self.client.do_get(ticket, flight.FlightCallOptions(timeout=20, headers=self.headers)).read_all()["data"]


@pytest.mark.parametrize(
    ("dtype", "columns", "expected"),
    [
        ("int32", [PLAIN], NUMBERS),
        ("int32", [pa.array(np.arange(16, dtype=np.int32)).slice(3, 8)], NUMBERS + 3),
        ("int32", [PLAIN[:3], PLAIN[3:]], NUMBERS),
        ("int32", [pa.array(NUMBERS.view(np.uint8))], NUMBERS),
        ("int32", [pa.array([row.tobytes() for row in np.arange(12, dtype=np.int32)]).slice(4)], NUMBERS + 4),
        ("int32", [pa.array([row.tobytes() for row in NUMBERS], pa.binary(4))], NUMBERS),
        ("bool", [pa.array([False, True, True] * 4).slice(3, 8)], np.array([False, True, True] * 4)[3:11]),
        ("float16", [pa.array(NUMBERS.astype(np.float16))], NUMBERS.astype(np.float16)),
        (
            "datetime64[us]",
            [pa.array(NUMBERS.astype(np.int64), pa.timestamp("us", "UTC"))],
            NUMBERS.astype("datetime64[us]"),
        ),
    ],
)
def test_values_and_raw_bytes_arrive(door: Door, dtype: str, columns: list[pa.Array], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(door.put(dtype, *columns).to_numpy(), expected)


def test_elements_that_arrow_lacks_come_as_unsigned_integers_of_their_size(door: Door) -> None:
    one = np.full(8, 0x3F80, np.uint16)
    assert b"".join(door.put("bfloat16", pa.array(one)).to_pylist()) == one.tobytes()


@pytest.mark.parametrize(
    ("dtype", "column", "words"),
    [
        ("int32", PLAIN.dictionary_encode(), "dictionary-encoded"),
        (
            "float32",
            pa.DictionaryArray.from_arrays(pa.array([0] * 8, pa.uint32()), pa.array([7.5])),
            "dictionary_decode",
        ),
        (
            "float32",
            pa.DictionaryArray.from_arrays(pa.array([0] * 32, pa.uint8()), pa.array([7.5])),
            "dictionary-encoded",
        ),
        (
            "int32",
            pa.RunEndEncodedArray.from_arrays(pa.array([4, 8], pa.int32()), pa.array([1, 2], pa.int32())),
            "RunEndEncoded",
        ),
        ("int32", pa.array(BYTES, pa.binary_view()), "BinaryView"),
        ("int32", pa.array(["abcd"] * 8, pa.string_view()), "Utf8View"),
        ("int32", pa.array(["abcd"] * 8), "Utf8"),
        ("int32", pa.array([Decimal(1)] * 8, pa.decimal32(5, 0)), "cannot read an Arrow message"),
        ("int32", pa.array([Decimal(1)] * 8, pa.decimal128(5, 0)), "Decimal"),
        ("int32", pa.array([Decimal(1)] * 8, pa.decimal256(5, 0)), "Decimal"),
        ("int32", pa.array([1, None] * 4, pa.int32()), "4 nulls"),
        ("int32", pa.array([*BYTES, None]), "1 nulls"),
        ("int32", pa.nulls(8), "Null"),
        ("int32", pa.array([[1]] * 8, pa.list_(pa.int32())), "List"),
        ("int32", pa.FixedSizeListArray.from_arrays(PLAIN, 2), "FixedSizeList"),
        ("int32", pa.StructArray.from_arrays([PLAIN], ["x"]), "Struct"),
        ("int32", pa.UnionArray.from_sparse(pa.array([0] * 8, pa.int8()), [PLAIN]), "Union"),
        (
            "int32",
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16] * 2, pa.binary(16))),
            "extension type",
        ),
        ("int8", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 5] * 4, pa.int8())), "'arrow.bool8'"),
        ("int32", pa.ExtensionArray.from_storage(pa.opaque(pa.int32(), "t", "v"), PLAIN), "'arrow.opaque'"),
        ("float32", pa.array(NUMBERS.astype(np.uint32)), "cannot carry elements of dtype float32"),
        ("float32", pa.array(np.arange(4, dtype=np.uint64)), "cannot carry elements of dtype float32"),
        ("int32", pa.array(NUMBERS.astype(np.int64)), "cannot carry elements of dtype int32"),
        ("int32", pa.array(NUMBERS, pa.date32()), "Date"),
        ("datetime64[us]", pa.array(NUMBERS.astype(np.int64), pa.timestamp("ms")), "Timestamp"),
    ],
)
def test_what_stands_for_other_values_is_refused_by_name(door: Door, dtype: str, column: pa.Array, words: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match="LayoutError") as refusal:
        door.put(dtype, column)
    assert words in str(refusal.value)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_batches_are_refused_with_the_remedy(door: Door, compression: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match="without compression"):
        door.put("int32", pa.array(np.zeros(4096, np.int32)), count=4096, compression=compression)


def test_refusals_leave_the_door_open(door: Door) -> None:
    """A put that is refused ends at the agent as well: more of them than calls may be open at a time."""
    for _ in range(300):
        with pytest.raises(pa.ArrowInvalid):
            door.put("int32", pa.array([Decimal(1)] * 8, pa.decimal32(5, 0)))
    np.testing.assert_array_equal(door.put("int32", PLAIN).to_numpy(), NUMBERS)
