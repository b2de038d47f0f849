"""Sessions that were ended before their time: each service refuses their tokens at once.

A token lives for minutes without being looked up anywhere; what is kept here is only the few that
must not be believed any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db


def tables(metadata: sa.MetaData) -> sa.Table:
    """Declare the table of ended sessions."""
    return sa.Table(
        "ended_sessions",
        metadata,
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column(
            "until",
            sa.DateTime(timezone=True),
            nullable=False,
            index=True,
            comment="its last token has lapsed by then",
        ),
    )


_END = sa.text("""
    -- those whose last token has lapsed need no remembering
    WITH forgotten AS (DELETE FROM ended_sessions WHERE session_id = ANY(ARRAY(
        SELECT session_id FROM ended_sessions WHERE until < :now FOR UPDATE SKIP LOCKED)))
    INSERT INTO ended_sessions (session_id, until)
    SELECT session_id, until
    FROM json_to_recordset(CAST(:items AS json)) AS i(session_id uuid, until timestamptz)
    ORDER BY session_id
    ON CONFLICT DO NOTHING""")
ENDED = """
    SELECT CAST(session_id AS text) FROM ended_sessions
    -- a list of texts, as the driver gives them to a prepared statement
    WHERE session_id = ANY(CAST(CAST(:sessions AS text[]) AS uuid[]))"""
"""The select of those of `:sessions` that were ended."""
_ENDED = sa.text(ENDED)


def on_session_ended(tx: Connection, items: list[Any]) -> None:
    """Remember ended sessions until their tokens have lapsed."""
    db.run(tx, _END, items, now=clock.now())


def ended(tx: Connection, session_ids: Iterable[str]) -> set[str]:
    """Return those of the sessions that were ended."""
    ids = sorted({one for one in session_ids if one})
    return set(db.prepared(tx, _ENDED, sessions=ids).scalars()) if ids else set()
