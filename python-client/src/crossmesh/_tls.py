"""Certificates with which a process talks to the Flight doors of agents."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import AuthError

AUTHORITY, CERTIFICATE, KEY = "CROSSMESH_TLS_CA", "CROSSMESH_TLS_CERT", "CROSSMESH_TLS_KEY"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM that protect the connections to agents started with `--tls-cert`.

    **Arguments:**

    - `ca`: the authority that signed the agents' certificates.
    - `cert`, `key`: this process's own certificate and private key, which agents ask for unless they were started
        with `--tls-clients any`.

    By default `cm.connect` takes them from `$CROSSMESH_TLS_CA`, `$CROSSMESH_TLS_CERT` and `$CROSSMESH_TLS_KEY`.

    **Raises:** `AuthError` for a certificate without a key, or the other way round.
    """

    ca: str | os.PathLike[str]
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise AuthError("A certificate and its key belong together. Give both cert= and key=, or neither.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Tls | None:
        """What the environment says; `None` if it names no authority."""
        told = os.environ if environ is None else environ
        authority = told.get(AUTHORITY)
        return cls(authority, told.get(CERTIFICATE), told.get(KEY)) if authority else None

    def env(self) -> dict[str, str]:
        """The same, for the environment of another process."""
        files = {AUTHORITY: self.ca, CERTIFICATE: self.cert, KEY: self.key}
        return {name: os.fspath(file) for name, file in files.items() if file is not None}


def open_door(address: str, tls: Tls | None) -> Any:
    """A Flight client for the door at `host:port`; a context manager.

    **Raises:** `AuthError` if a file of `tls` cannot be read.
    """
    from pyarrow import flight

    direct = [("grpc.enable_http_proxy", 0)]  # a proxy for the web does not lead to an agent
    if tls is None:
        return flight.connect(f"grpc://{address}", generic_options=direct)
    try:
        options: dict[str, bytes] = {"tls_root_certs": Path(tls.ca).read_bytes()}
        if tls.cert is not None and tls.key is not None:
            options |= {"cert_chain": Path(tls.cert).read_bytes(), "private_key": Path(tls.key).read_bytes()}
    except OSError as error:
        raise AuthError(f"A file of TLS cannot be read: {error}. Correct {AUTHORITY}, {CERTIFICATE}, {KEY}.") from None
    return flight.connect(f"grpc+tls://{address}", generic_options=direct, **options)
