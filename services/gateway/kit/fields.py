"""Numbers and days that stand in addresses, read without trust; forms are read by `kit.form`.

Whatever stands there, the answer is a value: an address is typed by nobody, so that nothing is said of a
part that means nothing, and the page is shown without it.
"""

from __future__ import annotations

import re
from datetime import date

from flask import Request

from shared.errors import Refused

_NUMBER = re.compile(r"[0-9]{1,18}")
"""Digits of ASCII, and no more of them than every store takes."""

_LONG_NUMBER = re.compile(r"\d(?:[\s-]?\d){6,}")
"""As long as a telephone's, in digits of any script; the years and classes of organisations are shorter."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ud800-\udfff]")
"""What no keyboard writes and no store keeps."""


def number(text: str | None, default: int = 0) -> int:
    """Return a whole number that is typed or stands in an address, or `default` where it is not one.

    A superscript is not one, nor are 30 digits.
    """
    return int(text) if text is not None and _NUMBER.fullmatch(text.strip()) else default


def number_or_none(text: str | None) -> int | None:
    """Return a whole number, None where the text is not one."""
    return number(text, -1) if number(text, -1) >= 0 else None


def person(text: str | None) -> str:
    """Return how a name begins that stands in an address; nothing for what holds a long number.

    Identity and telephone numbers are looked for by a form that is sent (SRCH-03): what stands in an address
    stays in the history of the browser, and in every link of the page.
    """
    said = (text or "").strip()[:60]
    return "" if _LONG_NUMBER.search(said) else said


def day(text: str | None) -> date | None:
    """Return a day typed as 2027-06-01, None where the text is not one."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def refuse_unreadable(request: Request) -> None:
    """Refuse a request with control characters in a value, or with a number in its path that no store has.

    Raises:
        Refused: `bad_request`; `not_found` for the path.

    """
    if any(isinstance(one, int) and one >= 10**18 for one in (request.view_args or {}).values()):
        raise Refused("not_found")
    for values in (request.args, request.form):
        for name, texts in values.lists():
            if any(_CONTROL.search(text) for text in texts):
                raise Refused("bad_request", detail=name[:40])
