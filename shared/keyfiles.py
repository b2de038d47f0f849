"""Key files for other systems: JWKs with validity, kept by people, never fetched (BEY-16).

A folder has a part `own` with private keys and a part for each other system with its public ones. A file
is a JWK with three members of ours: `valid_from`, `valid_until` and, once it must not be believed any more,
`revoked_at`; it is called by the key's id.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from msgspec import Meta

from shared.messages.limits import OPAQUE, Dated, Instant

OWN = "own"
"""The part of a folder with one's own keys."""
LEAD = timedelta(days=1)
"""How long before its first use a new key is there, so that the peer can be given it."""
OVERLAP = timedelta(days=7)
"""How long the key before it is still believed."""
LIFE = timedelta(days=365)
SHORT = Annotated[str, Meta(max_length=200, pattern=OPAQUE)]


class Taken(NamedTuple):
    """What kind of key an algorithm takes, and what it is for."""

    jwk: type[OKPKey] | type[ECKey]
    crv: str
    use: str


KINDS: Mapping[str, Taken] = {
    "Ed25519": Taken(OKPKey, "Ed25519", "sig"),
    "ES256": Taken(ECKey, "P-256", "sig"),
    "ECDH-ES": Taken(OKPKey, "X25519", "enc"),
}
"""The algorithms that there are; each folder has a white list of these.

SM2 with SM3 (GB/T 32918) would stand here, when JOSE has a registered name for it.
"""


class KeyFile(Dated, frozen=True, kw_only=True, omit_defaults=True):
    """A JWK as it stands in a file; `d` in those of one's own only."""

    kty: SHORT
    crv: SHORT
    x: SHORT
    y: SHORT | None = None
    d: SHORT | None = None
    kid: SHORT
    alg: SHORT
    use: SHORT = "sig"
    valid_from: Instant
    valid_until: Instant
    revoked_at: Instant | None = None


@dataclass(frozen=True)
class Key:
    """A key and when it is believed."""

    kid: str
    alg: str
    jwk: OKPKey | ECKey
    valid_from: datetime
    valid_until: datetime
    revoked: bool

    def good_at(self, time: datetime) -> bool:
        """Return whether the key is believed at an instant."""
        return not self.revoked and self.valid_from <= time < self.valid_until


def lasts(keys: Iterable[Key], now: datetime) -> timedelta:
    """Return for how long there is a key that is believed; those that follow each other count as one."""
    until = now
    for key in sorted(keys, key=lambda one: one.valid_from):
        if not key.revoked and key.valid_from <= until:
            until = max(until, key.valid_until)
    return until - now


class Files:
    """The key files of a folder; what is changed in them counts from the next look on."""

    def __init__(self, place: Path, peers: Sequence[str], algorithms: Sequence[str]) -> None:
        self.place, self.peers, self.algorithms = place, tuple(peers), tuple(algorithms)
        self._seen: tuple[object, ...] | None = None
        self._keys: dict[str, tuple[Key, ...]] = {}

    def keys(self) -> dict[str, tuple[Key, ...]]:
        """Return the keys of each part, the newest first; files are read again only where one has changed.

        Raises:
            ValueError: A file is no key of such a folder.

        """
        files = {part: self._files(part) for part in (OWN, *self.peers)}
        seen = tuple((file, stat.st_mtime_ns, stat.st_size) for some in files.values() for file, stat in some)
        if seen != self._seen:
            self._keys = {part: self._loaded(file for file, _ in some) for part, some in files.items()}
            self._seen = seen
        return self._keys

    def _loaded(self, files: Iterable[Path]) -> tuple[Key, ...]:
        found = [_load(file, self.algorithms) for file in files]
        return tuple(sorted(found, key=lambda key: key.valid_from, reverse=True))

    def _files(self, part: str) -> list[tuple[Path, os.stat_result]]:
        return [(file, file.stat()) for file in sorted((self.place / part).glob("*.jwk"))]

    def rotate(self, now: datetime, alg: str) -> KeyFile:
        """Make a key that is valid a day from now, end those before it a week later; return its public part.

        The first key of a folder is valid at once.
        """
        before = [file for file, _ in self._files(OWN)]
        begins = now + LEAD if before else now
        made = _made(alg, begins)
        for file in before:
            old = read(file)
            if old.valid_until > begins + OVERLAP:
                _write(file, msgspec.structs.replace(old, valid_until=begins + OVERLAP))
        _write(self.place / OWN / f"{made.kid}.jwk", made)
        return public(made)

    def add(self, peer: str, key: KeyFile) -> None:
        """Take a public key of another system, which a person has brought.

        Raises:
            ValueError: It is no key of such a folder, or its id is not made of the key.

        """
        file = self.place / peer / f"{key.kid}.jwk"
        # its id becomes the name of a file, so it is none that somebody has thought out
        if _loaded(key, file, self.algorithms).jwk.thumbprint() != key.kid:
            raise ValueError(f"{file.name} is no key of a bridge")
        _write(file, public(key))

    def revoke(self, kid: str, now: datetime) -> int:
        """Believe a key no more, one's own or another system's; return how many files name it."""
        parts = (OWN, *self.peers)
        found = [file for part in parts for file, _ in self._files(part) if file.stem == kid]
        for file in found:
            _write(file, msgspec.structs.replace(read(file), revoked_at=now))
        return len(found)

    def published(self, part: str = OWN) -> list[KeyFile]:
        """Return the public parts of one's own keys, for others to see; or of what others have given."""
        return [public(read(file)) for file, _ in self._files(part)]


def read(file: Path) -> KeyFile:
    """Return a key file.

    Raises:
        ValueError: It is none; its contents are not in the words.

    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeyFile)
    except msgspec.MsgspecError:
        raise ValueError(f"{file} is no key of a bridge") from None


def is_whole(key: KeyFile) -> bool:
    """Return whether a file holds a key of its kind whose id is its thumbprint (RFC 7638)."""
    kind = KINDS.get(key.alg)
    if kind is None or (key.crv, key.use) != (kind.crv, kind.use):
        return False
    try:
        return bool(_jwk(key, kind).thumbprint() == key.kid)
    except (JoseError, ValueError):
        return False


def _jwk(key: KeyFile, kind: Taken) -> OKPKey | ECKey:
    parts = {name: getattr(key, name) for name in ("kty", "crv", "x", "y", "d", "kid", "use")}
    return kind.jwk.import_key({name: value for name, value in parts.items() if value is not None})


def public(key: KeyFile) -> KeyFile:
    """Return a key without its private part."""
    return msgspec.structs.replace(key, d=None)


def _made(alg: str, begins: datetime) -> KeyFile:
    kind = KINDS[alg]
    jwk = kind.jwk.generate_key(kind.crv)  # type: ignore[arg-type]
    parts = {name: str(value) for name, value in jwk.as_dict(private=True).items()}
    parts |= {"kid": jwk.thumbprint(), "alg": alg, "use": kind.use}
    return msgspec.convert({**parts, "valid_from": begins, "valid_until": begins + LIFE}, KeyFile)


def _load(file: Path, algorithms: Sequence[str]) -> Key:
    return _loaded(read(file), file, algorithms)


def _loaded(key: KeyFile, file: Path, algorithms: Sequence[str]) -> Key:
    kind = KINDS.get(key.alg) if key.alg in algorithms else None
    if kind is None or (key.crv, key.use, key.kid) != (kind.crv, kind.use, file.stem):
        raise ValueError(f"{file} is no key of a bridge")
    try:
        jwk = _jwk(key, kind)
    except (JoseError, ValueError):
        raise ValueError(f"{file} is no key of a bridge") from None
    return Key(key.kid, key.alg, jwk, key.valid_from, key.valid_until, key.revoked_at is not None)


def _write(file: Path, key: KeyFile) -> None:
    """Write a file so that nobody sees half of it, readable by its owner alone where it is private."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(key)))
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
