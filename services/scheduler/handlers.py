"""Use cases of the scheduler: watch, forget, fire."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from services.scheduler import store
from shared import background, clock, metrics
from shared.bus.service import Machinery
from shared.messages.transfers import NodeOpened

FIRE_LIMIT = 2_000
"""Timers of one transaction (BEY-08).

A backlog falling due at one instant is worked off in such pieces, oldest first.
"""
ENDS_KEPT = timedelta(days=60)
"""How long an end is remembered.

A node that was opened before it may be told after it: by another scheduler at the same moment, from
the failed messages minutes later, or when somebody has old messages told again.
"""
LOOK_AGAIN_SECONDS = 5.0
"""The longest sleep: another scheduler may have been told of timers, or given them up."""
LOOK_SOON_SECONDS = 0.5
"""The longest sleep after a timer was set that may not be committed at the first look."""
MOST_COUNTED = 10_000
"""Timers that are late are counted up to here."""

_deadlines, _reminders = metrics.TIMERS_FIRED.labels("deadline"), metrics.TIMERS_FIRED.labels("reminder")
_asleep_until = clock.now()
_soonest: datetime | None = None
"""The earliest instant that was told since the last look, whether it is committed or not."""
_told: tuple[Machinery, date] | None = None
_forgot: tuple[Machinery, date] | None = None


def on_node_opened(tx: Connection, items: list[NodeOpened]) -> None:
    """Watch the node's instants (DL-01, DL-02)."""
    global _soonest
    store.set_timers(tx, items)
    instants = (at for item in items for at in (item.remind_at, item.expires_at) if at is not None)
    soonest = min(instants, default=_asleep_until)
    if soonest < _asleep_until:
        _soonest = min(soonest, _soonest or soonest)
        FIRE.wake.set()


def on_ended(tx: Connection, items: list[Any]) -> None:
    """Watch transfers no longer that wait for nobody any more."""
    store.end(tx, items, clock.now())


def fire_turn(machinery: Machinery) -> float:
    """Fire what is due, tell a new day, forget old ends; return the seconds until the next instant.

    Any number of schedulers may run: each timer is locked by one of them, and fires in the
    transaction that removes it (DL-19). An idle scheduler looks once in 5 seconds, however many
    timers are pending.
    """
    global _asleep_until, _soonest, _told
    soonest, _soonest = _soonest, None
    today = clock.today()
    new_day = _told != (machinery, today)
    with machinery.database.transaction(tells=False) as tx:
        if new_day:
            store.begin_day(tx, today)
        expired, reminded = store.fire(tx, clock.now(), FIRE_LIMIT)
        # A full piece says that more is due, so nothing needs to be looked up.
        due = None if expired + reminded == FIRE_LIMIT else store.next_due(tx)
    if new_day or expired or reminded:
        machinery.database.after_commit()
    _told = machinery, today
    _deadlines.inc(expired)
    _reminders.inc(reminded)
    if expired + reminded == FIRE_LIMIT or _forget_some(machinery, today):
        return 0.0
    wait = LOOK_AGAIN_SECONDS
    if due is not None:
        wait = min(wait, max(0.0, (due - clock.now()).total_seconds()))
    if soonest is not None:
        wait = min(wait, max(LOOK_SOON_SECONDS, (soonest - clock.now()).total_seconds()))
    _asleep_until = clock.now() + timedelta(seconds=wait)
    return wait


def _forget_some(machinery: Machinery, today: date) -> bool:
    """Forget a piece of the ends that are old on a day; return whether there may be more."""
    global _forgot
    if _forgot == (machinery, today):
        return False
    with machinery.database.transaction(tells=False) as tx:
        if store.forget(tx, today - ENDS_KEPT, FIRE_LIMIT) == FIRE_LIMIT:
            return True
    _forgot = machinery, today
    return False


FIRE = background.Loop("timers", fire_turn, LOOK_AGAIN_SECONDS, by_clock=True)


def gauges(tx: Connection) -> list[metrics.Reading]:
    """Return how many timers are due and have not fired, and how late the oldest is."""
    now = clock.now()
    late, oldest = store.overdue(tx, now, MOST_COUNTED)
    return [
        (metrics.TIMERS_OVERDUE, ("scheduler",), late),
        (metrics.TIMER_LATE, ("scheduler",), metrics.seconds_since(oldest, now)),
    ]
