"""What stands in addresses, read without trust; forms are read by `kit.form`.

Whatever stands there, the answer is a value: a part that means nothing is left out, and the page says so
(`left_out`), since a list that is not narrowed as somebody wanted looks like one that is. A name that no page
reads is passed over without a word: messengers append their own to what is sent on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import TypeVar

from flask import Request, g, has_request_context

from shared.errors import Refused

Choice = TypeVar("Choice", bound=str)

_NUMBER = re.compile(r"[0-9]{1,18}")
"""Digits of ASCII, and no more of them than every store takes."""

_LONG_NUMBER = re.compile(r"\d(?:[\s-]?\d){6,}")
"""As long as a telephone's, in digits of any script; the years and classes of organisations are shorter."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ud800-\udfff]")
"""What no keyboard writes and no store keeps."""


def leave_out() -> None:
    """Note that the address of this request has a part that means nothing."""
    if has_request_context():
        g.left_out = True


def left_out() -> bool:
    """Return whether the address of this request has a part that means nothing."""
    return bool(g.get("left_out"))


def number(text: str | None, default: int = 0) -> int:
    """Return a whole number that is typed or stands in an address, or `default` where it is not one.

    A superscript is not one, nor are 30 digits.
    """
    if text is None or not text.strip():
        return default
    if _NUMBER.fullmatch(text.strip()):
        return int(text)
    leave_out()
    return default


def number_or_none(text: str | None) -> int | None:
    """Return a whole number, None where the text is not one."""
    return found if (found := number(text, -1)) >= 0 else None


def one_of(text: str | None, choices: Iterable[Choice], default: str = "") -> Choice | str:
    """Return which of the choices a text is, codes or words of the address; `default` where it is none."""
    for one in choices:
        if one == text:
            return one
    if text:
        leave_out()
    return default


def flag(text: str | None) -> str:
    """Return `1` where something is switched on in the address, else nothing."""
    return "1" if one_of(text, ("1", "0")) == "1" else ""


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
        leave_out()
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
