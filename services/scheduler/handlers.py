"""Use cases of the scheduler: watch, forget, fire."""
from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from services.scheduler import store
from shared import clock, db, metrics
from shared.bus.service import Machinery
from shared.messages.transfers import NodeOpened

FIRE_LIMIT = 2_000
"""Timers of one transaction; a backlog falling due at one instant is worked off in such pieces, oldest first (BEY-08)."""
LOOK_AGAIN_SECONDS = 30.0
"""The longest sleep: another scheduler may have taken timers, or given them up."""

_wake = threading.Event()
_asleep_until = clock.now()


def on_node_opened(tx: Connection, items: list[NodeOpened]) -> None:
    """Watch the node's instants (DL-01, DL-02)."""
    store.set_timers(tx, items)
    if any(at is not None and at < _asleep_until for item in items for at in (item.remind_at, item.expires_at)):
        _wake.set()


def on_ended(tx: Connection, items: list[Any]) -> None:
    """Forget a transfer that waits for nobody any more."""
    store.cancel(tx, [item.transfer_id for item in items])


def fire_forever(machinery: Machinery) -> None:
    """Sleep until the next instant, fire what is due, tell each new day, until the service stops.

    Any number of schedulers may run: each timer is locked by one of them, and fires in the transaction that removes it
    (DL-19). An idle scheduler looks once in 30 seconds, however many timers are pending.
    """
    global _asleep_until
    clock.on_advance(_wake.set)
    machinery.on_stop.append(_wake.set)
    told: date | None = None
    while not machinery.stopping:
        _wake.clear()
        wait = LOOK_AGAIN_SECONDS
        try:
            today = clock.today()
            with machinery.database.transaction() as tx:
                if today != told:
                    store.begin_day(tx, today)
                expired, reminded = store.fire(tx, clock.now(), FIRE_LIMIT)
                due = None if expired + reminded == FIRE_LIMIT else store.next_due(tx)
            told = today
            metrics.TIMERS_FIRED.labels("deadline").inc(expired)
            metrics.TIMERS_FIRED.labels("reminder").inc(reminded)
            if expired + reminded == FIRE_LIMIT:
                continue
            if due is not None:
                wait = min(wait, max(0.0, (due - clock.now()).total_seconds()))
        except db.TRANSIENT:
            wait = 1.0
        _asleep_until = clock.now() + timedelta(seconds=wait)
        _wake.wait(wait)
