"""Keys in a folder: `own/` holds the private ones, a folder named as the peer the peer's public ones.

    python -m tests.peers.fj.keys FOLDER FJ PEER_FOLDER PEER

makes keys for two systems and exchanges the public halves, as people would. FJ has an old key, too, which
counts for nothing any more, and which its operators sign with all the same.
"""

import argparse
import json
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from tests.peers.fj import clock, jose

DAY = 86_400
WEEK = 7 * DAY
YEAR = 365 * DAY


def made(alg: str, since: float, until: float) -> dict:
    """Return a new private key: `Ed25519` or `ES256` to sign, `ECDH-ES` to seal."""
    if alg == "ES256":
        private = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        numbers = {"x": private.public_numbers.x, "y": private.public_numbers.y, "d": private.private_value}
        jwk = {"kty": "EC", "crv": "P-256"}
        jwk |= {name: jose.b64(number.to_bytes(32, "big")) for name, number in numbers.items()}
    else:
        crv = "Ed25519" if alg == "Ed25519" else "X25519"
        kind = ed25519.Ed25519PrivateKey if alg == "Ed25519" else x25519.X25519PrivateKey
        key = kind.generate()
        jwk = {"kty": "OKP", "crv": crv, "x": jose.b64(key.public_key().public_bytes_raw())}
        jwk |= {"d": jose.b64(key.private_bytes_raw())}
    jwk |= {"kid": jose.thumbprint(jwk), "alg": alg, "use": "enc" if alg == "ECDH-ES" else "sig"}
    return jwk | {"valid_from": clock.text(since), "valid_until": clock.text(until)}


def public(jwk: dict) -> dict:
    """Return the half that is given away."""
    return {name: value for name, value in jwk.items() if name != "d"}


def put(jwk: dict, folder: Path) -> None:
    """Write a key into a folder, so that nobody reads half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f"{jwk['kid']}.half"
    half.write_text(json.dumps(jwk, indent=1))
    half.replace(folder / f"{jwk['kid']}.jwk")


def is_valid(jwk: dict, at: float) -> bool:
    """Return whether a key counts for what was signed at an instant."""
    if jwk.get("revoked_at"):
        return False
    return clock.parse(jwk["valid_from"]) <= at < clock.parse(jwk["valid_until"])


class Keys:
    """What FJ holds; the files are read again where one has changed."""

    def __init__(self, folder: Path, peer: str) -> None:
        self.folder, self.peer = folder, peer
        self._seen: dict[str, tuple] = {}
        self._lock = threading.Lock()

    def _read(self, part: str) -> list[dict]:
        with self._lock:
            files = sorted((self.folder / part).glob("*.jwk"))
            marks = [(file.name, file.stat().st_mtime_ns) for file in files]
            if part not in self._seen or self._seen[part][0] != marks:
                found = [json.loads(file.read_text()) for file in files]
                for jwk in found:
                    # what a peer leaves out follows from the rest
                    jwk.setdefault("kid", jose.thumbprint(jwk))
                    jwk.setdefault("use", "enc" if jwk["crv"] == "X25519" else "sig")
                    algs = {"Ed25519": "Ed25519", "P-256": "ES256", "X25519": "ECDH-ES"}
                    jwk.setdefault("alg", algs[jwk["crv"]])
                self._seen[part] = marks, found
            return self._seen[part][1]

    def own(self, use: str) -> list[dict]:
        """Return the own keys of a use, the newest first."""
        some = [jwk for jwk in self._read("own") if jwk["use"] == use]
        return sorted(some, key=lambda jwk: clock.parse(jwk["valid_from"]), reverse=True)

    def signing(self, at: float) -> dict:
        """Return the newest own key that is valid."""
        return next(jwk for jwk in self.own("sig") if is_valid(jwk, at))

    def expired(self, at: float) -> dict | None:
        """Return an own key that is not valid any more, if there is one."""
        return next((jwk for jwk in self.own("sig") if clock.parse(jwk["valid_until"]) <= at), None)

    def sealing(self) -> dict:
        """Return the peer's newest key to seal for."""
        some = [jwk for jwk in self._read(self.peer) if jwk["use"] == "enc"]
        return max(some, key=lambda jwk: jwk["valid_from"])

    def of_peer(self, kid: str) -> dict | None:
        """Return the peer's key to verify with."""
        return next((jwk for jwk in self._read(self.peer) if (jwk["kid"], jwk["use"]) == (kid, "sig")), None)

    def rotate(self, now: float) -> dict:
        """Make a new key that signs from now on, a day too early; return its public half."""
        before = self.signing(now)
        jwk = made(before["alg"], now - 1, now + YEAR)
        put(before | {"valid_until": clock.text(now + WEEK)}, self.folder / "own")
        put(jwk, self.folder / "own")
        return public(jwk)


def exchange(folder: Path, system: str, peer_folder: Path, peer: str, alg: str = "Ed25519") -> None:
    """Make keys for two systems; each gets the other's public ones."""
    now = clock.now()
    for own, name, other in ((folder, system, peer_folder), (peer_folder, peer, folder)):
        spans = [(alg, now - 2 * DAY, now + YEAR), ("ECDH-ES", now - 2 * DAY, now + YEAR)]
        if own is folder:
            spans.append((alg, now - 30 * DAY, now - DAY))
        for kind, since, until in spans:
            jwk = made(kind, since, until)
            put(jwk, own / "own")
            put(public(jwk), other / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("system")
    parser.add_argument("peer_folder", type=Path)
    parser.add_argument("peer")
    parser.add_argument("--alg", default="Ed25519", choices=["Ed25519", "ES256"])
    exchange(**vars(parser.parse_args()))
