"""The SQL of edits and deletions, and of where people were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import store
from services.members.store import COHORT, GRADUATES
from shared import db
from shared.messages.members import (
    CadreChanged,
    SessionEnded,
)
from shared.outbox import insert, tell
from shared.recordset import columns, locked, recordset


class Edit(TypedDict):
    """An edit of a person: None leaves a field as it is; what is sealed comes as base64."""

    person_id: int
    phone_sealed: str | None
    ethnic_group: str | None
    joined_on: date | None
    development_number: str | None
    contact_sealed: str | None
    emergency_sealed: str | None
    party: bool | None
    contacted: bool | None
    found: bool | None
    found_on: date


class Deletion(TypedDict):
    """Who is deleted, by whom, for which leading body and why."""

    person_id: int
    reason: str
    deleted_by: int
    deleted_for: int


class Report(TypedDict):
    """A request to delete a person."""

    person_id: int
    cause: str
    explanation: str
    requested_by: int


_EDIT = sa.text(f"""
    -- of sealed values NULL leaves what is there, an empty text clears it
    WITH given AS (
        SELECT * FROM {recordset(Edit)}
    )
    UPDATE people p
    SET phone_sealed = CASE
            WHEN g.phone_sealed = '' THEN NULL
            ELSE coalesce(decode(g.phone_sealed, 'base64'), p.phone_sealed)
        END,
        ethnic_group = coalesce(g.ethnic_group, p.ethnic_group),
        joined_on = coalesce(g.joined_on, p.joined_on),
        development_number = coalesce(g.development_number, p.development_number),
        contact_sealed = CASE
            WHEN g.contact_sealed = '' THEN NULL
            ELSE coalesce(decode(g.contact_sealed, 'base64'), p.contact_sealed)
        END,
        emergency_sealed = CASE
            WHEN g.emergency_sealed = '' THEN NULL
            ELSE coalesce(decode(g.emergency_sealed, 'base64'), p.emergency_sealed)
        END,
        party = coalesce(g.party, p.party),
        to_contact = p.to_contact AND NOT coalesce(g.contacted, false),
        found_on = CASE g.found WHEN true THEN g.found_on WHEN false THEN NULL ELSE p.found_on END
    FROM {locked("given g", "people p", "p.person_id = g.person_id", "p.person_id", of="g.*")} AS g
    WHERE p.person_id = g.person_id""")

_FREE = "p.person_id = g.person_id AND p.reserved_by IS NULL"
_DELETE = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(Deletion)}
    ),
    -- the people, but for those whom a transfer holds
    gone AS (
        DELETE FROM people p
        USING {locked("given g", "people p", _FREE, "p.person_id", of="g.*", all_of_it=True)} AS g
        WHERE p.person_id = g.person_id
        RETURNING p.person_id, p.name, p.id_sealed, p.id_index, p.branch_id, p.joined_on,
            p.development_number, p.graduate, p.graduates_on, g.reason, g.deleted_by, g.deleted_for
    ),
    -- graduates among them count no more
    flagged AS (
        SELECT person_id AS member_id, branch_id, {COHORT.format(on="graduates_on")} AS cohort,
            false AS counts
        FROM gone
        WHERE graduate AND branch_id IS NOT NULL
    ),
    -- what proves later who was deleted, by whom and why
    kept AS (
        INSERT INTO deleted_people (
            person_id, name, id_sealed, id_index, branch_id, joined_on,
            development_number, reason, deleted_at, deleted_by, deleted_for)
        SELECT person_id, name, id_sealed, id_index, branch_id, joined_on,
            development_number, reason, :now, deleted_by, deleted_for
        FROM gone
    ),
    -- the open stay ends; the history stays
    closed AS (
        UPDATE memberships m SET ended_at = :now
        FROM gone g
        WHERE m.person_id = g.person_id AND m.ended_at IS NULL
    ),
    -- nobody signs in with the account again
    accounts_gone AS (
        DELETE FROM accounts a USING gone g WHERE a.person_id = g.person_id
    ),
    -- nor goes on in a session
    sessions_gone AS (
        DELETE FROM sessions s USING gone g
        WHERE s.person_id = g.person_id
        RETURNING s.session_id, s.expires_at AS until
    ),
    -- the requests to delete them are done
    requests_gone AS (
        DELETE FROM deletion_requests r USING gone g WHERE r.person_id = g.person_id
    ),
    -- the posts end, and with them the rights
    resigned AS (
        UPDATE posts p SET ended_at = :now
        FROM gone g
        WHERE p.person_id = g.person_id AND p.ended_at IS NULL
        RETURNING p.org_id, p.person_id, p.post AS was, '' AS post, false AS has_phone,
            nextval('post_version') AS version
    ),
    -- tokens of the ended sessions are refused here at once; the other services hear it by the event
    refused_here AS (
        INSERT INTO ended_sessions (session_id, until)
        SELECT session_id, until FROM sessions_gone
        ORDER BY session_id
        ON CONFLICT DO NOTHING
    ),
    -- the events, in the same transaction
    told AS ({insert(tell(CadreChanged, "resigned"), tell(SessionEnded, "sessions_gone"), GRADUATES)})
    SELECT g.person_id, r.org_id, r.was FROM gone g LEFT JOIN resigned r USING (person_id)""")

_REQUEST_DELETIONS = sa.text(f"""
    INSERT INTO deletion_requests ({columns(Report)}, requested_at)
    SELECT {columns(Report)}, :now
    FROM {recordset(Report)}
    ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET (cause, explanation, requested_by, requested_at) =
        (excluded.cause, excluded.explanation, excluded.requested_by, excluded.requested_at)""")

_WERE = sa.text("""
    SELECT person_id, branch_id FROM memberships
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
        AND began_at < :at AND (ended_at IS NULL OR ended_at >= :at)""")


def edit(tx: Connection, rows: Sequence[Edit]) -> None:
    """Change what is given of people."""
    db.run(tx, _EDIT, rows)


def delete(tx: Connection, rows: Sequence[Deletion], now: datetime) -> set[int]:
    """Take people out of the register and keep what is needed to prove it; return who is gone.

    Those whom a transfer holds stay (DEL-08, DEL-11).
    """
    gone = db.run(tx, _DELETE, rows, now=now).all() if rows else []
    store.log_resigned(tx, [row for row in gone if row.org_id is not None], "deleted")
    return {row.person_id for row in gone}


def request_deletions(tx: Connection, rows: Sequence[Report], now: datetime) -> None:
    """Store requests to delete people, each in place of the person's earlier one (DEL-06)."""
    if rows:
        db.run(tx, _REQUEST_DELETIONS, rows, now=now)


def were(tx: Connection, person_ids: Sequence[int], at: datetime) -> dict[int, int]:
    """Return the branches in which people were right before an instant."""
    return {
        row.person_id: row.branch_id for row in tx.execute(_WERE, {"ids": sorted(set(person_ids)), "at": at})
    }
