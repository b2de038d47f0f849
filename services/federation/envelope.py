"""Signing what goes to a peer, and opening what comes: one compact JWS is one message (BEY-16).

What is opened has one form only: a header of exactly `alg`, `kid` and `typ`, base64 without play, JSON
without a field twice. So there is no room for `crit`, `b64`, or a key that the message brings along.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec
from joserfc import jws

from services.federation.keys import Key, Ring
from services.federation.protocol import MUST_ARRIVE, Side, Type, Word, may_speak
from services.federation.schemas import DATA, FAULTS, Envelope, Fault, word_of
from shared.strict import b64url, b64url_bytes, is_canonical
from shared.strict import read_json as read_json

LARGEST = 64 * 1024
"""Characters of a message; a record has 3,000."""
LONGEST = 1024 * 1024
"""Characters of the longest thing that is signed, the lines of a manifest."""
FUTURE = timedelta(minutes=10)
"""How far a peer's clock may be ahead."""
LIVES = timedelta(days=30)
"""How long a message that expires is sent."""
MESSAGE, RECEIPT, TOKEN, MANIFEST = "message+jws", "receipt+jws", "token+jws", "manifest+jws"
"""What a signature is for, in the header's `typ`: what is signed as the one is never taken for the other."""

_FORM = re.compile(r"([A-Za-z0-9_-]{1,700})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{1,200})")
_SUBJECT = re.compile(r"(?P<owner>[A-Za-z0-9_]{2,16}):[A-Za-z0-9._-]{1,40}")
_VERSION = re.compile(r"urn:tuanqiao:bridge:(?P<major>\d{1,4})\.\d{1,4}")


class NotTaken(Exception):
    """A message that is refused: why, whether it is the peer's, and its envelope if that could be read."""

    def __init__(self, fault: Fault, envelope: Envelope | None = None, authentic: bool = False) -> None:
        super().__init__(fault.value)
        self.fault, self.envelope = fault, envelope
        self.authentic = authentic or envelope is not None

    @property
    def numbered(self) -> Envelope | None:
        """Return the envelope where the message takes its number all the same, else None."""
        return self.envelope if FAULTS[self.fault].counts else None


class Opened(NamedTuple):
    """A message that is authentic and whole.

    Attributes:
        side: The part of whoever says it in this transfer.

    """

    envelope: Envelope
    kind: Type
    word: Word
    side: Side
    data: msgspec.Struct


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str


def sha256(text: str) -> str:
    """Return the hash by which a JWS is named."""
    return hashlib.sha256(text.encode()).hexdigest()


def message_id(source: str, subject: str, seq: int) -> str:
    """Return the id of a message: the same after a crash as before it."""
    return f"{source}/{subject}/{seq}"


def sign(key: Key, kind: str, payload: bytes) -> str:
    """Return a payload as a compact JWS that is good for one kind of thing."""
    signed = f"{_header(key.alg, key.kid, kind)}.{b64url(payload)}"
    return f"{signed}.{b64url(_algorithm(key.alg).sign(signed.encode(), key.jwk))}"


def verified(text: str, kind: str, ring: Ring, longest: int = LARGEST) -> tuple[bytes, Key]:
    """Return the payload of a JWS that one of the peer's keys has signed, and the key.

    Whether the key was valid at the time is for the caller to ask, who reads the time.

    Raises:
        NotTaken: It is no JWS of the one form, or nobody's whom we know.

    """
    form = _FORM.fullmatch(text) if len(text) <= longest else None
    if form is None or not all(is_canonical(part) for part in form.groups()):
        raise NotTaken(Fault.MALFORMED)
    header = _read_header(form[1])
    key = ring.of_peer(header.kid, header.alg) if header is not None and header.typ == kind else None
    signed = text[: form.end(2)].encode()
    if key is None or not _algorithm(key.alg).verify(signed, b64url_bytes(form[3]), key.jwk):
        raise NotTaken(Fault.NOT_AUTHENTIC)
    return b64url_bytes(form[2]), key


def opened(text: str, ring: Ring, peer: str, me: str, now: datetime) -> Opened:
    """Return a message of a peer to us.

    Args:
        text: The compact JWS.
        ring: Our keys of that peer.
        peer: The system that this bridge leads to.
        me: Our own system.
        now: By our clock.

    Raises:
        NotTaken: It is refused.

    """
    body, key = verified(text, MESSAGE, ring)
    try:
        envelope = read_json(body, Envelope)
    except ValueError:
        raise NotTaken(Fault.MALFORMED, authentic=True) from None
    subject = _SUBJECT.fullmatch(envelope.subject)
    if envelope.source != peer or envelope.dest != me or not key.good_at(envelope.time):
        raise NotTaken(Fault.NOT_AUTHENTIC)
    if (
        subject is None
        or subject["owner"] not in (peer, me)
        or envelope.id != message_id(peer, envelope.subject, envelope.seq)
    ):
        raise NotTaken(Fault.MALFORMED, envelope)
    if envelope.time > now + FUTURE:
        raise NotTaken(Fault.CLOCK, envelope)
    found = _whole(envelope)
    if envelope.expires is not None and envelope.expires <= now:
        raise NotTaken(Fault.EXPIRED, envelope)
    return found


def payload_of(text: str) -> bytes:
    """Return the payload of a JWS, unchecked: of one that has been checked, or is one's own."""
    return b64url_bytes(text.split(".")[1])


def payload(text: str) -> Envelope:
    """Return the envelope of a message that has been opened once, and was stored then."""
    return read_json(payload_of(text), Envelope)


def opened_before(text: str) -> Opened:
    """Return a message that has been opened once, and was stored then: it was authentic and in time."""
    return _whole(payload(text))


def speaker(envelope: Envelope) -> Side:
    """Return the part that the source of a message has in the transfer: its sender's number it is, or not."""
    return Side.SENDER if envelope.subject.partition(":")[0] == envelope.source else Side.RECEIVER


def _whole(envelope: Envelope) -> Opened:
    side = speaker(envelope)
    kind, data = _read_data(envelope, side)
    return Opened(envelope, kind, word_of(kind, data), side, data)


def _read_data(envelope: Envelope, side: Side) -> tuple[Type, msgspec.Struct]:
    version = _VERSION.fullmatch(envelope.dataschema)
    if version is None or version["major"] != "1" or envelope.type not in _TYPES:
        raise NotTaken(Fault.VERSION, envelope)
    kind = Type(envelope.type)
    if not may_speak(side, kind) or (envelope.expires is None) is not (kind in MUST_ARRIVE):
        raise NotTaken(Fault.WRONG_FIELD, envelope)
    try:
        return kind, _decoder(DATA[kind]).decode(envelope.data)
    except msgspec.ValidationError as error:
        long = "of length <=" in str(error)
    raise NotTaken(Fault.TOO_LONG if long else Fault.WRONG_FIELD, envelope)


_TYPES = {kind.value for kind in Type}


@cache
def _algorithm(alg: str) -> Any:
    """Return what joserfc signs and checks with; a key is only ever loaded for its own algorithm."""
    return jws.JWSRegistry(algorithms=[alg]).get_alg(alg)


@cache
def _header(alg: str, kid: str, kind: str) -> str:
    return b64url(msgspec.json.encode(_Header(alg, kid, kind)))


@lru_cache(64)
def _read_header(part: str) -> _Header | None:
    """Return what a header says, None where it is none of the one form; a peer writes few."""
    try:
        return read_json(b64url_bytes(part), _Header)
    except ValueError:
        return None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
