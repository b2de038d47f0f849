"""The only SQL of the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db
from shared.messages.scheduler import DayBegan, DeadlineExpired, ReminderDue
from shared.outbox import insert, tell

_SET = sa.text("""
    INSERT INTO timers (transfer_id, node_no, revision, remind_at, remind_every, expires_at)
    SELECT DISTINCT ON (transfer_id)
        transfer_id, node_no, coalesce(revision, 0), remind_at, remind_every * interval '1 second', expires_at
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        transfer_id bigint, node_no int, revision int,
        remind_at timestamptz, remind_every float, expires_at timestamptz)
    ORDER BY transfer_id, node_no DESC, revision DESC
    ON CONFLICT (transfer_id) DO UPDATE SET (node_no, revision, remind_at, remind_every, expires_at) =
        (excluded.node_no, excluded.revision, excluded.remind_at, excluded.remind_every, excluded.expires_at)
    WHERE (excluded.node_no, excluded.revision) > (timers.node_no, timers.revision)""")
_LAST = 32767
"""The number of the node after which none comes: that of an ended transfer."""
_END = sa.text(f"""
    -- the end stays as a row, which no node replaces that was opened earlier and is told later
    INSERT INTO timers (transfer_id, node_no, ended_on)
    SELECT DISTINCT transfer_id, {_LAST}, {clock.day_sql("CAST(:now AS timestamptz)")}
    FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint)
    ORDER BY transfer_id
    ON CONFLICT (transfer_id) DO UPDATE SET (node_no, remind_at, remind_every, expires_at, ended_on) =
        (excluded.node_no, NULL, NULL, NULL, excluded.ended_on)
    WHERE timers.ended_on IS NULL""")
_FORGET = sa.text("""
    WITH old AS (SELECT transfer_id FROM timers
        WHERE ended_on < CAST(:before AS date)
        ORDER BY ended_on LIMIT :limit FOR UPDATE SKIP LOCKED)
    DELETE FROM timers WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM old))""")

_FIRE = sa.text(f"""
    -- skipping what another has locked: any number of schedulers may run, and none ever waits here
    WITH due AS (SELECT transfer_id, node_no, due_at, coalesce(expires_at <= :now, false) AS past
        FROM timers
        WHERE due_at <= :now
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    -- a deadline passes once
    expired AS (DELETE FROM timers WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM due WHERE past))),
    -- the next reminder is the first instant of the rhythm after now, however many were missed
    reminded AS (UPDATE timers SET remind_at = remind_at + remind_every *
            (1 + floor(extract(epoch FROM CAST(:now AS timestamptz) - remind_at)
                / extract(epoch FROM remind_every)))
        WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM due WHERE NOT past))),
    -- what transfers hears, with the instants that were asked for
    told AS ({insert(tell(DeadlineExpired, "due", "WHERE past"), tell(ReminderDue, "due", "WHERE NOT past"))})
    SELECT count(*) FILTER (WHERE past) AS expired, count(*) FILTER (WHERE NOT past) AS reminded FROM due""")
_BEGIN_DAY = sa.text(f"""
    WITH begun AS (INSERT INTO days (day) VALUES (CAST(:day AS date)) ON CONFLICT DO NOTHING RETURNING day)
    {insert(tell(DayBegan, "begun"))}""")
_NEXT = sa.text("SELECT min(due_at) FROM timers WHERE due_at IS NOT NULL")


def set_timers(tx: Connection, items: Sequence[Any]) -> None:
    """Watch the instants of newly opened nodes.

    The latest node of a transfer, and its latest deadline, replaces the earlier one.
    """
    db.run(tx, _SET, items)


def end(tx: Connection, items: Sequence[Any], now: datetime) -> None:
    """Watch nothing of transfers any more, whatever node of them is still told (`forget`)."""
    db.run(tx, _END, items, now=now)


def forget(tx: Connection, before: date, limit: int) -> int:
    """Forget up to `limit` ends told before a day; return how many."""
    return int(tx.execute(_FORGET, {"before": before, "limit": limit}).rowcount)


def fire(tx: Connection, now: datetime, limit: int) -> tuple[int, int]:
    """Work off up to `limit` due timers, oldest first; return how many deadlines and reminders."""
    row = tx.execute(_FIRE, {"now": now, "limit": limit}).one()
    return row.expired, row.reminded


def next_due(tx: Connection) -> datetime | None:
    """Return the earliest instant that anybody waits for."""
    due: datetime | None = tx.scalar(_NEXT)
    return due


_OVERDUE = sa.text("""
    SELECT count(*) AS n, min(due_at) AS oldest
    FROM (SELECT due_at FROM timers WHERE due_at <= :now ORDER BY due_at LIMIT :most) AS due""")


def overdue(tx: Connection, now: datetime, most: int) -> tuple[int, datetime | None]:
    """Return how many timers are due and not fired, counted up to `most`, and when the oldest was due."""
    row = tx.execute(_OVERDUE, {"now": now, "most": most}).one()
    return row.n, row.oldest


def begin_day(tx: Connection, day: date) -> None:
    """Tell that a day began, once for all schedulers."""
    tx.execute(_BEGIN_DAY, {"day": day})
