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
        packed = file.packed if "gzip" in request.headers.get("Accept-Encoding", "") else None
        response = Response(packed or file.plain, mimetype=file.kind)
        response.headers["Cache-Control"] = FOR_EVER if digest == file.digest else "no-cache"
        response.headers["Vary"] = "Accept-Encoding"
        if packed is not None:
            response.headers["Content-Encoding"] = "gzip"
        return response

    app.add_url_rule("/assets/<digest>/<path:name>", "asset", send)
    app.jinja_env.globals["asset"] = asset
