"""Instants and durations: the clock may go ahead of the true one, durations are divided by the speed."""

import re
import time
from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
FORM = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
YEARS = range(1900, 2200)

ahead = 0.0
"""Seconds by which this system's clock is ahead, for its whole life."""


def now() -> float:
    """Return the seconds since 1970 by this system's clock."""
    return time.time() + ahead


def text(at: float) -> str:
    """Return an instant as this system writes it: RFC 3339 with the zone of China."""
    return datetime.fromtimestamp(at, CHINA).isoformat(timespec="milliseconds")


def parse(value: str) -> float:
    """Return the seconds since 1970; ValueError where it is no instant with a zone of the years allowed."""
    if not FORM.fullmatch(value):
        raise ValueError("no instant with a zone")
    fraction = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
    moment = datetime.fromisoformat(fraction)
    if moment.year not in YEARS:
        raise ValueError("outside the years allowed")
    return moment.timestamp()
