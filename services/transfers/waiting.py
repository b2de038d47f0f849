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

from services.transfers import domain
from services.transfers.store import COLUMNS, Transfer, with_transfer
from shared import clock, db
from shared.messages.transfers import Filter
from shared.messages.words import Check, Due, WorkOrder

SOON = timedelta(days=3)
"""How near a deadline is that falls due soon (DL-02)."""


class Wanted(TypedDict):
    """A filter as the statements take it, with the instants that it means now.

    It is `deep` if it asks for more than an open node itself says.
    """

    org: int
    state: str
    reason: str
    source: int | None
    target_province: str
    due: str
    check: str
    questioned: bool
    unquestioned: bool
    reminded: bool
    opened_before: datetime | None
    due_before: datetime | None
    name: str
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
        filter.check,
        filter.questioned,
        filter.unquestioned,
        filter.name,
    )
    return {
        "org": org_id,
        "state": filter.state,
        "reason": filter.reason,
        "source": filter.source_branch_id,
        "target_province": filter.target_province,
        "due": filter.due,
        "check": filter.check,
        "questioned": filter.questioned,
        "unquestioned": filter.unquestioned,
        "reminded": filter.reminded,
        "opened_before": filter.opened_before,
        "due_before": filter.due_before,
        "name": filter.name,
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
        AND (:name = '' OR starts_with(x.name, :name))"""

# ---- what the rules find -------------------------------------------------------------------------

_WITH_MEMBER = """LEFT JOIN LATERAL (
        SELECT * FROM open_transfers k
        WHERE k.member_id = t.member_id AND k.transfer_id = t.transfer_id OFFSET 0) x ON true"""
"""The join that adds what is known of the member, `x`, to each transfer `t`."""
_ADMINISTERED = (
    "EXISTS (SELECT 1 FROM administrator_directory a WHERE a.org_id = {} AND a.active AND NOT a.observer)"
)
_TOWNSHIPS = ", ".join(f"'{one}'" for one in domain.TOWNSHIP_PURPOSES)
# A branch's superior may receive in its place (TRF-16). Many transfers have few receivers, and what was found
# of one is remembered for the next.
_WITH_RECEIVER = f"""LEFT JOIN LATERAL (
        SELECT
            CASE
                WHEN d.purpose = 'awaiting' THEN '{Check.TARGET_GONE}'
                WHEN d.purpose <> 'vault' AND d.system = '{domain.NATIONAL}'
                    AND NOT {_ADMINISTERED.format("d.org_id")}
                    AND NOT (d.kind = 'branch' AND {_ADMINISTERED.format("d.parent_id")})
                    THEN '{Check.TARGET_ALONE}'
                ELSE '' END AS finding,
            d.purpose IN ({_TOWNSHIPS}) OR coalesce(s.purpose, '') = 'township' AS township
        FROM org_directory d LEFT JOIN org_directory s ON s.org_id = d.parent_id AND NOT s.deleted
        WHERE d.org_id = t.target_org_id AND NOT d.deleted OFFSET 0) r ON true"""
"""The join that adds what is known of the receiver, `r`, to each transfer `t`; nothing of a deleted one."""
_NO_LONGER_GRADUATE = """NOT coalesce((
            SELECT g.counts FROM graduates g
            WHERE g.member_id = t.member_id ORDER BY g.version DESC LIMIT 1), true)"""
_TELEPHONE = "[0-9]" + 5 * "[0-9 -]" + "[0-9 -]*[0-9]"
FOUND = f"""array_remove(ARRAY[
            CASE WHEN t.concern <> '' THEN '{Check.UNUSUAL}' END,
            nullif(coalesce(r.finding, '{Check.TARGET_GONE}'), ''),
            CASE WHEN t.initiator = 'member' AND concat(t.remark, ' ', t.contact) !~ '{_TELEPHONE}'
                THEN '{Check.NO_PHONE}' END,
            CASE WHEN t.initiator = 'member' AND t.place_address !~ '\\S'
                AND t.remark !~ '[省市区县乡镇路街道村号室]' AND r.township THEN '{Check.NO_ADDRESS}' END,
            CASE WHEN x.identity_check = 'failed' THEN '{Check.IDENTITY_FAILED}' END,
            CASE WHEN t.reason_kind = 'graduate' AND {_NO_LONGER_GRADUATE} THEN '{Check.NOT_GRADUATE}' END
        ], NULL)"""
"""What an approver should look at before deciding, as an array (BEY-01, ORG-22, TRF-12, MEM-19).

The remark is the member's word to an office that knows nothing of them: it wants a telephone, and for a
township the address. What organisations start for their own members comes from offices with telephones. Who
is held for a graduate's reason is a graduate (GRAD-15), so only who has ceased to be one is found.
"""


def _fits(found: str) -> str:
    """Return the condition that what was found is what the filter asks for."""
    return f"""(NOT :unquestioned OR cardinality({found}) = 0)
        AND (NOT :questioned OR cardinality({found}) > 0) AND (:check = '' OR :check = ANY({found}))"""


# Nothing is looked up where nothing asks for it.
_QUESTIONS = f"""(CASE WHEN :check <> '' OR :questioned OR :unquestioned
            THEN (
                SELECT {_fits("f.found")}
                FROM (SELECT {FOUND} AS found FROM (SELECT 1) AS one {_WITH_RECEIVER} OFFSET 0) f)
            ELSE true END)"""
_CHECKS = sa.text(f"""
    SELECT t.transfer_id, {FOUND} AS found
    FROM transfers t {_WITH_MEMBER} {_WITH_RECEIVER}
    WHERE t.transfer_id = ANY(CAST(:ids AS bigint[]))""")


def checks(tx: Connection, transfer_ids: Iterable[int]) -> dict[int, list[Check]]:
    """Return what an approver should look at in each of some transfers; one look for any number."""
    rows = db.prepared(tx, _CHECKS, ids=sorted(set(transfer_ids)))
    return {row.transfer_id: [Check(one) for one in row.found] for row in rows}


# ---- the list ------------------------------------------------------------------------------------

_ALL = "(SELECT {} FROM open_nodes o WHERE o.{} = :org{}{})"


def _sides(of: str = "o.*", also: str = "") -> str:
    """Return the select of nodes that an organisation decides itself, or in the place of its branches.

    Each side has an index; an OR over both would use neither of them in order. Superiors decide in the
    place of their branches, but do not choose branches for another committee.
    """
    own = _ALL.format(of, "org_id", "", also)
    return f"{own} UNION ALL {_ALL.format(of, 'superior_id', ' AND o.org_id <> :org', also)}"


_LISTED = f"""
            AND {{place}}
            AND {{opened}} >= :since AND {{opened}} < :until
            AND {_OF_NODE} AND {_MEASURES} {{deep}}
            ORDER BY {{by}} LIMIT :limit"""
# A scalar select stays a look into the index for each node.
_DEEP = f"""
            AND (
                SELECT {_OF_TRANSFER} AND {_QUESTIONS}
                FROM transfers t {_WITH_MEMBER} WHERE t.transfer_id = o.transfer_id)"""
NO_DEADLINE = datetime(9999, 1, 1, tzinfo=UTC)
"""Where nodes without a deadline stand in a list by deadlines."""
_DUE_KEY = f"coalesce(o.expires_at, CAST('{NO_DEADLINE.isoformat()}' AS timestamptz))"
_NAME = "coalesce(x.name, '') COLLATE \"zh-x-icu\""
"""Names in the order of a dictionary, by their sound."""
BEGINS: dict[str, tuple[datetime | str, int]] = {
    "": (datetime(1970, 1, 1, tzinfo=UTC), 0),
    WorkOrder.ARRIVED: (datetime(1970, 1, 1, tzinfo=UTC), 0),
    WorkOrder.NEWEST: (datetime(9999, 1, 2, tzinfo=UTC), 2**63 - 1),
    WorkOrder.DUE: (datetime(1970, 1, 1, tzinfo=UTC), 0),
    WorkOrder.NAME: ("", 0),
}
"""The place before the first item of a list, by its order."""


def _list(key: str, down: str, deep: bool) -> sa.TextClause:
    """Return the statement that lists what waits in the order of a key.

    The parts of a `deep` filter cost a fifth of a short list, also where nothing asks for them.
    """
    place = f"({key}, o.transfer_id) {'<' if down else '>'} (:at, :transfer_id)"
    by = f"{key}{down}, o.transfer_id{down}"
    # The times stand in the index that gives the order; where another key does, they are to use none.
    opened = key if key == "o.opened_at" else "coalesce(o.opened_at, 'infinity')"
    nodes = _LISTED.format(place=place, by=by, opened=opened, deep=_DEEP if deep else "")
    return sa.text(f"""
    WITH waiting AS (
        SELECT * FROM ({_sides(also=nodes)}) o
        ORDER BY {by} LIMIT :limit)
    SELECT {COLUMNS}, {FOUND} AS found
    FROM waiting o
    {with_transfer("o")}
    {_WITH_MEMBER}
    {_WITH_RECEIVER}
    ORDER BY {by}""")


MATCHING = f"""
    FROM ({_sides()}) o
    {with_transfer("o")}
    {_WITH_MEMBER}
    WHERE {_OF_NODE} AND {_MEASURES} AND {_OF_TRANSFER} AND {_QUESTIONS}"""
"""The open nodes `o`, with their transfers `t`, that an organisation may decide and a filter takes in."""
# Names stand in no index of an organisation's nodes: all that waits is read, which is bounded by it. The
# times stand in an expression, so that no index leads through the nodes of the whole country.
_BY_NAME = sa.text(f"""
    SELECT {COLUMNS}, (SELECT {FOUND} FROM (SELECT 1) AS one {_WITH_RECEIVER}) AS found {MATCHING}
        AND coalesce(o.opened_at, 'infinity') >= :since AND coalesce(o.opened_at, 'infinity') < :until
        AND ({_NAME}, o.transfer_id) > (CAST(:at AS text) COLLATE "zh-x-icu", :transfer_id)
    ORDER BY {_NAME}, o.transfer_id LIMIT :limit""")
_KEYS = {
    WorkOrder.ARRIVED: ("o.opened_at", ""),
    WorkOrder.NEWEST: ("o.opened_at", " DESC"),
    WorkOrder.DUE: (_DUE_KEY, ""),
}
_LIST = {(order, deep): _list(*key, deep) for order, key in _KEYS.items() for deep in (False, True)}
_LIST |= {(WorkOrder.NAME, deep): _BY_NAME for deep in (False, True)}


def listed(
    tx: Connection, asked: Wanted, sort: str, after: tuple[datetime | str, int], limit: int, **times: datetime
) -> list[tuple[Transfer, list[Check]]]:
    """Return the open nodes that match, in an order after a place, opened from `since` and before `until`.

    Each comes with what its approver should look at.
    """
    at, transfer_id = after
    place = {"at": at, "transfer_id": transfer_id, "limit": limit}
    rows = db.prepared(tx, _LIST[WorkOrder(sort), asked["deep"]], **asked, **place, **times)
    return [(Transfer._make(row), [Check(one) for one in found]) for *row, found in rows]


# ---- counts --------------------------------------------------------------------------------------

# What is counted is found out once for each node, not again for each of the five groupings.
_COUNTS = sa.text(f"""
    WITH nodes AS (
        SELECT o.state, t.reason, t.source_branch_id, t.target_province,
            {_OF_NODE} AND {_OF_TRANSFER} AS fits,
            {_LATE} AS late, {_TODAY} AS today, {_SOON} AS soon, {_REMINDED} AS reminded,
            cardinality(f.found) > 0 AS questioned,
            {_MEASURES} AND {_fits("f.found")} AS asked_for
        FROM ({_sides()}) o
        {with_transfer("o")}
        {_WITH_MEMBER}
        {_WITH_RECEIVER}
        CROSS JOIN LATERAL (SELECT {FOUND} AS found OFFSET 0) f
        OFFSET 0)
    SELECT state, reason, source_branch_id, target_province,
        grouping(state, reason, source_branch_id, target_province)::int AS part,
        count(*)::int AS n,
        (count(*) FILTER (WHERE fits))::int AS total,
        (count(*) FILTER (WHERE fits AND late))::int AS late,
        (count(*) FILTER (WHERE fits AND today))::int AS today,
        (count(*) FILTER (WHERE fits AND soon))::int AS soon,
        (count(*) FILTER (WHERE fits AND questioned))::int AS questioned,
        (count(*) FILTER (WHERE fits AND reminded))::int AS reminded,
        (count(*) FILTER (WHERE fits AND asked_for))::int AS matching
    FROM nodes
    GROUP BY GROUPING SETS ((), (state), (reason), (source_branch_id), (target_province))""")
# Kept by the follower of the figures (`figures.sums`), and in lines what it has not followed yet.
_KEPT = """SELECT state, n, reminded FROM open_own WHERE {side} = :org
        UNION ALL
        SELECT state, n, CASE WHEN reminded THEN n ELSE 0 END FROM open_counts WHERE {side} = :org"""
_SIMPLE_COUNTS = sa.text(f"""
    SELECT state, sum(n)::int AS n, sum(reminded)::int AS old
    FROM (
        {_KEPT.format(side="org_id")}
        UNION ALL
        {_KEPT.format(side="superior_id")}) AS sides
    GROUP BY state HAVING sum(n) > 0""")


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
    questioned: int
    reminded: int
    matching: int


ALL, BY_STATE, BY_REASON, BY_BRANCH, BY_PROVINCE = 0b1111, 0b0111, 0b1011, 0b1101, 0b1110
"""What `Counted.part` says: a bit is set for each column that a row is not of."""


def counts(tx: Connection, asked: Wanted) -> list[Counted]:
    """Return in one look at all that waits how much it is by several measures."""
    return db.rows(Counted, db.prepared(tx, _COUNTS, **asked))


def work_counts(tx: Connection, org_id: int) -> tuple[dict[str, int], int]:
    """Return how many open nodes of each kind `org_id` may decide, and how many of all were reminded of."""
    rows = db.prepared(tx, _SIMPLE_COUNTS, org=org_id).all()
    return {row.state: row.n for row in rows}, sum(row.old for row in rows)


# ---- what a filter takes in ----------------------------------------------------------------------

_REASONS = sa.text(f"SELECT t.reason, count(*)::int AS n {MATCHING} GROUP BY t.reason")
_ROWS = sa.text(f"SELECT {COLUMNS} {MATCHING} ORDER BY o.opened_at, o.transfer_id LIMIT :limit")
_EXCEPTIONS = sa.text(f"""
    SELECT t.transfer_id, t.member_id, f.found AS checks, (count(*) OVER ())::int AS n
    FROM ({_sides()}) o
    {with_transfer("o")}
    {_WITH_MEMBER}
    {_WITH_RECEIVER}
    CROSS JOIN LATERAL (SELECT {FOUND} AS found OFFSET 0) f
    WHERE {_OF_NODE} AND {_MEASURES} AND {_OF_TRANSFER} AND {_fits("f.found")} AND cardinality(f.found) > 0
    ORDER BY o.opened_at, o.transfer_id LIMIT :limit""")


class Exceptional(NamedTuple):
    """A transfer in which the rules have found something; `n` is how many such match."""

    transfer_id: int
    member_id: int
    checks: list[str]
    n: int


def exceptions(tx: Connection, asked: Wanted, limit: int) -> list[Exceptional]:
    """Return the first that match in which the rules have found something."""
    return db.rows(Exceptional, tx.execute(_EXCEPTIONS, {**asked, "limit": limit}))


def by_reason(tx: Connection, asked: Wanted) -> dict[str, int]:
    """Return how many match, by reason."""
    return {row.reason: row.n for row in tx.execute(_REASONS, dict(asked))}


def matching(tx: Connection, asked: Wanted, limit: int) -> list[Transfer]:
    """Return the first that match, in the order of their arrival."""
    return db.rows(Transfer, tx.execute(_ROWS, {**asked, "limit": limit}))


def as_json(filter: Filter) -> str:
    """Return a filter as a view keeps it: without a name and single transfers."""
    kept = msgspec.structs.replace(filter, name="", without=[])
    return msgspec.json.encode(kept).decode()


def of_json(text: str) -> Any:
    """Return the filter that a view keeps."""
    return msgspec.json.decode(text, type=Filter)
