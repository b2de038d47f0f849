"""Static files under names that change with their contents, so that browsers keep them for ever.

A template writes `asset('css/base.css')` and gets `/assets/<digest>/css/base.css`. What can be
compressed is compressed once, at the start; a digest of another version leads to the present file,
which then is kept for no time.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

FOLDER = Path(__file__).parent.parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
_TEXTS = {"text/css", "text/javascript", "image/svg+xml"}
_SHORT = 1000
"""Bytes below which packing a page saves no packet."""


class Asset(NamedTuple):
    """A file as it is sent."""

    digest: str
    kind: str
    plain: bytes
    packed: bytes | None


def _read(path: Path) -> Asset:
    plain = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = gzip.compress(plain, 9, mtime=0) if kind in _TEXTS else None
    return Asset(hashlib.sha256(plain).hexdigest()[:12], kind, plain, packed)


def _unpacks() -> bool:
    """Return whether the browser can unpack what it is sent."""
    return bool(request.accept_encodings.quality("gzip"))


def pack(response: Response) -> None:
    """Pack a page for a browser that can unpack it; the API's answers and files go as they are.

    The front packs pages as well. A stranger learns nothing from their lengths by requests that he makes
    others send from his own pages: the cookie is `SameSite=Lax`, so they come without a session.
    """
    if response.mimetype != "text/html" or response.is_streamed:
        return
    response.vary.add("Accept-Encoding")
    if not _unpacks() or "Content-Encoding" in response.headers:
        return
    plain = response.get_data()
    if len(plain) >= _SHORT:
        response.set_data(gzip.compress(plain, 5, mtime=0))
        response.headers["Content-Encoding"] = "gzip"


def prepare(app: Flask) -> None:
    """Add the route of static files and, for templates, `asset(name)`: the address of one.

    Raises:
        KeyError: From `asset`, for a file that is not there.

    """
    files = {path.relative_to(FOLDER).as_posix(): _read(path) for path in FOLDER.rglob("*") if path.is_file()}

    def asset(name: str) -> str:
        return f"/assets/{files[name].digest}/{name}"

    def send(digest: str, name: str) -> Response:
        if name not in files:
            raise NotFound
        file = files[name]
        packed = file.packed if _unpacks() else None
        response = Response(packed or file.plain, mimetype=file.kind)
        response.headers["Cache-Control"] = FOR_EVER if digest == file.digest else "no-cache"
        response.headers["Vary"] = "Accept-Encoding"
        if packed is not None:
            response.headers["Content-Encoding"] = "gzip"
        return response

    app.add_url_rule("/assets/<digest>/<path:name>", "asset", send)
    app.jinja_env.globals["asset"] = asset
