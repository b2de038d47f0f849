"""Our own organisations, as the peer reads them at the door.

They come in the order of their changes, so whoever pages while some change sees these once more at the
end and misses none; the version stands for the order alone and never makes a reader begin anew.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from services.federation import places
from services.federation.directory import Org, Page
from shared.messages.words import OrgKind

VERSION = "1"
STILL_MOVING = timedelta(seconds=30)
"""What changed so lately may not be committed as a whole: the next reading has it."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC), 0


def place_of(after: str) -> tuple[datetime, int]:
    """Return where a page begins, from the `next` of the page before; empty for the first.

    Raises:
        ValueError: It is none of ours.

    """
    if not after:
        return BEGINNING
    micros, _, org_id = after.partition("-")
    if not (micros.isascii() and micros.isdecimal() and org_id.isascii() and org_id.isdecimal()):
        raise ValueError(after)
    if len(micros) > places.MAX_DIGITS or len(org_id) > places.MAX_DIGITS:
        raise ValueError(after)
    try:
        return BEGINNING[0] + timedelta(microseconds=int(micros)), int(org_id)
    except OverflowError:
        raise ValueError(after) from None


def page(tx: Connection, place: tuple[datetime, int], size: int, now: datetime) -> Page:
    """Return a page of at most `size` organisations after a place."""
    found = places.page(tx, *place, now - STILL_MOVING, size)
    last = found[-1] if len(found) == size else None
    return Page(
        version=VERSION,
        orgs=[
            Org(
                code=str(one.org_id),
                parent=str(one.parent_id) if one.parent_id is not None else "",
                kind=str(OrgKind(one.kind)),
                name=one.name,
                changed=one.changed_at,
            )
            for one in found
        ],
        next=None if last is None else f"{_micros(last.changed_at)}-{last.org_id}",
    )


def _micros(at: datetime) -> int:
    return (at - BEGINNING[0]) // timedelta(microseconds=1)
