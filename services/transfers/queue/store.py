"""The SQL of views and phrases, and of the branches that take assignments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import domain
from shared import db


class View(NamedTuple):
    """A view as it is kept; the filter as JSON."""

    view_id: UUID
    name: str
    filter: str
    sort: str


class Below(NamedTuple):
    """A branch that takes assignments, with the name of its superior."""

    org_id: int
    name: str
    superior: str


# Whose they are is held by the first statement, so that two savings do not pass the limit together; and
# under which id, so that the second of two people who choose the same is told so.
_HOLD = sa.text("""
    SELECT pg_advisory_xact_lock(key)
    FROM (
        SELECT DISTINCT hashtextextended('work_views ' || one, 0) AS key
        FROM unnest(CAST(:names AS text[])) AS one ORDER BY key) AS keys""")
_VIEWS = sa.text("""
    SELECT view_id, name, filter, sort FROM work_views
    WHERE person_id = :person AND org_id = :org ORDER BY name LIMIT 100""")
_SAVE = sa.text("""
    INSERT INTO work_views (view_id, person_id, org_id, name, filter, sort, kept_at)
    VALUES (:view, :person, :org, :name, :filter, :sort, :now)
    ON CONFLICT (person_id, org_id, name) DO UPDATE SET
        filter = excluded.filter, sort = excluded.sort, kept_at = excluded.kept_at
    RETURNING view_id""")
_OWNER = sa.text("SELECT person_id, org_id FROM work_views WHERE view_id = :view")
_DROP = sa.text("DELETE FROM work_views WHERE view_id = :view AND person_id = :person AND org_id = :org")
_KEEP_PHRASE = sa.text("""
    INSERT INTO phrases (person_id, text, used_at) VALUES (:person, :text, :now)
    ON CONFLICT (person_id, text) DO UPDATE SET used_at = excluded.used_at""")
_FORGET_OLD = sa.text("""
    DELETE FROM phrases WHERE person_id = :person AND text IN (
        SELECT text FROM phrases WHERE person_id = :person ORDER BY used_at DESC, text OFFSET :most
        FOR UPDATE)""")
_DROP_PHRASE = sa.text("DELETE FROM phrases WHERE person_id = :person AND text = :text")
_PHRASES = sa.text("""
    SELECT text FROM phrases WHERE person_id = :person ORDER BY used_at DESC, text LIMIT :most""")
_NOT_ASSIGNABLE = ", ".join(f"'{one}'" for one in domain.NOT_ASSIGNABLE)
_BRANCHES = sa.text(f"""
    SELECT d.org_id, d.name, coalesce(s.name, '') AS superior
    FROM org_directory d LEFT JOIN org_directory s ON s.org_id = d.parent_id
    WHERE d.path >= :path AND d.path < :path_end AND d.kind = 'branch' AND NOT d.deleted
        AND d.purpose NOT IN ({_NOT_ASSIGNABLE})
        AND (CAST(:ids AS bigint[]) IS NULL OR d.org_id = ANY(CAST(:ids AS bigint[])))
    ORDER BY d.path LIMIT 500""")


def hold(tx: Connection, person_ids: Iterable[int], view_ids: Iterable[UUID] = ()) -> None:
    """Let one transaction at a time change what is kept of some people, or under some ids."""
    tx.execute(_HOLD, {"names": [*map(str, person_ids), *map(str, view_ids)]})


def views(tx: Connection, person_id: int, org_id: int) -> list[View]:
    """Return the views of a person in an organisation, by name."""
    return db.rows(View, tx.execute(_VIEWS, {"person": person_id, "org": org_id}))


def owner(tx: Connection, view_id: UUID) -> tuple[int, int] | None:
    """Return the person and the organisation of a view."""
    row = tx.execute(_OWNER, {"view": str(view_id)}).one_or_none()
    return None if row is None else (row.person_id, row.org_id)


def save(tx: Connection, view: View, person_id: int, org_id: int, now: datetime) -> UUID:
    """Keep a view, in the place of one of the same name; return the id of the one that is kept."""
    row = {**view._asdict(), "view": str(view.view_id), "person": person_id, "org": org_id, "now": now}
    kept: UUID = tx.execute(_SAVE, row).scalar_one()
    return kept


def drop(tx: Connection, view_id: UUID, person_id: int, org_id: int) -> None:
    """Forget a view of a person."""
    tx.execute(_DROP, {"view": str(view_id), "person": person_id, "org": org_id})


def keep_phrase(tx: Connection, person_id: int, text: str, now: datetime, most: int) -> None:
    """Remember a phrase of a person, and forget those that were used longest ago."""
    tx.execute(_KEEP_PHRASE, {"person": person_id, "text": text, "now": now})
    tx.execute(_FORGET_OLD, {"person": person_id, "most": most})


def drop_phrase(tx: Connection, person_id: int, text: str) -> None:
    """Forget a phrase of a person."""
    tx.execute(_DROP_PHRASE, {"person": person_id, "text": text})


def phrases(tx: Connection, person_id: int, most: int) -> list[str]:
    """Return the phrases of a person, newest first."""
    return list(tx.execute(_PHRASES, {"person": person_id, "most": most}).scalars())


def branches(tx: Connection, path: str, ids: Sequence[int] | None) -> list[Below]:
    """Return the branches of a subtree that take assignments (ASG-02), or those of them with some ids."""
    where = {"path": path, "path_end": path[:-1] + "/", "ids": list(ids) if ids is not None else None}
    return db.rows(Below, tx.execute(_BRANCHES, where))
