"""The SQL of full names that are built anew from the path, and of names that several organisations have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.lives import next_version
from shared.messages.orgs import OrgChanged
from shared.outbox import insert, tell
from shared.recordset import locked, recordset


class Renamed(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's new full name, with the version that it was built for."""

    org_id: int
    full_name: str
    also: str
    bigrams: list[str]
    spoken: list[str]
    version: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A rebuild that is asked for."""

    command_id: UUID
    org_id: int
    path: str
    asked_by: int
    asked_for: int | None
    request_id: str


class Rebuild(NamedTuple):
    """A rebuild, and how far it is."""

    command_id: UUID
    org_id: int
    path: str
    after: str
    looked_at: int
    changed: int
    asked_by: int
    asked_for: int | None
    request_id: str
    ended_at: datetime | None


_BELOW = sa.text("""
    SELECT o.*, p.full_name AS above FROM orgs o JOIN orgs p ON p.org_id = o.parent_id
    WHERE o.path > :after AND o.path < :path_end AND NOT o.deleted ORDER BY o.path LIMIT :limit""")
# By version, since the rows were read without a lock: whoever edits at the same time wins.
_AS_READ = "o.org_id = i.org_id AND o.version = i.version AND NOT o.deleted"
_RENAME = sa.text(f"""
    WITH changed AS (UPDATE orgs o SET
            full_name = i.full_name, also = i.also, bigrams = i.bigrams, spoken = i.spoken,
            version = {next_version("o.version")}
        FROM {locked(recordset(Renamed), "orgs o", _AS_READ, "o.org_id")} AS i
        WHERE o.org_id = i.org_id
        RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT org_id FROM changed""")
_SHARED = sa.text("""
    SELECT full_name FROM orgs o
    WHERE o.path >= :path AND o.path < :path_end AND NOT o.deleted
        AND EXISTS (SELECT 1 FROM orgs other
            WHERE other.plain = o.plain AND other.org_id <> o.org_id AND NOT other.deleted)
    GROUP BY full_name ORDER BY full_name LIMIT :limit""")
_TAKEN = sa.text("SELECT org_id, plain FROM orgs WHERE plain = ANY(CAST(:names AS text[])) AND NOT deleted")
_ASK = sa.text(f"""
    INSERT INTO name_rebuilds (command_id, org_id, path, after, asked_by, asked_for, request_id, asked_at)
    SELECT command_id, org_id, path, path, asked_by, asked_for, request_id, :now
    FROM {recordset(Asked)}
    ORDER BY command_id
    ON CONFLICT DO NOTHING""")
_BY_COMMAND = sa.text("SELECT * FROM name_rebuilds WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_NEXT = sa.text(
    "SELECT * FROM name_rebuilds WHERE ended_at IS NULL ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_PROGRESS = sa.text("""
    UPDATE name_rebuilds SET
        after = :after,
        looked_at = looked_at + :looked_at,
        changed = changed + :changed,
        ended_at = CAST(:ended AS timestamptz)
    WHERE command_id = CAST(:id AS uuid)""")


def end_of(path: str) -> str:
    """Return the end of the range of paths that begin with `path`."""
    return path[:-1] + "/"


def below(tx: Connection, path: str, after: str, limit: int) -> Sequence[sa.Row[Any]]:
    """Return organisations of a subtree after a path, superiors before what is below them.

    Each has its superior's full name as `above`.
    """
    return tx.execute(_BELOW, {"after": after, "path_end": end_of(path), "limit": limit}).all()


def rename(tx: Connection, rows: Sequence[Renamed]) -> set[int]:
    """Give organisations new full names and tell; return whose were changed.

    An organisation that has changed since it was read stays as it is.
    """
    return set(db.run(tx, _RENAME, rows).scalars()) if rows else set()


def shared(tx: Connection, path: str, limit: int) -> list[str]:
    """Return full names of a subtree that more than one living organisation of the whole tree has."""
    return list(tx.scalars(_SHARED, {"path": path, "path_end": end_of(path), "limit": limit}))


def taken(tx: Connection, names: Sequence[str]) -> dict[str, set[int]]:
    """Return which living organisations have the full names, given as they are searched."""
    found: dict[str, set[int]] = {}
    for row in tx.execute(_TAKEN, {"names": sorted(set(names))}):
        found.setdefault(row.plain, set()).add(row.org_id)
    return found


def ask(tx: Connection, rows: Sequence[Asked], now: datetime) -> None:
    """Store that names are to be built anew; a repeated command changes nothing."""
    if rows:
        db.run(tx, _ASK, rows, now=now)


def by_command(tx: Connection, command_ids: Sequence[UUID]) -> dict[UUID, Rebuild]:
    """Return rebuilds by the command that asked for them."""
    rows = db.rows(Rebuild, tx.execute(_BY_COMMAND, {"ids": [str(one) for one in command_ids]}))
    return {row.command_id: row for row in rows}


def next_asked(tx: Connection) -> Rebuild | None:
    """Return the oldest rebuild that is not done, held until the transaction ends."""
    return db.row(Rebuild, tx.execute(_NEXT))


def keep_progress(
    tx: Connection, command_id: UUID, after: str, looked_at: int, changed: int, ended: datetime | None
) -> None:
    """Store how far a rebuild is, in the transaction of the piece."""
    tx.execute(
        _PROGRESS,
        {"id": str(command_id), "after": after, "looked_at": looked_at, "changed": changed, "ended": ended},
    )
