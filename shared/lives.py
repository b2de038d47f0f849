"""The lives of a database: what it has handed out to others must never come back as something else.

A database that is put back to an earlier state, or a standby that is promoted without the last
transactions of its primary, would count on from where it stands, and give a new transfer the number
of one that members and scheduler already know. So each life of it counts from another place:
`begin` moves every sequence of the database on by ten thousand for each second since 2026. No
service hands out as many, so what was lost lies before, even where the same state is put back again
and again. Lanes of the audit log that were in use are closed; versions go on from a floor.

Ids of messages need none of this, see `outbox.NEVER_AGAIN`.

A service looks at each new connection whether the server or its timeline is another one
(`watch`), which a failover and a recovery to a point in time show. A dump or a disk that was put
back shows nothing: then `tuanqiao restored` says so.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import sqlalchemy as sa

log = logging.getLogger("tuanqiao.lives")


def table(metadata: sa.MetaData) -> sa.Table:
    """Declare the lives of a service's database."""
    return sa.Table(
        "lives",
        metadata,
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            primary_key=True,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.Column("place", sa.Text, nullable=False, comment="the server and its timeline"),
        sa.Column("lost", sa.Boolean, nullable=False, comment="the end of the life before may be missing"),
        comment="since when this database hands out numbers, and since when others",
    )


def version_floor(metadata: sa.MetaData) -> sa.Sequence:
    """Declare the sequence below whose value no row gets a new version; nothing but `begin` moves it."""
    return sa.Sequence("version_floor", metadata=metadata)


FLOOR = "(SELECT last_value FROM version_floor)"
"""The SQL of the lowest version that may be given in this life; 1 in the first."""


def next_version(version: str) -> str:
    """Return the SQL of the version after that of a row: one more, but nothing that others may have seen."""
    return f"greatest({version} + 1, {FLOOR})"


_PLACE = (
    "(SELECT system_identifier FROM pg_control_system())"
    " || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
)
_STAYED = f"""
    -- a standby cannot say, and writes nothing either
    SELECT pg_is_in_recovery() OR coalesce(
        (SELECT place = {_PLACE} FROM lives ORDER BY began_at DESC LIMIT 1), false)"""
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('lives'))"
_BEGIN = f"""
    INSERT INTO lives (place, lost)
    SELECT {_PLACE}, %s OR EXISTS (SELECT 1 FROM lives)
    RETURNING began_at, lost"""
_MOVE_ON = """
    SELECT sequencename, setval(
        format('%I.%I', schemaname, sequencename)::regclass,
        coalesce(last_value, start_value - 1)
            + greatest(100000000, floor(
                extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00+00') * 10000)::bigint))
    FROM pg_sequences
    WHERE schemaname = current_schema() AND sequencename <> 'audit_lane'
    ORDER BY sequencename"""
_HAS_LANES = "SELECT to_regclass('audit_heads') IS NOT NULL"
# A lane's number is an int, and lanes are few: one for each second is enough.
_CLOSE_LANES = """
    WITH closed AS (
        UPDATE audit_heads SET closed_at = clock_timestamp() WHERE closed_at IS NULL RETURNING lane
    )
    SELECT setval('audit_lane', greatest(
        (SELECT coalesce(max(lane), 0) FROM audit_heads),
        (SELECT last_value FROM audit_lane),
        floor(extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00+00'))::bigint))"""


class Life(NamedTuple):
    """A life that has begun: whether others came before, and where each sequence goes on."""

    lost: bool
    sequences: dict[str, int]


def begin(cursor: Any, put_back: bool = False) -> Life:
    """Begin a life, in the transaction of a DBAPI cursor; the first one moves no number.

    With `put_back` it is known not to be the first, though the database may know no other: it was
    copied before it kept its lives. It may be done again without harm. What is handed out on
    connections that are open meanwhile is not covered: let there be none.
    """
    cursor.execute(_ALONE)
    cursor.execute(_BEGIN, (put_back,))
    lost = bool(cursor.fetchone()[1])
    if not lost:
        return Life(False, {})
    cursor.execute(_MOVE_ON)
    sequences = dict(cursor.fetchall())
    cursor.execute(_HAS_LANES)
    if cursor.fetchone()[0]:
        cursor.execute(_CLOSE_LANES)
        sequences["audit_lane"] = cursor.fetchone()[0]
    return Life(True, sequences)


def watch(engine: sa.Engine, service: str) -> None:
    """Look at each new connection of an engine whether the database lives on another server or timeline.

    Then a new life begins, before anything else is done on the connection.
    """

    def look(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            if not _stayed(cursor):
                cursor.execute(_ALONE)
                # another connection may have begun it while this one waited
                if not _stayed(cursor) and begin(cursor).lost:
                    log.warning(
                        "%s: the database is on another server or timeline; its numbers go on further up."
                        " If anything was lost, see `tuanqiao restored`.",
                        service,
                    )
        connection.commit()

    sa.event.listen(engine, "connect", look)


def _stayed(cursor: Any) -> bool:
    cursor.execute(_STAYED)
    return bool(cursor.fetchone()[0])


_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def others(cursor: Any) -> int:
    """Return how many other connections the database has."""
    cursor.execute(_OTHERS)
    return int(cursor.fetchone()[0])
