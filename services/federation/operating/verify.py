"""Verify the evidence of one transfer, which lies beside this file.

It needs Python 3.9 or newer and the library cryptography, and nothing of the systems that made it:
    python3 verify.py
It ends with 0 if everything fits, else with 1 and a line for each thing that does not.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

Keys = dict[str, dict[str, Any]]
"""The public keys of a system, by their ids."""
Step = tuple[Path, str, str, str]
"""A message, its transfer, when it was signed, and a line for people."""
HERE = Path(__file__).resolve().parent
MESSAGE, RECEIPT = "message+jws", "receipt+jws"


class Wrong(Exception):
    """Something does not fit; the words say what."""


def sha256(content: bytes) -> str:
    """Return a SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def unpacked(part: str) -> bytes:
    """Return the bytes of a part of a JWS, which has one form only."""
    found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if urlsafe_b64encode(found).rstrip(b"=").decode() != part:
        raise Wrong("base64 in another form than the one")
    return found


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON that has no field twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("a field stands twice")
    return found


def read(content: bytes) -> dict[str, Any]:
    """Return what JSON says."""
    found: dict[str, Any] = json.loads(content.decode("utf-8"), object_pairs_hook=once)
    return found


def instant(text: str) -> datetime:
    """Return an instant as messages write it; `Z` and more than six digits are understood."""
    short = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    found = datetime.fromisoformat(short)
    if found.tzinfo is None:
        raise Wrong(f"an instant without a zone: {text}")
    return found.astimezone(timezone.utc)  # noqa: UP017  (Python 3.11 has a shorter name)


def thumbprint(key: dict[str, Any]) -> str:
    """Return the id of a key, made of the key itself (RFC 7638)."""
    names = ("crv", "kty", "x", "y") if key["kty"] == "EC" else ("crv", "kty", "x")
    text = json.dumps({name: key[name] for name in names}, separators=(",", ":"), sort_keys=True)
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def keys_of(system: str) -> dict[str, dict[str, Any]]:
    """Return the public keys of a system, by their ids."""
    found = {}
    for file in sorted((HERE / "keys" / system).glob("*.jwk")):
        key = read(file.read_bytes())
        if "d" in key:
            raise Wrong(f"{file.name} holds a private key")
        if not key["kid"] == file.stem == thumbprint(key):
            raise Wrong(f"{file.name} holds another key than its name says")
        found[key["kid"]] = key
    return found


def check_signature(key: dict[str, Any], signed: bytes, signature: bytes) -> None:
    """Raise unless a key has signed this."""
    x = unpacked(key["x"])
    try:
        if (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "Ed25519"):
            Ed25519PublicKey.from_public_bytes(x).verify(signature, signed)
        elif (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256"):
            if len(signature) != 64:
                raise Wrong("a signature of another length")
            whole = int.from_bytes(x, "big"), int.from_bytes(unpacked(key["y"]), "big")
            halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            public = EllipticCurvePublicNumbers(*whole, SECP256R1()).public_key()
            public.verify(encode_dss_signature(*halves), signed, ECDSA(SHA256()))
        else:
            raise Wrong(f"a key of a kind that is not agreed: {key['kty']} {key['crv']} {key['alg']}")
    except InvalidSignature:
        raise Wrong("the signature does not fit") from None


def opened(text: str, kind: str, keys: Keys) -> dict[str, Any]:
    """Return what a compact JWS says, once its signature and the validity of its key are proved."""
    parts = text.split(".")
    if len(parts) != 3:
        raise Wrong("no compact JWS")
    header = read(unpacked(parts[0]))
    if set(header) != {"alg", "kid", "typ"} or header["typ"] != kind:
        raise Wrong(f"its header is not that of a {kind}")
    key = keys.get(header["kid"])
    if key is None or key["alg"] != header["alg"]:
        raise Wrong("no key of its signer has this id and algorithm")
    check_signature(key, f"{parts[0]}.{parts[1]}".encode(), unpacked(parts[2]))
    said = read(unpacked(parts[1]))
    at = instant(said["time"])
    if not instant(key["valid_from"]) <= at < instant(key["valid_until"]):
        raise Wrong(f"its key was not valid at {said['time']}")
    if "revoked_at" in key:
        raise Wrong(f"its key was revoked at {key['revoked_at']}")
    return said


def chain(system: str, peer: str, keys: dict[str, Keys], files: list[Path]) -> Iterator[Step]:
    """Prove the messages of one side in their order; yield a line for each."""
    before, last = "", 0
    for file in files:
        text = file.read_bytes().decode("ascii")
        said = opened(text, MESSAGE, keys[system])
        seq = int(file.stem.rpartition("-")[2])
        if (said["source"], said["dest"], said["seq"]) != (system, peer, seq):
            raise Wrong(f"{file.name}: it is from somebody else, for somebody else, or has another number")
        if said["id"] != f"{system}/{said['subject']}/{seq}":
            raise Wrong(f"{file.name}: its id does not fit")
        if seq == last + 1 and said["prev"] != before:
            raise Wrong(f"{file.name}: it follows another message than the one before it")
        note = "" if seq == last + 1 else f"; {last + 1} to {seq - 1} are not here"
        before, last = sha256(text.encode()), seq
        yield (
            file,
            said["subject"],
            said["time"],
            f"{said['time']}  {system:>8} {seq:>3} {said['type']}{note}",
        )


def receipt(file: Path, message: Path, signer: str, other: str, keys: dict[str, Keys]) -> str:
    """Prove the receipt of a message; return what it says."""
    said = opened(file.read_bytes().decode("ascii"), RECEIPT, keys[signer])
    if (said["source"], said["dest"]) != (signer, other):
        raise Wrong(f"{file.name}: a receipt of somebody else, or for somebody else")
    if said["sha256"] != sha256(message.read_bytes()):
        raise Wrong(f"{file.name}: a receipt of another message")
    code = f" ({said['code']})" if said.get("code") else ""
    return f"receipted {said['status']}{code} at {said['time']}"


def check_list() -> int:
    """Raise unless the files are those of the list, byte for byte, and no others; return how many."""
    content = (HERE / "README.txt").read_bytes()
    body, _, end = content[:-1].rpartition(b"\n")
    body += b"\n"
    if content[-1:] != b"\n" or end.decode("utf-8", "replace") != f"{sha256(body)}  README.txt":
        raise Wrong("README.txt was changed")
    listed = dict(
        line.split("  ", 1)[::-1]
        for line in body.decode("utf-8").splitlines()
        if re.fullmatch(r"[0-9a-f]{64}  [A-Za-z0-9/._-]+", line)
    )
    there = {str(one.relative_to(HERE).as_posix()) for one in HERE.rglob("*") if one.is_file()}
    there = {name for name in there if "__pycache__" not in name}
    for name in sorted(there - set(listed) - {"README.txt"}):
        raise Wrong(f"{name} is not on the list of README.txt")
    for name, expected in sorted(listed.items()):
        if name not in there:
            raise Wrong(f"{name} is missing")
        if sha256((HERE / name).read_bytes()) != expected:
            raise Wrong(f"{name} was changed")
    return len(listed)


def verify() -> list[str]:
    """Prove everything; return the lines to print."""
    count = check_list()
    systems = sorted(one.name for one in (HERE / "keys").iterdir())
    if len(systems) != 2:
        raise Wrong("there are keys of other systems than two")
    keys = {system: keys_of(system) for system in systems}
    found: list[tuple[datetime, str]] = []
    subjects: set[str] = set()
    for system, peer in (systems, systems[::-1]):
        files = sorted((HERE / "messages").glob(f"{system}-*.jws"))
        for file, subject, at, line in chain(system, peer, keys, files):
            subjects.add(subject)
            beside = HERE / "receipts" / file.name
            what = receipt(beside, file, peer, system, keys) if beside.exists() else "without a receipt"
            found.append((instant(at), f"{line}, {what}"))
    alone = {one.name for one in (HERE / "receipts").glob("*")} - {
        one.name for one in (HERE / "messages").glob("*")
    }
    if alone:
        raise Wrong(f"receipts without their messages: {', '.join(sorted(alone))}")
    if len(subjects) != 1:
        raise Wrong(f"messages of {len(subjects)} transfers")
    lines = [line for _, line in sorted(found)]
    return [f"{subjects.pop()} between {' and '.join(systems)}", *lines, f"{count} files: everything fits"]


if __name__ == "__main__":
    try:
        print("\n".join(verify()))
    except Wrong as error:
        sys.exit(f"DOES NOT FIT: {error}")
    except (KeyError, TypeError, ValueError, OSError) as error:
        sys.exit(f"DOES NOT FIT: {type(error).__name__} while reading: {error}")
