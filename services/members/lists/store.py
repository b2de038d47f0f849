"""The SQL of lists: searching, exports, work lists, entry progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import settings
from services.members.store import Person
from shared import clock, db

SUBTREE = "d.path >= :path AND d.path < :path_end AND NOT d.deleted AND d.system = 'national'"
"""The organisations of a subtree whose members are ours: who stands in another system is none (FED-12)."""
MOST = 50
"""Members that a search returns."""

_NAMED = sa.text(f"""
    SELECT p.* FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE p.name = :text AND {SUBTREE}
    ORDER BY p.person_id
    LIMIT {MOST + 1}""")
_NUMBERED = sa.text(f"""
    SELECT p.* FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE p.development_number = :text AND p.development_number <> '' AND {SUBTREE}""")
_WITH_ID = sa.text(f"""
    SELECT p.* FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE p.id_index = :index AND {SUBTREE}""")
_IDS_IN = sa.text(f"""
    SELECT p.* FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE p.person_id = ANY(CAST(:ids AS bigint[])) AND {SUBTREE}
    ORDER BY p.person_id""")
_NARROWED = """(:name = '' OR starts_with(p.name, :name))
        AND (CAST(:graduate AS boolean) IS NULL OR p.graduate = :graduate)
        AND (:mark = '' OR p.mark = :mark) AND (NOT :incomplete OR NOT p.complete)"""
# No more branches than a page can need, each with somebody: what is read is bounded, whatever statistics say.
_PAGE = sa.text(f"""
    WITH needed AS MATERIALIZED (
        SELECT d.org_id, d.path, d.name
        FROM org_directory d
        WHERE {SUBTREE} AND d.kind = 'branch' AND d.path >= :after_path
            AND EXISTS (SELECT FROM people p WHERE p.branch_id = d.org_id AND {_NARROWED})
        ORDER BY d.path
        LIMIT :limit + 1)  -- of the first, all may have been on the page before
    SELECT p.*, d.name AS branch
    FROM needed d
    JOIN LATERAL (
        SELECT * FROM people p
        WHERE p.branch_id = d.org_id AND (d.path > :after_path OR p.person_id > :after) AND {_NARROWED}
        ORDER BY p.person_id
        LIMIT :limit) p ON true
    ORDER BY d.path, p.person_id
    LIMIT :limit""")
_PLACE = sa.text(
    "SELECT d.path FROM people p JOIN org_directory d ON d.org_id = p.branch_id WHERE p.person_id = :person"
)


MOST_SORTED = 100_000
"""Members of a subtree that are put into another order than that of the tree."""
_MORE_THAN_SORTED = sa.text(f"""
    SELECT 1 FROM org_directory d JOIN people p ON p.branch_id = d.org_id
    WHERE {SUBTREE} AND d.kind = 'branch' OFFSET {MOST_SORTED} LIMIT 1""")
_KEYS = {"name": 'p.name COLLATE "zh-x-icu"', "joined_on": "coalesce(p.joined_on, DATE '1900-01-01')"}
"""What a list is sorted by: names as dictionaries have them, and members without a day before all others."""


def _sorted(key: str, way: str) -> sa.TextClause:
    """Return the page of a list that is sorted by a key; only the keys are put into order, not whole rows."""
    past = "<" if way else ">"
    return sa.text(f"""
    WITH keyed AS MATERIALIZED (
        SELECT p.person_id, {key} AS key
        FROM org_directory d JOIN people p ON p.branch_id = d.org_id
        WHERE {SUBTREE} AND d.kind = 'branch' AND {_NARROWED}
            AND (:after = 0 OR ({key}, p.person_id) {past} (
                SELECT {key}, p.person_id FROM people p WHERE p.person_id = :after))
        ORDER BY key {way}, p.person_id {way}
        LIMIT :limit)
    SELECT p.*, d.name AS branch
    FROM keyed s JOIN people p USING (person_id) JOIN org_directory d ON d.org_id = p.branch_id
    ORDER BY s.key {way}, s.person_id {way}""")


SORTS = {
    f"{sign}{name}": _sorted(key, way)
    for name, key in _KEYS.items()
    for sign, way in (("", ""), ("-", "DESC"))
}


class Wanted(NamedTuple):
    """What narrows a list of members; the defaults narrow nothing."""

    name: str = ""
    """How the name begins."""
    graduate: bool | None = None
    mark: str = ""
    incomplete: bool = False


EVERYBODY = Wanted()


def _span(path: str) -> dict[str, str]:
    return {"path": path, "path_end": path[:-1] + "/"}


def named(tx: Connection, text: str, path: str) -> list[Person]:
    """Return members of a subtree with exactly this name (SRCH-03, SRCH-04).

    One more than is shown at most, so that the caller sees that there are more.
    """
    return db.rows(Person, tx.execute(_NAMED, {"text": text, **_span(path)}))


def numbered(tx: Connection, number: str, path: str) -> list[Person]:
    """Return the member of a subtree with a development number (SRCH-05)."""
    return db.rows(Person, tx.execute(_NUMBERED, {"text": number, **_span(path)}))


def with_id(tx: Connection, index: bytes, path: str) -> list[Person]:
    """Return the member of a subtree with an ID number, by its blind index (SRCH-03)."""
    return db.rows(Person, tx.execute(_WITH_ID, {"index": index, **_span(path)}))


def within(tx: Connection, ids: Iterable[int], path: str) -> list[Person]:
    """Return those of the people who are members in a subtree."""
    return db.rows(Person, tx.execute(_IDS_IN, {"ids": sorted(set(ids)), **_span(path)}))


def page(
    tx: Connection, path: str, after: int, limit: int, wanted: Wanted = EVERYBODY
) -> list[tuple[Person, str]]:
    """Return members of a subtree with the name of the branch, after a member who is still in it."""
    after_path = tx.execute(_PLACE, {"person": after}).scalar_one_or_none() or "" if after else ""
    begins = max(after_path, path) if after else path
    place = {"after_path": begins, "after": after, "limit": limit, **_span(path), **wanted._asdict()}
    return _with_branches(tx.execute(_PAGE, place))


def page_sorted(
    tx: Connection, path: str, after: int, limit: int, wanted: Wanted, sort: str
) -> list[tuple[Person, str]] | None:
    """Return members of a subtree in another order, after a member; None where they are too many.

    Members of one name, or of one day, are in the order of their ids.
    """
    if not wanted.name and tx.execute(_MORE_THAN_SORTED, _span(path)).first() is not None:
        return None
    place = {"after": after, "limit": limit, **_span(path), **wanted._asdict()}
    return _with_branches(tx.execute(SORTS[sort], place))


def _with_branches(result: sa.CursorResult[Any]) -> list[tuple[Person, str]]:
    return [
        (Person(**{name: row[name] for name in Person._fields}), row["branch"]) for row in result.mappings()
    ]


# ---- work lists --------------------------------------------------------------------------------------------

_SEARCHABLE = (
    "p.person_id AS key, d.org_id, d.name AS org, p.person_id AS member_id, p.name AS member, p.id_sealed"
)
_BEGINS_SO = "(:name = '' OR starts_with(p.name, :name))"
_MEMBERS_WHERE = f"""
    SELECT {_SEARCHABLE}, {{note}} AS note
    FROM org_directory d JOIN people p ON p.branch_id = d.org_id
    WHERE {SUBTREE} AND p.person_id > :after AND {_BEGINS_SO} AND {{where}}
    ORDER BY p.person_id
    LIMIT :limit"""
_ORGS_WHERE = f"""
    SELECT d.org_id AS key, d.org_id, d.name AS org, NULL::bigint AS member_id, '' AS member,
        NULL::bytea AS id_sealed, {{note}} AS note
    FROM org_directory d
    LEFT JOIN LATERAL (SELECT count(*)::int AS n FROM people p WHERE p.branch_id = d.org_id) have ON true
    WHERE {SUBTREE} AND d.org_id > :after AND (:name = '' OR strpos(d.name, :name) > 0) AND {{where}}
    ORDER BY d.org_id
    LIMIT :limit"""
_RETAINED = f"""
    SELECT r.retention_id AS key, d.org_id, d.name AS org, p.person_id AS member_id, p.name AS member,
        p.id_sealed, CAST(r.until AS text) AS note
    FROM org_directory d
    JOIN people p ON p.branch_id = d.org_id
    JOIN retentions r ON r.member_id = p.person_id AND r.state = 'approved'
    WHERE {SUBTREE} AND r.retention_id > :after AND {_BEGINS_SO} AND {{where}}
    ORDER BY r.retention_id
    LIMIT :limit"""
_SINCE_DATE = f"""(
    SELECT {clock.day_sql("m.began_at")} FROM memberships m
    WHERE m.person_id = p.person_id AND m.ended_at IS NULL)"""
_SINCE = f"CAST({_SINCE_DATE} AS text)"
_IN_COUNTY = """d.purpose = 'handover'
        AND (SELECT s.kind FROM org_directory s WHERE s.org_id = d.parent_id) = 'leading_body'"""
_MOST = "CAST(coalesce(CAST(:stay AS json) ->> d.province, CAST(:stay AS json) ->> '') AS int)"
"""Months that a member may stay in a county's branch, by province; 0: no limit (ORG-29)."""
_IN_TOWNSHIP = _IN_COUNTY.replace("= 'leading_body'", "<> 'leading_body'")
REPORTS = {
    name: sa.text(text)
    for name, text in {
        "small_branches": _ORGS_WHERE.format(
            note="have.n::text",
            where="d.kind = 'branch' AND d.purpose IN ('ordinary', 'mixed') AND have.n < 3",
        ),
        "holding_members": _ORGS_WHERE.format(note="have.n::text", where="d.kind <> 'branch' AND have.n > 0"),
        "empty_graduate": _ORGS_WHERE.format(
            note="''", where="d.kind = 'branch' AND d.purpose IN ('graduate', 'awaiting') AND have.n = 0"
        ),
        "over_age": _MEMBERS_WHERE.format(
            note="CAST(extract(year FROM age(CAST(:today AS date), p.born_on)) AS text)",
            where="""p.born_on <= CAST(:today AS date) - interval '28 years'
        AND NOT EXISTS (SELECT 1 FROM posts o WHERE o.person_id = p.person_id AND o.ended_at IS NULL)""",
        ),
        "incomplete": _MEMBERS_WHERE.format(note="''", where="NOT p.complete"),
        "to_contact": _MEMBERS_WHERE.format(note="''", where="p.to_contact"),
        "irregular_numbers": _MEMBERS_WHERE.format(
            note="p.development_number",
            # bool_or over no range at all is NULL, so every number passes where no ranges are known
            where=r"""((p.joined_on >= p.number_from AND p.development_number = '')
        OR (p.development_number <> ''
            AND (p.development_number !~ '^[0-9]{12}$'
                OR left(p.development_number, 4) <> CAST(extract(year FROM p.joined_on) AS text)
                OR EXISTS (
                    SELECT 1
                    FROM json_to_recordset(CAST(
                        CAST(:ranges AS json) -> (d.province || left(p.development_number, 4)) AS json
                    )) AS r(first text, last text)
                    HAVING NOT bool_or(p.development_number BETWEEN r.first AND r.last)))))""",
        ),
        "graduates_left": _MEMBERS_WHERE.format(
            note="""CASE WHEN p.reserved_by IS NOT NULL THEN 'open'
            ELSE coalesce((
                SELECT r.kind FROM retentions r
                WHERE r.member_id = p.person_id AND r.state = 'approved'), 'none') END""",
            where="p.graduate",
        ),
        "deletion_requests": _MEMBERS_WHERE.format(
            note="""(
            SELECT r.cause || ' ' || r.explanation FROM deletion_requests r
            WHERE r.person_id = p.person_id)""",
            where="p.person_id IN (SELECT r.person_id FROM deletion_requests r)",
        ),
        "identity_failed": _MEMBERS_WHERE.format(note="''", where="p.identity_check = 'failed'"),
        "late_entries": _MEMBERS_WHERE.format(
            note="CAST(p.joined_on AS text)",
            where=f"""p.joined_on >= CAST(:today AS date) - interval '1 year'
        AND {clock.day_sql("p.created_at")} > p.joined_on + interval '1 month'""",
        ),
        "onward": _MEMBERS_WHERE.format(
            note="CAST((p.found_on + interval '1 month')::date AS text)",
            where="d.purpose = 'handover' AND p.found_on IS NOT NULL",
        ),
        "parked": _MEMBERS_WHERE.format(
            note=_SINCE,
            where=f"""{_IN_TOWNSHIP} AND p.found_on IS NULL
        AND {_SINCE_DATE} <= CAST(:today AS date) - interval '1 month'""",
        ),
        "county_stay": _MEMBERS_WHERE.format(
            note=_SINCE,
            where=f"""{_IN_COUNTY} AND {_MOST} > 0
        AND {_SINCE_DATE} <= CAST(:today AS date) - make_interval(months => {_MOST} - 1)""",
        ),
        "retained_apart": _RETAINED.format(where="r.kind = 'retained' AND d.purpose <> 'floating'"),
        "retained": _RETAINED.format(where="r.kind = 'retained' AND r.until - 31 <= CAST(:today AS date)"),
        "abroad": _RETAINED.format(where="r.kind = 'abroad'"),
    }.items()
}


_OVERSTAYED = sa.text(f"""
    SELECT
        (count(*) FILTER (WHERE found_on + interval '1 month' < CAST(:today AS date)))::int AS onward,
        (count(*) FILTER (
            WHERE NOT township AND most > 0
                AND since <= CAST(:today AS date) - make_interval(months => most)))::int AS county,
        (
            SELECT count(*)::int FROM retentions r
            WHERE r.kind = 'retained' AND r.state = 'approved' AND r.until < CAST(:today AS date)
                AND NOT EXISTS (
                    SELECT 1 FROM people p JOIN org_directory d ON d.org_id = p.branch_id
                    WHERE p.person_id = r.member_id AND d.system <> 'national')
        ) AS retained
    FROM (
        SELECT
            (SELECT s.kind FROM org_directory s WHERE s.org_id = d.parent_id) <> 'leading_body' AS township,
            {_SINCE_DATE} AS since, p.found_on, {_MOST} AS most
        FROM org_directory d JOIN people p ON p.branch_id = d.org_id
        WHERE d.purpose = 'handover' AND d.system = 'national'
    ) AS stays""")


def overstayed(tx: Connection, today: date) -> dict[str, int]:
    """Return how many members have outstayed each clock (DL-18).

    The clocks are a month since work or study was found, the time in a county's branch, and the
    term at school.
    """
    return dict(tx.execute(_OVERSTAYED, {"today": today, "stay": _stay_as_json(tx, today)}).one()._mapping)


class Line(NamedTuple):
    """A line of a work list: an organisation, or a member of it."""

    key: int
    org_id: int
    org: str
    member_id: int | None
    member: str
    id_sealed: bytes | None
    note: str


def report(
    tx: Connection, kind: str, path: str, name: str, after: int, limit: int, today: date
) -> list[Line]:
    """Return lines of a work list of a subtree, one of `REPORTS`; an empty `name` narrows nothing."""
    statement = REPORTS[kind]
    known: dict[str, object] = {
        "today": today,
        "ranges": _ranges_as_json(tx),
        "stay": _stay_as_json(tx, today),
    }
    values = {
        "name": name,
        "after": after,
        "limit": limit,
        **_span(path),
        **{name: value for name, value in known.items() if f":{name}" in statement.text},
    }
    return db.rows(Line, tx.execute(statement, values))


def _stay_as_json(tx: Connection, today: date) -> str:
    """Return the months that members may stay in a county's branch, by province (ORG-29)."""
    return msgspec.json.encode(
        settings.of(tx).practice.by_province("county_temp_max_stay_months", today)
    ).decode()


def _ranges_as_json(tx: Connection) -> str:
    """Return the issued ranges of development numbers by province and year (MEM-11, MEM-13).

    In the form in which the list of irregular numbers reads them.
    """
    return msgspec.json.encode(
        {
            f"{province}{year}": [{"first": first, "last": last} for first, last in some]
            for (province, year), some in settings.of(tx).ranges.items()
        }
    ).decode()


# ---- entry progress ----------------------------------------------------------------------------------------

_PROGRESS = sa.text("""
    -- one row per organisation; part is the direct subordinate that it belongs to, empty for the top itself
    WITH below AS (
        SELECT split_part(substr(d.path, length(:path) + 1), '.', 1) AS part, d.org_id, d.kind,
            coalesce(have.members, 0) AS members, coalesce(have.complete, 0) AS complete,
            holding.cadres, holding.complete_cadres, holding.complete_others
        FROM org_directory d
        LEFT JOIN LATERAL (
            SELECT count(*)::int AS members, (count(*) FILTER (WHERE complete))::int AS complete
            FROM people p
            WHERE p.branch_id = d.org_id
        ) have ON d.kind = 'branch' AND d.system = 'national'
        LEFT JOIN LATERAL (
            SELECT count(*)::int AS cadres, (count(*) FILTER (WHERE q.complete))::int AS complete_cadres,
                (count(*) FILTER (
                    WHERE q.complete AND q.branch_id IS DISTINCT FROM d.org_id))::int AS complete_others
            FROM posts o JOIN people q USING (person_id)
            WHERE o.org_id = d.org_id AND o.ended_at IS NULL
        ) holding ON true
        WHERE d.path >= :path AND d.path < :path_end AND NOT d.deleted
            AND (NOT :limited OR d.industry = ANY(CAST(:industries AS text[])))
    ),
    -- a branch is finished with three complete people, members or cadres from elsewhere; a leading body
    -- with all its cadres complete, any other body with two
    summed AS (
        SELECT part,
            (count(*) FILTER (WHERE kind = 'branch'))::int AS branches,
            (count(*) FILTER (
                WHERE kind = 'branch' AND complete + complete_others >= 3))::int AS finished_branches,
            (count(*) FILTER (WHERE kind <> 'branch'))::int AS bodies,
            (count(*) FILTER (
                WHERE (kind = 'leading_body' AND cadres > 0 AND cadres = complete_cadres)
                    OR (kind NOT IN ('leading_body', 'branch') AND complete_cadres >= 2)
            ))::int AS finished_bodies,
            sum(members)::int AS members, sum(complete)::int AS complete_members,
            sum(cadres)::int AS cadres, sum(complete_cadres)::int AS complete_cadres
        FROM below
        GROUP BY part
    )
    SELECT d.org_id, d.name, d.industry, s.*, f.members AS members_2017
    FROM summed s
    JOIN org_directory d ON d.org_id = CASE WHEN s.part = '' THEN :org ELSE CAST(s.part AS bigint) END
    LEFT JOIN figures_2017 f ON f.org_id = d.org_id
    ORDER BY s.part <> '', d.name""")
_SET_FIGURES = sa.text("""
    INSERT INTO figures_2017 (org_id, members)
    SELECT org_id, members
    FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, members int)
    ORDER BY org_id
    ON CONFLICT (org_id) DO UPDATE SET members = excluded.members""")


class Progress(NamedTuple):
    """How far data are entered in an organisation (empty `part`), or in a subordinate with all below."""

    org_id: int
    name: str
    industry: str
    part: str
    branches: int
    finished_branches: int
    bodies: int
    finished_bodies: int
    members: int
    complete_members: int
    cadres: int
    complete_cadres: int
    members_2017: int | None


def progress(tx: Connection, org_id: int, path: str, industries: Sequence[str] | None) -> list[Progress]:
    """Return entry figures of an organisation and its direct subordinates (STAT-02, STAT-04).

    Of the organisation alone where `part` is empty, and of each direct subordinate with all below
    it.
    """
    wanted = {"limited": industries is not None, "industries": list(industries or ())}
    return db.rows(Progress, tx.execute(_PROGRESS, {"org": org_id, **_span(path), **wanted}))


def set_figures(tx: Connection, rows: Sequence[dict[str, int]]) -> None:
    """Store the members of 2017 of organisations (STAT-03)."""
    db.run(tx, _SET_FIGURES, rows)
