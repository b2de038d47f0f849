"""What is sealed for the registry of another system, and what was sealed for ours (FED-10).

A compact JWE of one form only, `docs/federation.md` has it: ECDH-ES on X25519, A256GCM. The keys lie in
the folder `registry` beside the others: `own` has ours, `BJ`, `GD` and `FJ` have what people have brought of
the other systems. Sealed is with a peer's newest key that is valid. Opened is with every key of ours that has
ever been: what was sealed for an old one, or before that one was revoked, is on its way still, and who has
sent it the bridge has proved by another key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from joserfc import jwe
from joserfc.errors import JoseError

from services.members.sealing.keys import keys
from shared import metrics
from shared.keyfiles import OWN, Files, Key, KeyFile, is_whole, lasts, read
from shared.messages.federation import Jwe
from shared.messages.sealed import SealedPerson, SealedRecord
from shared.messages.words import PEERS, System
from shared.strict import b64url_bytes, is_canonical, read_json

ALG, ENC = "ECDH-ES", "A256GCM"
TYPES = {SealedPerson: "person+jwe", SealedRecord: "record+jwe"}
"""What a seal is for, in the header's `typ`: what is sealed as the one never opens as the other."""
LARGEST = 24_000
"""Characters of a seal, as the contracts have it (`Jwe`)."""
LARGEST_RECORD = 17_000
"""Bytes of what is sealed, so that the seal is no larger than that."""

# header . no key . nonce of 12 bytes . ciphertext . tag of 16 bytes
_FORM = re.compile(r"([A-Za-z0-9_-]{1,700})\.\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})")
_POINT = re.compile("[A-Za-z0-9_-]{43}")
Said = TypeVar("Said", SealedPerson, SealedRecord)


class NoSealKey(LookupError):
    """There is no key to seal or to open with: what came waits for one, and is tried again."""


class Unreadable(Exception):
    """What came is no seal of the one form that opens here; what is wrong is for nobody to know."""


class _Ephemeral(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kty: str
    crv: str
    x: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    enc: str
    kid: str
    typ: str
    epk: _Ephemeral


def files(folder: Path) -> Files:
    """Return the key files of the registry in a folder of keys."""
    return Files(folder / "registry", [str(peer) for peer in PEERS], (ALG,))


def make_keys(folder: Path, now: datetime) -> None:
    """Make the first key of the registry unless there is one; it is valid at once."""
    found = files(folder)
    if not found.keys()[OWN]:
        found.rotate(now, ALG)


def rotate(folder: Path, now: datetime) -> KeyFile:
    """Make a new key of the registry; return its public part, for people to hand to the peers.

    It is valid a day later, and the one before it a week longer; the private ones are kept to open with.
    """
    return files(folder).rotate(now, ALG)


def bring(folder: Path, peer: str, file: Path) -> str:
    """Take the public key of another system's registry from a file; return its id, for people to compare.

    Raises:
        ValueError: There is no such system; the file is no key to seal with, or one that is here already.

    """
    if peer not in PEERS:
        raise ValueError(f"{peer!r} is none of {', '.join(PEERS)}")
    key = read(file)
    if (key.alg, key.crv, key.use) != (ALG, "X25519", "enc") or not is_whole(key):
        raise ValueError(f"{file} is no key to seal with: an X25519 JWK for {ALG}, called by its thumbprint")
    found = files(folder)
    # nobody brings a revoked key back by handing it over again
    if key.kid in [one.kid for one in found.keys()[peer]]:
        raise ValueError(f"{key.kid} is here already")
    found.add(peer, key)
    return key.kid


class Registry:
    """Seals and opens with the keys in a folder, as they are at the moment."""

    def __init__(self, folder: Path) -> None:
        self.files = files(folder)

    def seal(self, peer: str, said: SealedPerson | SealedRecord, now: datetime) -> Jwe:
        """Return something sealed for the registry of a peer.

        Raises:
            NoSealKey: It has no key that is valid now.

        """
        key = self._of_peer(peer, now)
        header = {"alg": ALG, "enc": ENC, "kid": key.kid, "typ": TYPES[type(said)]}
        return jwe.encrypt_compact(header, msgspec.json.encode(said), key.jwk, algorithms=[ALG, ENC])

    def _of_peer(self, peer: str, now: datetime) -> Key:
        for key in self.files.keys().get(peer, ()):
            if key.good_at(now):
                return key
        raise NoSealKey(f"no valid key of the registry of {peer}; bring one to registry/{peer}")

    def open(self, text: str, kind: type[Said]) -> Said:
        """Return what was sealed for this registry.

        Raises:
            Unreadable: It is nothing of the kind, or not for any key of ours.
            NoSealKey: There is no key of ours.

        """
        # read apart: what is wrong with our files is no answer to whoever has sealed something
        own = {key.kid: key for key in self.files.keys()[OWN]}
        if not own:
            raise NoSealKey("the registry has no key of its own; make one with `tuanqiao keys`")
        try:
            key = _checked(text, TYPES[kind], own)
            plain = jwe.decrypt_compact(text, key.jwk, algorithms=[ALG, ENC]).plaintext
            return read_json(plain or b"", kind)
        # joserfc's own errors, and those of what it is made of: a point that is none, a tag that differs
        except (JoseError, InvalidTag, ValueError):
            raise Unreadable from None


def _checked(text: str, typ: str, own: Mapping[str, Key]) -> Key:
    """Return the key of ours that a seal names; raise ValueError where its form is not the one."""
    form = _FORM.fullmatch(text) if len(text) <= LARGEST else None
    if form is None or not all(is_canonical(part) for part in form.groups()):
        raise ValueError
    header = read_json(b64url_bytes(form[1]), _Header)
    point = (header.epk.kty, header.epk.crv, bool(_POINT.fullmatch(header.epk.x)))
    if (header.alg, header.enc, header.typ) != (ALG, ENC, typ) or point != ("OKP", "X25519", True):
        raise ValueError
    if header.kid not in own:
        raise ValueError
    return own[header.kid]


def days_left(peers: Collection[str], now: datetime) -> dict[str, float]:
    """Return for how many days there is a key to seal with for each peer, and one that they seal for us with.

    A folder with a file that is no key has none. Nothing where no bridge leads anywhere.
    """
    try:
        found = registry().files.keys()
    except ValueError:
        found = {}
    parts = {System.NATIONAL: OWN, **{System(peer): peer for peer in peers}} if peers else {}
    day = timedelta(seconds=metrics.DAY)
    return {str(system): lasts(found.get(part, ()), now) / day for system, part in parts.items()}


def gauges(peers: Collection[str], now: datetime) -> list[metrics.Reading]:
    """Return how long the keys of registries last."""
    return [(metrics.REGISTRY_KEY_DAYS, (system,), days) for system, days in days_left(peers, now).items()]


def size(said: SealedPerson | SealedRecord) -> int:
    """Return how many bytes are sealed of something."""
    return len(msgspec.json.encode(said))


@lru_cache(maxsize=4)
def _registry(folder: Path) -> Registry:
    return Registry(folder)


def registry() -> Registry:
    """Return the registry of this process, whose keys lie beside those of numbers and tokens."""
    return _registry(keys.folder)
