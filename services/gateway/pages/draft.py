"""What stood in a form when the session ended: it is offered again after signing in.

The draft is sealed and travels as one hidden field of the page of signing in. It is encrypted with
a key made from that of the cookies, so it is neither in an address nor readable in the page or the
browser's history; it is good for an hour, for one person and of a bounded size. Passwords and files
are never in it. Nothing is sent by itself: the person sees that something was kept and decides.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from flask import current_app, request, session
from werkzeug.exceptions import RequestEntityTooLarge

LIFE_SECONDS = 3600
MAX_BYTES = 48_000
"""Of a sealed draft; a longer form is not kept, and the page says so."""
SECRET = ("password", "old", "new", "captcha", "captcha_id", "csrf", "draft", "code", "token")


class Draft(msgspec.Struct, frozen=True):
    """A form that was not taken: where it went and what stood in it.

    Beside it, who had been signed in (0: unknown) and for which organisation.
    """

    path: str
    fields: list[tuple[str, str]]
    person: int = 0
    org: int | None = None
    files: bool = False


_READER = msgspec.json.Decoder(Draft)
"""Made before there are threads: two that look into the same type for the first time end the process."""


def _box() -> Fernet:
    return Fernet(
        base64.urlsafe_b64encode(hashlib.sha256(b"draft " + current_app.config["SECRET_KEY"]).digest())
    )


def keep() -> str:
    """Return the form of this request sealed; empty where there is none or too much of it.

    A form that is too large to be read at all counts as too much.
    """
    try:
        fields = [(name, value) for name, value in request.form.items(multi=True) if name not in SECRET]
        files = bool(request.files)
    except RequestEntityTooLarge:
        return ""
    kept = Draft(request.full_path.rstrip("?"), fields, session.get("person", 0), session.get("org"), files)
    sealed = _box().encrypt(zlib.compress(msgspec.json.encode(kept))).decode()
    return sealed if len(sealed) <= MAX_BYTES else ""


def opened(sealed: str) -> Draft | None:
    """Return a draft that was sealed here within the hour, else None."""
    if not sealed or len(sealed) > MAX_BYTES:
        return None
    try:
        return _READER.decode(
            zlib.decompress(_box().decrypt(sealed.encode("ascii", "replace"), ttl=LIFE_SECONDS))
        )
    except (InvalidToken, zlib.error, msgspec.MsgspecError):
        return None
