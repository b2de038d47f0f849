"""What a form has to prove before it is read.

It was sent by a page of ours, shown in this browser, and is of a bounded size. Three lines, each of
its own: what the browser says about where the form stood (`Sec-Fetch-Site`, `Origin`), a token that
is in the form and in the signed cookie, and `SameSite` on that cookie. There is no token that a
request without a cookie could know, so signing somebody in by a foreign page is refused like
everything else.
"""

from __future__ import annotations

import base64
import io
import secrets
from typing import IO, Any
from urllib.parse import urlsplit

from flask import Request, g, request, session
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from services.gateway import settings
from shared.errors import Refused

MAX_TEXT = 256 * 1024
"""Bytes of a form without files; 500 members in one list make some 12 KiB."""
MAX_FIELDS = 2000
TOKEN_BYTES = 24
MAX_STRANGER = 64 * 1024
"""Bytes of a form of somebody who has not signed in."""


class BoundedForms(FormDataParser):
    """Reads forms of a bounded size and number of fields; werkzeug bounds only those with files."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        """Return the form.

        Raises:
            RequestEntityTooLarge: It has too many bytes or fields.

        """
        if mimetype == "application/x-www-form-urlencoded":
            body = stream.read(MAX_TEXT + 1)
            if len(body) > MAX_TEXT or body.count(b"&") >= MAX_FIELDS:
                raise RequestEntityTooLarge
            stream = io.BytesIO(body)
        return super().parse(stream, mimetype, content_length, options)


class BoundedRequest(Request):
    """A request whose forms are bounded."""

    form_data_parser_class = BoundedForms


def from_our_page() -> bool:
    """Return whether the browser says that the form stood on this site.

    Browsers that say nothing are believed; the token is still asked for.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    public = settings.current().public_url
    try:
        return urlsplit(origin).netloc in (request.host, *([urlsplit(public).netloc] if public else []))
    except ValueError:
        return False


def token() -> str:
    """Return the token of this browser's forms as this page shows it; it is made with the first form.

    Pages are packed, and a page may repeat what an address says: from the length of many answers somebody
    could guess a text that stands in all of them (BREACH). So each answer shows the token under a random
    mask of its own, with the mask before it.
    """
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(TOKEN_BYTES)
    if "csrf" not in g:
        mask = secrets.token_bytes(TOKEN_BYTES)
        g.csrf = base64.urlsafe_b64encode(mask + _masked(_plain(session["csrf"]), mask)).decode()
    return str(g.csrf)


def _masked(text: bytes, mask: bytes) -> bytes:
    """Return a text under a mask of its length, or what was under it."""
    return bytes(one ^ other for one, other in zip(text, mask, strict=True))


def _plain(text: str) -> bytes:
    """Return the bytes of what stands in a cookie or a form; nothing for what is none of ours."""
    try:
        return base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def is_genuine() -> bool:
    """Return whether the form was sent by a page of ours in this browser.

    What is too large is not read at all.

    Raises:
        Refused: `token_expired` for a large form of somebody who is not signed in.
        RequestEntityTooLarge: It is larger than any form.

    """
    kept = session.get("csrf")
    if not kept or not from_our_page():
        return False
    if "token" not in session:
        request.max_content_length = MAX_STRANGER
    try:
        given = request.form.get("csrf", "")
    except RequestEntityTooLarge:
        if "token" not in session:
            raise Refused("token_expired") from None
        raise
    shown, known = _plain(given), _plain(kept)
    if len(shown) != 2 * TOKEN_BYTES or len(known) != TOKEN_BYTES:
        return False
    return secrets.compare_digest(_masked(shown[TOKEN_BYTES:], shown[:TOKEN_BYTES]), known)
