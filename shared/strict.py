"""Reading what another system has signed or sealed: in one form only, without play.

JSON without a field twice, base64 in the one way in which bytes are written: so two readers never find
two things in one text.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import Any, TypeVar

import msgspec

Kind = TypeVar("Kind")


def read_json(body: bytes, kind: type[Kind]) -> Kind:
    """Return what JSON says, read strictly: UTF-8, no field twice, nested as deep as a contract.

    Raises:
        ValueError: It is something else; the values are not in the words.

    """
    try:
        found: Kind = _decoder(kind).decode(body)  # type: ignore[arg-type]
        _STRICT.decode(body.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise ValueError("no JSON of this form") from None
    return found


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


_STRICT = json.JSONDecoder(object_pairs_hook=_once)


def b64url_bytes(part: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def b64url(some: bytes) -> str:
    """Return bytes as base64url without padding."""
    return urlsafe_b64encode(some).rstrip(b"=").decode()


def is_canonical(part: str) -> bool:
    """Return whether base64 is written in the one way that there is: the last bits are part of no byte."""
    if len(part) % 4 == 1:
        return False
    tail = part[-(len(part) % 4 or 4) :]
    return b64url(b64url_bytes(tail)) == tail
