"""Throw-away certificates for a cluster on one machine: an authority that lives as long as the cluster.

Imported on use: needs the package `cryptography` (the extra `tls`).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ._private import PrivateDirectory
from ._tls import Tls

VALID = dt.timedelta(days=7)
CLOCKS_APART = dt.timedelta(minutes=5)


class Authority:
    """Signs the certificates of agents and clients on this machine; its files are this user's alone."""

    def __init__(self) -> None:
        self._directory = PrivateDirectory()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("crossmesh throw-away authority")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = (
            _valid(VALID, self._name, self._name, self._key.public_key())
            .add_extension(constraints, critical=True)
            .sign(self._key, SHA256())
        )
        self.ca = self._write("ca.pem", certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, valid: dt.timedelta = VALID, address: str = "127.0.0.1") -> Tls:
        """A certificate for a process on this machine, as server and as client.

        **Arguments:**

        - `name`: its common name, and the name of its files.
        - `valid`: from now; negative for one that has expired.
        - `address`: where it is reached.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(address))]
        certificate = (
            _valid(valid, self._name, _name(name), key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, SHA256())
        )
        return Tls(
            ca=self.ca,
            cert=self._write(f"{name}.pem", certificate.public_bytes(Encoding.PEM)),
            key=self._write(f"{name}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        )

    def close(self) -> None:
        """Remove the files. A second call does nothing."""
        self._directory.close()

    def _write(self, name: str, content: bytes) -> Path:
        """A file that nobody else can read at any time; one of that name is replaced at once."""
        path, new = self._directory.path / name, self._directory.path / f"{name}.new"
        new.touch(mode=0o600)
        new.write_bytes(content)
        return new.rename(path)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _valid(
    valid: dt.timedelta, issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    until = now + valid
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=min(until, now) - CLOCKS_APART,
        not_valid_after=until,
    )
