"""The SQL of imports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.recordset import Int, Uuid, columns, locked, recordset


class NewImport(TypedDict):
    """An import, and who imports for which organisation."""

    import_id: Uuid
    org_id: int | None
    person_id: int


class Import(NamedTuple):
    """A stored import."""

    import_id: UUID
    org_id: int
    person_id: int
    started_at: datetime


class Taken(TypedDict):
    """A row to be tried, sealed, as base64; or one with a problem already."""

    import_id: Uuid
    number: Int
    row_sealed: str | None
    problem: str


class Waiting(NamedTuple):
    """A row that waits."""

    number: int
    row_sealed: bytes


class Settled(TypedDict):
    """What became of a row, empty for entered."""

    import_id: Uuid
    number: Int
    problem: str


class Failed(NamedTuple):
    """A row that was not entered, and why."""

    number: int
    row_sealed: bytes
    problem: str


_OPEN_IMPORTS = sa.text(f"""
    INSERT INTO imports ({columns(NewImport)}, started_at)
    SELECT {columns(NewImport)}, :now
    FROM {recordset(NewImport)}
    ORDER BY import_id
    ON CONFLICT DO NOTHING""")

_IMPORTS = sa.text("SELECT * FROM imports WHERE import_id = ANY(CAST(:ids AS uuid[]))")

_TAKE_ROWS = sa.text(f"""
    INSERT INTO import_rows (import_id, number, state, row_sealed, problem)
    SELECT import_id, number, CASE WHEN problem = '' THEN 'waiting' ELSE 'failed' END,
        decode(row_sealed, 'base64'), problem
    FROM {recordset(Taken)}
    ORDER BY import_id, number
    ON CONFLICT DO NOTHING""")

_FAILED = "w.import_id = i.import_id AND w.number = i.number AND w.state = 'failed'"
_TAKE_AGAIN = sa.text(f"""
    UPDATE import_rows r
    SET state = CASE WHEN i.problem = '' THEN 'waiting' ELSE 'failed' END,
        row_sealed = decode(i.row_sealed, 'base64'), problem = i.problem
    FROM {locked(recordset(Taken), "import_rows w", _FAILED, "w.import_id, w.number")} AS i
    WHERE r.import_id = i.import_id AND r.number = i.number""")

_NEXT_IMPORT = sa.text("""
    -- another process may hold an older one; rows are forgotten after 30 days, so imports end then, too
    SELECT i.* FROM imports i
    WHERE EXISTS (SELECT 1 FROM import_rows r WHERE r.import_id = i.import_id AND r.state = 'waiting')
        AND i.started_at > CAST(:now AS timestamptz) - interval '30 days'
    ORDER BY started_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED""")

_WAITING_ROWS = sa.text("""
    SELECT number, row_sealed FROM import_rows
    WHERE import_id = CAST(:id AS uuid) AND state = 'waiting'
    ORDER BY number
    LIMIT :limit""")

_SETTLE_ROWS = sa.text(f"""
    -- the row itself is forgotten once it is entered
    UPDATE import_rows r
    SET state = CASE WHEN i.problem = '' THEN 'entered' ELSE 'failed' END, problem = i.problem,
        row_sealed = CASE WHEN i.problem = '' THEN NULL ELSE r.row_sealed END
    FROM {recordset(Settled)}
    WHERE r.import_id = i.import_id AND r.number = i.number""")

_IMPORT_COUNTS = sa.text(
    "SELECT state, count(*)::int AS n FROM import_rows WHERE import_id = CAST(:id AS uuid) GROUP BY state"
)

_FAILED_ROWS = sa.text("""
    SELECT number, row_sealed, problem FROM import_rows
    WHERE import_id = CAST(:id AS uuid) AND state = 'failed' AND number > :after
    ORDER BY number
    LIMIT 500""")

_BRANCHES_NAMED = sa.text("""
    SELECT name, min(org_id) AS org_id FROM org_directory
    WHERE (org_id = :org OR parent_id = :org) AND kind = 'branch' AND NOT deleted
        AND name = ANY(CAST(:names AS text[]))
    GROUP BY name""")

_BRANCHES_ELSEWHERE = sa.text("""
    SELECT b.name, min(s.name) AS superior
    FROM org_directory b JOIN org_directory s ON s.org_id = b.parent_id
    WHERE b.kind = 'branch' AND NOT b.deleted AND b.name = ANY(CAST(:names AS text[]))
        AND b.parent_id <> :org AND b.org_id <> :org
    GROUP BY b.name""")

_FORGET_IMPORTS = sa.text("""
    DELETE FROM import_rows
    WHERE import_id IN (
        SELECT import_id FROM imports WHERE started_at < CAST(:now AS timestamptz) - interval '30 days')""")


def open_imports(tx: Connection, rows: Sequence[NewImport], now: datetime) -> dict[str, Import]:
    """Remember who imports for which organisation, the first time each import is seen.

    Return the imports by id.
    """
    db.run(tx, _OPEN_IMPORTS, rows, now=now)
    found = db.rows(Import, tx.execute(_IMPORTS, {"ids": [row["import_id"] for row in rows]}))
    return {str(row.import_id): row for row in found}


def one_import(tx: Connection, import_id: str) -> Import | None:
    """Return an import."""
    return db.row(Import, tx.execute(_IMPORTS, {"ids": [import_id]}))


def take_rows(tx: Connection, rows: Sequence[Taken]) -> None:
    """Keep rows to be tried; those that are kept already stay as they are."""
    db.run(tx, _TAKE_ROWS, rows)


def take_again(tx: Connection, rows: Sequence[Taken]) -> None:
    """Keep rows that were put right in the place of failed ones; what did not fail stays as it is."""
    if rows:
        db.run(tx, _TAKE_AGAIN, rows)


def next_import(tx: Connection, now: datetime) -> Import | None:
    """Return the oldest import with waiting rows that nobody works on, held until the transaction ends."""
    return db.row(Import, tx.execute(_NEXT_IMPORT, {"now": now}))


def waiting_rows(tx: Connection, import_id: str, limit: int) -> list[Waiting]:
    """Return the next rows of an import."""
    return db.rows(Waiting, tx.execute(_WAITING_ROWS, {"id": import_id, "limit": limit}))


def settle_rows(tx: Connection, rows: Sequence[Settled]) -> None:
    """Store what became of rows; an entered row is forgotten."""
    db.run(tx, _SETTLE_ROWS, rows)


def import_counts(tx: Connection, import_id: str) -> dict[str, int]:
    """Return the number of rows by state."""
    return {row.state: row.n for row in tx.execute(_IMPORT_COUNTS, {"id": import_id})}


def failed_rows(tx: Connection, import_id: str, after: int) -> list[Failed]:
    """Return up to 500 failed rows after a number."""
    return db.rows(Failed, tx.execute(_FAILED_ROWS, {"id": import_id, "after": after}))


def branches_named(tx: Connection, org_id: int, names: Iterable[str]) -> dict[str, int]:
    """Return, by full name, the organisation itself and its direct branches (IMP-11)."""
    return {
        row.name: row.org_id
        for row in tx.execute(_BRANCHES_NAMED, {"org": org_id, "names": sorted(set(names))})
    }


def branches_elsewhere(tx: Connection, org_id: int, names: Iterable[str]) -> dict[str, str]:
    """Return the direct superiors, by full name, of branches not directly below the organisation (IMP-11)."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    return {
        row.name: row.superior for row in tx.execute(_BRANCHES_ELSEWHERE, {"org": org_id, "names": wanted})
    }


def forget_imports(tx: Connection, now: datetime) -> None:
    """Forget the rows of imports older than 30 days: failed rows hold identity numbers."""
    tx.execute(_FORGET_IMPORTS, {"now": now})
