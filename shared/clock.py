"""The one clock of the system (DL-07, DL-19).

Every service takes the time from here and never from the database or the operating system, so that
one call moves all of them. The simulated clock lives in the process: a demonstration or a season
simulation runs all services in one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
"""Where a day begins and ends for everybody whom the rules speak of."""

_ahead = timedelta(0)
_listeners: list[Callable[[], None]] = []


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC) + _ahead


def offset() -> float:
    """Return how far this clock is from the steady one of the process, which nobody can set, in seconds.

    It changes when somebody sets the clock of the machine.
    """
    return now().timestamp() - time.monotonic()


def today() -> date:
    """Return the present day in China."""
    return day_of(now())


def day_of(instant: datetime) -> date:
    """Return the day in China of an instant."""
    return instant.astimezone(CHINA).date()


def day_sql(instant: str) -> str:
    """Return the SQL of the day in China of an instant; the sessions of our connections are in UTC."""
    return f"({instant} AT TIME ZONE 'Asia/Shanghai')::date"


def advance(by: timedelta) -> None:
    """Move the simulated clock of this process forward and wake everyone who waits for an instant."""
    global _ahead
    if by < timedelta(0):
        raise ValueError("the clock never runs backwards")
    _ahead += by
    for wake in _listeners:
        wake()


def on_advance(wake: Callable[[], None]) -> None:
    """Call `wake` after each `advance`."""
    _listeners.append(wake)
