"""What people type into forms and addresses, read without trust.

Whatever stands there, the answer is a value or a refusal, never an error.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

from flask import Request

from shared.errors import Refused
from shared.messages import MAX_ITEMS

_NUMBER = re.compile(r"[0-9]{1,18}")
"""Digits of ASCII, and no more of them than every store takes."""

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


def numbers(texts: Iterable[str]) -> list[int]:
    """Return the numbers among ticked values, each once and no more than one call takes.

    Raises:
        Refused: `too_many_items`.

    """
    found = list(dict.fromkeys(int(one) for one in texts if _NUMBER.fullmatch(one)))
    if len(found) > MAX_ITEMS:
        raise Refused("too_many_items", limit=MAX_ITEMS)
    return found


def key(form: Any, name: str = "command_id") -> uuid.UUID:
    """Return the id that a form carries so that sending it twice does nothing twice.

    Raises:
        Refused: `bad_request` where it is missing or was changed.

    """
    try:
        return uuid.UUID(form.get(name, ""))
    except ValueError:
        raise Refused("bad_request", detail=name) from None


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
