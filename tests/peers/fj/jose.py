"""Signatures by PyJWT, which learns one name more for Ed25519; seals by hand over `cryptography`."""

import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

PART = re.compile(r"[A-Za-z0-9_-]+")
JWS = PyJWS(algorithms=["ES256"])
JWS.register_algorithm("Ed25519", OKPAlgorithm())  # RFC 9864; PyJWT knows it as EdDSA
THUMBED = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}  # of a thumbprint (RFC 7638)


class Unreadable(Exception):
    """It is not what it should be, or not ours to open."""


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return bytes; raise Unreadable where the text is not the one way to write them."""
    if not PART.fullmatch(text) or len(text) % 4 == 1:
        raise Unreadable("no base64url")
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(data) != text:
        raise Unreadable("base64url written in another way")
    return data


def digest(text: str) -> str:
    """Return the SHA-256 by which a JWS is named."""
    return sha256(text.encode()).hexdigest()


def dumps(value) -> bytes:
    """Return JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def loads(body: bytes):
    """Return what JSON says; raise Unreadable for anything else, and for a field that stands twice."""

    def once(pairs):
        if len({name for name, _ in pairs}) != len(pairs):
            raise Unreadable("a field twice")
        return dict(pairs)

    try:
        return json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Unreadable("no JSON") from error


def thumbprint(jwk: dict) -> str:
    """Return the id of a key."""
    part = {name: jwk[name] for name in THUMBED[jwk["kty"]]}
    return b64(sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).digest())


# ---- signatures ----------------------------------------------------------------------------------


def key_of(jwk: dict):
    """Return what PyJWT signs or verifies with."""
    kind = OKPAlgorithm if jwk["kty"] == "OKP" else ECAlgorithm
    found = kind.from_jwk({name: jwk[name] for name in ("kty", "crv", "x", "y", "d") if name in jwk})
    curve = getattr(found, "curve", None)
    if curve is not None and not isinstance(curve, SECP256R1):
        raise Unreadable("another curve")
    return found


def sign(jwk: dict, typ: str, payload, kid: str = "") -> str:
    """Return a compact JWS of exactly three header fields."""
    headers = {"kid": kid or jwk["kid"], "typ": typ}
    return JWS.encode(dumps(payload), key_of(jwk), algorithm=jwk["alg"], headers=headers)


def header(text: str) -> dict:
    """Return the header of a JWS of three parts, whoever made it."""
    parts = text.split(".")
    if len(parts) != 3 or not text.isascii():
        raise Unreadable("no three parts")
    for part in parts:
        unb64(part)
    found = loads(unb64(parts[0]))
    if not isinstance(found, dict):
        raise Unreadable("no header")
    return found


def is_signed(jwk: dict, text: str) -> bool:
    """Return whether a key has signed a JWS of its algorithm."""
    try:
        JWS.decode_complete(text, key_of(jwk), algorithms=[jwk["alg"]])
    except PyJWTError:
        return False
    return True


def payload(text: str):
    """Return what a JWS says, unchecked."""
    return loads(unb64(text.split(".")[1]))


# ---- seals ---------------------------------------------------------------------------------------


def _secret(own: X25519PrivateKey, other: X25519PublicKey) -> bytes:
    """Return the key of the content (RFC 7518, 4.6): agreed directly, without names of parties."""
    about = b"\0\0\0\7A256GCM" + b"\0\0\0\0" + b"\0\0\0\0" + (256).to_bytes(4, "big")
    return ConcatKDFHash(SHA256(), 32, about).derive(own.exchange(other))


def seal(jwk: dict, typ: str, content) -> str:
    """Return a compact JWE that only the holder of the key opens."""
    once = X25519PrivateKey.generate()
    epk = {"kty": "OKP", "crv": "X25519", "x": b64(once.public_key().public_bytes_raw())}
    head = b64(dumps({"alg": "ECDH-ES", "enc": "A256GCM", "kid": thumbprint(jwk), "typ": typ, "epk": epk}))
    nonce = os.urandom(12)
    key = _secret(once, X25519PublicKey.from_public_bytes(unb64(jwk["x"])))
    sealed = AESGCM(key).encrypt(nonce, dumps(content), head.encode())
    return f"{head}..{b64(nonce)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


def unseal(keys: list[dict], typ: str, text: str) -> dict:
    """Return what was sealed for one of the own keys; raise Unreadable where it was not."""
    parts = text.split(".")
    if len(parts) != 5 or parts[1]:
        raise Unreadable("no five parts")
    head = loads(unb64(parts[0]))
    if not isinstance(head, dict) or head.keys() != {"alg", "enc", "kid", "typ", "epk"}:
        raise Unreadable("another header")
    key = next((one for one in keys if one["kid"] == head["kid"]), None)
    if key is None or (head["alg"], head["enc"], head["typ"]) != ("ECDH-ES", "A256GCM", typ):
        raise Unreadable("sealed for others, or otherwise")
    try:
        if head["epk"]["crv"] != "X25519":
            raise Unreadable("another curve")
        other = X25519PublicKey.from_public_bytes(unb64(head["epk"]["x"]))
        secret = _secret(X25519PrivateKey.from_private_bytes(unb64(key["d"])), other)
        body = unb64(parts[3]) + unb64(parts[4])
        content = loads(AESGCM(secret).decrypt(unb64(parts[2]), body, parts[0].encode()))
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise Unreadable("does not open") from error
    if not isinstance(content, dict):
        raise Unreadable("no object")
    return content
