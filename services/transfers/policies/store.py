"""The SQL of season policies (BEY-07).

Which policy holds, what it says of nodes, and what happens to open nodes when another is applied to them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.log import log
from services.transfers.policies import calendar, reader
from services.transfers.policies.reader import Policy
from services.transfers.transitions import DEADLINE, WITHDRAW, rule_of
from shared import db
from shared.audit import Entry
from shared.messages.transfers import NodeOpened, PolicyEffect
from shared.outbox import insert, tell
from shared.recordset import columns, recordset

GRACE_HOURS = 72
"""No deadline fires sooner than this after a change that brought it forward (BEY-07)."""

_HOLD = sa.text(
    "INSERT INTO policies (holds_from, key, body) VALUES (:holds_from, :key, :body) ON CONFLICT DO NOTHING"
)
_ACTIVE = sa.text("SELECT key, body FROM policies WHERE holds_from <= :now ORDER BY holds_from DESC LIMIT 1")
_HISTORY = sa.text("SELECT holds_from, key FROM policies ORDER BY holds_from DESC")
_SAME_KEY = sa.text("SELECT body FROM policies WHERE key = :key LIMIT 1")
_RULES = sa.text(f"""
    INSERT INTO node_rules ({columns(calendar.NodeRule)})
    -- in hours, since a day of an interval is not always one of 24 hours (DL-07)
    SELECT policy, state, province, opens_before,
        remind_after * interval '24 hours', remind_every * interval '24 hours',
        expire_after * interval '24 hours', not_before, on_expiry, withdraw, fed_withdraw
    FROM {recordset(calendar.NodeRule)}
    ORDER BY policy, state, province, opens_before
    ON CONFLICT DO NOTHING""")


def hold(tx: Connection, policy: Policy, holds_from: datetime) -> None:
    """Let a policy hold for transfers started from an instant on.

    What was once stored under its key never changes in what it says.

    Raises:
        ValueError: Another text was applied under the same name and version.

    """
    known = tx.scalar(_SAME_KEY, {"key": policy.key})
    if known is not None and replace(reader.parse(known, policy.name), body=policy.body) != policy:
        raise ValueError(f"{policy.key} was applied before with another text; give it a new version")
    save_rules(tx, policy)
    before = next((row.key for row in history(tx)), None)
    done = tx.execute(_HOLD, {"holds_from": holds_from, "key": policy.key, "body": policy.body}).rowcount
    if done:
        applied = Entry(
            kind="policy.applied",
            ref=f"policy {policy.key}",
            before={"policy": before},
            after={"policy": policy.key, "from": holds_from.isoformat()},
        )
        log.append(tx, [applied])


def save_rules(tx: Connection, policy: Policy) -> None:
    """Make what a policy says of nodes known to the statements."""
    db.run(tx, _RULES, calendar.rules(policy))


_KNOWN = sa.text("SELECT DISTINCT key, body FROM policies")


def save_known(tx: Connection) -> None:
    """Make what stored policies say of nodes known, where there are kinds that are newer than they are."""
    for row in tx.execute(_KNOWN).all():
        save_rules(tx, _parsed(row.key, row.body))


def active(tx: Connection, now: datetime) -> Policy:
    """Return the policy that holds for transfers started now.

    Raises:
        LookupError: None was applied yet.

    """
    row = db.prepared(tx, _ACTIVE, now=now).one_or_none()
    if row is None:
        raise LookupError("no policy was applied yet: tuanqiao policy apply national")
    return _parsed(row.key, row.body)


@lru_cache(maxsize=8)
def _parsed(key: str, body: str) -> Policy:
    return reader.parse(body, key.partition("@")[0])


class Held(NamedTuple):
    """Since when a policy holds."""

    holds_from: datetime
    key: str


def history(tx: Connection) -> list[Held]:
    """Return since when which policy holds, newest first."""
    return db.rows(Held, tx.execute(_HISTORY))


_OTHER = f"""
        SELECT o.transfer_id, o.node_no, o.state, o.province, o.opened_at,
            o.expires_at AS was, o.on_expiry AS did, r.on_expiry, r.remind_every,
            o.opened_at + r.remind_after AS remind_at,
            {DEADLINE.format(opened_at="o.opened_at")} AS due,
            {WITHDRAW.format(node_no="o.node_no", peer="t.peer", receipted_at="t.receipted_at")} AS withdraw
        FROM open_nodes o
        JOIN transfers t ON t.transfer_id = o.transfer_id
        LEFT JOIN LATERAL {rule_of("o.province", ":policy", "o.state", "o.opened_at")} AS r ON true"""
"""The open nodes, with what another policy says of each."""
_GRACE_ENDS = f"CAST(:now AS timestamptz) + interval '{GRACE_HOURS} hours'"
_SOONEST = f"""CASE
            WHEN due < coalesce(was, 'infinity') THEN GREATEST(due, LEAST(was, {_GRACE_ENDS}))
            ELSE due END"""
"""A deadline that is brought forward leaves people the grace, but never more than they had."""
_DRY_RUN = sa.text(f"""
    SELECT province, state, count(*)::int AS open,
        (count(*) FILTER (WHERE due IS DISTINCT FROM was))::int AS moved,
        (count(*) FILTER (WHERE due < coalesce(was, 'infinity')))::int AS earlier,
        (count(*) FILTER (WHERE due <= :now))::int AS overdue,
        (count(*) FILTER (WHERE {_SOONEST} <= {_GRACE_ENDS}))::int AS soon,
        (count(*) FILTER (WHERE did IS DISTINCT FROM on_expiry))::int AS other_action
    FROM ({_OTHER}) AS nodes
    GROUP BY province, state ORDER BY province, state""")
_APPLY = sa.text(f"""
    -- a piece of the open nodes, in order of their transfers
    WITH nodes AS MATERIALIZED ({_OTHER}
        WHERE o.transfer_id > :after
        ORDER BY o.transfer_id LIMIT :limit
        FOR NO KEY UPDATE OF o),
    -- their deadlines; by the revision the scheduler forgets what it had been told before
    changed AS (
        UPDATE open_nodes o SET expires_at = {_SOONEST},
            on_expiry = n.on_expiry, withdraw = n.withdraw, revision = o.revision + 1,
            remind_every = n.remind_every,
            remind_at = CASE
                WHEN n.remind_at > :now OR n.remind_every IS NOT NULL THEN GREATEST(n.remind_at, :now) END
        FROM nodes n
        WHERE o.transfer_id = n.transfer_id AND o.node_no = n.node_no
            AND o.transfer_id = ANY(ARRAY(SELECT transfer_id FROM nodes))
        RETURNING o.transfer_id, o.node_no, o.revision, o.remind_at, o.remind_every, o.expires_at),
    -- their later nodes go by this policy, too
    renamed AS (
        UPDATE transfers t SET policy = :policy
        FROM changed c
        WHERE t.transfer_id = c.transfer_id
        RETURNING t.transfer_id),
    told AS ({insert(tell(NodeOpened, "changed", remind_every="extract(epoch FROM remind_every)"))})
    SELECT count(*) AS done, max(transfer_id) AS last,
        count(*) FILTER (WHERE due IS DISTINCT FROM was) AS moved
    FROM nodes""")


def dry_run(tx: Connection, policy: Policy, now: datetime) -> list[PolicyEffect]:
    """Return by province and state what another policy would do to the open nodes if applied to them.

    `moved` have another deadline or none, `earlier` an earlier one, `overdue` one that is past, `soon` one
    that fires within the grace, `other_action` another end. The rules are written for it: the caller rolls
    back.
    """
    save_rules(tx, policy)
    rows = tx.execute(_DRY_RUN, {"policy": policy.key, "now": now})
    return [PolicyEffect(**row._mapping) for row in rows]


class Applied(NamedTuple):
    """How many open nodes were given a policy, the last of their transfers, how many have moved."""

    done: int
    last: int | None
    moved: int


def apply_to_open(
    tx: Connection, policy: Policy, now: datetime, after: int = 0, limit: int = 5000
) -> Applied:
    """Give the next open nodes, in order of their transfers, the deadlines of another policy.

    Returns how many, the last one, and how many have moved. The scheduler is told; a deadline that comes
    forward never fires within the grace of 72 hours.
    """
    given = {"policy": policy.key, "now": now, "after": after, "limit": limit}
    row = Applied._make(tx.execute(_APPLY, given).one())
    if row.done:
        opened = Entry(
            kind="policy.opened",
            ref=f"policy {policy.key}",
            after={"nodes": row.done, "moved": row.moved, "last": row.last},
        )
        log.append(tx, [opened])
    return row
