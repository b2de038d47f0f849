"""The SQL of posts, registration codes and self-registrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.log import PostBegun, PostChange, log, post_entries
from shared import db
from shared.messages.members import CadreChanged
from shared.outbox import insert, tell
from shared.recordset import recordset


class Post(NamedTuple):
    """A post that a person holds; `complete` says that every field of the person is filled."""

    org_id: int
    person_id: int
    post: str
    began_at: datetime
    name: str
    complete: bool


_LOCK_ORGS = sa.text("""
    SELECT org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY org_id
    FOR NO KEY UPDATE""")
_POSTS_OF = sa.text("""
    SELECT p.org_id, p.person_id, p.post, p.began_at, q.name, q.complete
    FROM posts p JOIN people q USING (person_id)
    WHERE p.org_id = ANY(CAST(:ids AS bigint[])) AND p.ended_at IS NULL
    ORDER BY p.org_id, p.post <> 'secretary', p.began_at, p.person_id""")
_POSTS_HELD = sa.text("""
    SELECT p.org_id, p.person_id, p.post, p.began_at, q.name, q.complete
    FROM posts p JOIN people q USING (person_id)
    WHERE p.person_id = ANY(CAST(:ids AS bigint[])) AND p.ended_at IS NULL
    ORDER BY p.person_id, p.org_id""")
_END_POSTS = sa.text("""
    -- never before its beginning, which is the time of the statement and may lie after that of the call
    UPDATE posts p SET ended_at = greatest(:now, p.began_at)
    FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)
    WHERE p.org_id = i.org_id AND p.person_id = i.person_id AND p.ended_at IS NULL
    RETURNING p.org_id, p.person_id, p.post""")
_BEGIN_POSTS = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(PostBegun)}
    ),
    begun AS (
        INSERT INTO posts (org_id, person_id, began_at, post, changed_by)
        SELECT org_id, person_id, clock_timestamp(), post, changed_by FROM given WHERE post <> ''
    ),
    -- of an ended post, too, it is told, with an empty name
    appointed AS (
        SELECT g.org_id, g.person_id, g.post, coalesce(p.phone_sealed IS NOT NULL, false) AS has_phone,
            nextval('post_version') AS version
        FROM given g LEFT JOIN people p USING (person_id)
    )
    {insert(tell(CadreChanged, "appointed"))}""")
_HOLD_PEOPLE = sa.text(
    "SELECT person_id FROM people WHERE person_id = ANY(CAST(:ids AS bigint[])) ORDER BY person_id FOR SHARE"
)
_TELL_POSTS = sa.text(f"""
    WITH appointed AS (
        SELECT o.org_id, o.person_id, o.post, p.phone_sealed IS NOT NULL AS has_phone,
            nextval('post_version') AS version
        FROM posts o JOIN people p USING (person_id)
        WHERE o.person_id = ANY(CAST(:ids AS bigint[])) AND o.ended_at IS NULL
    )
    {insert(tell(CadreChanged, "appointed"))}""")
_ADMINISTER_AT = sa.text("""
    SELECT a.org_id, a.person_id
    FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)
    JOIN administrator_directory a USING (org_id, person_id)
    WHERE a.active""")
_RIGHTS_HELD = sa.text("""
    SELECT a.person_id, o.path FROM administrator_directory a JOIN org_directory o USING (org_id)
    WHERE a.person_id = ANY(CAST(:ids AS bigint[])) AND a.active AND NOT o.deleted""")
_ADMINISTRATORS = sa.text("""
    SELECT org_id, count(*)::int AS n FROM administrator_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active
    GROUP BY org_id""")


def lock(tx: Connection, org_ids: Iterable[int]) -> None:
    """Hold organisations until the transaction ends: posts and codes of one change one after the other."""
    tx.execute(_LOCK_ORGS, {"ids": sorted(set(org_ids))})


def posts_of(tx: Connection, org_ids: Iterable[int]) -> list[Post]:
    """Return who holds which post in organisations, secretaries first."""
    return db.rows(Post, tx.execute(_POSTS_OF, {"ids": sorted(set(org_ids))}))


def posts_held(tx: Connection, person_ids: Iterable[int]) -> list[Post]:
    """Return the posts that people hold."""
    return db.rows(Post, tx.execute(_POSTS_HELD, {"ids": sorted(set(person_ids))}))


def set_posts(tx: Connection, rows: Sequence[PostChange], now: datetime) -> None:
    """End the posts that people hold in organisations, begin the given ones, and tell (CADRE-04).

    An empty post only ends. The people are held, so that of a new post and a new telephone number
    the later one tells of both.
    """
    if rows:
        tx.execute(_HOLD_PEOPLE, {"ids": sorted({row["person_id"] for row in rows})})
        ended = {(row.org_id, row.person_id): row.post for row in db.run(tx, _END_POSTS, rows, now=now)}
        db.run(tx, _BEGIN_POSTS, rows)
        log.append(tx, post_entries(rows, ended))


def tell_posts(tx: Connection, person_ids: Iterable[int]) -> None:
    """Tell of the posts of people whose telephone number this transaction has just changed (ORG-21)."""
    ids = sorted(set(person_ids))
    if ids:
        tx.execute(_TELL_POSTS, {"ids": ids})


def administering(tx: Connection, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return those pairs of organisation and person that belong together by the right to administer."""
    rows = db.run(
        tx, _ADMINISTER_AT, [{"org_id": org_id, "person_id": person_id} for org_id, person_id in set(pairs)]
    )
    return {(row.org_id, row.person_id) for row in rows}


def rights_held(tx: Connection, person_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the paths of the organisations over which people have a right of any kind, by person."""
    held: dict[int, list[str]] = {}
    for row in tx.execute(_RIGHTS_HELD, {"ids": sorted(set(person_ids))}):
        held.setdefault(row.person_id, []).append(row.path)
    return held


def administrators(tx: Connection, org_ids: Iterable[int]) -> dict[int, int]:
    """Return how many administrators organisations have."""
    return {row.org_id: row.n for row in tx.execute(_ADMINISTRATORS, {"ids": sorted(set(org_ids))})}
