"""Compact JWS with nothing but `cryptography`."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Wrong(Exception):
    pass


class Own:
    """The own key, and its public part as a file for the other side."""

    def __init__(self, valid_from: str, valid_until: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }
        # the thumbprint of RFC 7638
        thumb = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        self.kid = b64(hashlib.sha256(thumb).digest())
        self.jwk |= {"kid": self.kid, "alg": "ES256", "use": "sig"}
        self.jwk |= {"valid_from": valid_from, "valid_until": valid_until}

    def sign(self, kind: str, payload: dict[str, Any]) -> str:
        header = {"typ": kind, "kid": self.kid, "alg": "ES256"}
        body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload, ensure_ascii=False).encode())}"
        r, s = decode_dss_signature(self.key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{body}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Theirs:
    """The other side's public keys, from the files that were brought."""

    def __init__(self, folder: Path) -> None:
        self.keys = {one["kid"]: one for one in (json.loads(f.read_text()) for f in folder.glob("*.jwk"))}

    def open(self, text: str, kind: str) -> dict[str, Any]:
        """Return the payload; raise `Wrong` where it is not theirs."""
        try:
            head, body, signature = text.split(".")
            header = json.loads(unb64(head))
            key = self.keys[header["kid"]]
            assert header.keys() == {"alg", "kid", "typ"} and header["typ"] == kind
            assert header["alg"] == key["alg"] and "revoked_at" not in key
            signed = f"{head}.{body}".encode()
            if key["alg"] == "Ed25519":
                ed25519.Ed25519PublicKey.from_public_bytes(unb64(key["x"])).verify(unb64(signature), signed)
            else:
                raw = unb64(signature)
                x, y = (int.from_bytes(unb64(key[name]), "big") for name in ("x", "y"))
                ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(
                    encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
                    signed,
                    ec.ECDSA(hashes.SHA256()),
                )
            payload = json.loads(unb64(body))
            assert key["valid_from"][:19] <= payload["time"][:19] < key["valid_until"][:19]
        except (AssertionError, InvalidSignature, KeyError, TypeError, ValueError) as error:
            raise Wrong(type(error).__name__) from None
        found: dict[str, Any] = payload
        return found
