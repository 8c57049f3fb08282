"""What a plain TCP socket carries from one host to another: the rate that the lower bound is stated at."""

from __future__ import annotations

import socket
import time
from typing import Final

CHUNK: Final = 1 << 20
WAIT_SECONDS: Final = 60.0


def listen(address: tuple[str, int]) -> socket.socket:
    """Waits for the one connection that is made to `address`."""
    with socket.create_server(address) as server:
        server.settimeout(WAIT_SECONDS)
        connection, _ = server.accept()
    connection.settimeout(WAIT_SECONDS)
    return connection


def connect(address: tuple[str, int]) -> socket.socket:
    """Connects to the process that listens, which may not do so yet."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return socket.create_connection(address, timeout=WAIT_SECONDS)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def send(connection: socket.socket, nbytes: int) -> None:
    """Sends so many bytes out of the memory of one chunk, and waits until they have been read."""
    chunk = memoryview(bytes(CHUNK))
    for start in range(0, nbytes, CHUNK):
        connection.sendall(chunk[: nbytes - start])
    if connection.recv(1) != b".":
        raise ConnectionError("the engine ended before it had read all")


def receive(connection: socket.socket, nbytes: int) -> None:
    """Reads so many bytes into the memory of one chunk, and says so."""
    chunk = memoryview(bytearray(CHUNK))
    while nbytes > 0:
        read = connection.recv_into(chunk[: min(nbytes, CHUNK)])
        if read == 0:
            raise ConnectionError("the trainer ended before it had sent all")
        nbytes -= read
    connection.sendall(b".")
