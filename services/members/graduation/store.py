"""The SQL of marks and of the yearly switch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.store import COHORT, GRADUATES
from shared import db, reference
from shared.lives import next_version
from shared.messages.members import (
    BranchGraduated,
)
from shared.outbox import insert, tell
from shared.recordset import locked, recordset


class Mark(NamedTuple):
    """The mark of a branch: when it graduates or why it does not, and since when it has."""

    branch_id: int
    graduates_on: date | None
    reason: str
    converted_at: datetime | None


class HeldMark(NamedTuple):
    """The mark of a branch; `started` says that a member has begun to leave since (GRAD-14)."""

    branch_id: int
    graduates_on: date | None
    reason: str
    converted_at: datetime | None
    started: bool


class NewMark(TypedDict):
    """The mark that somebody gives a branch."""

    branch_id: int
    graduates_on: date | None
    reason: str
    marked_by: int


class MemberMark(TypedDict):
    """The mark that a member of a branch gets, empty for none, and whether it makes a graduate."""

    member_id: int
    branch_id: int
    mark: str
    graduates_on: date | None
    reason: str
    graduate: bool


class ListedMark(NamedTuple):
    """A branch with its mark, if it has one."""

    org_id: int
    name: str
    parent_id: int | None
    graduates_on: date | None
    reason: str | None
    converted_at: datetime | None
    purpose: str


_HOLD_MARKS = sa.text("""
    SELECT b.*,
        EXISTS (SELECT 1 FROM people p WHERE p.branch_id = b.branch_id AND p.reserved_by IS NOT NULL)
            OR (SELECT count(*) FROM people p WHERE p.branch_id = b.branch_id) < b.members AS started
    FROM branch_marks b
    WHERE branch_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY branch_id
    FOR UPDATE""")

_MARKS = sa.text("SELECT * FROM branch_marks WHERE branch_id = ANY(CAST(:ids AS bigint[]))")

_MARK_BRANCHES = sa.text(f"""
    INSERT INTO branch_marks AS b (branch_id, graduates_on, reason, version, marked_at, marked_by)
    SELECT branch_id, graduates_on, reason, 1, :now, marked_by
    FROM {recordset(NewMark)}
    ORDER BY branch_id
    ON CONFLICT (branch_id) DO UPDATE SET (graduates_on, reason, marked_at, marked_by) =
        (excluded.graduates_on, excluded.reason, excluded.marked_at, excluded.marked_by)""")

_SWITCHED = "b.branch_id = g.branch_id AND b.converted_at IS NOT NULL"
_UNMARKED = "q.branch_id = r.branch_id AND q.mark = ''"
_REOPEN = sa.text(f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint)
    ),
    reopened AS (
        UPDATE branch_marks b SET converted_at = NULL, members = 0, version = {next_version("b.version")}
        FROM {locked("given g", "branch_marks b", _SWITCHED, "b.branch_id", of="g.*")} AS g
        WHERE b.branch_id = g.branch_id
        RETURNING b.branch_id, b.version, false AS graduate
    ),
    -- joined with itself because q still has the time of graduation that the update takes away
    flagged AS (
        UPDATE people p SET graduate = false, graduates_on = NULL
        FROM {locked("reopened r", "people q", _UNMARKED, "q.person_id", of="q.*")} AS q
        WHERE p.person_id = q.person_id
        RETURNING p.person_id AS member_id, p.branch_id,
            {COHORT.format(on="q.graduates_on")} AS cohort, false AS counts
    )
    {insert(tell(BranchGraduated, "reopened"), GRADUATES)}""")

_DUE, _ON = "due d JOIN branch_marks r USING (branch_id)", "q.person_id, r.graduates_on"
_CONVERT = sa.text(f"""
    -- the oldest branches that no other process is switching
    WITH due AS (
        SELECT branch_id FROM branch_marks
        WHERE converted_at IS NULL AND graduates_on <= CAST(:until AS date)
            AND (CAST(:only AS bigint[]) IS NULL OR branch_id = ANY(CAST(:only AS bigint[])))
        ORDER BY graduates_on, branch_id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ),
    -- their members, but for those with a mark of their own
    flagged AS (
        UPDATE people p SET graduate = true, graduates_on = b.graduates_on
        FROM {locked(_DUE, "people q", _UNMARKED, "q.person_id", of=_ON)} AS b
        WHERE p.person_id = b.person_id
        RETURNING p.person_id AS member_id, p.branch_id,
            {COHORT.format(on="p.graduates_on")} AS cohort, true AS counts
    ),
    -- the number of members shows later whether one has left, which closes the way back
    converted AS (
        UPDATE branch_marks b
        SET converted_at = :now, version = {next_version("b.version")},
            members = (SELECT count(*)::int FROM people p WHERE p.branch_id = b.branch_id AND p.mark = '')
        FROM due d
        WHERE b.branch_id = d.branch_id
        RETURNING b.branch_id, b.version, b.members, true AS graduate
    ),
    -- the events, in the same transaction
    told AS ({insert(tell(BranchGraduated, "converted"), GRADUATES)})
    SELECT branch_id, members FROM converted""")

_CONVERT_MEMBERS = sa.text(f"""
    WITH changed AS (
        UPDATE people p SET graduate = true
        FROM (
            SELECT person_id FROM people
            WHERE mark IN ('own', 'delayed') AND NOT graduate AND graduates_on <= CAST(:until AS date)
            ORDER BY graduates_on, person_id
            LIMIT :limit
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE p.person_id = due.person_id
        RETURNING p.person_id AS member_id, p.branch_id, {COHORT.format(on="p.graduates_on")} AS cohort
    ),
    flagged AS (
        SELECT member_id, branch_id, cohort, true AS counts FROM changed WHERE branch_id IS NOT NULL
    ),
    told AS ({insert(GRADUATES)})
    SELECT member_id FROM changed""")

_THERE = """q.person_id = g.member_id AND q.branch_id = g.branch_id
            AND (g.mark = '' OR q.reserved_by IS NULL)"""
_BEFORE = "g.*, q.graduate AS was, q.graduates_on AS was_on"
_MARK_MEMBERS = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(MemberMark)}
    ),
    -- with the values from before the update, to tell what changed
    stored AS (
        UPDATE people p
        SET mark = g.mark, mark_reason = g.reason, graduates_on = g.graduates_on, graduate = g.graduate
        FROM {locked("given g", "people q", _THERE, "q.person_id", of=_BEFORE)} AS g
        WHERE p.person_id = g.member_id
        RETURNING p.person_id, p.branch_id, p.graduate, p.graduates_on,
            g.was, g.was_on
    ),
    -- a graduate who changes cohort is taken out of the old one and counted in the new one
    flagged AS (
        SELECT person_id AS member_id, branch_id, {COHORT.format(on="was_on")} AS cohort, false AS counts
        FROM stored
        WHERE was AND (NOT graduate OR graduates_on IS DISTINCT FROM was_on)
        UNION ALL
        SELECT person_id, branch_id, {COHORT.format(on="graduates_on")}, true
        FROM stored
        WHERE graduate
    ),
    -- the events, in the same transaction
    told AS ({insert(GRADUATES)})
    SELECT person_id FROM stored""")

_BRANCH_MARKS = sa.text("""
    SELECT o.org_id, o.name, o.parent_id, b.graduates_on, b.reason, b.converted_at, o.purpose
    FROM org_directory o LEFT JOIN branch_marks b ON b.branch_id = o.org_id
    WHERE o.path >= :path AND o.path < :path_end AND o.kind = 'branch' AND NOT o.deleted
        AND o.purpose IN ('ordinary', 'graduate', 'mixed', 'teachers')
        AND o.industry = ANY(CAST(:industries AS text[]))
        AND o.org_id > :after AND (NOT :unmarked OR b.branch_id IS NULL)
        AND (:name = '' OR strpos(o.name, :name) > 0)
    ORDER BY o.org_id
    LIMIT :limit""")


def hold_marks(tx: Connection, branch_ids: Sequence[int]) -> dict[int, HeldMark]:
    """Return the marks of branches, held until the transaction ends."""
    rows = db.rows(HeldMark, tx.execute(_HOLD_MARKS, {"ids": sorted(set(branch_ids))}))
    return {row.branch_id: row for row in rows}


def marks(tx: Connection, branch_ids: Iterable[int]) -> dict[int, Mark]:
    """Return the marks of branches."""
    rows = db.rows(Mark, tx.execute(_MARKS, {"ids": sorted(set(branch_ids))}))
    return {row.branch_id: row for row in rows}


def mark_branches(tx: Connection, rows: Sequence[NewMark], now: datetime) -> None:
    """Store marks, one per branch."""
    db.run(tx, _MARK_BRANCHES, rows, now=now)


def reopen(tx: Connection, branch_ids: Iterable[int], now: datetime) -> None:
    """Make graduates' organisations and their members ordinary again, and tell (GRAD-14)."""
    db.run(tx, _REOPEN, [{"branch_id": one} for one in branch_ids], now=now)


def convert(
    tx: Connection, until: date, now: datetime, limit: int, only: Sequence[int] | None = None
) -> dict[int, int]:
    """Switch up to `limit` branches whose time has come, flag their members, and tell (GRAD-12).

    Return how many members were flagged, by branch.
    """
    return {
        row.branch_id: row.members
        for row in tx.execute(
            _CONVERT,
            {"until": until, "now": now, "limit": limit, "only": None if only is None else list(only)},
        )
    }


def convert_members(tx: Connection, until: date, now: datetime, limit: int) -> int:
    """Flag up to `limit` members whose own time has come; return how many (GRAD-13, GRAD-25)."""
    return len(tx.execute(_CONVERT_MEMBERS, {"until": until, "now": now, "limit": limit}).all())


def mark_members(tx: Connection, rows: Sequence[MemberMark], now: datetime) -> set[int]:
    """Store marks of members that are still where they were; return whose were stored.

    A member whom a transfer holds loses a mark but gets none.
    """
    return set(db.run(tx, _MARK_MEMBERS, rows, now=now).scalars()) if rows else set()


def branch_marks(
    tx: Connection, path: str, unmarked: bool, name: str, after: int, limit: int
) -> list[ListedMark]:
    """Return branches of a subtree with their marks, or only those without (GRAD-08, GRAD-32).

    `name`: a part of the branch's name, or nothing.
    """
    wanted = {
        "path": path,
        "path_end": path[:-1] + "/",
        "unmarked": unmarked,
        "name": name,
        "after": after,
        "limit": limit,
        "industries": [name for name, one in reference.INDUSTRIES.items() if one.markable],
    }
    return db.rows(ListedMark, tx.execute(_BRANCH_MARKS, wanted))
