"""The SQL of the register of who stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple, TypedDict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.messages.members import ListRetentions
from shared.recordset import Uuid, recordset


class Request(TypedDict):
    """A request that a member may stay; the telephone number is sealed and comes as base64."""

    command_id: Uuid
    member_id: int
    branch_id: int
    kind: str
    since: date
    until: date
    place: str
    contact_name: str
    contact_phone_sealed: str | None
    reason: str
    requested_by: int


class Asked(NamedTuple):
    """What a command has asked for, and how that stands."""

    command_id: UUID
    retention_id: int
    state: str
    requested_by: int


class Held(NamedTuple):
    """An entry of the register that is decided on."""

    retention_id: int
    member_id: int
    branch_id: int
    state: str


class Decision(TypedDict):
    """What is said of an entry; an empty note or report says nothing."""

    retention_id: int
    state: str
    note: str
    report: str
    decided_by: int


class Retention(NamedTuple):
    """An entry of the register, with the member's name."""

    retention_id: int
    member_id: int
    branch_id: int
    kind: str
    since: date
    until: date
    place: str
    contact_name: str
    contact_phone_sealed: bytes | None
    reason: str
    state: str
    note: str
    reports: list[str]
    name: str


_REQUEST = sa.text(f"""
    -- conflicts are a repeated command, or a member with another one requested or approved
    INSERT INTO retentions (
        command_id, member_id, branch_id, kind, since, until, place, contact_name,
        contact_phone_sealed, reason, state, requested_by, requested_at)
    SELECT command_id, member_id, branch_id, kind, since, until, place, contact_name,
        decode(contact_phone_sealed, 'base64'), reason, 'requested', requested_by, :now
    FROM {recordset(Request)}
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

_DECIDE = sa.text(f"""
    -- where the state stays, this is a report only, and the decision keeps its author and its time
    UPDATE retentions r
    SET state = i.state, note = CASE WHEN i.note = '' THEN r.note ELSE i.note END,
        reports = CASE WHEN i.report = '' THEN r.reports ELSE r.reports || i.report END,
        decided_by = CASE WHEN i.state = r.state THEN r.decided_by ELSE i.decided_by END,
        decided_at = CASE WHEN i.state = r.state THEN r.decided_at ELSE :now END
    FROM {recordset(Decision)}
    WHERE r.retention_id = i.retention_id""")

_REGISTER = {
    sort: sa.text(f"""
    SELECT r.*, p.name
    FROM org_directory d
    JOIN retentions r ON r.branch_id = d.org_id
    JOIN people p ON p.person_id = r.member_id
    WHERE d.path >= :path AND d.path < :path_end AND {after}
        -- of who has left the old branch finds the stay, and nothing else (FED-12)
        AND NOT EXISTS (SELECT 1 FROM org_directory h WHERE h.org_id = p.branch_id AND h.system <> 'national')
        AND (:kind = '' OR r.kind = :kind) AND (:state = '' OR r.state = :state)
        AND (:name = '' OR starts_with(p.name, :name))
    ORDER BY {order}
    LIMIT :limit""")
    for sort, after, order in (
        ("", "r.retention_id > :after", "r.retention_id"),
        (
            "until",
            "(:after = 0 OR (r.until, r.retention_id) > "
            "(SELECT a.until, a.retention_id FROM retentions a WHERE a.retention_id = :after))",
            "r.until, r.retention_id",
        ),
        (
            "-until",
            "(:after = 0 OR (r.until, r.retention_id) < "
            "(SELECT a.until, a.retention_id FROM retentions a WHERE a.retention_id = :after))",
            "r.until DESC, r.retention_id DESC",
        ),
    )
}
"""The register, by what it is sorted by."""

_OWN = sa.text("""
    SELECT r.*, p.name
    FROM retentions r JOIN people p ON p.person_id = r.member_id
    WHERE r.member_id = :person
    ORDER BY r.retention_id DESC
    LIMIT 20""")


def request(tx: Connection, rows: Sequence[Request], now: datetime) -> dict[UUID, int]:
    """Store requests and return the new ones by command.

    A repeated one, or a second one of a member, changes nothing.
    """
    return {row.command_id: row.retention_id for row in db.run(tx, _REQUEST, rows, now=now)} if rows else {}


def by_command(tx: Connection, command_ids: Iterable[UUID]) -> dict[UUID, Asked]:
    """Return retentions by the command that asked for them."""
    rows = db.rows(Asked, tx.execute(_BY_COMMAND, {"ids": [str(one) for one in command_ids]}))
    return {row.command_id: row for row in rows}


def hold(tx: Connection, ids: Iterable[int]) -> dict[int, Held]:
    """Return retentions, held until the transaction ends."""
    return {row.retention_id: row for row in db.rows(Held, tx.execute(_HOLD, {"ids": sorted(set(ids))}))}


def decide(tx: Connection, rows: Sequence[Decision], now: datetime) -> None:
    """Store decisions and reports on held retentions."""
    db.run(tx, _DECIDE, rows, now=now)


def register(tx: Connection, path: str, request: ListRetentions, limit: int) -> list[Retention]:
    """Return a page of the register of a subtree; what it cannot be sorted by leaves it in its order."""
    wanted = {
        "path": path,
        "path_end": path[:-1] + "/",
        "kind": request.kind,
        "state": request.state,
        "name": request.name.strip(),
        "after": request.after,
        "limit": limit,
    }
    return db.rows(Retention, tx.execute(_REGISTER.get(request.sort, _REGISTER[""]), wanted))


def own(tx: Connection, person_id: int) -> list[Retention]:
    """Return a person's own entries, newest first."""
    return db.rows(Retention, tx.execute(_OWN, {"person": person_id}))
