"""The evidence of one transfer: a zip that proves itself without us (BEY-16).

Every message as it was signed, the receipts, the public keys of both sides, and a script that needs Python
and `cryptography` alone. What was sealed stays sealed. The same transfer makes the same bytes, as long as
nothing is added to it.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from services.federation.handovers import Bridge
from services.federation.operating import store
from shared.keyfiles import KeyFile

_LONG_AGO = (2000, 1, 1, 0, 0, 0)
"""The time of each file in the zip: when it was made says nothing."""
_WORDS = """\
Evidence of one transfer between two systems: {subject}
跨系统转接的证据:{subject}

messages/   what each side has signed, by its sender and number; sealed parts stay sealed
            双方签名的消息,按发送方和编号;加密部分仍为密文
receipts/   the receipt of each, signed by the other side
            对方签名的回执
keys/       the public keys of both sides, with their validity
            双方公钥及有效期

Verify it with Python 3.9 or newer and the library cryptography:
    python3 verify.py
It proves signatures, the order and the chain of messages, receipts, and the list below. Whoever doubts the
script proves the same with any other JOSE library.
核验:安装 cryptography 后运行 python3 verify.py;也可用任何其他 JOSE 程序自行核验。

SHA-256:
"""


class Made(NamedTuple):
    """A zip, its name, and its hash."""

    name: str
    zip: bytes
    sha256: str


def of(tx: Connection, bridge: Bridge, subject: str) -> Made:
    """Return the evidence of a transfer, for which the caller has found that it is one of this bridge's."""
    files: dict[str, bytes] = {}
    for row in store.messages(tx, subject):
        name = f"{bridge.me if row.ours else bridge.peer}-{row.seq:06}.jws"
        files[f"messages/{name}"] = row.jws.encode()
        if row.receipt is not None:
            files[f"receipts/{name}"] = row.receipt.encode()
    for system, keys in ((bridge.me, bridge.keys.published()), (bridge.peer, bridge.keys.known())):
        files |= {f"keys/{system}/{key.kid}.jwk": _key(key) for key in keys}
    files["verify.py"] = resources.files(__package__).joinpath("verify.py").read_bytes()
    files["README.txt"] = _readme(subject, files)
    made = _zip(files)
    return Made(f"{subject.replace(':', '-')}.zip", made, hashlib.sha256(made).hexdigest())


def _key(key: KeyFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(key)) + b"\n"


def _readme(subject: str, files: Mapping[str, bytes]) -> bytes:
    """Return the list of hashes; its last line is that of all before it."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    text = (_WORDS.format(subject=subject) + "".join(lines)).encode()
    return text + f"{hashlib.sha256(text).hexdigest()}  README.txt\n".encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in sorted(files.items()):
            about = zipfile.ZipInfo(name, _LONG_AGO)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            out.writestr(about, content)
    return made.getvalue()
