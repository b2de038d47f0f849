"""Reading what the API is sent as text, in a query or a header: numbers, ids, instants, lines.

Each returns the value or refuses `bad_request` with the field's name; nothing here raises anything
else, whatever is sent. What is out of a contract's limits is left to the contract. `fields.py`
reads the forms of pages, which mend more and refuse less.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from shared.messages.decoding import bad
from shared.messages.limits import MAX_ID
from shared.translations import N_


def number(text: str, name: str, least: int = 0, most: int = MAX_ID) -> int:
    """Return a whole number in ASCII digits between two bounds.

    Raises:
        Refused: `bad_request`.

    """
    if not re.fullmatch("-?[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise bad(f"/{name}", N_("须为{}至{}的整数"), least, most)
    return int(text)


def identifier(text: str, name: str) -> int:
    """Return an id of an organisation, a person or another entry; refuse `bad_request`."""
    return number(text, name, 1)


def day(text: str, name: str) -> date:
    """Return a day written YYYY-MM-DD; refuse `bad_request`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad(f"/{name}", N_("须为YYYY-MM-DD日期")) from None


def instant(text: str, name: str) -> datetime:
    """Return an instant of RFC 3339, whose zone has to be given; refuse `bad_request`."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in an address is read as a blank
    except ValueError:
        raise bad(f"/{name}", N_("须为RFC 3339时间")) from None
    if found.tzinfo is None:
        raise bad(f"/{name}", N_("时间须带时区"))
    return found


def switch(text: str, name: str) -> bool:
    """Return a yes or no: 1, true, 0, false; refuse `bad_request`."""
    if text.lower() not in ("1", "true", "0", "false"):
        raise bad(f"/{name}", N_("须为true或false"))
    return text.lower() in ("1", "true")


def line(text: str) -> str:
    """Return one line of text as people mean it: control characters are blanks, none at either end."""
    return "".join(one if one.isprintable() or one == "\u3000" else " " for one in text).strip()
