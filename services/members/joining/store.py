"""The SQL of registration codes and self-registrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.log import log
from shared import db
from shared.audit import Entry
from shared.recordset import columns, locked, recordset


class NewCode(TypedDict):
    """A registration code by its keyed hash, as base64."""

    org_id: int
    code_index: str
    expires_at: datetime | None
    issued_by: int


class Code(NamedTuple):
    """The organisation of a registration code."""

    org_id: int
    name: str
    kind: str
    system: str


class Registration(NamedTuple):
    """A person's own registration, with the person."""

    registration_id: int
    person_id: int
    org_id: int
    post: str
    state: str
    note: str
    asked_at: datetime
    expires_at: datetime
    name: str
    id_sealed: bytes
    phone_sealed: bytes | None
    joined_on: date | None
    branch_id: int | None


class Settled(TypedDict):
    """What became of a registration."""

    registration_id: int
    state: str
    note: str
    decided_by: int


class Joined(TypedDict):
    """An applicant who goes into a branch."""

    person_id: int
    branch_id: int


_ISSUE = sa.text(f"""
    INSERT INTO registration_codes ({columns(NewCode)}, issued_at)
    SELECT {columns(NewCode, code_index="decode(code_index, 'base64')")}, :now
    FROM {recordset(NewCode)}
    ORDER BY org_id
    ON CONFLICT (org_id) DO UPDATE SET (code_index, expires_at, issued_by, issued_at, spent_by, spent_at) =
        (excluded.code_index, excluded.expires_at, excluded.issued_by, excluded.issued_at, NULL, NULL)""")

_ORGS_OF_CODE = sa.text("SELECT org_id FROM registration_codes WHERE code_index = :code")

_HOLD_CODE = sa.text("""
    SELECT c.*, o.name, o.kind, o.system
    FROM registration_codes c JOIN org_directory o USING (org_id)
    WHERE code_index = :code AND spent_by IS NULL AND (expires_at IS NULL OR expires_at > :now)
        AND NOT o.deleted
    FOR UPDATE OF c""")

_SPEND = sa.text("""
    UPDATE registration_codes SET spent_by = :person, spent_at = :now
    WHERE code_index = :code AND spent_by IS NULL""")

_SPENDERS = "json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)"
_SPENT = "c.org_id = i.org_id AND c.spent_by = i.person_id"
_GIVE_BACK = sa.text(f"""
    UPDATE registration_codes c SET spent_by = NULL, spent_at = NULL
    FROM {locked(_SPENDERS, "registration_codes c", _SPENT, "c.org_id")} AS i
    WHERE c.org_id = i.org_id""")


def issue_codes(tx: Connection, rows: Sequence[NewCode], now: datetime) -> None:
    """Store registration codes by their keyed hashes (ADM-13).

    Each takes the place of the organisation's earlier one.
    """
    db.run(tx, _ISSUE, rows, now=now)


def orgs_of_code(tx: Connection, code: bytes) -> list[int]:
    """Return the organisation of a code, spent ones too; none for what is no code."""
    return list(tx.scalars(_ORGS_OF_CODE, {"code": code}))


def hold_code(tx: Connection, code: bytes, now: datetime) -> Code | None:
    """Return the organisation of an unspent code, which is held until the transaction ends."""
    return db.row(Code, tx.execute(_HOLD_CODE, {"code": code, "now": now}))


def spend_code(tx: Connection, code: bytes, person_id: int, now: datetime) -> None:
    """Use a code up (ADM-09)."""
    tx.execute(_SPEND, {"code": code, "person": person_id, "now": now})


def give_back(tx: Connection, items: Sequence[Any]) -> None:
    """Make codes good again whose right could not be given (ADM-11)."""
    db.run(tx, _GIVE_BACK, items)


_ASK = sa.text("""
    -- an index lets a person have one pending registration only
    INSERT INTO registrations (person_id, org_id, post, state, asked_at, expires_at)
    VALUES (:person, :org, :post, 'pending', :now, :expires)
    ON CONFLICT DO NOTHING
    RETURNING registration_id""")

_LISTED = """
    SELECT r.*, p.name, p.id_sealed, p.phone_sealed, p.joined_on, p.branch_id
    FROM registrations r JOIN people p USING (person_id)"""

_HOLD = sa.text(f"""{_LISTED}
    WHERE registration_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY registration_id
    FOR UPDATE OF r""")

_SETTLE = sa.text(f"""
    UPDATE registrations r
    SET state = i.state, note = i.note, decided_at = :now, decided_by = i.decided_by
    FROM {recordset(Settled)}
    WHERE r.registration_id = i.registration_id AND r.state = 'pending'""")

_EXPIRE = sa.text("""
    UPDATE registrations SET state = 'expired', decided_at = :now
    WHERE registration_id = ANY(ARRAY(
        SELECT registration_id FROM registrations
        WHERE state = 'pending' AND expires_at <= :now
        ORDER BY registration_id
        FOR NO KEY UPDATE))
    RETURNING registration_id, org_id, person_id""")

_WAITING = sa.text(f"""{_LISTED}
    WHERE r.org_id = :org AND r.state = 'pending' AND (:name = '' OR strpos(p.name, :name) > 0)
    ORDER BY registration_id
    LIMIT 500""")

_OWN = sa.text(f"{_LISTED} WHERE r.person_id = :person ORDER BY registration_id DESC LIMIT 50")

_NOWHERE = "p.person_id = g.person_id AND p.branch_id IS NULL"
_JOIN = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(Joined)}
    ),
    joined AS (
        UPDATE people p SET branch_id = g.branch_id
        FROM {locked("given g", "people p", _NOWHERE, "p.person_id", of="g.*")} AS g
        WHERE p.person_id = g.person_id
        RETURNING p.person_id, p.branch_id
    )
    INSERT INTO memberships (person_id, began_at, branch_id)
    SELECT person_id, :now, branch_id FROM joined""")


def ask(
    tx: Connection, person_id: int, org_id: int, post: str, now: datetime, expires: datetime
) -> int | None:
    """Store a registration and return its id; None if one of the person is pending already."""
    made: int | None = tx.execute(
        _ASK, {"person": person_id, "org": org_id, "post": post, "now": now, "expires": expires}
    ).scalar_one_or_none()
    return made


def hold(tx: Connection, ids: Iterable[int]) -> dict[int, Registration]:
    """Return registrations with their persons, held until the transaction ends."""
    rows = db.rows(Registration, tx.execute(_HOLD, {"ids": sorted(set(ids))}))
    return {row.registration_id: row for row in rows}


def settle(tx: Connection, rows: Sequence[Settled], now: datetime) -> None:
    """Store what became of pending registrations."""
    db.run(tx, _SETTLE, rows, now=now)


def join(tx: Connection, rows: Sequence[Joined], now: datetime) -> None:
    """Put accepted applicants into their branches and begin their stays (REG-03)."""
    db.run(tx, _JOIN, rows, now=now)


def expire(tx: Connection, now: datetime) -> int:
    """End registrations that nobody decided in time (REG-04); return how many."""
    rows = tx.execute(_EXPIRE, {"now": now}).all()
    log.append(
        tx,
        [
            Entry(
                kind="registration.expired",
                place_id=row.org_id,
                persons=[row.person_id],
                ref=f"registration {row.registration_id}",
            )
            for row in rows
        ],
    )
    return len(rows)


def waiting(tx: Connection, org_id: int, name: str) -> list[Registration]:
    """Return the pending registrations of an organisation, oldest first (REG-07).

    `name`: a part of the name of who asks, or nothing.
    """
    return db.rows(Registration, tx.execute(_WAITING, {"org": org_id, "name": name}))


def own(tx: Connection, person_id: int) -> list[Registration]:
    """Return a person's registrations, newest first."""
    return db.rows(Registration, tx.execute(_OWN, {"person": person_id}))
