"""The key files, kept apart from the data that they open: sealed to a recipient with age.

Whoever saves keys needs the recipient only, which is public; who brings them back needs the
identity, which lies where neither the backups nor the running system are. The file is what `age`
itself reads: a tar of the folder.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import pyrage

from system.backup.tool import Failed

_MOST = 2**20
"""Bytes of key files; keys are small, and something else in their folder is a mistake."""


def make_identity(file: Path) -> str:
    """Write a new identity that only its owner may read; return its recipient.

    Raises:
        Failed: The file is there already.

    """
    identity = pyrage.x25519.Identity.generate()
    _write(file, f"{identity}\n".encode())
    return str(identity.to_public())


def save(folder: Path, file: Path, recipient: str) -> list[str]:
    """Seal the key files of a folder into a file, `-` for the standard output; return their names.

    Raises:
        Failed: There are no keys, the recipient is none, or the file is there already.

    """
    files = (
        one for one in folder.rglob("*") if one.is_file()
    )  # those of bridges lie in folders of their own
    names = sorted(str(one.relative_to(folder)) for one in files) if folder.is_dir() else []
    if "token_private.pem" not in names:
        raise Failed(f"{folder} holds no keys (TUANQIAO_KEYS names their folder)")
    if sum((folder / name).stat().st_size for name in names) > _MOST:
        raise Failed(f"{folder} holds more than keys: it is larger than {_MOST} bytes")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            tar.add(folder / name, arcname=name)
    try:
        sealed = pyrage.encrypt(packed.getvalue(), [pyrage.x25519.Recipient.from_str(recipient)])
    except pyrage.RecipientError:
        raise Failed(f"{recipient!r} is no recipient; `tuanqiao keys identity` makes one (age1...)") from None
    if str(file) == "-":
        sys.stdout.buffer.write(sealed)
    else:
        _write(file, sealed)
    return names


def load(file: Path, folder: Path, identity: Path) -> list[str]:
    """Bring key files back into a folder that has none of them; return their names.

    Raises:
        Failed: The identity does not open the file, or there are keys already.

    """
    try:
        known = pyrage.x25519.Identity.from_str(identity.read_text().strip().splitlines()[-1])
        opened = pyrage.decrypt(file.read_bytes(), [known])
    except (pyrage.IdentityError, IndexError, UnicodeDecodeError):
        raise Failed(f"{identity} is no identity of age") from None
    except pyrage.DecryptError:
        raise Failed(f"{file} is not sealed to the recipient of {identity}, or it is damaged") from None
    except OSError as error:
        raise Failed(f"cannot read {error.filename}: {error.strerror}") from None
    with tarfile.open(fileobj=io.BytesIO(opened)) as tar:
        return _unpack(tar, folder)


def _unpack(tar: tarfile.TarFile, folder: Path) -> list[str]:
    names = [one.name for one in tar.getmembers() if one.isfile()]
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise Failed(f"{folder} has {', '.join(there)} already; keys are never overwritten: move them away")
    folder.mkdir(parents=True, exist_ok=True)
    # who made the file is not known, so nothing leaves the folder or becomes a program
    tar.extractall(
        folder, filter=lambda one, path: tarfile.data_filter(one, path).replace(mode=one.mode & 0o644)
    )
    return names


def _write(file: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as out:
            out.write(content)
    except OSError as error:
        raise Failed(f"cannot write {file}: {error.strerror}") from None
