"""The keys of a bridge, with which messages are signed: `shared.keyfiles` keeps them.

A folder has `own` (private, to sign) and `peer` (public, to check). A message is judged by the key that was
valid at its `time`; a revoked key counts for nothing, whatever the time (BEY-16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shared.keyfiles import LEAD as LEAD
from shared.keyfiles import LIFE as LIFE
from shared.keyfiles import OVERLAP as OVERLAP
from shared.keyfiles import OWN, Files, KeyFile
from shared.keyfiles import Key as Key
from shared.keyfiles import read as read

ALGORITHMS = ("Ed25519", "ES256")
"""The algorithms that there are; each peer has a white list of these."""
_PEER = "peer"


class NoKey(Exception):
    """There is no key of one's own to sign with: make one with `tuanqiao federation BJ keys rotate`."""


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
        self._files = Files(place, (_PEER,), ALGORITHMS)

    def ring(self) -> Ring:
        """Return the keys as the files have them now."""
        keys = self._files.keys()
        return Ring(keys[OWN], {key.kid: key for key in keys[_PEER]}, self.algorithms)

    def rotate(self, now: datetime, alg: str = ALGORITHMS[0]) -> KeyFile:
        """Make a key that is valid a day from now, end those before it a week later; return its public part.

        The first key of a bridge is valid at once.
        """
        return self._files.rotate(now, alg)

    def add(self, key: KeyFile) -> None:
        """Take a public key of the peer, which a person has brought."""
        self._files.add(_PEER, key)

    def revoke(self, kid: str, now: datetime) -> int:
        """Believe a key no more, one's own or the peer's; return how many files name it."""
        return self._files.revoke(kid, now)

    def published(self) -> list[KeyFile]:
        """Return the public parts of one's own keys, for the peer to see."""
        return self._files.published()

    def known(self) -> list[KeyFile]:
        """Return the peer's keys as they stand in files, those that are believed no more, too."""
        return self._files.published(_PEER)
