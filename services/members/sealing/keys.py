"""The keys of a members process, and the codes that people are handed."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from services.members.sealing.seal import Seal
from shared.identity import Signer

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Of a code, without letters that look alike."""


class Secrets:
    """The keys of this process; set once at start by `accounts.use`."""

    folder: Path
    seal: Seal
    signer: Signer
    nobody: str
    """A hash that no password has, for numbers that nobody has."""


keys = Secrets()


def new_code(length: int) -> str:
    """Return a random code; each letter is worth almost five bits."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(length))


def code_of(kind: str, what: str, length: int) -> str:
    """Return the code that belongs to something, always the same, which only a holder of the key can make."""
    number = int.from_bytes(keys.seal.index(f"code of {kind} {what}"), "big")
    made = ""
    for _ in range(length):
        number, at = divmod(number, len(CODE_LETTERS))
        made += CODE_LETTERS[at]
    return made


def grouped(code: str) -> str:
    """Return a code in groups of four, as it is shown."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def b64(value: bytes) -> str:
    """Return bytes as statements take them in their JSON parameter."""
    return base64.b64encode(value).decode()


def sealed(text: str) -> str | None:
    """Return a text sealed, for a statement; None for an empty one."""
    return b64(keys.seal.seal(text.strip())) if text.strip() else None


def opened(value: bytes | memoryview | None) -> str:
    """Return the text of a sealed value; empty where there is none."""
    return keys.seal.open(value) if value else ""


def code_index(kind: str, code: str) -> bytes:
    """Return the keyed hash under which a code of a kind is stored.

    Blanks, hyphens and case make no difference.
    """
    return keys.seal.index(f"{kind} {''.join(code.split()).replace('-', '').upper()}")
