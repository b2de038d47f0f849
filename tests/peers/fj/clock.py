"""The clock on FJ's wall, which may be behind, and instants as texts."""

import time
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
behind = 0.0  # seconds


def now() -> float:
    """Return the instant that FJ believes in, in seconds since 1970."""
    return time.time() - behind


def text(at: float) -> str:
    """Return an instant as messages carry it; FJ writes the time of China."""
    return datetime.fromtimestamp(at, CHINA).isoformat()


def parse(said: str) -> float:
    """Return an instant of a message; raise ValueError where it is none, or has no zone."""
    found = datetime.fromisoformat(said)
    if found.tzinfo is None or not 1900 <= found.year <= 2199:
        raise ValueError("no instant with a zone")
    return found.timestamp()


def day(at: float) -> str:
    """Return the day in China of an instant."""
    return datetime.fromtimestamp(at, CHINA).date().isoformat()


def http_date(said: str) -> float:
    """Return the instant of a `Date` of HTTP; raise ValueError where it is none."""
    return datetime.strptime(said, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
