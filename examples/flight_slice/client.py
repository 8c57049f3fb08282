"""Uses a running cluster with nothing but pyarrow.flight and NumPy.

    CROSSMESH_TOKEN=... python client.py a=127.0.0.1:4711 b=127.0.0.1:4712 c=... d=...

The names and addresses are those of four agents; ``run.py`` starts such a cluster. For two tensors, this
puts the tiles of one layout on the first two hosts, asks for a reshard to another layout on the other two,
reads every tile and a slice that crosses tile borders, and compares with NumPy. Then it shows that an agent
refuses a client without the token. Exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import flight

from layout import Box, Layout, slices

TIMEOUT_SECONDS: Final = 60.0
ROWS_PER_BATCH: Final = 1 << 18

Array = npt.NDArray[Any]


class Agent:
    """The Flight door of one agent."""

    def __init__(self, address: str, token: str | None) -> None:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._options = flight.FlightCallOptions(timeout=TIMEOUT_SECONDS, headers=headers)
        self._client = flight.connect(f"grpc+tcp://{address}")

    def put(self, name: str, array: Array, layout: Layout, device: int) -> None:
        """Stores the tile of one device. The agent must be that of the device's host."""
        tile = array[slices(layout.tile(array.shape, device))]
        about = {"v": 1, "tensor": name, "shape": array.shape, "dtype": array.dtype.name}
        descriptor = flight.FlightDescriptor.for_command(
            json.dumps(about | {"layout": layout.to_json(), "device": device})
        )
        table = pa.table({"data": tile.ravel()})
        writer, _ = self._client.do_put(descriptor, table.schema, self._options)
        with writer:
            writer.write_table(table, max_chunksize=ROWS_PER_BATCH)

    def reshard(self, name: str, to: str, layout: Layout) -> dict[str, Any]:
        """Lays a tensor out anew under another name; returns when every tile of it is in place."""
        return self._act("reshard", {"v": 1, "tensor": name, "to": to, "layout": layout.to_json()})

    def drop(self, name: str) -> None:
        """Forgets a tensor on all hosts."""
        self._act("drop", {"v": 1, "tensor": name})

    def tiles(self, name: str) -> Iterator[tuple[Box, Array]]:
        """Reads a tensor tile by tile, each where GetFlightInfo says that it lies."""
        descriptor = flight.FlightDescriptor.for_command(json.dumps({"v": 1, "tensor": name}))
        for endpoint in self._client.get_flight_info(descriptor, self._options).endpoints:
            box = tuple((low, high) for low, high in json.loads(endpoint.ticket.ticket)["box"])
            with flight.connect(endpoint.locations[0]) as holder:
                yield box, self._read(holder, endpoint.ticket, box)

    def get(self, name: str, box: Box) -> Array:
        """Reads any part of a tensor, wherever its pieces lie."""
        ticket = flight.Ticket(json.dumps({"v": 1, "tensor": name, "box": box}))
        return self._read(self._client, ticket, box)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, client: flight.FlightClient, ticket: flight.Ticket, box: Box) -> Array:
        column = client.do_get(ticket, self._options).read_all()["data"]
        array: Array = column.to_numpy()
        return array.reshape([high - low for low, high in box])

    def _act(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        action = flight.Action(kind, json.dumps(body).encode())
        (result,) = self._client.do_action(action, self._options)
        answer: dict[str, Any] = json.loads(result.body.to_pybytes())
        return answer


def show_reshard(agents: dict[str, Agent], name: str, array: Array, part: Box) -> bool:
    """Puts, reshards and reads one tensor. Returns whether all that came back was right."""
    a, b, c, d = agents
    rows_and_columns = Layout((2, 2), ((a, 0), (a, 1), (b, 0), (b, 1)), ((0,), (1,)))
    columns = Layout((4,), ((c, 0), (c, 1), (d, 0), (d, 1)), ((), (0,)))
    print(f"{name}: {array.dtype} {array.shape}, {array.nbytes:,} bytes")

    for device, (host, _) in enumerate(rows_and_columns.devices):
        agents[host].put(name, array, rows_and_columns, device)
    print(f"  put 4 tiles, divided by rows and columns, on {a} and {b}")

    moved = f"{name}/moved"
    answer = agents[a].reshard(name, moved, columns)
    print(f"  resharded to columns on {c} and {d}: {answer['seconds']:.3f} s, plan {answer['digest'][:12]}")

    tiles = list(agents[b].tiles(moved))
    right = all(np.array_equal(tile, array[slices(box)]) for box, tile in tiles)
    whole = sum(tile.size for _, tile in tiles) == array.size
    print(f"  read {len(tiles)} tiles where they lie: {verdict(right and whole)}")

    exact = np.array_equal(agents[d].get(moved, part), array[slices(part)])
    print(f"  read {list(part)} across tile borders: {verdict(exact)}")

    for tensor in (name, moved):
        agents[a].drop(tensor)
    return right and whole and exact


def show_refusal(address: str, token: str | None, who: str) -> bool:
    """Tries to read with a wrong token or none. Returns whether the agent refused as it should."""
    with Agent(address, token) as stranger:
        try:
            stranger.get("small/moved", ((0, 1), (0, 1)))
        except flight.FlightUnauthenticatedError as error:
            reason, _, _ = str(error).partition(". gRPC client debug context")
            print(f"{who}: UNAUTHENTICATED ({reason})")
            return True
    print(f"{who}: was let in")
    return False


def verdict(right: bool) -> str:
    """How a check went, in a word."""
    return "equal to NumPy" if right else "WRONG"


def main() -> int:
    """Runs all of it against the agents that the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs=4, metavar="NAME=HOST:PORT", help="name and Flight address of an agent")
    args = parser.parse_args()
    addresses: dict[str, str] = dict(argument.split("=", 1) for argument in args.agents)
    token = os.environ["CROSSMESH_TOKEN"]
    agents = {name: Agent(address, token) for name, address in addresses.items()}
    try:
        small = np.arange(8 * 12, dtype=np.float32).reshape(8, 12)
        large = np.random.default_rng(1).standard_normal((1500, 2002)).astype(np.float32)
        results = [
            show_reshard(agents, "small", small, ((2, 7), (1, 11))),
            show_reshard(agents, "large", large, ((3, 1499), (499, 1600))),
        ]
    finally:
        for agent in agents.values():
            agent.close()
    first = next(iter(addresses.values()))
    results += [
        show_refusal(first, None, "without a token"),
        show_refusal(first, "guess", "with a wrong token"),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
