"""Who calls: short signed tokens that every service checks itself.

`members` signs with its private key at sign-in; the others hold only the public key, so neither the
gateway nor any other service can invent a person. Which organisation the person acts for is a claim
of the request; it counts only where the service's own list of administrators confirms it (ROLE-14,
ROLE-16).
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared import clock
from shared.errors import Refused

_ALGORITHM = "EdDSA"


class Actor(msgspec.Struct, frozen=True):
    """A caller: the person proven by the token and the organisation the person claims to act for."""

    person_id: int
    org_id: int | None = None
    restricted: bool = False

    @property
    def acting_org(self) -> int:
        """Return the acting organisation; refuse where none was named."""
        if self.org_id is None:
            raise Refused("not_administrator")
        return self.org_id


def make_keys(folder: Path) -> None:
    """Write a new signing key pair into `folder` unless one is there.

    The private file is readable by its owner only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    private = folder / "token_private.pem"
    if private.exists():
        return
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(pem)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "token_public.pem").write_bytes(public)


class Signer:
    """Signs tokens and tickets; exists in `members` only."""

    def __init__(self, folder: Path) -> None:
        self._key = (folder / "token_private.pem").read_bytes()

    def sign(self, kind: str, lifetime: timedelta, **claims: Any) -> tuple[str, datetime]:
        """Return a token of `kind` with `claims`, and when it expires."""
        expires_at = clock.now() + lifetime
        return jwt.encode({"typ": kind, "exp": expires_at, **claims}, self._key, _ALGORITHM), expires_at


class Verifier:
    """Checks tokens and tickets with the public key."""

    def __init__(self, folder: Path) -> None:
        self._key = (folder / "token_public.pem").read_bytes()
        # a signature is proved once per token; whether it has expired is looked at each time
        self._claims = lru_cache(maxsize=20_000)(self._decode)

    def _decode(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token, self._key, [_ALGORITHM], options={"verify_exp": False, "require": ["exp", "typ"]}
        )
        return claims

    def claims(self, kind: str, token: str) -> dict[str, Any]:
        """Return the claims of a valid token of `kind`.

        Raises:
            Refused: `token_invalid` or `token_expired`.

        """
        try:
            claims = self._claims(token)
        except jwt.InvalidTokenError as error:
            raise Refused("token_invalid") from error
        if claims["typ"] != kind:
            raise Refused("token_invalid")
        if claims["exp"] <= clock.now().timestamp():
            raise Refused("token_expired")
        return claims

    def actor(self, token: str, org_id: int | None) -> Actor:
        """Return who calls; `restricted` until the initial password was changed (ACC-05)."""
        claims = self.claims("person", token)
        return Actor(int(claims["sub"]), org_id, bool(claims.get("restricted")))

    def session(self, token: str) -> str:
        """Return the session that a person's token belongs to; empty if it names none."""
        return str(self.claims("person", token).get("sid", ""))
