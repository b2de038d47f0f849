"""The SQL of transfers: starting and reading them; `transitions.py` moves them by the tables of `saga.py`.

A transition takes a list of items as one JSON parameter and, in one round trip, closes the open nodes
it is entitled to, moves the transfers, writes the hash-chained audit rows, opens the next nodes and
packs the events into the outbox. Rows that do not fit (wrong state, not entitled, already done) are
simply not moved; `explain` finds out why, for those few only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import domain, saga, trail
from services.transfers.saga import State, Trigger
from services.transfers.transitions import BY_CLOCK, Item, seen_by, totalled
from shared import clock, db
from shared.messages import transfers as messages
from shared.messages.members import MemberReserved
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.outbox import insert, tell
from shared.recordset import Int, columns, recordset

# ---- looking up ----------------------------------------------------------------------------------

# A LATERAL with an OFFSET stays what it is: a look into an index for each row on its left. As a join the
# planner may turn it round, and does so where a table was empty when its statistics were taken, as after a
# quiet night: it then reads all that is open for each item, and 500 decisions take seconds instead of
# milliseconds until statistics are taken anew.
WITH_NODE = """LEFT JOIN LATERAL (
        SELECT * FROM open_nodes n
        WHERE n.transfer_id = t.transfer_id AND n.node_no = t.node_no OFFSET 0) o ON true"""
"""Each transfer `t` with its open node `o`, if it has one."""


def with_transfer(of: str) -> str:
    """Return the join that adds the transfer `t` to each row of `of`, by its id."""
    return f"""CROSS JOIN LATERAL (
        SELECT * FROM transfers f WHERE f.transfer_id = {of}.transfer_id OFFSET 0) t"""


# ---- starting ------------------------------------------------------------------------------------

_REQUEST_LINK = trail.link_of(
    "''::bytea",
    id="i.transfer_id",
    seq="1",
    event="requested",
    state="'checking'",
    person="i.initiator_person_id",
    org="i.initiator_org_id",
    decision="i.command_id",
    note="''",
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to be recorded; `n` is its place in the list."""

    n: Int
    command_id: UUID
    member_id: int
    initiator: str
    initiator_org_id: int | None
    initiator_person_id: int
    source_branch_id: int
    source_superior_id: int | None
    source_province: str
    provincial_id: int | None
    target_org_id: int | None
    target_superior_id: int | None
    target_province: str
    target_branch_id: int | None
    reason: str
    place_name: str
    place_address: str
    contact: str
    remark: str
    place_division: str
    target_name: str = ""
    concern: str = ""
    reason_kind: str
    batch_id: UUID | None = None
    batch_size: Int = 0
    peer: str = ""
    policy: str
    path: str


_STORED = "transfer_id, " + columns(Request, without=("n", "batch_size"))
"""The columns of a transfer that are taken from the request as they are."""

_BATCH_SIZE = """CASE WHEN batch_id IS NULL THEN 0
        ELSE (SELECT g.batch_size FROM given g WHERE g.batch_id = packed.batch_id LIMIT 1) END"""
"""The size of a batch move is told but not stored, so it is looked up among the items."""

# IS TRUE makes PostgreSQL hash the ids of `free`; as a plain condition it would compare each row with each.
_REQUEST = sa.text(f"""
    -- the items of the request
    WITH given AS (
        SELECT * FROM {recordset(Request)}),
    -- those that are no repeat of an earlier command
    numbered AS (
        SELECT nextval('transfers_transfer_id_seq') AS transfer_id, *
        FROM given g
        WHERE NOT EXISTS (SELECT 1 FROM transfers t WHERE t.command_id = g.command_id)),
    -- a member has one open transfer at most, and the key of this table sees to it
    free AS (
        INSERT INTO open_transfers (member_id, transfer_id)
        SELECT member_id, transfer_id FROM numbered
        ORDER BY member_id  -- in one order everywhere, so that no two lists wait for each other
        ON CONFLICT DO NOTHING
        RETURNING transfer_id),
    fitting AS (
        SELECT * FROM numbered WHERE (transfer_id IN (SELECT transfer_id FROM free)) IS TRUE),
    -- the transfers, each with the first link of its trail
    moved AS (
        INSERT INTO transfers ({_STORED}, state, node_no, created_at, audit_seq, audit_head)
        OVERRIDING SYSTEM VALUE
        SELECT {_STORED}, 'checking', 0, :now, 1, {_REQUEST_LINK}
        FROM fitting i
        RETURNING transfer_id, command_id, member_id, source_branch_id, target_org_id, reason_kind,
            batch_id, state, initiator, reason, audit_seq, audit_head, initiator_person_id AS person_id,
            initiator_org_id, initiator_org_id AS org_id, command_id AS decision_id, '' AS note),
    {trail.audited("requested")},
    {totalled()},
    told AS ({insert(tell(messages.TransferRequested, "moved", batch_size=_BATCH_SIZE))})
    SELECT n, transfer_id FROM fitting""")


def request(tx: Connection, items: Sequence[Request]) -> dict[int, int]:
    """Record transfers in state `checking`; return their ids by item number.

    Repeats and second open transfers are left out.
    """
    now = clock.now()
    rows = db.run(tx, _REQUEST, items, now=now, stamp=trail.stamp_of(now))
    return {row.n: row.transfer_id for row in rows}


class Started(NamedTuple):
    """A transfer of a batch move."""

    batch_id: UUID
    transfer_id: int
    member_id: int
    initiator_person_id: int


class InTheWay(NamedTuple):
    """A member's open transfer, with whom it waits for and until when."""

    member_id: int
    source_branch_id: int
    transfer_id: int
    initiator: str
    initiator_org_id: int | None
    created_at: datetime
    state: str
    waiting_org_id: int | None
    waiting_superior_id: int | None
    expires_at: datetime | None


class Earlier(NamedTuple):
    """A transfer that a command has started before."""

    command_id: UUID
    transfer_id: int
    state: str
    node_no: int
    initiator_person_id: int


_BATCHES = sa.text("""
    SELECT batch_id, transfer_id, member_id, initiator_person_id FROM transfers
    WHERE batch_id = ANY(CAST(:ids AS uuid[]))
    ORDER BY transfer_id""")
_OPEN_OF = sa.text(f"""
    SELECT x.member_id, t.source_branch_id FROM open_transfers x {with_transfer("x")}
    WHERE x.member_id = ANY(CAST(:ids AS bigint[]))""")


def batches(tx: Connection, batch_ids: Iterable[UUID]) -> dict[UUID, dict[int, Started]]:
    """Return the transfers of batch moves, by the batch's id and then by member."""
    found: dict[UUID, dict[int, Started]] = {}
    for row in db.rows(Started, tx.execute(_BATCHES, {"ids": [str(one) for one in batch_ids]})):
        found.setdefault(row.batch_id, {})[row.member_id] = row
    return found


def with_open(tx: Connection, member_ids: Iterable[int]) -> dict[int, int]:
    """Return those members who have an open transfer, with the branch that it leads out of (TRF-02)."""
    rows = tx.execute(_OPEN_OF, {"ids": sorted(set(member_ids))})
    return {row.member_id: row.source_branch_id for row in rows}


_IN_THE_WAY = sa.text(f"""
    SELECT t.member_id, t.source_branch_id, t.transfer_id, t.initiator, t.initiator_org_id,
        t.created_at, t.state,
        o.org_id AS waiting_org_id, o.superior_id AS waiting_superior_id, o.expires_at
    FROM open_transfers x
    {with_transfer("x")}
    {WITH_NODE}
    WHERE x.member_id = ANY(CAST(:ids AS bigint[]))""")


_RANK = "array_position(ARRAY['unchecked', 'failed', 'passed'], {})"
# As a join the planner may turn an update round, and then compares each row with each; an upsert looks each
# row up by its key. It inserts none: whoever is held is there.
_KNOW = sa.text(f"""
    WITH given AS (
        SELECT DISTINCT ON (member_id, transfer_id) * FROM {recordset(MemberReserved)}
        ORDER BY member_id, transfer_id, {_RANK.format("identity_check")} DESC),
    -- one by one, in one order everywhere; where something newer is known, nothing is changed
    held AS (
        SELECT i.* FROM given i
        CROSS JOIN LATERAL (
            SELECT 1 FROM open_transfers x
            WHERE x.member_id = i.member_id AND x.transfer_id = i.transfer_id
                AND {_RANK.format("i.identity_check")} >= {_RANK.format("x.identity_check")}
            FOR NO KEY UPDATE) x)
    INSERT INTO open_transfers (member_id, transfer_id, name, identity_check)
    SELECT member_id, transfer_id, name, identity_check FROM held ORDER BY member_id
    ON CONFLICT (member_id) DO UPDATE
        SET (name, identity_check) = (excluded.name, excluded.identity_check)""")
_NAMES = sa.text("""
    SELECT transfer_id, name FROM open_transfers WHERE member_id = ANY(CAST(:ids AS bigint[]))""")


def know_members(tx: Connection, items: Sequence[Any]) -> None:
    """Keep what is told of members with open transfers; what is told late takes back no finding (MEM-19)."""
    db.run(tx, _KNOW, items)


def names_of(tx: Connection, member_ids: Iterable[int]) -> dict[int, str]:
    """Return the names of members with open transfers, by transfer."""
    rows = tx.execute(_NAMES, {"ids": sorted(set(member_ids))})
    return {row.transfer_id: row.name for row in rows}


def in_the_way(tx: Connection, member_ids: Iterable[int]) -> dict[int, InTheWay]:
    """Return the open transfers of members, by member (BEY-03)."""
    rows = db.rows(InTheWay, tx.execute(_IN_THE_WAY, {"ids": sorted(set(member_ids))}))
    return {row.member_id: row for row in rows}


_BY_COMMAND = sa.text("""
    SELECT command_id, transfer_id, state, node_no, initiator_person_id FROM transfers
    WHERE command_id = ANY(CAST(:ids AS uuid[]))""")


def by_command(tx: Connection, command_ids: Sequence[UUID]) -> dict[UUID, Earlier]:
    """Return the transfers that these command ids once started."""
    if not command_ids:
        return {}
    rows = db.rows(Earlier, tx.execute(_BY_COMMAND, {"ids": [str(one) for one in command_ids]}))
    return {row.command_id: row for row in rows}


# ---- when the tree changes -----------------------------------------------------------------------


class Moving(msgspec.Struct, frozen=True):
    """An organisation with the superior that it has from now on."""

    org_id: int
    superior_id: int | None


_REROUTE_NODES = sa.text(f"""
    WITH found AS (
        SELECT i.superior_id, o.transfer_id, o.node_no FROM {recordset(Moving)}
        CROSS JOIN LATERAL (
            SELECT o.transfer_id, o.node_no FROM open_nodes o
            WHERE o.org_id = i.org_id AND o.superior_id IS NOT NULL OFFSET 0) o
        ORDER BY o.transfer_id),
    held AS (
        SELECT i.* FROM found i
        CROSS JOIN LATERAL (
            SELECT 1 FROM open_nodes o
            WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no
            FOR NO KEY UPDATE) o)
    UPDATE open_nodes o SET superior_id = i.superior_id
    FROM held i
    WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no
        AND o.transfer_id = ANY(ARRAY(SELECT transfer_id FROM held))""")
# Both sides at once, since a transfer may lead from one that moves to another.
_REROUTE_TRANSFERS = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(Moving)}),
    held AS (
        SELECT t.transfer_id, t.source_branch_id, t.target_org_id FROM transfers t
        WHERE t.transfer_id IN (
            SELECT s.transfer_id FROM given i
            JOIN transfers s ON s.source_branch_id = i.org_id AND s.ended_at IS NULL
            UNION SELECT s.transfer_id FROM given i
            JOIN transfers s ON s.target_org_id = i.org_id AND s.ended_at IS NULL)
        ORDER BY t.transfer_id
        FOR NO KEY UPDATE)
    UPDATE transfers t SET
        source_superior_id = CASE WHEN s.org_id IS NULL THEN t.source_superior_id ELSE s.superior_id END,
        target_superior_id = CASE
            WHEN d.org_id IS NULL OR t.target_superior_id IS NULL THEN t.target_superior_id
            ELSE d.superior_id END
    FROM held h
    LEFT JOIN given s ON s.org_id = h.source_branch_id
    LEFT JOIN given d ON d.org_id = h.target_org_id
    WHERE t.transfer_id = h.transfer_id""")
# Members may go on leaving a branch that is set aside (DEL-04), so transfers out of it, and nodes that
# wait for it, do not stand in the way of that.
_LEAVING = "(d.purpose = 'awaiting' AND NOT d.deleted)"
_REFUSE_CHANGES = sa.text(f"""
    WITH parties AS (
        SELECT d.org_id FROM org_directory d
        WHERE d.org_id = ANY(CAST(:ids AS bigint[])) AND (
            EXISTS (SELECT 1 FROM transfers t WHERE t.target_org_id = d.org_id AND t.ended_at IS NULL)
            OR (NOT {_LEAVING} AND (
                EXISTS (SELECT 1 FROM transfers t WHERE t.source_branch_id = d.org_id AND t.ended_at IS NULL)
                OR EXISTS (SELECT 1 FROM open_nodes o WHERE o.org_id = d.org_id)))))
    {insert(tell(messages.OrgInUse, "parties"))}""")


def reroute(tx: Connection, rows: Sequence[Moving]) -> None:
    """Give open transfers of organisations that have moved their new superiors (BEY-17).

    Those decide from now on.
    """
    if not rows:
        return
    db.run(tx, _REROUTE_NODES, rows)
    db.run(tx, _REROUTE_TRANSFERS, rows)


def refuse_changes(tx: Connection, org_ids: Iterable[int]) -> None:
    """Tell which of the changed organisations open transfers still need (ORG-42, DEL-14).

    They are source or target of one, or one waits for them.
    """
    ids = sorted(set(org_ids))
    if ids:
        tx.execute(_REFUSE_CHANGES, {"ids": ids})


# ---- why not -------------------------------------------------------------------------------------


class Why(NamedTuple):
    """What is known of an item that was not moved; of no transfer all but `n` is None.

    `party` says that whoever acts may read the transfer, `repeated` that the same was decided before.
    """

    n: int
    transfer_id: int | None
    state: str
    node_no: int
    source_branch_id: int
    node_org_id: int | None
    node_superior_id: int | None
    withdraw: str | None
    peer: str
    repeated: bool
    party: bool


_EXPLAIN = sa.text(f"""
    SELECT i.n, t.transfer_id, t.state, t.node_no, t.source_branch_id,
        o.org_id AS node_org_id, o.superior_id AS node_superior_id, o.withdraw, t.peer,
        -- the same person has made the same decision before, so the command came twice
        EXISTS (
            SELECT 1 FROM audit a
            WHERE a.transfer_id = i.transfer_id AND a.decision_id = i.decision_id
                AND a.person_id = i.person_id) AS repeated,
        coalesce(
            t.member_id = i.person_id
            OR i.org_id = t.initiator_org_id
            OR (t.state NOT IN ('checking', 'refused') AND i.org_id IN (
                t.source_branch_id, t.source_superior_id, t.target_org_id, t.target_superior_id,
                t.target_branch_id, t.provincial_id))
            OR (t.initiator = 'source' AND i.org_id IN (t.source_branch_id, t.source_superior_id)),
            false) AS party
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        n int, transfer_id bigint, decision_id uuid, person_id bigint, org_id bigint)
    LEFT JOIN LATERAL (
        SELECT * FROM transfers f WHERE f.transfer_id = i.transfer_id OFFSET 0) t ON true
    {WITH_NODE}""")


def explain(tx: Connection, items: Sequence[Item]) -> dict[int, Why]:
    """Return, by item number, what stands in the way of items that a statement did not move.

    A party is whoever may read the transfer: as in `get_transfer`, one that never held its member is for
    the side that started it and for the member alone.
    """
    if not items:
        return {}
    return {row.n: row for row in db.rows(Why, db.run(tx, _EXPLAIN, items))}


# ---- late and repeated messages ------------------------------------------------------------------

_FINAL_EVENTS = {
    state: event for state, event in saga.ON_ENTER.items() if (state, Trigger.RESERVED) in saga.RELEASE_AGAIN
}
_RELEASED = ", ".join(f"'{state}'" for state in ("refused", *_FINAL_EVENTS))
_RELEASE_AGAIN = sa.text(f"""
    WITH moved AS (
        SELECT t.* FROM transfers t
        JOIN json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint) USING (transfer_id)
        WHERE t.state IN ({_RELEASED}))
    {insert(tell(messages.TransferWithdrawn, "moved"))}""")


def release_again(tx: Connection, items: Sequence[Item]) -> None:
    """Tell members once more to let go of members whose transfer has ended (saga.RELEASE_AGAIN)."""
    db.run(tx, _RELEASE_AGAIN, items)


_HOLD_NODES = sa.text("""
    SELECT 1 FROM open_nodes
    WHERE transfer_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY transfer_id
    FOR UPDATE""")


def hold_nodes(tx: Connection, transfer_ids: Iterable[int]) -> None:
    """Hold open nodes until the transaction ends, for who goes on with several statements."""
    tx.execute(_HOLD_NODES, {"ids": sorted(set(transfer_ids))})


# ---- the clock -----------------------------------------------------------------------------------

TRY_AGAIN = timedelta(seconds=0.2)
"""When the clock looks again at a node that somebody was deciding."""


class Due(msgspec.Struct, frozen=True):
    """A reminder that is due at a node."""

    transfer_id: int
    node_no: Int


class Early(NamedTuple):
    """What was told of a node before its instant, and kept: which event, and the instant."""

    event: str
    transfer_id: int
    node_no: int
    due_at: datetime


_REMIND = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(Due)}),
    -- never waiting: a reminder is not worth holding up a decision
    looked_at AS (
        SELECT i.transfer_id, i.node_no, o.free
        FROM given i
        LEFT JOIN LATERAL (
            SELECT true AS free FROM open_nodes o
            WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no
            FOR NO KEY UPDATE SKIP LOCKED) o ON true),
    reminded AS (
        UPDATE open_nodes SET reminders = reminders + 1
        WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM looked_at WHERE free)))
    INSERT INTO early (event, transfer_id, node_no, due_at)
    SELECT '{ReminderDue.topic()}', transfer_id, node_no, :now
    FROM looked_at i
    WHERE free IS NULL AND EXISTS (
        SELECT 1 FROM open_nodes o WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no)""")
_KEEP = sa.text(f"""
    INSERT INTO early (event, transfer_id, node_no, due_at)
    SELECT '{ReminderDue.topic()}', transfer_id, node_no, due_at
    FROM {recordset(ReminderDue)}""")
# Whatever a node is spared now that the clock can end comes again: its instant is to come by the clock
# here, or somebody was just deciding it.
_CLOCK_ENDS = " OR ".join(
    f"({condition} AND o.state IN ({', '.join(map(repr, map(str, saga.sources_of(trigger))))}))"
    for trigger, condition in BY_CLOCK.items()
)
_SPARE = sa.text(f"""
    INSERT INTO early (event, transfer_id, node_no, due_at)
    SELECT '{DeadlineExpired.topic()}', o.transfer_id, o.node_no, GREATEST(o.expires_at, :now)
    FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint, node_no int)
    CROSS JOIN LATERAL (
        SELECT * FROM open_nodes o
        WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no AND ({_CLOCK_ENDS})
        OFFSET 0) o""")
_TAKE_EARLY = sa.text("""
    WITH due AS (
        SELECT early_id FROM early WHERE due_at <= :now
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    DELETE FROM early WHERE early_id = ANY(ARRAY(SELECT early_id FROM due))
    RETURNING event, transfer_id, node_no, due_at""")
_NEXT_EARLY = sa.text("SELECT min(due_at) FROM early")


def remind(tx: Connection, items: Iterable[ReminderDue], now: datetime) -> int:
    """Count a reminder on nodes that are still open, or keep it until its instant; return how many are kept.

    Where somebody is just deciding, it is kept for a moment.
    """
    due: list[ReminderDue] = []
    early: list[ReminderDue] = []
    for item in items:
        (early if item.due_at > now else due).append(item)
    kept = db.run(tx, _KEEP, early).rowcount if early else 0
    if due:
        rows = [Due(item.transfer_id, item.node_no) for item in due]
        kept += db.run(tx, _REMIND, rows, now=now + TRY_AGAIN).rowcount
    return kept


def spare(tx: Connection, items: Sequence[Item], now: datetime) -> int:
    """Keep those of the deadlines that the clock can still bring about; return how many."""
    return db.run(tx, _SPARE, items, now=now + TRY_AGAIN).rowcount


def take_early(tx: Connection, now: datetime, limit: int) -> list[Early]:
    """Take what was kept and is due, oldest first; another service gets others."""
    return db.rows(Early, tx.execute(_TAKE_EARLY, {"now": now, "limit": limit}))


def next_early(tx: Connection) -> datetime | None:
    """Return the next instant for which something is kept."""
    due: datetime | None = tx.scalar(_NEXT_EARLY)
    return due


# ---- reading -------------------------------------------------------------------------------------


class Transfer(NamedTuple):
    """A transfer with its open node, if it has one; what `on_expiry` and the rest say is of that node."""

    transfer_id: int
    member_id: int
    initiator: str
    source_branch_id: int
    target_org_id: int
    target_branch_id: int | None
    reason: str
    place_name: str
    place_address: str
    contact: str
    remark: str
    state: str
    node_no: int
    waiting_org_id: int | None
    waiting_superior_id: int | None
    node_opened_at: datetime | None
    remind_at: datetime | None
    expires_at: datetime | None
    on_expiry: str | None
    created_at: datetime
    ended_at: datetime | None
    end_code: str
    end_note: str
    policy: str
    place_division: str
    peer: str
    target_name: str
    concern: str
    reason_kind: str
    urged_at: datetime | None
    looked_by: int | None
    looked_until: datetime | None
    reminders: int
    # what follows is not shown; it decides who may see the rest
    path: str
    initiator_org_id: int | None
    source_superior_id: int | None
    target_superior_id: int | None
    provincial_id: int | None
    withdraw: str | None
    receipted_at: datetime | None


SHOWN = tuple(name for name in messages.Transfer.__struct_fields__ if name not in ("cursor", "checks"))
"""The first columns of every row that is read below; more follow that decide who may see it."""
assert Transfer._fields[: len(SHOWN)] == SHOWN
_ELSEWHERE = {
    "waiting_org_id": "o.org_id",
    "waiting_superior_id": "o.superior_id",
    "node_opened_at": "o.opened_at",
    "remind_at": "o.remind_at",
    "expires_at": "o.expires_at",
    "on_expiry": "o.on_expiry",
    "urged_at": "o.urged_at",
    "looked_by": "o.looked_by",
    "looked_until": "o.looked_until",
    "reminders": "coalesce(o.reminders, 0)",
    "withdraw": "o.withdraw",
}
"""The columns that are the open node's."""
COLUMNS = ", ".join(
    [
        *(f"{_ELSEWHERE.get(name, f't.{name}')} AS {name}" for name in SHOWN),
        *(_ELSEWHERE.get(name, f"t.{name}") for name in Transfer._fields[len(SHOWN) :]),
    ]
)

_READ = f"SELECT {COLUMNS} FROM transfers t {WITH_NODE}"
_ONE = sa.text(f"{_READ} WHERE t.transfer_id = :transfer_id")
_MANY = sa.text(f"{_READ} WHERE t.transfer_id = ANY(CAST(:ids AS bigint[]))")
# by time: each connection takes numbers from a store of its own, so a later transfer may have a lower one
_OF_MEMBER = sa.text(
    f"{_READ} WHERE t.member_id = :member_id ORDER BY t.created_at DESC, t.transfer_id DESC LIMIT 50"
)
_OF_BATCH = sa.text(f"{_READ} WHERE t.batch_id = :batch AND t.initiator_org_id = :org ORDER BY t.transfer_id")
_STEPS = sa.text("SELECT * FROM audit WHERE transfer_id = :transfer_id ORDER BY seq")


_STARTED = {
    (side, oldest_first): sa.text(f"""{_READ}
        WHERE {column} IN (
                SELECT org_id FROM org_directory WHERE org_id = :org
                UNION ALL SELECT org_id FROM org_directory WHERE parent_id = :org AND kind = 'branch')
            AND {seen_by(side)}
            AND (NOT :open_only OR t.ended_at IS NULL)
            AND (:state = '' OR t.state = :state)
            AND (:reason = '' OR t.reason = :reason)
            AND (:after = 0 OR t.transfer_id {">" if oldest_first else "<"} :after)
        ORDER BY t.transfer_id {"" if oldest_first else "DESC"} LIMIT :limit""")
    for side, column in (("source", "t.source_branch_id"), ("target", "t.target_org_id"))
    for oldest_first in (False, True)
}
_PATH = sa.text(
    "SELECT node_no, state FROM path_steps WHERE path = :path AND state <> 'moving' ORDER BY node_no"
)
# Paths end in a dot, and "/" is the character after it, so a subtree is a range: path to path_end.
# Kept by the follower of the figures (`figures.totals`), and in lines what it has not followed yet.
_COUNTS = sa.text("""
    SELECT reason, state, sum(n)::int AS transfers
    FROM (
        SELECT reason, state, n FROM transfer_sums WHERE org_id = :org
        UNION ALL
        SELECT l.reason, l.state, l.n
        FROM transfer_lines l
        CROSS JOIN LATERAL (SELECT path FROM org_directory d WHERE d.org_id = l.org_id OFFSET 0) AS s
        WHERE s.path >= :path AND s.path < :path_end) AS kept
    GROUP BY 1, 2 HAVING sum(n) > 0 ORDER BY 1, 2""")

_NOT_ASSIGNABLE = ", ".join(f"'{one}'" for one in domain.NOT_ASSIGNABLE)
_HAS_BRANCH = sa.text(f"""
    SELECT EXISTS (
        SELECT 1 FROM org_directory
        WHERE path > :path AND path < :path_end AND kind = 'branch' AND NOT deleted
            AND purpose NOT IN ({_NOT_ASSIGNABLE}))""")


def has_branch(tx: Connection, path: str) -> bool:
    """Return whether there is a branch below an organisation that takes assignments (ASG-07)."""
    return bool(tx.scalar(_HAS_BRANCH, {"path": path, "path_end": path[:-1] + "/"}))


def one(tx: Connection, transfer_id: int) -> Transfer | None:
    """Return a transfer with its open node."""
    return db.row(Transfer, tx.execute(_ONE, {"transfer_id": transfer_id}))


def many(tx: Connection, transfer_ids: Iterable[int]) -> dict[int, Transfer]:
    """Return transfers with their open nodes, by id."""
    rows = db.rows(Transfer, tx.execute(_MANY, {"ids": sorted(set(transfer_ids))}))
    return {row.transfer_id: row for row in rows}


def steps(tx: Connection, transfer_id: int) -> list[messages.Step]:
    """Return the audit trail of a transfer, oldest first."""
    rows = tx.execute(_STEPS, {"transfer_id": transfer_id}).mappings()
    return [messages.Step(**{name: row[name] for name in messages.Step.__struct_fields__}) for row in rows]


def path_of(tx: Connection, path: str) -> list[tuple[int, str]]:
    """Return the nodes of a path in order, each with the state in which it waits."""
    return [(row.node_no, row.state) for row in tx.execute(_PATH, {"path": path})]


def of_member(tx: Connection, member_id: int) -> list[Transfer]:
    """Return a member's transfers, newest first."""
    return db.rows(Transfer, tx.execute(_OF_MEMBER, {"member_id": member_id}))


def of_batch(tx: Connection, batch_id: UUID, org_id: int) -> list[Transfer]:
    """Return the transfers of a batch move of an organisation."""
    return db.rows(Transfer, tx.execute(_OF_BATCH, {"batch": batch_id, "org": org_id}))


def started(tx: Connection, org_id: int, asked: messages.ListStarted, limit: int) -> list[Transfer]:
    """Return transfers of an organisation and its direct branches, newest first unless asked otherwise.

    With side `source` those that lead out of them, with `target` those into them.
    """
    wanted = {
        "org": org_id,
        "open_only": asked.open_only,
        "state": asked.state,
        "reason": asked.reason,
        "after": asked.after,
        "limit": limit,
    }
    return db.rows(Transfer, tx.execute(_STARTED[asked.side, asked.oldest_first], wanted))


def counts(tx: Connection, org_id: int, path: str) -> list[messages.Count]:
    """Return numbers of transfers by reason and state out of an organisation's subtree."""
    rows = tx.execute(_COUNTS, {"org": org_id, "path": path, "path_end": path[:-1] + "/"})
    return [messages.Count(reason=row.reason, state=row.state, transfers=row.transfers) for row in rows]


# Lines come and go by thousands, so neither they nor the sums are looked for in the whole table.
_EACH = """SELECT {0} FROM open_counts WHERE org_id IS NULL
        UNION ALL SELECT {0} FROM open_counts WHERE org_id IS NOT NULL"""
_BACKLOG = sa.text(f"""
    SELECT province, state, sum(n)::bigint AS n
    FROM ({_EACH.format("province, state, n")}) AS counted GROUP BY province, state""")
PROVINCES = f"SELECT DISTINCT province FROM ({_EACH.format('province')}) AS counted"
"""The provinces in which nodes are open, or were."""
_SUM_UP = sa.text("""
    WITH taken AS (
        DELETE FROM open_counts
        WHERE org_id IS NULL AND (SELECT count(*) FROM open_counts WHERE org_id IS NULL) > :most
        RETURNING province, state, n)
    INSERT INTO open_counts (province, state, n)
    SELECT province, state, sum(n) FROM taken GROUP BY province, state""")
# One look at an index for each province, however many nodes are open.
_AGES = sa.text(f"""
    SELECT p.province, o.opened_at, d.expires_at
    FROM ({PROVINCES}) AS p
    LEFT JOIN LATERAL (
        SELECT opened_at FROM open_nodes
        WHERE province = p.province ORDER BY opened_at LIMIT 1) AS o ON true
    LEFT JOIN LATERAL (
        SELECT expires_at FROM open_nodes
        WHERE province = p.province AND expires_at IS NOT NULL ORDER BY expires_at LIMIT 1) AS d ON true""")
MOST_LINES = 1_000
"""Sums of lines that are added up at each look; with more they are summed up first."""


class Waiting(NamedTuple):
    """How many nodes of a kind wait in a province."""

    province: str
    state: str
    n: int


class Age(NamedTuple):
    """When the oldest open node of a province was opened, and when the next one is due."""

    province: str
    opened_at: datetime | None
    expires_at: datetime | None


def backlog(tx: Connection) -> list[Waiting]:
    """Return the number of open nodes by province and kind; 0 where there have been any.

    It is exact in the snapshot of the transaction, and costs the same however many nodes are open.
    """
    return db.rows(Waiting, tx.execute(_BACKLOG))


def ages(tx: Connection) -> list[Age]:
    """Return by province since when the oldest node is open and when the next one is due."""
    return db.rows(Age, tx.execute(_AGES))


def sum_up(tx: Connection, most: int = MOST_LINES) -> None:
    """Replace the sums that the follower has made of lines by their own, if there are more than so many."""
    db.prepared(tx, _SUM_UP, most=most)


# ---- paths and audit -----------------------------------------------------------------------------


class PathStep(msgspec.Struct, frozen=True):
    """A node of a path, for the statements."""

    path: str
    node_no: Int
    state: str


_SAVE_STEPS = sa.text(f"""
    INSERT INTO path_steps ({columns(PathStep)})
    SELECT {columns(PathStep)}
    FROM {recordset(PathStep)}
    ORDER BY path, node_no
    ON CONFLICT DO NOTHING""")


def save_path_steps(tx: Connection) -> None:
    """Make the steps of every path known to the statements."""
    steps = [
        PathStep(f"{initiator}:{destination}", number, str(state))
        for (initiator, destination), path in saga.PATHS.items()
        for number, state in enumerate((*path, State.MOVING), start=1)
    ]
    db.run(tx, _SAVE_STEPS, steps)
