"""Compact JWS and JWE with nothing but `cryptography`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return the bytes of the one spelling that `b64` gives."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("base64") from None
    if b64(data) != text:
        raise Wrong("base64")
    return data


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Wrong("a field twice")
    return dict(pairs)


def loads(raw: bytes) -> dict[str, Any]:
    """Return an object in JSON, no field of it twice."""
    try:
        said = json.loads(raw.decode(), object_pairs_hook=once)
    except (RecursionError, ValueError):
        raise Wrong("json") from None
    if not isinstance(said, dict):
        raise Wrong("object")
    return said


class Wrong(Exception):
    """No JWS or JWE of theirs."""


def good_at(key: dict[str, Any], time: datetime) -> bool:
    """Return whether a key counts for what was signed then."""
    begins, ends = (datetime.fromisoformat(key[name]) for name in ("valid_from", "valid_until"))
    return not key.get("revoked_at") and begins <= time < ends


def newest(keys: list[dict[str, Any]], time: datetime) -> dict[str, Any]:
    """Return the newest key that is valid; ValueError where none is."""
    return max((key for key in keys if good_at(key, time)), key=lambda key: str(key["valid_from"]))


class Keys:
    """The files of a folder: `own` with what is private, `national` with what the other side has brought.

    They are read again whenever one is asked for: whoever changes a file need not start anything again.
    """

    def __init__(self, folder: Path, peer: str) -> None:
        self.folder, self.peer = folder, peer

    def read(self, part: str, use: str) -> list[dict[str, Any]]:
        found = [json.loads(file.read_text()) for file in sorted((self.folder / part).glob("*.jwk"))]
        return [key for key in found if key.get("use", "sig") == use]

    def sign(self, kind: str, payload: dict[str, Any], time: datetime) -> str:
        own = newest(self.read("own", "sig"), time)
        x, y, d = (int.from_bytes(unb64(own[name]), "big") for name in ("x", "y", "d"))
        numbers = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())
        header = {"typ": kind, "kid": own["kid"], "alg": "ES256"}
        body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload, ensure_ascii=False).encode())}"
        key = ec.EllipticCurvePrivateNumbers(d, numbers).private_key()
        r, s = decode_dss_signature(key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{body}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def open(self, text: str, kind: str) -> dict[str, Any]:
        """Return the payload; raise `Wrong` where it is not theirs."""
        try:
            head, body, signature = text.split(".")
            header = loads(unb64(head))
            theirs = {key["kid"]: key for key in self.read(self.peer, "sig")}
            key = theirs[header["kid"]]
            if header != {"alg": key["alg"], "kid": key["kid"], "typ": kind}:
                raise Wrong("header")
            check(key, f"{head}.{body}".encode(), unb64(signature))
            payload = loads(unb64(body))
            if not good_at(key, datetime.fromisoformat(payload["time"])):
                raise Wrong("key")
        except (InvalidSignature, KeyError, TypeError, ValueError) as error:
            raise Wrong(type(error).__name__) from None
        return payload

    def seal(self, kind: str, content: dict[str, Any], time: datetime) -> str:
        """Return what only their registry opens."""
        theirs = newest(self.read(self.peer, "enc"), time)
        once_only = x25519.X25519PrivateKey.generate()
        epk = {"kty": "OKP", "crv": "X25519", "x": b64(once_only.public_key().public_bytes_raw())}
        header = {"typ": kind, "alg": "ECDH-ES", "enc": "A256GCM", "kid": theirs["kid"], "epk": epk}
        head = b64(json.dumps(header).encode())
        secret = once_only.exchange(x25519.X25519PublicKey.from_public_bytes(unb64(theirs["x"])))
        nonce = os.urandom(12)
        text = json.dumps(content, ensure_ascii=False).encode()
        sealed = AESGCM(agreed(secret)).encrypt(nonce, text, head.encode())
        return f"{head}..{b64(nonce)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"

    def unseal(self, kind: str, text: str) -> dict[str, Any]:
        """Return what was sealed for us; raise `Wrong` where it was not."""
        try:
            head, none, nonce, sealed, tag = text.split(".")
            header = loads(unb64(head))
            key = next(key for key in self.read("own", "enc") if key["kid"] == header["kid"])
            epk = header["epk"]
            agree = {"typ": kind, "alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"], "epk": epk}
            if none or header != agree or (epk["kty"], epk["crv"]) != ("OKP", "X25519"):
                raise Wrong("header")
            mine = x25519.X25519PrivateKey.from_private_bytes(unb64(key["d"]))
            secret = mine.exchange(x25519.X25519PublicKey.from_public_bytes(unb64(epk["x"])))
            opened = AESGCM(agreed(secret)).decrypt(unb64(nonce), unb64(sealed) + unb64(tag), head.encode())
        except (InvalidTag, KeyError, StopIteration, TypeError, ValueError) as error:
            raise Wrong(type(error).__name__) from None
        return loads(opened)


def agreed(secret: bytes) -> bytes:
    """Return the key of the content (RFC 7518, 4.6.2): no apu, no apv."""
    name = b"A256GCM"
    about = len(name).to_bytes(4, "big") + name + bytes(8) + (256).to_bytes(4, "big")
    return ConcatKDFHash(hashes.SHA256(), 32, about).derive(secret)


def check(key: dict[str, Any], signed: bytes, raw: bytes) -> None:
    """Raise InvalidSignature where this key has not signed that."""
    if key["alg"] == "Ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(unb64(key["x"])).verify(raw, signed)
        return
    x, y = (int.from_bytes(unb64(key[name]), "big") for name in ("x", "y"))
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    if len(raw) != 64:
        raise InvalidSignature
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
