"""The SQL of messages and of addresses that are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.notices.rules import KINDS
from services.transfers.store import with_transfer
from shared import db
from shared.recordset import Int, columns, locked, recordset

_TOLD = ", ".join(f"'{kind}'" for kind in KINDS)

# Messages are lines of the trail, read up to a mark, one by one, or since they are what the reader has done.
# A person has few transfers; what an office is told is found by its own index, `org_messages`.
_OF_PERSON = f"""
        SELECT a.at, a.transfer_id, a.seq, a.event, a.person_id
        FROM transfers t JOIN audit a ON a.transfer_id = t.transfer_id
        WHERE t.member_id = :person AND a.event IN ({_TOLD})"""
_OF_ORG = """
        SELECT at, transfer_id, seq, event, person_id
        FROM org_messages WHERE org_id = :context AND at > :oldest"""
_READ_UP_TO = """coalesce((
            SELECT read_until FROM reading_marks
            WHERE person_id = :person AND org_id = :context), '-infinity')"""
_READ = f"""(l.at <= {_READ_UP_TO} OR l.person_id IS NOT DISTINCT FROM :person OR EXISTS (
            SELECT 1 FROM messages_read r WHERE r.person_id = :person AND r.org_id = :context
                AND r.transfer_id = l.transfer_id AND r.seq = l.seq))"""
_LIST = {
    who: sa.text(f"""
    WITH found AS (
        SELECT * FROM (
            SELECT l.*, {_READ} AS read FROM ({lines}) l
            WHERE (:kind = '' OR l.event = :kind)
                AND l.at >= coalesce(CAST(:since AS timestamptz), '-infinity')
                AND l.at < coalesce(CAST(:until AS timestamptz), 'infinity')
                AND (l.at, l.transfer_id, l.seq) < (:at, :transfer_id, :seq)) AS messages
        WHERE NOT :unread_only OR NOT read
        ORDER BY at DESC, transfer_id DESC, seq DESC LIMIT :limit)
    SELECT m.transfer_id, m.seq, m.event, m.at, a.org_id, a.note, a.state, t.member_id, t.end_code, m.read
    FROM found m
    CROSS JOIN LATERAL (
        SELECT * FROM audit x WHERE x.transfer_id = m.transfer_id AND x.seq = m.seq OFFSET 0) a
    {with_transfer("m")}
    ORDER BY m.at DESC, m.transfer_id DESC, m.seq DESC""")
    for who, lines in (("person", _OF_PERSON), ("org", _OF_ORG))
}
# What lies before the mark is not even looked at.
_UNREAD = {
    who: sa.text(f"""
    SELECT count(*)::int
    FROM (
        SELECT 1 FROM ({lines}) l WHERE l.at > {_READ_UP_TO} AND NOT {_READ} LIMIT 1000) AS counted""")
    for who, lines in (("person", _OF_PERSON), ("org", _OF_ORG))
}


class ReadUntil(msgspec.Struct, frozen=True):
    """A mark: a person has read all messages to an organisation (0: the own ones) up to an instant."""

    person_id: int
    org_id: int
    until: datetime


class ReadOne(msgspec.Struct, frozen=True):
    """A message that a person has read."""

    person_id: int
    org_id: int
    transfer_id: int
    seq: Int


_READ_UNTIL = sa.text(f"""
    INSERT INTO reading_marks AS m (person_id, org_id, read_until)
    SELECT person_id, org_id, max(until)
    FROM {recordset(ReadUntil)}
    GROUP BY person_id, org_id ORDER BY person_id, org_id
    ON CONFLICT (person_id, org_id) DO UPDATE SET read_until = GREATEST(m.read_until, excluded.read_until)""")

_READ_ONE = sa.text(f"""
    INSERT INTO messages_read ({columns(ReadOne)})
    SELECT {columns(ReadOne)}
    FROM {recordset(ReadOne)}
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING""")


class Line(NamedTuple):
    """A line of the trail as a message, and whether it was read."""

    transfer_id: int
    seq: int
    event: str
    at: datetime
    org_id: int | None
    note: str
    state: str
    member_id: int
    end_code: str
    read: bool


def messages(tx: Connection, person_id: int, org_id: int, oldest: datetime, **wanted: Any) -> list[Line]:
    """Return messages of a person (org 0) or of an organisation to that person, newest first."""
    statement = _LIST["org" if org_id else "person"]
    whose = {"person": person_id, "context": org_id, "oldest": oldest}
    return db.rows(Line, db.prepared(tx, statement, **whose, **wanted))


def unread(tx: Connection, person_id: int, org_id: int, oldest: datetime) -> int:
    """Return how many messages are unread, at most 1,000."""
    statement = _UNREAD["org" if org_id else "person"]
    whose = {"person": person_id, "context": org_id, "oldest": oldest}
    return int(db.prepared(tx, statement, **whose).scalar_one())


def mark_read(tx: Connection, until: Sequence[ReadUntil], single: Sequence[ReadOne]) -> None:
    """Mark messages read, all up to an instant, or single ones."""
    if until:
        db.run(tx, _READ_UNTIL, until)
    if single:
        db.run(tx, _READ_ONE, single)


class NewHook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that an organisation wants told; `n` is its place in the list."""

    n: Int
    command_id: UUID
    org_id: int
    url: str
    secret: str
    person_id: int


class Hook(NamedTuple):
    """The address for an item `n`.

    It is `own` where the item's command has made it, and `same` where that was the same person for the
    same organisation.
    """

    n: int
    webhook_id: int
    url: str
    active: bool
    secret: str
    own: bool
    same: bool


class HookState(NamedTuple):
    """An address of an organisation with what was delivered to it."""

    webhook_id: int
    url: str
    active: bool
    waiting: int
    delivered: int
    failed: int
    last_problem: str


class EndedHook(msgspec.Struct, frozen=True):
    """An address that an organisation wants told no more."""

    webhook_id: int | None
    org_id: int | None


class Delivery(NamedTuple):
    """A notice that is due: the line of the trail, where to, and how often it was tried."""

    webhook_id: int
    transfer_id: int
    seq: int
    attempts: int
    next_at: datetime | None
    url: str
    secret: str
    event: str
    state: str
    at: datetime
    member_id: int
    reason: str
    source_branch_id: int
    target_org_id: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery: it arrived, or is tried again at an instant, or neither."""

    webhook_id: int
    transfer_id: int
    seq: Int
    delivered_at: datetime | None
    next_at: datetime | None
    problem: str


# `place` numbers the new addresses of an organisation on from those that it has, so that the limit holds for
# several in one request, too.
_ADD_HOOKS = sa.text(f"""
    INSERT INTO webhooks (command_id, org_id, url, secret, created_by, created_at)
    SELECT DISTINCT ON (org_id, url) command_id, org_id, url, secret, person_id, :now
    FROM (
        SELECT g.*, row_number() OVER (PARTITION BY org_id ORDER BY n)
            + (SELECT count(*) FROM webhooks w WHERE w.org_id = g.org_id AND w.active) AS place
        FROM {recordset(NewHook, "g")}) AS g
    WHERE place <= :most
    ORDER BY org_id, url, n
    ON CONFLICT DO NOTHING""")

_HOOKS_OF = sa.text("""
    SELECT DISTINCT ON (g.n) g.n, w.webhook_id, w.url, w.active, w.secret,
        w.command_id = g.command_id AS own,
        w.org_id = g.org_id AND w.created_by = g.person_id AS same
    FROM json_to_recordset(CAST(:items AS json)) AS g(
        n int, command_id uuid, org_id bigint, url text, person_id bigint)
    JOIN webhooks w ON w.command_id = g.command_id OR (w.org_id = g.org_id AND w.url = g.url AND w.active)
    ORDER BY g.n, w.command_id = g.command_id DESC""")

# The organisation stands in the condition, so nobody switches off the addresses of another.
_OWN = "w.webhook_id = i.webhook_id AND w.org_id = i.org_id"
_WAITS = "d.webhook_id = e.webhook_id AND d.next_at IS NOT NULL"
_DELIVERY = "d.webhook_id, d.transfer_id, d.seq"
_SAME = "(d.webhook_id, d.transfer_id, d.seq) = (i.webhook_id, i.transfer_id, i.seq)"
_END_HOOKS = sa.text(f"""
    WITH ended AS (
        UPDATE webhooks w SET active = false
        FROM {locked(recordset(EndedHook), "webhooks w", _OWN, "w.webhook_id")} AS i
        WHERE w.webhook_id = i.webhook_id
        RETURNING w.webhook_id, w.org_id),
    dropped AS (
        UPDATE deliveries d SET next_at = NULL, problem = 'switched off'
        FROM {locked("ended e", "deliveries d", _WAITS, _DELIVERY, of=_DELIVERY)} AS e
        WHERE (d.webhook_id, d.transfer_id, d.seq) = (e.webhook_id, e.transfer_id, e.seq))
    SELECT webhook_id, org_id FROM ended""")

_HOOKS = sa.text("""
    SELECT w.*,
        count(*) FILTER (WHERE d.next_at IS NOT NULL)::int AS waiting,
        count(d.delivered_at)::int AS delivered,
        count(*) FILTER (
            WHERE d.webhook_id IS NOT NULL AND d.next_at IS NULL AND d.delivered_at IS NULL)::int AS failed,
        coalesce(max(d.problem), '') AS last_problem
    FROM webhooks w LEFT JOIN deliveries d USING (webhook_id)
    WHERE w.org_id = :org
    GROUP BY w.webhook_id ORDER BY w.webhook_id DESC""")

# The attempt is counted when it begins, not when it ends: whatever kills its sender is counted, too.
_CLAIM = sa.text("""
    WITH due AS (
        SELECT webhook_id, transfer_id, seq FROM deliveries
        WHERE next_at <= :now
        ORDER BY next_at LIMIT :limit
        FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET attempts = d.attempts + 1,
        problem = CASE WHEN d.attempts < :most THEN d.problem ELSE 'given up' END,
        next_at = CASE WHEN d.attempts < :most THEN CAST(:now AS timestamptz) + interval '2 minutes' END
    FROM due
    JOIN webhooks w ON w.webhook_id = due.webhook_id
    JOIN audit a ON a.transfer_id = due.transfer_id AND a.seq = due.seq
    JOIN transfers t ON t.transfer_id = due.transfer_id
    WHERE d.webhook_id = due.webhook_id AND d.transfer_id = due.transfer_id AND d.seq = due.seq
    RETURNING d.webhook_id, d.transfer_id, d.seq, d.attempts, d.next_at, w.url, w.secret,
        a.event, a.state, a.at, t.member_id, t.reason, t.source_branch_id, t.target_org_id""")

_DELIVERED = sa.text(f"""
    UPDATE deliveries d SET delivered_at = i.delivered_at, next_at = i.next_at, problem = i.problem
    FROM {locked(recordset(Settled), "deliveries d", _SAME, _DELIVERY)} AS i
    WHERE {_SAME}""")


def add_hooks(tx: Connection, rows: Sequence[NewHook], most: int, now: datetime) -> dict[int, Hook]:
    """Store addresses, up to `most` that are told at a time for each organisation.

    Returns by `n` the hook of each row, old or new: that of its command (`own`; `same` says whether the
    same person sent it for the same organisation), or else the one that tells the same address already.
    """
    db.run(tx, _ADD_HOOKS, rows, now=now, most=most)
    return {row.n: row for row in db.rows(Hook, db.run(tx, _HOOKS_OF, rows))}


def end_hooks(tx: Connection, rows: Sequence[EndedHook]) -> set[tuple[int, int]]:
    """Switch addresses off and drop what waits for them; return which there were, and of whom."""
    return {(row.webhook_id, row.org_id) for row in db.run(tx, _END_HOOKS, rows)}


def hooks(tx: Connection, org_id: int) -> list[HookState]:
    """Return the addresses of an organisation with what was delivered."""
    return db.rows(HookState, tx.execute(_HOOKS, {"org": org_id}))


def claim_deliveries(tx: Connection, now: datetime, limit: int, most: int) -> list[Delivery]:
    """Take deliveries that are due; who dies with them leaves them to be tried again in two minutes.

    Those that were taken `most` times come back without `next_at`: they are given up, and not to be sent.
    """
    return db.rows(Delivery, tx.execute(_CLAIM, {"now": now, "limit": limit, "most": most}))


def settle_deliveries(tx: Connection, rows: Sequence[Settled]) -> None:
    """Store what became of deliveries."""
    db.run(tx, _DELIVERED, rows)
