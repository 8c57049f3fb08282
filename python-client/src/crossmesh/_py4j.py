"""Py4J's client with the manners that a library needs.

Py4J's own client sends a command again when no answer came (a second `send` of a step), logs failures through the root
logger, which configures it, and leaves sockets open when a connection is refused. Here a call is made once, and a
failure is an exception.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from py4j.finalizer import ThreadSafeFinalizer
from py4j.java_gateway import GatewayClient, GatewayConnection, GatewayParameters, JavaGateway

from . import _fork


class OnceClient(GatewayClient):  # type: ignore[misc]
    """A pool of connections, each used by one call at a time."""

    closed = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._origin = _fork.Origin()
        self._made: weakref.WeakSet[GatewayConnection] = weakref.WeakSet()
        _fork.watch(self)

    def send_command(self, command: str, retry: bool = True, binary: bool = False) -> str:  # noqa: ARG002
        """Send a command and read its answer; see the module for what differs."""
        self._origin.check()  # the answer might be one to the parent's question
        connection = self._get_connection()
        try:
            answer: str = connection.send_command(command)
        except BaseException:
            connection.close(reset=True)  # an answer that comes later must not meet the next call
            raise
        self._give_back_connection(connection)
        return answer

    def close(self) -> None:
        """Close the connections, those in use when their call ends."""
        self.closed = True
        super().close()

    def _create_connection(self) -> GatewayConnection:
        connection = GatewayConnection(self.gateway_parameters, self.gateway_property)
        self._made.add(connection)
        connection.stream = None  # close() looks at it, also when nobody listens
        try:
            # As its start(), which would log the traceback of a refusal that the caller expects.
            connection.socket.connect((connection.address, connection.port))
            connection.stream = connection.socket.makefile("rb")
            connection.is_connected = True
            connection._authenticate_connection()
        except BaseException:
            connection.close(reset=True)  # the stream too: a socket whose stream is open stays open
            raise
        return connection

    def forked(self) -> None:
        """See `Forking`. The parent's connections would stay open after its end, and closing one says so to the JVM."""
        for connection in list(self._made):
            _fork.cut_off(connection.socket.fileno())

    def _give_back_connection(self, connection: GatewayConnection) -> None:
        self.deque.append(connection)
        if self.closed:
            super().close()


class OnceGateway(JavaGateway):  # type: ignore[misc]
    """A gateway to a JVM on this host, by port and token.

    **Arguments:**

    - `read_timeout`: seconds after which a JVM that does not answer is given up.
    """

    def __init__(self, port: int, token: str, read_timeout: float) -> None:
        super().__init__(
            gateway_parameters=GatewayParameters(
                address="127.0.0.1",
                port=port,
                auth_token=token,
                auto_convert=False,
                auto_field=False,
                read_timeout=read_timeout,
            )
        )

    def method(self, name: str) -> Any:
        """A method of the entry point."""
        return getattr(self.entry_point, name)

    def close_connections(self) -> None:
        """Close all connections."""
        self._gateway_client.close()

    def _create_gateway_client(self) -> OnceClient:
        return OnceClient(gateway_parameters=self.gateway_parameters)


def _after_fork() -> None:
    ThreadSafeFinalizer.lock = threading.RLock()  # another thread may have held it


_fork.in_child(_after_fork)
