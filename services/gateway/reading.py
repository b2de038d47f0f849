"""Reading what people send as text, in an address, a query, a header or a form: numbers, ids, UUIDs, days, instants, lines.

Each returns the value or refuses `bad_request` with the field's name; nothing here raises anything else, whatever is sent.
"""
from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar

from shared.messages.decoding import bad
from shared.messages.limits import FIRST_YEAR, LAST_YEAR, MAX_ID

Moment = TypeVar("Moment", date, datetime)


def number(text: str, name: str, least: int = 0, most: int = MAX_ID) -> int:
    """Return a whole number in ASCII digits between two bounds.

    Raises:
        Refused: `bad_request`.

    """
    if not re.fullmatch("-?[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise bad(f"/{name}", f"须为{least}至{most}的整数", f"a whole number from {least} to {most}")
    return int(text)


def identifier(text: str, name: str) -> int:
    """Return an id of an organisation, a person or another entry; refuse `bad_request`."""
    return number(text, name, 1)


def unique(text: str, name: str) -> uuid.UUID:
    """Return a UUID; refuse `bad_request`."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise bad(f"/{name}", "须为UUID", "a UUID is wanted") from None


def day(text: str, name: str) -> date:
    """Return a day written YYYY-MM-DD, or the first of a month written YYYY-MM; refuse `bad_request`."""
    try:
        found = date.fromisoformat(f"{text}-01" if re.fullmatch("[0-9]{4}-[0-9]{2}", text) else text)
    except ValueError:
        raise bad(f"/{name}", "须为YYYY-MM-DD日期", "a date YYYY-MM-DD is wanted") from None
    return _in_years(found, name)


def instant(text: str, name: str) -> datetime:
    """Return an instant of RFC 3339, whose zone has to be given; refuse `bad_request`."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in an address is read as a blank
    except ValueError:
        raise bad(f"/{name}", "须为RFC 3339时间", "an RFC 3339 instant is wanted") from None
    if found.tzinfo is None:
        raise bad(f"/{name}", "时间须带时区", "an instant needs its zone")
    return _in_years(found, name)


def switch(text: str, name: str) -> bool:
    """Return a yes or no: 1, true, 0, false; refuse `bad_request`."""
    if text.lower() not in ("1", "true", "0", "false"):
        raise bad(f"/{name}", "须为true或false", "true or false is wanted")
    return text.lower() in ("1", "true")


def line(text: str) -> str:
    """Return one line of text as people mean it: control characters are blanks, none at either end."""
    return "".join(one if one.isprintable() or one == "\u3000" else " " for one in text).strip()


def optional_number(values: Mapping[str, str], name: str, least: int = 0, most: int = MAX_ID) -> int | None:
    """Return a number of a form or a query, None where it is left out or empty; refuse `bad_request`."""
    text = values.get(name, "").strip()
    return number(text, name, least, most) if text else None


def optional_identifier(values: Mapping[str, str], name: str) -> int | None:
    """Return an id of a form or a query, None where it is left out or empty; refuse `bad_request`."""
    return optional_number(values, name, 1)


def optional_unique(values: Mapping[str, str], name: str) -> uuid.UUID | None:
    """Return a UUID of a form or a query, None where it is left out or empty; refuse `bad_request`."""
    text = values.get(name, "").strip()
    return unique(text, name) if text else None


def optional_day(values: Mapping[str, str], name: str) -> date | None:
    """Return a day of a form or a query, None where it is left out or empty; refuse `bad_request`."""
    text = values.get(name, "").strip()
    return day(text, name) if text else None


def _in_years(found: Moment, name: str) -> Moment:
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise bad(f"/{name}", f"年份须在{FIRST_YEAR}至{LAST_YEAR}之间", f"a year from {FIRST_YEAR} to {LAST_YEAR}")
    return found
