"""The keys of a bridge: JWK files with validity, kept by people, never fetched.

A folder has `own` (private, to sign) and `peer` (public, to check). Each file is a JWK with three members
of ours: `valid_from`, `valid_until` and, once it must not be believed any more, `revoked_at`. A message is
judged by the key that was valid at its `time`; a revoked key counts for nothing, whatever the time (BEY-16).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from msgspec import Meta

from shared.messages.limits import OPAQUE, Dated, Instant

ALGORITHMS = ("Ed25519", "ES256")
"""The algorithms that there are; each peer has a white list of these.

SM2 with SM3 (GB/T 32918) would stand here, as a third name with a kind of key in `_made` and `_load`, when
JOSE has a registered name for it.
"""
LEAD = timedelta(days=1)
"""How long before its first use a new key is there, so that the peer can be given it."""
OVERLAP = timedelta(days=7)
"""How long the key before it is still believed."""
LIFE = timedelta(days=365)
SHORT = Annotated[str, Meta(max_length=200, pattern=OPAQUE)]


class NoKey(Exception):
    """There is no key of one's own to sign with: make one with `tuanqiao federation keys rotate`."""


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
        """Return whether what was signed at an instant is believed."""
        return not self.revoked and self.valid_from <= time < self.valid_until


@dataclass(frozen=True)
class Ring:
    """The keys of one bridge at one moment.

    Attributes:
        own: To sign, the newest first.
        peer: The other system's, by their ids.
        algorithms: The white list of this peer.

    """

    own: Sequence[Key]
    peer: dict[str, Key]
    algorithms: tuple[str, ...] = ALGORITHMS

    def signing(self, now: datetime) -> Key:
        """Return the newest key of one's own that is valid now.

        Raises:
            NoKey: None is.

        """
        for key in self.own:
            if key.good_at(now):
                return key
        raise NoKey

    def of_peer(self, kid: str, alg: str) -> Key | None:
        """Return the peer's key of this id, if it is for this algorithm and the algorithm is allowed."""
        key = self.peer.get(kid)
        return key if key is not None and key.alg == alg and alg in self.algorithms else None


class Folder:
    """The key files of one bridge; what is changed in them counts from the next message on."""

    def __init__(self, place: Path, algorithms: tuple[str, ...] = ALGORITHMS) -> None:
        self.place, self.algorithms = place, algorithms
        self._seen: tuple[Any, ...] | None = None
        self._ring = Ring((), {}, algorithms)

    def ring(self) -> Ring:
        """Return the keys as the files have them now; they are read again only where one has changed."""
        files = self._files("own"), self._files("peer")
        seen = tuple((file, stat.st_mtime_ns, stat.st_size) for some in files for file, stat in some)
        if seen != self._seen:
            own, peer = ([_load(file) for file, _ in some] for some in files)
            own.sort(key=lambda key: key.valid_from, reverse=True)
            self._ring = Ring(tuple(own), {key.kid: key for key in peer}, self.algorithms)
            self._seen = seen
        return self._ring

    def _files(self, part: str) -> list[tuple[Path, os.stat_result]]:
        return [(file, file.stat()) for file in sorted((self.place / part).glob("*.jwk"))]

    def rotate(self, now: datetime, alg: str = ALGORITHMS[0]) -> KeyFile:
        """Make a key that is valid a day from now, end those before it a week later; return its public part.

        The first key of a bridge is valid at once.
        """
        before = [file for file, _ in self._files("own")]
        begins = now + LEAD if before else now
        made = _made(alg, begins)
        for file in before:
            old = read(file)
            if old.valid_until > begins + OVERLAP:
                _write(file, msgspec.structs.replace(old, valid_until=begins + OVERLAP))
        _write(self.place / "own" / f"{made.kid}.jwk", made)
        return public(made)

    def add(self, key: KeyFile) -> None:
        """Take a public key of the peer, which a person has brought."""
        _write(self.place / "peer" / f"{key.kid}.jwk", public(key))

    def revoke(self, kid: str, now: datetime) -> int:
        """Believe a key no more, one's own or the peer's; return how many files name it."""
        found = [file for part in ("own", "peer") for file, _ in self._files(part) if file.stem == kid]
        for file in found:
            _write(file, msgspec.structs.replace(read(file), revoked_at=now))
        return len(found)

    def published(self) -> list[KeyFile]:
        """Return the public parts of one's own keys, for the peer to see."""
        return [public(read(file)) for file, _ in self._files("own")]


def read(file: Path) -> KeyFile:
    """Return a key file.

    Raises:
        ValueError: It is none; its contents are not in the words.

    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeyFile)
    except msgspec.MsgspecError:
        raise ValueError(f"{file} is no key of a bridge") from None


def public(key: KeyFile) -> KeyFile:
    """Return a key without its private part."""
    return msgspec.structs.replace(key, d=None)


def _made(alg: str, begins: datetime) -> KeyFile:
    jwk = OKPKey.generate_key("Ed25519") if alg == "Ed25519" else ECKey.generate_key("P-256")
    parts = {name: str(value) for name, value in jwk.as_dict(private=True).items()}
    parts |= {"kid": jwk.thumbprint(), "alg": alg}
    return msgspec.convert({**parts, "valid_from": begins, "valid_until": begins + LIFE}, KeyFile)


_CURVES = (("Ed25519", "Ed25519"), ("ES256", "P-256"))


def _kind(alg: str) -> type[OKPKey] | type[ECKey]:
    return OKPKey if alg == "Ed25519" else ECKey


def _load(file: Path) -> Key:
    key = read(file)
    if (key.alg, key.crv) not in _CURVES or key.kid != file.stem:
        raise ValueError(f"{file} is no key of a bridge")
    parts = {name: getattr(key, name) for name in ("kty", "crv", "x", "y", "d", "kid", "use")}
    try:
        jwk = _kind(key.alg).import_key({name: value for name, value in parts.items() if value is not None})
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
