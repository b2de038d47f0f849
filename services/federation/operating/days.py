"""Comparing days with the peer in the background: every night, and when an operator asks (BEY-16)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy.engine import Connection

from services.federation import reconcile
from services.federation.calling import NoAnswer
from services.federation.operating import store
from services.federation.reconcile import Reconciler
from shared import clock
from shared.db import Database

log = logging.getLogger("tuanqiao.federation")

DAYS = 30
"""How far back days are compared; older ones only with a transfer that is open still."""
NIGHT = time(2, 0)
"""In China: from then on a night's comparison is asked for."""
LEASE = timedelta(minutes=10)
"""How long nobody else compares a day that was taken; amply more than it takes."""
LOOK_AGAIN_SECONDS = 5.0
LONGEST_PAUSE = timedelta(hours=1)


def recent(tx: Connection, today: date) -> list[date]:
    """Return the days to compare: the last thirty, and those before that have a transfer that is open."""
    return reconcile.days(tx, today - timedelta(days=DAYS))


@dataclass
class Comparing:
    """Compares days that are wanted, one after the other; several processes may."""

    database: Database
    reconciler: Reconciler

    def turn(self, machinery: object = None) -> float:
        """Compare a day; return the seconds until the next turn, 0 for at once."""
        now = clock.now()
        until = now + LEASE
        with self.database.transaction(tells=False) as tx:
            self._night(tx, now)
            wanted = store.take_day(tx, now, until)
            due = store.next_day(tx) if wanted is None else None
        if wanted is None:
            wait = LOOK_AGAIN_SECONDS if due is None else (due - now).total_seconds()
            return min(LOOK_AGAIN_SECONDS, max(0.05, wait))
        try:
            found = self.reconciler.day(wanted.day)
        except NoAnswer as error:
            log.warning("%s cannot be compared with the peer: %s", wanted.day, error)
            later = clock.now() + min(LONGEST_PAUSE, timedelta(seconds=30 * 2 ** min(wanted.tries, 8)))
            with self.database.transaction(tells=False) as tx:
                store.day_later(tx, wanted.day, until, later)
            return LOOK_AGAIN_SECONDS
        if found.differences:
            log.error("%s: %s transfers differ from the peer", wanted.day, len(found.differences))
        with self.database.transaction(tells=False) as tx:
            store.day_done(tx, wanted.day, until)
        return 0.0

    def _night(self, tx: Connection, now: datetime) -> None:
        """Ask for the comparison of a night, once."""
        local = now.astimezone(clock.CHINA)
        if local.time() >= NIGHT and store.begin_night(tx, local.date()):
            store.want(tx, recent(tx, local.date()), now)
