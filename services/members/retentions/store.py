"""The SQL of the register of who stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db

_REQUEST = sa.text("""
    -- conflicts are a repeated command, or a member with another one requested or approved
    INSERT INTO retentions (
        command_id, member_id, branch_id, kind, since, until, place, contact_name,
        contact_phone_sealed, reason, state, requested_by, requested_at)
    SELECT command_id, member_id, branch_id, kind, since, until, place, contact_name,
        decode(contact_phone_sealed, 'base64'), reason, 'requested', requested_by, :now
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        command_id uuid, member_id bigint, branch_id bigint, kind text, since date, until date, place text,
        contact_name text, contact_phone_sealed text, reason text, requested_by bigint)
    ORDER BY member_id
    ON CONFLICT DO NOTHING
    RETURNING command_id, retention_id""")

_BY_COMMAND = sa.text("""
    SELECT command_id, retention_id, state, requested_by FROM retentions
    WHERE command_id = ANY(CAST(:ids AS uuid[]))""")

_HOLD = sa.text("""
    SELECT * FROM retentions
    WHERE retention_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY retention_id
    FOR UPDATE""")

_DECIDE = sa.text("""
    -- where the state stays, this is a report only, and the decision keeps its author and its time
    UPDATE retentions r
    SET state = i.state, note = CASE WHEN i.note = '' THEN r.note ELSE i.note END,
        reports = CASE WHEN i.report = '' THEN r.reports ELSE r.reports || i.report END,
        decided_by = CASE WHEN i.state = r.state THEN r.decided_by ELSE i.decided_by END,
        decided_at = CASE WHEN i.state = r.state THEN r.decided_at ELSE :now END
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        retention_id bigint, state text, note text, report text, decided_by bigint)
    WHERE r.retention_id = i.retention_id""")

_REGISTER = sa.text("""
    SELECT r.*, p.name
    FROM org_directory d
    JOIN retentions r ON r.branch_id = d.org_id
    JOIN people p ON p.person_id = r.member_id
    WHERE d.path >= :path AND d.path < :path_end AND r.retention_id > :after
        AND (:kind = '' OR r.kind = :kind)
    ORDER BY r.retention_id
    LIMIT :limit""")

_OWN = sa.text("""
    SELECT r.*, p.name
    FROM retentions r JOIN people p ON p.person_id = r.member_id
    WHERE r.member_id = :person
    ORDER BY r.retention_id DESC
    LIMIT 20""")


def request(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> dict[Any, int]:
    """Store requests and return the new ones by command.

    A repeated one, or a second one of a member, changes nothing.
    """
    return {row.command_id: row.retention_id for row in db.run(tx, _REQUEST, rows, now=now)} if rows else {}


def by_command(tx: Connection, command_ids: Iterable[Any]) -> dict[Any, sa.Row[Any]]:
    """Return retentions by the command that asked for them."""
    return {
        row.command_id: row for row in tx.execute(_BY_COMMAND, {"ids": [str(one) for one in command_ids]})
    }


def hold(tx: Connection, ids: Iterable[int]) -> dict[int, sa.Row[Any]]:
    """Return retentions, held until the transaction ends."""
    return {row.retention_id: row for row in tx.execute(_HOLD, {"ids": sorted(set(ids))})}


def decide(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store decisions and reports on held retentions."""
    db.run(tx, _DECIDE, rows, now=now)


def register(tx: Connection, path: str, kind: str, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Return the register of a subtree."""
    return tx.execute(
        _REGISTER, {"path": path, "path_end": path[:-1] + "/", "kind": kind, "after": after, "limit": limit}
    ).all()


def own(tx: Connection, person_id: int) -> Sequence[sa.Row[Any]]:
    """Return a person's own entries, newest first."""
    return tx.execute(_OWN, {"person": person_id}).all()
