"""A process of a peer: does what the runner asks over a socket, and says when it was done.

All processes share one clock, since all hosts are one machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import time
import traceback
from typing import Any, Final

import numpy as np

from .boxes import Work, values
from .peer import CannotDo, Peer

PEERS: Final = {
    "crossmesh": ("ours", "InPlace"),
    "crossmesh, copying": ("ours", "Copying"),
    "mpi send/recv": ("mpi", "MpiSendRecv"),
    "mpi bcast": ("mpi", "MpiBcast"),
    "gloo send/recv": ("gloo", "GlooSendRecv"),
    "gloo broadcast": ("gloo", "GlooBroadcast"),
    "jax transfer": ("jax_transfer", "JaxTransfer"),
    "jax device_put": ("jax_put", "JaxPut"),
    "ray gloo": ("ray_", "Ray"),
    "nixl": ("nixl_", "Nixl"),
}


class Served:
    """One peer's process and the case that is open in it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._work: Work | None = None

    def answer(self, request: dict[str, Any]) -> Any:
        """Does what is asked."""
        peer = self._peer
        match request["do"]:
            case "hello":
                return peer.hello()
            case "meet":
                return peer.meet(request["hellos"])
            case "open":
                self._work = work = Work.from_json(request["work"])
                boxes = work.held.get(peer.host, ())
                return peer.open(work, {box: values(work.shape, box, np.dtype(work.dtype)) for box in boxes})
            case "opened":
                return peer.opened(request["offers"])
            case "prepare":
                for tile in peer.tiles().values() if request["clear"] else ():
                    if tile.flags.writeable:
                        tile.fill(0)  # what the last step brought must not pass for what the next one brings
                return peer.prepare()
            case "step":
                time.sleep(max(0.0, request["at"] - time.perf_counter()))
                peer.step()
                return getattr(peer, "end", None) or time.perf_counter()
            case "exact":
                return self._exact()
            case "close":
                return peer.close()
        raise ValueError(request["do"])

    def _exact(self) -> bool:
        assert self._work is not None
        work = self._work
        if hasattr(self._peer, "exact"):
            return bool(self._peer.exact())
        tiles = self._peer.tiles()
        return set(tiles) == set(work.wanted.get(self._peer.host, ())) and all(
            np.array_equal(tile, values(work.shape, box, np.dtype(work.dtype))) for box, tile in tiles.items()
        )


def main() -> None:
    """Connects to the runner and serves until it hangs up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=sorted(PEERS), required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--hosts", required=True, help="a JSON object of the hosts and their addresses")
    parser.add_argument("--host", help="by default that of this process's rank in the MPI job")
    args = parser.parse_args()
    addresses = json.loads(args.hosts)
    hosts = list(addresses)
    host = args.host or hosts[int(os.environ["OMPI_COMM_WORLD_RANK"])]
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(args.control)
        lines = control.makefile("rw", encoding="utf-8")

        def say(**answer: Any) -> None:
            lines.write(json.dumps(answer) + "\n")
            lines.flush()

        module, name = PEERS[args.peer]
        try:
            kind = getattr(importlib.import_module(f"peers.{module}"), name)
            served = Served(kind(host, hosts, addresses, os.path.dirname(args.control)))  # noqa: PTH120
        except Exception as error:  # noqa: BLE001  (whatever is missing is the reason to skip the peer)
            say(peer=args.peer, host=host, failed=f"{type(error).__name__}: {error}")
            return
        say(peer=args.peer, host=host)
        for line in lines:
            try:
                say(value=served.answer(json.loads(line)))
            except CannotDo as error:
                say(cannot=str(error))
            except Exception as error:  # noqa: BLE001  (a peer's failure is a result)
                traceback.print_exc()
                say(failed=f"{type(error).__name__}: {error}")
    os._exit(0)  # libraries that wait for their partners at exit would wait for each other


if __name__ == "__main__":
    main()
