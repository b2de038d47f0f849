"""Keys in a folder: `own/` holds the private ones, a folder named as the peer the peer's public ones.

    python -m tests.peers.gd.keys FOLDER SYSTEM PEER_FOLDER PEER [--alg ES256]

makes keys for two systems and exchanges the public halves, for tests.
"""

import argparse
import json
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from tests.peers.gd import jose, moments

SEALING = "enc"


class Keys(NamedTuple):
    """What one system holds: its own keys, and its one peer's."""

    peer: str
    own: list[dict]
    theirs: dict[str, dict]

    def signing(self, now: float) -> dict:
        """Return the own key that signs at this instant: the newest that is valid."""
        return _newest([key for key in self.own if key.get("use") != SEALING], now)

    def sealing(self, now: float) -> dict:
        """Return the peer's key that seals are made for: the newest that is valid."""
        return _newest([key for key in self.theirs.values() if key.get("use") == SEALING], now)

    def opening(self, kid: str) -> dict:
        """Return the own key of this id that opens seals; one that does not exist opens none."""
        own = {jose.thumbprint(key): key for key in self.own if key.get("use") == SEALING}
        return own.get(kid) or next(iter(own.values()))


def _newest(keys: list[dict], now: float) -> dict:
    """Return the newest that is valid; ValueError where none is."""
    valid = [key for key in keys if is_valid(key, now)]
    return max(valid, key=lambda key: moments.parse(key["valid_from"]))


def is_valid(jwk: dict, at: float) -> bool:
    """Return whether the key counts for what was signed at this instant; a revoked one never does."""
    return not jwk.get("revoked_at") and moments.parse(jwk["valid_from"]) <= at < moments.parse(
        jwk["valid_until"]
    )


def read(folder: Path) -> Keys:
    """Return the keys of a folder; the one folder beside `own` names the peer."""
    peer = next(entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name != "own")
    own = [json.loads(file.read_text()) for file in sorted((folder / "own").glob("*.jwk"))]
    theirs = [json.loads(file.read_text()) for file in sorted(peer.glob("*.jwk"))]
    return Keys(peer.name, own, {jose.thumbprint(key): key for key in theirs})


def make(alg: str) -> dict:
    """Return a new private key: `Ed25519` or `ES256` to sign, `X25519` to seal."""
    if alg == "ES256":
        secret = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        numbers = {"d": secret.private_value, "x": secret.public_numbers.x, "y": secret.public_numbers.y}
        raw = {name: jose.b64(number.to_bytes(32, "big")) for name, number in numbers.items()}
        jwk = {"kty": "EC", "crv": "P-256", "use": "sig"} | raw
    else:
        kind = ed25519.Ed25519PrivateKey if alg == "Ed25519" else x25519.X25519PrivateKey
        secret = kind.generate()
        use = "sig" if alg == "Ed25519" else SEALING
        public = jose.b64(secret.public_key().public_bytes_raw())
        jwk = {"kty": "OKP", "crv": alg, "use": use, "x": public, "d": jose.b64(secret.private_bytes_raw())}
    now = moments.now()
    since = moments.text(now - timedelta(days=2).total_seconds())
    until = moments.text(now + timedelta(days=365).total_seconds())
    alg = {"X25519": "ECDH-ES"}.get(alg, alg)
    return jwk | {"kid": jose.thumbprint(jwk), "alg": alg, "valid_from": since, "valid_until": until}


def give(jwk: dict, folder: Path, system: str, peer_folder: Path) -> None:
    """Write a key of `system` into its own folder, and the public half into its peer's."""
    public = {name: value for name, value in jwk.items() if name != "d"}
    for place, key in ((folder / "own", jwk), (peer_folder / system, public)):
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{jose.thumbprint(jwk)}.jwk").write_text(json.dumps(key, indent=1))


def exchange(folder: Path, system: str, peer_folder: Path, peer: str, alg: str = "Ed25519") -> None:
    """Make keys for two systems; each gets the other's public ones."""
    for own, name, other in ((folder, system, peer_folder), (peer_folder, peer, folder)):
        give(make(alg), own, name, other)
        give(make("X25519"), own, name, other)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("system")
    parser.add_argument("peer_folder", type=Path)
    parser.add_argument("peer")
    parser.add_argument("--alg", default="Ed25519", choices=["Ed25519", "ES256"])
    exchange(**vars(parser.parse_args()))
