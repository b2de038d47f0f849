"""Identity numbers and phones at rest: sealed with AES-256-GCM, found again through a keyed blind index.

The key's number stands before each sealed value, so that keys can be rotated; the index has a key
of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FILE = "id_keys.json"


def make_keys(folder: Path) -> None:
    """Write new keys into `folder` unless they are there; the file is readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    if path.exists():
        return
    keys = {
        "current": 1,
        "keys": {"1": base64.b64encode(os.urandom(32)).decode()},
        "index_key": base64.b64encode(os.urandom(32)).decode(),
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        json.dump(keys, file)


def rotate(folder: Path) -> int:
    """Add a new key to the file and make it the current one; return its number.

    What other keys have sealed can still be opened. Running processes open what the new key has
    sealed at once, and seal with it after their next start.
    """
    data = json.loads((folder / _FILE).read_text())
    number = max(int(one) for one in data["keys"]) + 1
    if number > 255:
        raise ValueError("there are 255 keys; forget old ones first")
    data["keys"][str(number)] = base64.b64encode(os.urandom(32)).decode()
    _write(folder, data | {"current": number})
    return number


def forget(folder: Path, numbers: set[int]) -> None:
    """Take keys out of the file; what they have sealed can never be opened again."""
    data = json.loads((folder / _FILE).read_text())
    if data["current"] in numbers:
        raise ValueError("the current key cannot be forgotten")
    _write(
        folder,
        data | {"keys": {number: key for number, key in data["keys"].items() if int(number) not in numbers}},
    )


def _write(folder: Path, data: dict[str, Any]) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    fresh = folder / f"{_FILE}.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / _FILE)


class Seal:
    """Seals, opens and indexes; the only holder of these keys is the members service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._load()

    def _load(self) -> None:
        data = json.loads((self._folder / _FILE).read_text())
        self.current = int(data["current"])
        self._ciphers = {int(number): AESGCM(base64.b64decode(key)) for number, key in data["keys"].items()}
        self.numbers = set(self._ciphers)
        self._index_key = base64.b64decode(data["index_key"])

    def seal(self, text: str) -> bytes:
        """Return `text` sealed: key number (1 byte), nonce (12), ciphertext with tag."""
        nonce = os.urandom(12)
        return bytes([self.current]) + nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), None)

    def open(self, sealed: bytes | memoryview) -> str:
        """Return the text of a sealed value."""
        value = bytes(sealed)
        if value[0] not in self._ciphers:  # another process has rotated the keys
            self._load()
        return self._ciphers[value[0]].decrypt(value[1:13], value[13:], None).decode()

    def index(self, id_number: str) -> bytes:
        """Return the blind index of a normalised number.

        Equal numbers have equal indexes, and nothing else can be learned from one.
        """
        return hmac.new(self._index_key, id_number.encode(), hashlib.sha256).digest()
