"""The SQL of what waits for an organisation: list, counts, and what a filter takes in (MSG-01, BEY-05).

All of it goes by one filter, so that what is counted is what is listed, and what is listed is decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.store import COLUMNS, Transfer, with_transfer
from shared import clock, db
from shared.messages.transfers import Filter
from shared.messages.words import Due, WorkOrder

SOON = timedelta(days=3)
"""How near a deadline is that falls due soon (DL-02)."""


class Wanted(TypedDict):
    """A filter as the statements take it, with the instants that it means now."""

    org: int
    state: str
    reason: str
    source: int | None
    target_province: str
    due: str
    unusual: bool
    unquestioned: bool
    reminded: bool
    opened_before: datetime | None
    due_before: datetime | None
    members: list[int] | None
    without: list[int]
    deep: bool
    now: datetime
    midnight: datetime
    soon: datetime


def wanted(org_id: int, filter: Filter) -> Wanted:
    """Return a filter as the statements take it, for what waits for an organisation."""
    now = clock.now()
    begins = now.astimezone(clock.CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    asks = (
        filter.reason,
        filter.source_branch_id,
        filter.target_province,
        filter.unusual,
        filter.unquestioned,
        filter.member_ids is not None,
    )
    return {
        "org": org_id,
        "state": filter.state,
        "reason": filter.reason,
        "source": filter.source_branch_id,
        "target_province": filter.target_province,
        "due": filter.due,
        "unusual": filter.unusual,
        "unquestioned": filter.unquestioned,
        "reminded": filter.reminded,
        "opened_before": filter.opened_before,
        "due_before": filter.due_before,
        "members": filter.member_ids,
        "without": filter.without,
        "deep": any(asks),
        "now": now,
        "midnight": begins + timedelta(days=1),
        "soon": now + SOON,
    }


# ---- the parts of every statement ----------------------------------------------------------------

_LATE = "coalesce(o.expires_at, o.opened_at + interval '10 days') <= CAST(:now AS timestamptz)"
_TODAY = "o.expires_at > CAST(:now AS timestamptz) AND o.expires_at < CAST(:midnight AS timestamptz)"
_SOON = "o.expires_at > CAST(:now AS timestamptz) AND o.expires_at <= CAST(:soon AS timestamptz)"
"""An assignment has no deadline; after ten days it is late, as on the board (ASG-06)."""
_REMINDED = "(o.reminders > 0 OR o.urged_at IS NOT NULL)"

# What stands in COALESCE or in an expression cannot be looked up, so that nothing but the organisation can.
_OF_NODE = """(:state = '' OR o.state = :state)
        AND (:state <> 'pending_assign' OR o.org_id = :org)
        AND coalesce(o.opened_at, 'infinity') < coalesce(CAST(:opened_before AS timestamptz), 'infinity')
        AND coalesce(o.expires_at, 'infinity') <= coalesce(CAST(:due_before AS timestamptz), 'infinity')
        AND NOT (o.transfer_id + 0 = ANY(CAST(:without AS bigint[])))"""
_MEASURES = f"""(CASE :due
            WHEN '' THEN true
            WHEN '{Due.LATE}' THEN {_LATE}
            WHEN '{Due.TODAY}' THEN {_TODAY}
            WHEN '{Due.SOON}' THEN {_SOON}
            ELSE false END)
        AND (NOT :reminded OR {_REMINDED})"""
_OF_TRANSFER = """(:reason = '' OR t.reason = :reason)
        AND (CAST(:source AS bigint) IS NULL OR t.source_branch_id = :source)
        AND (:target_province = '' OR t.target_province = :target_province)
        AND (CAST(:members AS bigint[]) IS NULL OR t.member_id = ANY(CAST(:members AS bigint[])))"""
_QUESTIONS = "(NOT :unquestioned OR t.concern = '') AND (NOT :unusual OR t.concern <> '')"
_ALL = "(SELECT {} FROM open_nodes o WHERE o.{} = :org{}{})"


def _sides(of: str = "o.*", also: str = "") -> str:
    """Return the select of nodes that an organisation decides itself, or in the place of its branches.

    Each side has an index; an OR over both would use neither of them in order. Superiors decide in the
    place of their branches, but do not choose branches for another committee.
    """
    own = _ALL.format(of, "org_id", "", also)
    return f"{own} UNION ALL {_ALL.format(of, 'superior_id', ' AND o.org_id <> :org', also)}"


# ---- the list ------------------------------------------------------------------------------------

# A scalar select stays a look into the index for each node, and is left out where nothing asks for it.
_LISTED = f"""
            AND {{place}}
            AND {{opened}} >= :since AND {{opened}} < :until
            AND {_OF_NODE} AND {_MEASURES}
            AND (NOT :deep OR (
                SELECT {_OF_TRANSFER} AND {_QUESTIONS}
                FROM transfers t WHERE t.transfer_id = o.transfer_id))
            ORDER BY {{by}} LIMIT :limit"""
NO_DEADLINE = datetime(9999, 1, 1, tzinfo=UTC)
"""Where nodes without a deadline stand in a list by deadlines."""
_DUE_KEY = f"coalesce(o.expires_at, CAST('{NO_DEADLINE.isoformat()}' AS timestamptz))"
BEGINS = {
    "": (datetime(1970, 1, 1, tzinfo=UTC), 0),
    WorkOrder.ARRIVED: (datetime(1970, 1, 1, tzinfo=UTC), 0),
    WorkOrder.NEWEST: (datetime(9999, 1, 2, tzinfo=UTC), 2**63 - 1),
    WorkOrder.DUE: (datetime(1970, 1, 1, tzinfo=UTC), 0),
}
"""The place before the first item of a list, by its order."""


def _list(key: str, down: str = "") -> sa.TextClause:
    """Return the statement that lists what waits in the order of a key."""
    place = f"({key}, o.transfer_id) {'<' if down else '>'} (:at, :transfer_id)"
    by = f"{key}{down}, o.transfer_id{down}"
    # The times stand in the index that gives the order; where another key does, they are to use none.
    opened = key if key == "o.opened_at" else "coalesce(o.opened_at, 'infinity')"
    return sa.text(f"""
    WITH waiting AS (
        SELECT * FROM ({_sides(also=_LISTED.format(place=place, by=by, opened=opened))}) o
        ORDER BY {by} LIMIT :limit)
    SELECT {COLUMNS}
    FROM waiting o
    {with_transfer("o")}
    ORDER BY {by}""")


_LIST = {
    WorkOrder.ARRIVED: _list("o.opened_at"),
    WorkOrder.NEWEST: _list("o.opened_at", " DESC"),
    WorkOrder.DUE: _list(_DUE_KEY),
}
LIST_ARRIVED, LIST_NEWEST, LIST_DUE = _LIST.values()


def listed(
    tx: Connection, asked: Wanted, sort: str, after: tuple[datetime, int], limit: int, **times: datetime
) -> list[Transfer]:
    """Return the open nodes that match, in an order after a place, opened from `since` and before `until`."""
    at, transfer_id = after
    place = {"at": at, "transfer_id": transfer_id, "limit": limit}
    return db.rows(Transfer, tx.execute(_LIST[WorkOrder(sort)], {**asked, **place, **times}))


# ---- counts --------------------------------------------------------------------------------------

_COUNTS = sa.text(f"""
    SELECT o.state, t.reason, t.source_branch_id, t.target_province,
        grouping(o.state, t.reason, t.source_branch_id, t.target_province)::int AS part,
        count(*)::int AS n,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER}))::int AS total,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER} AND {_LATE}))::int AS late,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER} AND {_TODAY}))::int AS today,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER} AND {_SOON}))::int AS soon,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER} AND t.concern <> ''))::int AS unusual,
        (count(*) FILTER (WHERE {_OF_NODE} AND {_OF_TRANSFER} AND {_REMINDED}))::int AS reminded,
        (count(*) FILTER (
            WHERE {_OF_NODE} AND {_MEASURES} AND {_OF_TRANSFER} AND {_QUESTIONS}))::int AS matching
    FROM ({_sides()}) o
    {with_transfer("o")}
    GROUP BY GROUPING SETS ((), (o.state), (t.reason), (t.source_branch_id), (t.target_province))""")
_SIMPLE_COUNTS = sa.text("""
    SELECT state, sum(n)::int AS n, sum(old)::int AS old
    FROM (
        SELECT state, count(*) AS n, count(*) FILTER (WHERE reminders > 0) AS old
        FROM open_nodes WHERE org_id = :org GROUP BY state
        UNION ALL
        SELECT state, count(*) AS n, count(*) FILTER (WHERE reminders > 0) AS old
        FROM open_nodes WHERE superior_id = :org GROUP BY state) AS sides
    GROUP BY state""")


class Counted(NamedTuple):
    """How many nodes wait: of a state, a reason, a branch or a province, or all; `part` says which."""

    state: str | None
    reason: str | None
    source_branch_id: int | None
    target_province: str | None
    part: int
    n: int
    total: int
    late: int
    today: int
    soon: int
    unusual: int
    reminded: int
    matching: int


ALL, BY_STATE, BY_REASON, BY_BRANCH, BY_PROVINCE = 0b1111, 0b0111, 0b1011, 0b1101, 0b1110
"""What `Counted.part` says: a bit is set for each column that a row is not of."""


def counts(tx: Connection, asked: Wanted) -> list[Counted]:
    """Return in one look at all that waits how much it is by several measures."""
    return db.rows(Counted, tx.execute(_COUNTS, dict(asked)))


def work_counts(tx: Connection, org_id: int) -> tuple[dict[str, int], int]:
    """Return how many open nodes of each kind `org_id` may decide, and how many of all were reminded of."""
    rows = tx.execute(_SIMPLE_COUNTS, {"org": org_id}).all()
    return {row.state: row.n for row in rows}, sum(row.old for row in rows)


# ---- what a filter takes in ----------------------------------------------------------------------

MATCHING = f"""
    FROM ({_sides()}) o
    {with_transfer("o")}
    WHERE {_OF_NODE} AND {_MEASURES} AND {_OF_TRANSFER} AND {_QUESTIONS}"""
"""The open nodes `o`, with their transfers `t`, that an organisation may decide and a filter takes in."""
_MEMBERS = sa.text(f"SELECT t.member_id {MATCHING} ORDER BY o.opened_at, o.transfer_id LIMIT :limit")
_REASONS = sa.text(f"SELECT t.reason, count(*)::int AS n {MATCHING} GROUP BY t.reason")
_ROWS = sa.text(f"SELECT {COLUMNS} {MATCHING} ORDER BY o.opened_at, o.transfer_id LIMIT :limit")
_ALONE = sa.text("""
    SELECT i.org_id FROM unnest(CAST(:ids AS bigint[])) AS i(org_id)
    WHERE NOT EXISTS (
        SELECT 1 FROM administrator_directory a
        WHERE a.org_id = i.org_id AND a.active AND NOT a.observer)""")


def members_of(tx: Connection, asked: Wanted, limit: int) -> list[int]:
    """Return the members whose transfers match, in the order of their arrival."""
    return list(tx.execute(_MEMBERS, {**asked, "limit": limit}).scalars())


def by_reason(tx: Connection, asked: Wanted) -> dict[str, int]:
    """Return how many match, by reason."""
    return {row.reason: row.n for row in tx.execute(_REASONS, dict(asked))}


def matching(tx: Connection, asked: Wanted, limit: int) -> list[Transfer]:
    """Return the first that match, in the order of their arrival."""
    return db.rows(Transfer, tx.execute(_ROWS, {**asked, "limit": limit}))


def alone(tx: Connection, org_ids: Iterable[int | None]) -> set[int]:
    """Return those of the organisations that nobody administers."""
    ids = sorted({one for one in org_ids if one is not None})
    return set(tx.execute(_ALONE, {"ids": ids}).scalars()) if ids else set()


def as_json(filter: Filter) -> str:
    """Return a filter as a view keeps it: without people and single transfers."""
    kept = msgspec.structs.replace(filter, member_ids=None, without=[])
    return msgspec.json.encode(kept).decode()


def of_json(text: str) -> Any:
    """Return the filter that a view keeps."""
    return msgspec.json.decode(text, type=Filter)
