"""The keys of a members process, and the codes that people are handed."""
from __future__ import annotations

import secrets

from services.members.seal import Seal
from shared.identity import Signer

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Of a code, without letters that look alike."""


class Secrets:
    """The keys of this process; set once at start by `accounts.use`."""

    seal: Seal
    signer: Signer
    nobody: str
    """A hash that no password has, for numbers that nobody has."""


keys = Secrets()


def new_code(length: int) -> str:
    """Return a random code; each letter is worth almost five bits."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(length))


def code_index(kind: str, code: str) -> bytes:
    """Return the keyed hash under which a code of a kind is stored; blanks, hyphens and case make no difference."""
    return keys.seal.index(f"{kind} {''.join(code.split()).replace('-', '').upper()}")
