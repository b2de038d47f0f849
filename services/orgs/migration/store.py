"""The SQL of migrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import store
from services.orgs.domain import OrgRow
from services.orgs.log import log, org_entry
from services.orgs.migration.rules import MigrationRow
from shared import db
from shared.audit import Entry
from shared.lives import next_version
from shared.messages.orgs import OrgChanged
from shared.outbox import insert, tell
from shared.recordset import recordset


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that is asked for."""

    command_id: UUID
    org_id: int
    from_org_id: int | None
    to_org_id: int
    reason: str
    requested_by: int
    expires_at: datetime


class Migration(NamedTuple):
    """A stored migration."""

    migration_id: int
    command_id: UUID
    org_id: int
    from_org_id: int
    to_org_id: int
    state: str
    reason: str
    note: str
    total: int
    moved: int
    requested_by: int
    requested_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class Moved(NamedTuple):
    """What a subtree is made of, and how many people administer something in it."""

    organisations: int
    branches: int
    administrators: int


# In one order always, so that no two requests wait for each other.
_LOCK_PROVINCES = sa.text("""
    SELECT pg_advisory_xact_lock(CAST(one AS bigint))
    FROM unnest(CAST(:ids AS bigint[])) AS one ORDER BY one""")

_OPEN_PATHS = sa.text("""
    SELECT o.path FROM migrations m JOIN orgs o USING (org_id)
    WHERE m.ended_at IS NULL AND o.provincial_id = ANY(CAST(:ids AS bigint[]))""")

_REQUEST = sa.text(f"""
    INSERT INTO migrations
        (command_id, org_id, from_org_id, to_org_id, state, reason, requested_by, requested_at, expires_at)
    SELECT command_id, org_id, from_org_id, to_org_id, 'pending_old', reason, requested_by, :now, expires_at
    FROM {recordset(Request)}
    ORDER BY command_id
    ON CONFLICT DO NOTHING RETURNING command_id""")

_BY_COMMAND = sa.text("SELECT * FROM migrations WHERE command_id = ANY(CAST(:ids AS uuid[]))")

_HOLD_MIGRATIONS = sa.text("""
    SELECT * FROM migrations WHERE migration_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY migration_id FOR UPDATE""")

_SET_MIGRATIONS = sa.text("""
    UPDATE migrations m SET
        state = i.state,
        note = i.note,
        -- who has decided once stays written down
        old_decided_by = coalesce(m.old_decided_by, i.old_decided_by),
        new_decided_by = coalesce(m.new_decided_by, i.new_decided_by),
        expires_at = i.expires_at,
        ended_at = i.ended_at
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        migration_id bigint, state text, note text, old_decided_by bigint, new_decided_by bigint,
        expires_at timestamptz, ended_at timestamptz)
    WHERE m.migration_id = i.migration_id""")

_EXPIRE_MIGRATIONS = sa.text("""
    UPDATE migrations SET state = 'returned', ended_at = :now
    WHERE migration_id = ANY(ARRAY(
        SELECT migration_id FROM migrations
        WHERE ended_at IS NULL AND state IN ('pending_old', 'pending_new') AND expires_at <= :now
        ORDER BY migration_id
        FOR NO KEY UPDATE))
    RETURNING migration_id, org_id""")

_MIGRATIONS = sa.text("""
    SELECT * FROM migrations
    -- each superior waits for its own decision; the organisation itself decides nothing
    WHERE (from_org_id = :org AND (NOT :waiting OR state = 'pending_old'))
        OR (to_org_id = :org AND (NOT :waiting OR state = 'pending_new'))
        OR (org_id = :org AND NOT :waiting)
    ORDER BY migration_id DESC LIMIT 200""")

_NEXT_MIGRATION = sa.text("""
    SELECT * FROM migrations
    WHERE ended_at IS NULL
        AND state = 'moving'
        -- not one that another process carries out
        AND pg_try_advisory_xact_lock(hashtext('migration'), CAST(migration_id AS int))
    ORDER BY migration_id LIMIT 1""")

_BELOW = sa.text("SELECT count(*)::int FROM orgs WHERE path >= :path AND path < :path_end")

_MOVED = sa.text("""
    SELECT count(*)::int AS organisations, (count(*) FILTER (WHERE kind = 'branch'))::int AS branches,
        (
            SELECT count(DISTINCT a.person_id)::int
            FROM administrators a JOIN orgs b USING (org_id)
            WHERE b.path >= :path AND b.path < :path_end AND NOT b.deleted AND a.active
        ) AS administrators
    FROM orgs
    WHERE path >= :path AND path < :path_end AND NOT deleted""")

_MOVE_SOME = sa.text("""
    UPDATE orgs SET path = :new || substr(path, :skip)
    -- what has moved begins with the new path, so the next piece does not find it
    WHERE org_id = ANY(ARRAY(
        SELECT org_id FROM orgs
        WHERE org_id IN (
            SELECT org_id FROM orgs WHERE path >= :path AND path < :path_end ORDER BY path LIMIT :limit)
        ORDER BY org_id
        FOR NO KEY UPDATE))""")

_PROGRESS = sa.text("UPDATE migrations SET moved = :moved, total = :total WHERE migration_id = :id")

_MOVE_TOP = sa.text(f"""
    WITH changed AS (UPDATE orgs SET parent_id = :to, version = {next_version("version")}
        WHERE org_id = :org RETURNING *),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT * FROM changed""")

_END_MIGRATION = sa.text("""
    UPDATE migrations SET state = :state, note = :note, total = :total, moved = :total, ended_at = :now
    WHERE migration_id = :id""")


def lock_provinces(tx: Connection, provincial_ids: Iterable[int]) -> None:
    """Hold the migrations of provinces until the transaction ends (MIG-06).

    So of two requests for one subtree the second sees the first.
    """
    tx.execute(_LOCK_PROVINCES, {"ids": sorted(set(provincial_ids))})


def open_paths(tx: Connection, provincial_ids: Iterable[int]) -> list[str]:
    """Return the paths of the organisations of provinces that migrate (MIG-06)."""
    return list(tx.scalars(_OPEN_PATHS, {"ids": sorted(set(provincial_ids))}))


def request_migrations(tx: Connection, rows: Sequence[Request], now: datetime) -> set[UUID]:
    """Store migrations; return the commands that asked for them, without those that are there already."""
    return set(db.run(tx, _REQUEST, rows, now=now).scalars()) if rows else set()


def by_command(tx: Connection, command_ids: Sequence[UUID]) -> dict[UUID, Migration]:
    """Return migrations by the command that asked for them."""
    rows = db.rows(Migration, tx.execute(_BY_COMMAND, {"ids": [str(one) for one in command_ids]}))
    return {row.command_id: row for row in rows}


def hold_migrations(tx: Connection, ids: Sequence[int]) -> dict[int, MigrationRow]:
    """Return migrations, held until the transaction ends."""
    rows = tx.execute(_HOLD_MIGRATIONS, {"ids": sorted(set(ids))})
    return {row.migration_id: cast(MigrationRow, dict(row._mapping)) for row in rows}


def set_migrations(tx: Connection, rows: Sequence[MigrationRow], entries: Sequence[Entry]) -> None:
    """Store decisions on held migrations, with the lines that say who has made them."""
    db.run(tx, _SET_MIGRATIONS, rows)
    log.append(tx, entries)


def expire_migrations(tx: Connection, now: datetime) -> int:
    """Return what waits for a decision longer than it may; return how many (MIG-10)."""
    rows = tx.execute(_EXPIRE_MIGRATIONS, {"now": now}).all()
    log.append(
        tx,
        [
            Entry(
                kind="migration.returned",
                place_id=row.org_id,
                ref=f"migration {row.migration_id}",
                after={"why": "nobody decided in time"},
            )
            for row in rows
        ],
    )
    return len(rows)


def migrations(tx: Connection, org_id: int, waiting: bool) -> list[Migration]:
    """Return the migrations of an organisation, from it or to it, newest first.

    With `waiting` it is those alone that wait for its decision.
    """
    return db.rows(Migration, tx.execute(_MIGRATIONS, {"org": org_id, "waiting": waiting}))


def next_migration(tx: Connection) -> Migration | None:
    """Return a migration that is decided, not done and worked on by nobody else until the transaction ends.

    An advisory lock holds it, not its row, so that its progress can be stored meanwhile.
    """
    return db.row(Migration, tx.execute(_NEXT_MIGRATION))


def count_below(tx: Connection, path: str) -> int:
    """Return how many organisations are in a subtree, deleted ones included."""
    return int(tx.execute(_BELOW, {"path": path, "path_end": store.end_of(path)}).scalar_one())


def moved(tx: Connection, path: str) -> Moved:
    """Return what a subtree is made of."""
    return db.rows(Moved, tx.execute(_MOVED, {"path": path, "path_end": store.end_of(path)}))[0]


def move_some(tx: Connection, old: str, new: str, limit: int) -> int:
    """Give up to `limit` organisations of the subtree `old` their new paths; return how many.

    Nobody sees it before the transaction ends.
    """
    return int(
        tx.execute(
            _MOVE_SOME,
            {"new": new, "skip": len(old) + 1, "path": old, "path_end": store.end_of(old), "limit": limit},
        ).rowcount
    )


def tell_progress(tx: Connection, migration_id: int, moved: int, total: int) -> None:
    """Store how far a migration is: in a transaction of its own, which readers see at once."""
    tx.execute(_PROGRESS, {"id": migration_id, "moved": moved, "total": total})


def move_top(tx: Connection, org: OrgRow, to_org_id: int, migration_id: int) -> None:
    """Put the top of a moved subtree below its new superior, and tell (MIG-09).

    Whoever hears it moves what lies below.
    """
    moved = tx.execute(_MOVE_TOP, {"org": org["org_id"], "to": to_org_id}).one()
    log.append(tx, [org_entry(org, moved._mapping, "org.moved", ref=f"migration {migration_id}")])


def end_migration(tx: Connection, row: Migration, state: str, note: str, total: int, now: datetime) -> None:
    """Store the end of a migration; that it was carried out stands in the log as the change of superior."""
    tx.execute(
        _END_MIGRATION, {"id": row.migration_id, "state": state, "note": note, "total": total, "now": now}
    )
    if state == "returned":
        log.append(
            tx,
            [
                Entry(
                    kind="migration.returned",
                    place_id=row.org_id,
                    ref=f"migration {row.migration_id}",
                    note=note,
                )
            ],
        )
