"""The only SQL of the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
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
_CANCEL = sa.text("DELETE FROM timers WHERE transfer_id = ANY(CAST(:ids AS bigint[]))")

_FIRE = sa.text(f"""
    -- skipping what another scheduler has locked, so any number of them may run
    WITH due AS (SELECT transfer_id FROM timers
        WHERE due_at <= :now
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    -- a deadline passes once
    expired AS (DELETE FROM timers t USING due d
        WHERE t.transfer_id = d.transfer_id AND t.expires_at <= :now
        RETURNING t.transfer_id, t.node_no, t.due_at),
    -- the next reminder is the first instant of the rhythm after now, however many were missed
    reminded AS (UPDATE timers t SET remind_at = t.remind_at + t.remind_every *
            (1 + floor(extract(epoch FROM CAST(:now AS timestamptz) - t.remind_at)
                / extract(epoch FROM t.remind_every)))
        FROM due d
        WHERE t.transfer_id = d.transfer_id AND coalesce(t.expires_at > :now, true)
        RETURNING t.transfer_id, t.node_no, CAST(:now AS timestamptz) AS due_at),
    -- what transfers hears
    told AS ({insert(tell(DeadlineExpired, "expired"), tell(ReminderDue, "reminded"))})
    SELECT (SELECT count(*) FROM expired) AS expired, (SELECT count(*) FROM reminded) AS reminded""")
_BEGIN_DAY = sa.text(f"""
    WITH begun AS (INSERT INTO days (day) VALUES (CAST(:day AS date)) ON CONFLICT DO NOTHING RETURNING day)
    {insert(tell(DayBegan, "begun"))}""")
_NEXT = sa.text("SELECT min(due_at) FROM timers WHERE due_at IS NOT NULL")


def set_timers(tx: Connection, items: Sequence[Any]) -> None:
    """Watch the instants of newly opened nodes.

    The latest node of a transfer, and its latest deadline, replaces the earlier one.
    """
    db.run(tx, _SET, items)


def cancel(tx: Connection, transfer_ids: list[int]) -> None:
    """Forget transfers."""
    tx.execute(_CANCEL, {"ids": transfer_ids})


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
