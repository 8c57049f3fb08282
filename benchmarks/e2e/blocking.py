"""Transfers as Alpa runs them: nothing else happens meanwhile, on either side.

The baseline that schedules are measured against. Who has made something sends it before it does anything else; the
other side takes part when it has nothing else to do, since it waits for an input or has something to send itself. One
byte over TCP tells the other side that one is there, as a rendezvous of NCCL or MPI does.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import crossmesh.pipeline as pp

PORT = 4713
CONNECT_SECONDS_MAX = 30.0
SEND, RECEIVE = b"S", b"R"


def meet(first: bool, address: str, listener: socket.socket | None) -> socket.socket:
    """The connection of two neighbouring stages; the first one of them listens."""
    if first:
        assert listener is not None
        connection, _ = listener.accept()
    else:
        connection = socket.create_connection((address, PORT), timeout=CONNECT_SECONDS_MAX)
    connection.settimeout(CONNECT_SECONDS_MAX)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class BlockingLinks:
    """The links of one of two stages, with a rendezvous around each transfer.

    Both sides follow the same rule, so that they agree on whose turn it is: who wants to send goes before who waits, of
    two that want to send the first stage, unless it went before the other the last time.
    """

    def __init__(self, links: pp.Links, first: bool, peer: socket.socket, wait: pp.Wait) -> None:
        self._links = links
        self._part = 0 if first else 1
        self._first = first
        self._peer = peer
        self._wait = wait
        self._theirs = b""  # what the other side said that it is there for
        self._yielded = False  # whether I let the other one go first the last time
        self._they_yielded = False
        self._here = 0  # how many micro-batches have arrived
        self._taken = 0

    def begin(self, microbatches: int, ahead: Mapping[int, int]) -> None:
        """Start a step."""
        self._here = self._taken = 0
        self._links.begin(microbatches, ahead)

    def inputs(self, part: int, microbatch: int, wait: pp.Wait) -> dict[str, Any]:
        """What comes from the stage before, after both were there for it."""
        if not self._first:
            self._await_next()
        return self._links.inputs(part, microbatch, wait)

    def gradients(self, part: int, microbatch: int, wait: pp.Wait) -> dict[str, tuple[Any, ...]]:
        """What comes back from the stage after."""
        if self._first:
            self._await_next()
        return self._links.gradients(part, microbatch, wait)

    def send_outputs(self, part: int, microbatch: int, outputs: Mapping[str, Any]) -> None:
        """Send and wait until it is there."""
        if self._first:
            self._reach_my_turn()
            self._wait_for(self._links.send_outputs(part, microbatch, outputs))

    def send_gradients(self, part: int, microbatch: int, gradients: Mapping[str, Any]) -> None:
        """Send and wait until it is there."""
        if not self._first:
            self._reach_my_turn()
            self._wait_for(self._links.send_gradients(part, microbatch, gradients))

    def _reach_my_turn(self) -> None:
        self._peer.sendall(SEND)
        while not self._my_turn():
            self._arrive()
            self._yielded, self._they_yielded = True, False
        if self._hear() == SEND:
            self._yielded, self._they_yielded = False, True
        else:
            self._theirs = b""

    def _wait_for(self, transfers: Sequence[Future[Any]]) -> None:
        for transfer in transfers:
            self._wait(transfer)

    def _my_turn(self) -> bool:
        if self._hear() == RECEIVE:
            return True
        if self._yielded != self._they_yielded:
            return self._yielded
        return self._first

    def _await_next(self) -> None:
        if self._here == self._taken:
            self._peer.sendall(RECEIVE)
            if self._hear() != SEND:
                raise ConnectionError("Both stages wait for each other: the schedule is none.")
            self._arrive()
        self._taken += 1

    def _arrive(self) -> None:
        """Wait for the next micro-batch: the other side's announcement is used up."""
        self._wait_for(self._links.coming(self._part, back=self._first, later=self._here - self._taken))
        self._here += 1
        self._theirs = b""

    def _hear(self) -> bytes:
        if not self._theirs:
            self._theirs = self._peer.recv(1)
            if not self._theirs:
                raise ConnectionError("The other stage is gone.")
        return self._theirs
