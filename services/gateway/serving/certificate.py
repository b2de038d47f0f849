"""A certificate for the first hours of an installation.

It is signed by itself, so browsers warn until a real one takes its place.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared import clock


def make(folder: Path, host: str) -> bool:
    """Write `fullchain.pem` and `private.pem` for a host unless a certificate is there.

    Return whether one was made.
    """
    chain, private = folder / "fullchain.pem", folder / "private.pem"
    if chain.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = _signed(key, host)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400), "wb") as file:
        file.write(pem)
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return True


def _signed(key: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    """Return a certificate of a host, signed by its own key, good for a year and a month."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=397))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
