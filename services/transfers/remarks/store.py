"""The SQL of remarks on transfers: reminders, who is looking, escalations and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.saga import ABROAD
from services.transfers.trail import audited, link_of
from services.transfers.transitions import Item, asked
from shared import db
from shared.messages.transfers import Escalation
from shared.recordset import Int, locked, recordset


class UrgedBelow(msgspec.Struct, frozen=True, kw_only=True):
    """A subtree, and within how many days a node below it is late; who reminds, for whom."""

    n: Int
    person_id: int
    org_id: int | None
    decision_id: UUID
    top_id: int
    days: Int


class Escalated(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected transfer that its member hands to the common superior of the two sides."""

    n: Int
    transfer_id: int
    person_id: int
    note: str
    superior_id: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What the common superior says of an escalated transfer: `receive` or `uphold`, and why."""

    n: Int
    transfer_id: int
    person_id: int
    org_id: int
    decision_id: UUID
    answer: str
    note: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A node that somebody looks at, or has `done` looking at."""

    n: Int
    transfer_id: int
    person_id: int
    org_id: int | None
    done: bool


class Remarked(NamedTuple):
    """A transfer after a remark: `n` of its item, and where it stands."""

    n: int
    transfer_id: int
    state: str
    node_no: int


# ---- lines of the trail that change no state -----------------------------------------------------


_MARKED = """-- when their nodes were reminded of last
    marked AS (
        UPDATE open_nodes SET urged_at = :now
        WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM chosen))),"""


def _noted(event: str, chosen: str, kind: type = Item, also: str = "") -> sa.TextClause:
    """Return the statement that lengthens the trails of some transfers by one line each.

    `chosen` selects them and does the rest of the work, or `also` does; it returns `n`, `transfer_id` and
    what the line says: `person_id`, `org_id`, `decision_id`, `note`. The items are of a `kind`.
    """
    link = link_of(
        "t.audit_head",
        id="t.transfer_id",
        seq="t.audit_seq + 1",
        event=event,
        state="t.state",
        person="i.person_id",
        org="i.org_id",
        decision="i.decision_id",
        note="coalesce(i.note, '')",
    )
    return sa.text(f"""WITH
    {asked(kind)},
    -- those that fit, marked in a table of their own
    chosen AS ({chosen}),
    {also}
    -- the transfers stay in their state; only the chain of the trail grows
    moved AS (
        UPDATE transfers t SET audit_seq = t.audit_seq + 1,
            audit_head = {link}
        FROM chosen i
        WHERE t.transfer_id = i.transfer_id
        RETURNING t.transfer_id, t.member_id, t.initiator_org_id, t.state, t.node_no,
            t.audit_seq, t.audit_head, i.n, i.person_id, i.org_id, i.decision_id,
            coalesce(i.note, '') AS note),
    {audited(event)},
    -- a word to the follower of the statistics, which seals the line and sends webhooks
    followed AS (
        INSERT INTO changes (member_id, transfer_id, seq)
        SELECT member_id, transfer_id, audit_seq FROM moved)
    SELECT n, transfer_id, state, node_no FROM moved""")


# Nobody in another system reads a reminder from here (FED-13).
_UNREAD = ", ".join(f"'{state}'" for state in ABROAD)
_LONG_AGO = f"""coalesce(o.urged_at, '-infinity') <= CAST(:now AS timestamptz) - interval '3 days'
    AND o.state NOT IN ({_UNREAD})"""
# Nodes are locked in the order of their transfers, and looked up one by one (`store.WITH_NODE`).
_URGE = _noted(
    "urged",
    f"""
        SELECT i.* FROM (SELECT * FROM asked ORDER BY transfer_id) i
        CROSS JOIN LATERAL (
            SELECT 1 FROM open_nodes o
            WHERE o.transfer_id = i.transfer_id AND {_LONG_AGO}
                AND o.opened_at <= CAST(:now AS timestamptz) - interval '3 days'
                AND EXISTS (
                    SELECT 1 FROM transfers w WHERE w.transfer_id = i.transfer_id
                        AND (w.member_id = i.person_id OR w.initiator_org_id = i.org_id))
            FOR NO KEY UPDATE OF o) o""",
    also=_MARKED,
)
# One item takes in many nodes here: all below the organisation `top_id`.
_URGE_BELOW = _noted(
    "urged",
    f"""
        SELECT i.n, i.transfer_id, i.person_id, i.org_id, i.decision_id, '' AS note
        FROM (
            SELECT DISTINCT ON (o.transfer_id) i.*, o.transfer_id, o.node_no
            FROM asked i
            JOIN org_directory top ON top.org_id = i.top_id
            JOIN org_directory d ON d.path >= top.path AND d.path < rtrim(top.path, '.') || '/'
            CROSS JOIN LATERAL (
                SELECT o.transfer_id, o.node_no FROM open_nodes o
                WHERE o.org_id = d.org_id AND {_LONG_AGO}
                    AND coalesce(o.expires_at, o.opened_at + interval '10 days')
                        <= CAST(:now AS timestamptz) + i.days * interval '1 day'
                OFFSET 0) o
            ORDER BY o.transfer_id, i.n) i
        CROSS JOIN LATERAL (
            SELECT 1 FROM open_nodes o
            WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no AND {_LONG_AGO}
            FOR NO KEY UPDATE) o""",
    UrgedBelow,
    also=_MARKED,
)
# An INSERT returns only what it has inserted, so the number of the item is looked up and the rest is empty.
_ESCALATE = _noted(
    "escalated",
    """
        INSERT INTO escalations AS e (transfer_id, org_id, person_id, note, asked_at)
        SELECT i.transfer_id, i.superior_id, i.person_id, i.note, :now
        FROM asked i JOIN transfers w ON w.transfer_id = i.transfer_id
        WHERE w.state = 'rejected' AND w.member_id = i.person_id
        ORDER BY i.transfer_id
        ON CONFLICT DO NOTHING
        RETURNING (SELECT a.n FROM asked a WHERE a.transfer_id = e.transfer_id LIMIT 1) AS n,
            e.transfer_id, e.person_id, NULL::bigint AS org_id, NULL::uuid AS decision_id, e.note""",
    Escalated,
)
_WAITS = "e.transfer_id = i.transfer_id AND e.org_id = i.org_id AND e.answer = ''"
_ANSWER = _noted(
    "answered",
    f"""
        UPDATE escalations e SET answer = i.answer, answer_note = i.note,
            answered_by = i.person_id, answered_at = :now
        FROM {locked("asked i", "escalations e", _WAITS, "e.transfer_id")} AS i
        WHERE e.transfer_id = i.transfer_id
        RETURNING i.*""",
    Answered,
)
# Looking is no line of the trail: it binds nobody and is forgotten after ten minutes (BEY-23).
_FREE = """o.transfer_id = i.transfer_id AND i.org_id IN (o.org_id, o.superior_id)
        AND (coalesce(o.looked_until, '-infinity') < :now OR o.looked_by = i.person_id)"""
_LOOK = sa.text(f"""
    WITH asked AS (SELECT * FROM {recordset(Look)}),
    free AS (
        SELECT i.*, o.node_no FROM (SELECT * FROM asked ORDER BY transfer_id) i
        CROSS JOIN LATERAL (
            SELECT o.node_no FROM open_nodes o WHERE {_FREE} FOR NO KEY UPDATE) o)
    UPDATE open_nodes o SET
        looked_by = CASE WHEN i.done THEN NULL ELSE i.person_id END,
        looked_until = CASE
            WHEN i.done THEN NULL
            ELSE CAST(:now AS timestamptz) + interval '10 minutes' END
    FROM free i
    WHERE o.transfer_id = i.transfer_id AND o.node_no = i.node_no
        AND o.transfer_id = ANY(ARRAY(SELECT transfer_id FROM free))
    RETURNING i.n, o.transfer_id, o.state, o.node_no""")


def urge(tx: Connection, items: Sequence[Item], now: datetime, stamp: str) -> list[Remarked]:
    """Remind of nodes that have waited three days, each once in three days; return what was reminded of."""
    return db.rows(Remarked, db.run(tx, _URGE, items, now=now, stamp=stamp))


def urge_below(tx: Connection, items: Sequence[UrgedBelow], now: datetime, stamp: str) -> list[Remarked]:
    """Remind of all nodes below `top_id` that are due within `days`; return what was reminded of."""
    return db.rows(Remarked, db.run(tx, _URGE_BELOW, items, now=now, stamp=stamp))


def escalate(tx: Connection, items: Sequence[Escalated], now: datetime, stamp: str) -> list[Remarked]:
    """Hand rejected transfers of the asking members to the organisation `superior_id`, each once."""
    return db.rows(Remarked, db.run(tx, _ESCALATE, items, now=now, stamp=stamp))


def answer(tx: Connection, items: Sequence[Answered], now: datetime, stamp: str) -> list[Remarked]:
    """Answer escalations to the acting organisation, each once."""
    return db.rows(Remarked, db.run(tx, _ANSWER, items, now=now, stamp=stamp))


def look(tx: Connection, items: Sequence[Look], now: datetime) -> list[Remarked]:
    """Take or give back the mark of looking at open nodes, where nobody else has it."""
    return db.rows(Remarked, db.run(tx, _LOOK, items, now=now))


_ESCALATIONS = sa.text("""
    SELECT e.*, t.member_id, t.source_branch_id, t.target_org_id, t.reason, t.end_code, t.end_note
    FROM escalations e JOIN transfers t USING (transfer_id)
    WHERE e.org_id = :org AND (NOT :open_only OR e.answer = '') AND (:reason = '' OR t.reason = :reason)
    ORDER BY CASE WHEN :oldest_first THEN e.asked_at END, e.asked_at DESC
    LIMIT 200""")


def escalations(
    tx: Connection, org_id: int, open_only: bool, reason: str, oldest_first: bool
) -> list[Escalation]:
    """Return what was escalated to an organisation, newest first, or the other way round.

    `reason`: of the transfers, or nothing.
    """
    wanted = {"org": org_id, "open_only": open_only, "reason": reason, "oldest_first": oldest_first}
    rows = tx.execute(_ESCALATIONS, wanted).mappings()
    return [Escalation(**{name: row[name] for name in Escalation.__struct_fields__}) for row in rows]
