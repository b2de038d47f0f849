"""Compact JWS and JWE with `cryptography` alone: Ed25519 (RFC 9864), ES256, ECDH-ES and A256GCM on X25519."""

import base64
import hashlib
import json
import os
import re

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

ALPHABET = re.compile(r"[A-Za-z0-9_-]*")
SEAL = {"alg": "ECDH-ES", "enc": "A256GCM"}


class Unreadable(ValueError):
    """This is no JWS or JWE of the agreed form."""


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return the bytes; only the one form that `b64` gives is taken."""
    if not ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise Unreadable("no base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(raw) != text:
        raise Unreadable("no canonical base64url")
    return raw


def sha256(text: str) -> str:
    """Return the SHA-256 of a JWS, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def dumps(value) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _once(pairs):
    """Return an object, or raise where a field comes twice."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise Unreadable("a field twice")
    return dict(pairs)


def _no_constant(word):
    raise Unreadable(f"{word} is no JSON")


def loads(raw: bytes):
    """Return what the JSON says: UTF-8, no field twice, no NaN, no half characters."""
    try:
        text = raw.decode()
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeError, RecursionError, ValueError) as error:
        raise Unreadable("no JSON") from error
    return value


def thumbprint(jwk: dict) -> str:
    """Return the key's id (RFC 7638)."""
    needed = ("crv", "kty", "x", "y") if jwk["kty"] == "EC" else ("crv", "kty", "x")
    return b64(hashlib.sha256(dumps({name: jwk[name] for name in needed})).digest())


def algorithm(jwk: dict) -> str:
    """Return the `alg` that this key signs with."""
    return "ES256" if jwk["kty"] == "EC" else "Ed25519"


def sign(jwk: dict, typ: str, payload: dict) -> str:
    """Return a compact JWS with exactly three header fields."""
    header = {"alg": algorithm(jwk), "kid": thumbprint(jwk), "typ": typ}
    signed = f"{b64(dumps(header))}.{b64(dumps(payload))}"
    secret = unb64(jwk["d"])
    if header["alg"] == "Ed25519":
        signature = ed25519.Ed25519PrivateKey.from_private_bytes(secret).sign(signed.encode())
    else:
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{b64(signature)}"


def parts(jws: str) -> tuple[dict, bytes, str, bytes]:
    """Return header, payload as bytes, what was signed, and signature; nothing is verified."""
    pieces = jws.split(".")
    if len(pieces) != 3:
        raise Unreadable("no compact JWS")
    header, payload, signature = (unb64(piece) for piece in pieces)
    fields = loads(header)
    if not isinstance(fields, dict):
        raise Unreadable("no header")
    return fields, payload, f"{pieces[0]}.{pieces[1]}", signature


def is_signed(jwk: dict, signed: str, signature: bytes) -> bool:
    """Return whether this key made that signature."""
    try:
        if algorithm(jwk) == "Ed25519":
            ed25519.Ed25519PublicKey.from_public_bytes(unb64(jwk["x"])).verify(signature, signed.encode())
            return True
        if len(signature) != 64:
            return False
        x, y = (int.from_bytes(unb64(jwk[name]), "big") for name in ("x", "y"))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(utils.encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _shared_key(secret: x25519.X25519PrivateKey, public: x25519.X25519PublicKey) -> bytes:
    """Return the content key of ECDH-ES (RFC 7518, 4.6.2), without apu and apv."""
    name = SEAL["enc"].encode()
    empty = (0).to_bytes(4, "big")
    info = len(name).to_bytes(4, "big") + name + empty + empty + (256).to_bytes(4, "big")
    return ConcatKDFHash(SHA256(), 32, info).derive(secret.exchange(public))


def seal(jwk: dict, kind: str, content: dict) -> str:
    """Return a compact JWE of this `typ` that only the holder of this X25519 key opens."""
    passing = x25519.X25519PrivateKey.generate()
    public = passing.public_key().public_bytes_raw()
    epk = {"kty": "OKP", "crv": "X25519", "x": b64(public)}
    header = b64(dumps(SEAL | {"kid": thumbprint(jwk), "typ": kind, "epk": epk}))
    key = _shared_key(passing, x25519.X25519PublicKey.from_public_bytes(unb64(jwk["x"])))
    iv = os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, dumps(content), header.encode())
    return f"{header}..{b64(iv)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


def kid(jwe: str) -> str:
    """Return the id of the key that a seal was made for; empty where it cannot be read."""
    try:
        found = loads(unb64(jwe.partition(".")[0]))
        return str(found["kid"])
    except (KeyError, TypeError, Unreadable):
        return ""


def unseal(jwk: dict, kind: str, jwe: str) -> dict:
    """Return what was sealed for this key as a `person+jwe` or `record+jwe`."""
    try:
        header, none, iv, text, tag = jwe.split(".")
        fields = loads(unb64(header))
        agreed = SEAL | {"kid": thumbprint(jwk), "typ": kind, "epk": fields["epk"]}
        epk = {name: fields["epk"].get(name) for name in ("kty", "crv")}
        if none or fields != agreed or epk != {"kty": "OKP", "crv": "X25519"}:
            raise Unreadable("sealed in another way, or for another key")
        public = x25519.X25519PublicKey.from_public_bytes(unb64(fields["epk"]["x"]))
        key = _shared_key(x25519.X25519PrivateKey.from_private_bytes(unb64(jwk["d"])), public)
        content = loads(AESGCM(key).decrypt(unb64(iv), unb64(text) + unb64(tag), header.encode()))
    except (AttributeError, InvalidTag, KeyError, TypeError, ValueError) as error:
        raise Unreadable("cannot be opened") from error
    if not isinstance(content, dict):
        raise Unreadable("no object in the seal")
    return content
