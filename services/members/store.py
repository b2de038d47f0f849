"""The only SQL of the members service that several of its folders share.

The three statements of the saga come first; each is one round trip for any number of members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain
from services.members.domain import NewPerson
from services.members.log import log, post_entries
from services.members.sessions import Ended
from shared import clock, db
from shared.messages.members import (
    CadreChanged,
    DeletionRefused,
    GraduateChanged,
    MemberMoved,
    MemberReserved,
    ReservationRefused,
)
from shared.outbox import insert, tell
from shared.recordset import columns, locked, recordset

NUMBER_FROM = (
    f"CASE WHEN {{province}} = '{domain.XINJIANG}' THEN date '{domain.number_from(domain.XINJIANG)}'"
    f" ELSE date '{domain.number_from()}' END"
)
"""From which joining date a development number is needed, by the province of the branch (MEM-08)."""

# ---- the saga ----------------------------------------------------------------------------------------------

_MAY_GO_ABROAD = """EXISTS (
                SELECT 1 FROM retentions r
                WHERE r.member_id = p.person_id AND r.kind = 'abroad' AND r.state = 'approved')"""
"""The school has approved that the person `p` stays with it while studying abroad (GRAD-29, GRAD-33)."""
_FREE = f"""p.person_id = i.member_id AND p.branch_id = i.source_branch_id AND p.reserved_by IS NULL
            AND (coalesce(i.reason_kind, 'any') = 'any'
                OR (i.reason_kind IN ('graduate', 'abroad')) = p.graduate)
            AND (i.reason_kind IS DISTINCT FROM 'outward' OR p.mark IN ('delayed', 'teacher'))
            AND (i.reason_kind IS DISTINCT FROM 'abroad' OR {_MAY_GO_ABROAD})"""
_RESERVE = sa.text(f"""
    WITH asked AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
            transfer_id bigint, member_id bigint, source_branch_id bigint, target_org_id bigint,
            reason_kind text)
    ),
    -- members who are free and where the request says, and whose reason fits
    held AS (
        UPDATE people p SET reserved_by = i.transfer_id, reserved_target_id = i.target_org_id
        FROM {locked("asked i", "people p", _FREE, "p.person_id")} AS i
        WHERE p.person_id = i.member_id
        RETURNING i.transfer_id, i.member_id, p.name, p.identity_check
    ),
    -- all the rest, as they were before this statement, to say why
    others AS (
        SELECT i.*, p.person_id, p.branch_id, p.reserved_by, p.graduate, p.mark, p.name, p.identity_check
        FROM asked i LEFT JOIN people p ON p.person_id = i.member_id
        WHERE i.transfer_id NOT IN (SELECT transfer_id FROM held)
    ),
    -- held now, or held by an earlier copy of the same message
    reserved AS (
        SELECT transfer_id, member_id, name, identity_check FROM held
        UNION ALL
        SELECT transfer_id, member_id, name, identity_check FROM others WHERE reserved_by = transfer_id
    ),
    -- the first reason that applies; the last one is for members taken by another transfer in this very
    -- moment, so that they are not held and yet look free
    refused AS (
        SELECT transfer_id, member_id,
            CASE
                WHEN person_id IS NULL THEN 'unknown_member'
                WHEN branch_id IS DISTINCT FROM source_branch_id THEN 'member_elsewhere'
                WHEN reserved_by IS NOT NULL THEN 'transfer_open'
                WHEN graduate AND reason_kind NOT IN ('graduate', 'abroad', 'any')
                    THEN 'graduate_reason_needed'
                WHEN NOT graduate AND reason_kind IN ('graduate', 'abroad')
                    THEN 'ordinary_reason_needed'
                WHEN reason_kind = 'outward' AND mark NOT IN ('delayed', 'teacher')
                    THEN 'drop_out_needed'
                WHEN reason_kind = 'abroad' THEN 'abroad_request_missing'
                ELSE 'transfer_open'
            END AS code
        FROM others
        WHERE reserved_by IS DISTINCT FROM transfer_id
    )
    {insert(tell(MemberReserved, "reserved"), tell(ReservationRefused, "refused"))}""")

_HELD = "p.person_id = i.member_id AND p.reserved_by = i.transfer_id"
_MOVE = sa.text(f"""
    -- floats says that the target is a mobile branch, where graduates stay graduates
    WITH asked AS (
        SELECT i.*, coalesce(o.purpose = 'floating', false) AS floats, coalesce(o.path, '') AS path,
            {NUMBER_FROM.format(province="o.province")} AS number_from,
            coalesce(o.system <> 'national', false) AS leaves
        FROM json_to_recordset(CAST(:items AS json)) AS i(
            transfer_id bigint, member_id bigint, branch_id bigint, at timestamptz)
        LEFT JOIN org_directory o ON o.org_id = i.branch_id
    ),
    -- only members whom this transfer holds, so a repeated message moves nobody twice
    arrived AS (
        UPDATE people p
        SET branch_id = i.branch_id, reserved_by = NULL, reserved_target_id = NULL,
            graduate = p.graduate AND i.floats,
            graduates_on = CASE WHEN i.floats THEN p.graduates_on END,
            mark = '', mark_reason = '', to_contact = true, found_on = NULL, number_from = i.number_from
        FROM {locked("asked i", "people p", _HELD, "p.person_id")} AS i
        WHERE p.person_id = i.member_id
        RETURNING i.*
    ),
    -- the old stay, with the path of the new branch
    closed AS (
        UPDATE memberships m SET ended_at = a.at
        FROM arrived a
        WHERE m.person_id = a.member_id AND m.ended_at IS NULL
        RETURNING m.person_id, m.branch_id, m.ended_at, a.path, a.leaves
    ),
    -- posts in the old branch, and in what stands above it but not above the new one; the dots around an
    -- id keep 12 from being found in 312; of who goes to another system all of them
    resigned AS (
        UPDATE posts p SET ended_at = c.ended_at
        FROM closed c
        WHERE p.person_id = c.person_id AND p.ended_at IS NULL
            AND (c.leaves OR p.org_id = c.branch_id
                OR (strpos('.' || c.path, '.' || p.org_id || '.') = 0
                    AND strpos(
                        (SELECT '.' || old.path FROM org_directory old WHERE old.org_id = c.branch_id),
                        '.' || p.org_id || '.') > 0))
        RETURNING p.org_id, p.person_id, p.post AS was, '' AS post, false AS has_phone,
            nextval('post_version') AS version
    ),
    -- the new stay; the count is always true and only makes PostgreSQL close the old one first
    begun AS (
        INSERT INTO memberships (person_id, began_at, branch_id, transfer_id)
        SELECT member_id, at, branch_id, transfer_id FROM arrived
        WHERE (SELECT count(*) FROM closed) >= 0
    ),
    -- moved now, or by an earlier copy of the same message
    moved AS (
        SELECT transfer_id, member_id, branch_id FROM arrived
        UNION ALL
        SELECT i.transfer_id, i.member_id, i.branch_id
        FROM asked i JOIN memberships m ON m.person_id = i.member_id AND m.transfer_id = i.transfer_id
    ),
    -- the events, in the same transaction
    told AS ({insert(tell(MemberMoved, "moved"), tell(CadreChanged, "resigned"))})
    SELECT org_id, person_id, was FROM resigned""")

_ENDED = "json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint, member_id bigint)"
_RELEASE = sa.text(f"""
    UPDATE people p SET reserved_by = NULL, reserved_target_id = NULL
    FROM {locked(_ENDED, "people p", _HELD, "p.person_id")} AS i
    WHERE p.person_id = i.member_id""")


def reserve(tx: Connection, items: Sequence[Any]) -> None:
    """Hold members for transfers, each for one only, and tell which were held (TRF-02, MEM-01).

    It is also told which were not, and why. Graduates leave with one of the eight reasons
    (GRAD-15); everybody else, delayed graduates and teachers included, with an ordinary one
    (GRAD-17), so that the reason alone says whether a transfer counts as a graduate hand-over. Only
    members whose request was approved go into the study-abroad branch (GRAD-33); a student who
    leaves the schools for elsewhere has dropped out and says so (TYPE-21).
    """
    db.run(tx, _RESERVE, items)


def move(tx: Connection, items: Sequence[Any]) -> None:
    """Move held members once: close the old stay and begin the new one (TRF-35, BEY-09).

    A repeated message is only answered again. Graduates who only go into the mobile branch of their
    own school stay graduates, who have yet to leave (TYPE-05). A post in the old branch, or in an
    organisation above it that is not above the new branch as well, ends, and with it the right to
    administer there (ADM-18). Posts elsewhere stay as they are (CADRE-02).

    Counting `closed` makes PostgreSQL close before it begins; left alone it may begin first and
    break `uq_memberships_one_open`.
    """
    log_resigned(tx, db.run(tx, _MOVE, items).all(), "moved")


def log_resigned(tx: Connection, rows: Sequence[Any], why: str) -> None:
    """Write posts that ended with the membership into the audit log.

    Nobody is behind that but the move or the deletion.
    """
    log.append(
        tx,
        post_entries(
            [
                {"org_id": row.org_id, "person_id": row.person_id, "post": "", "changed_by": None, "ref": why}
                for row in rows
            ],
            {(row.org_id, row.person_id): row.was for row in rows},
        ),
    )


def release(tx: Connection, items: Sequence[Any]) -> None:
    """Let members go whose transfer ended without a move (TRF-25)."""
    db.run(tx, _RELEASE, items)


_REFUSE_DELETIONS = sa.text(f"""
    WITH kept AS (
        SELECT o.org_id FROM org_directory o
        WHERE o.org_id = ANY(CAST(:ids AS bigint[])) AND o.deleted
            AND EXISTS (SELECT 1 FROM people p WHERE p.branch_id = o.org_id)
    )
    {insert(tell(DeletionRefused, "kept"))}""")


_HOLD_BATCH = sa.text(f"""
    SELECT person_id, branch_id, reserved_by, graduate, mark, {_MAY_GO_ABROAD} AS may_go_abroad
    FROM people p
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id
    FOR UPDATE""")


def hold_people(tx: Connection, ids: Iterable[int]) -> dict[int, domain.Standing]:
    """Return where people are and what holds them, and keep it so until the transaction ends."""
    rows = tx.execute(_HOLD_BATCH, {"ids": sorted(set(ids))})
    return {person_id: domain.Standing(*standing) for person_id, *standing in rows}


def refuse_deletions(tx: Connection, org_ids: Iterable[int]) -> None:
    """Tell of those of the organisations that are deleted and have members (DEL-03)."""
    db.prepared(tx, _REFUSE_DELETIONS, ids=sorted(set(org_ids)))


_THIS_YEAR = f"extract(year FROM {clock.day_sql('CAST(:now AS timestamptz)')})::int"
COHORT = f"coalesce(extract(year FROM {{on}})::int, {_THIS_YEAR})"
GRADUATES = tell(
    GraduateChanged, "flagged", at="CAST(:now AS timestamptz)", version="nextval('graduate_version')"
)
"""What is told of people whose standing as graduates has changed.

It reads the CTE `flagged`, which has member, cohort, branch and whether they count.
"""


# ---- people ------------------------------------------------------------------------------------------------


class Person(NamedTuple):
    """A person as stored; what is sealed or an index is bytes, as the driver gives them."""

    person_id: int
    name: str
    id_sealed: bytes
    id_index: bytes
    phone_sealed: bytes | None
    ethnic_group: str
    joined_on: date | None
    development_number: str
    number_from: date
    born_on: date | None
    found_on: date | None
    contact_sealed: bytes | None
    emergency_sealed: bytes | None
    party: bool
    to_contact: bool
    branch_id: int | None
    reserved_by: int | None
    reserved_target_id: int | None
    graduate: bool
    graduates_on: date | None
    mark: str
    mark_reason: str
    identity_check: str
    complete: bool


class Elsewhere(NamedTuple):
    """A stay in a branch of another system, by its full name, as a record told of it."""

    branch: str
    since: date
    until: date | None


class Stay(NamedTuple):
    """A stay in a branch, and the transfer with which it began."""

    branch_id: int
    began_at: datetime
    ended_at: datetime | None
    transfer_id: int | None


_BY_INDEX = sa.text("SELECT * FROM people WHERE id_index = :index")
_BY_IDS = sa.text("SELECT * FROM people WHERE person_id = ANY(CAST(:ids AS bigint[]))")
_OF_BRANCH = sa.text("""
    SELECT * FROM people
    WHERE branch_id = :branch AND person_id > :after
        -- who stands in another system is none of our members (FED-12)
        AND NOT EXISTS (SELECT 1 FROM org_directory WHERE org_id = :branch AND system <> 'national')
    ORDER BY person_id
    LIMIT :limit""")
_STAYS = sa.text("SELECT * FROM memberships WHERE person_id = :person ORDER BY began_at DESC")
_ELSEWHERE = sa.text(
    "SELECT branch, since, until FROM stays_elsewhere WHERE person_id = :person ORDER BY number DESC"
)
_PENDING = """EXISTS (
            SELECT 1 FROM registrations r
            WHERE r.person_id = p.person_id AND r.state = 'pending')"""
_CLAIMED = """(p.branch_id IS NULL
            AND EXISTS (SELECT 1 FROM registrations r WHERE r.person_id = p.person_id)
            AND NOT EXISTS (
                SELECT 1 FROM registrations r
                WHERE r.person_id = p.person_id AND r.state = 'accepted')
            AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.person_id = p.person_id)
            AND NOT EXISTS (
                SELECT 1 FROM posts o WHERE o.person_id = p.person_id AND o.ended_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM administrator_directory a WHERE a.person_id = p.person_id))"""
"""Of somebody whom nobody but an own registration names."""
_KNOWN = sa.text(f"""
    SELECT p.id_index, p.person_id, p.name, p.branch_id, {_PENDING} AS pending, {_CLAIMED} AS claimed
    FROM people p
    WHERE id_index = ANY(:indexes)""")
_USED_NUMBERS = sa.text(f"""
    SELECT development_number, person_id, {_CLAIMED} AS claimed FROM people p
    WHERE development_number = ANY(:numbers) AND development_number <> ''""")
_THEIRS = f"p.id_index = decode(g.id_index, 'base64') AND {_CLAIMED} AND NOT {_PENDING}"
_TAKE = sa.text(f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(name text, id_index text)
    )
    -- what stood under another name was said of somebody else
    UPDATE people p
    SET name = g.name,
        phone_sealed = CASE WHEN p.name = g.name THEN p.phone_sealed END,
        contact_sealed = CASE WHEN p.name = g.name THEN p.contact_sealed END,
        emergency_sealed = CASE WHEN p.name = g.name THEN p.emergency_sealed END,
        ethnic_group = CASE WHEN p.name = g.name THEN p.ethnic_group ELSE '' END,
        joined_on = CASE WHEN p.name = g.name THEN p.joined_on END,
        development_number = CASE WHEN p.name = g.name THEN p.development_number ELSE '' END,
        identity_check = CASE WHEN p.name = g.name THEN p.identity_check ELSE 'unchecked' END
    FROM {locked("given g", "people p", _THEIRS, "p.person_id", of="g.*, p.person_id")} AS g
    WHERE p.person_id = g.person_id
    RETURNING p.person_id""")

# Two statements, since whoever signs in holds the account before the sessions.
_AFRESH = sa.text("""
    UPDATE accounts SET password_hash = NULL, changed_at = NULL, initial_tail = :tail
    WHERE person_id = ANY(CAST(:people AS bigint[]))""")
_END_ALL_SESSIONS = sa.text("""
    DELETE FROM sessions WHERE person_id = ANY(CAST(:people AS bigint[]))
    RETURNING session_id, expires_at""")
_TAKEN_NUMBER = f"p.development_number = g.number AND {_CLAIMED}"
_TAKE_NUMBERS = sa.text(f"""
    WITH given AS (
        SELECT unnest(CAST(:numbers AS text[])) AS number
    )
    UPDATE people p SET development_number = ''
    FROM {locked("given g", "people p", _TAKEN_NUMBER, "p.person_id", of="p.person_id")} AS g
    WHERE p.person_id = g.person_id""")
_ID = "coalesce(person_id, nextval(pg_get_serial_sequence('people', 'person_id')))"
_OPENED = {name: f"decode({name}, 'base64')" for name in ("id_sealed", "id_index", "phone_sealed")}
_ADD = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(NewPerson)}
    ),
    -- the people, but for those who are there already, as the blind index shows
    made AS (
        INSERT INTO people ({columns(NewPerson)})
        SELECT {columns(NewPerson, person_id=_ID, **_OPENED)}
        FROM given
        ORDER BY id_index
        ON CONFLICT DO NOTHING
        RETURNING person_id, id_index, branch_id
    ),
    -- their first stays
    begun AS (
        INSERT INTO memberships (person_id, began_at, branch_id)
        SELECT person_id, :now, branch_id FROM made WHERE branch_id IS NOT NULL
    ),
    -- their accounts
    opened AS (
        INSERT INTO accounts (person_id, password_hash, initial_tail)
        SELECT person_id, CAST(:password_hash AS text), :tail FROM made WHERE :accounts
    )
    SELECT person_id, id_index FROM made""")
_FOUND = "p.id_index = decode(g.id_index, 'base64') AND p.name = g.name AND p.branch_id IS NULL"
_ATTACH = sa.text(f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
            name text, id_index text, phone_sealed text, ethnic_group text,
            joined_on date, development_number text, branch_id bigint)
    ),
    attached AS (
        UPDATE people p
        SET branch_id = g.branch_id, joined_on = coalesce(g.joined_on, p.joined_on),
            phone_sealed = coalesce(decode(g.phone_sealed, 'base64'), p.phone_sealed),
            ethnic_group = CASE WHEN g.ethnic_group = '' THEN p.ethnic_group ELSE g.ethnic_group END,
            development_number =
                CASE WHEN g.development_number = '' THEN p.development_number ELSE g.development_number END
        FROM {locked("given g", "people p", _FOUND, "p.person_id", of="g.*, p.person_id")} AS g
        WHERE p.person_id = g.person_id
        RETURNING p.person_id, p.id_index, p.branch_id
    ),
    begun AS (
        INSERT INTO memberships (person_id, began_at, branch_id)
        SELECT person_id, :now, branch_id FROM attached
    )
    SELECT person_id, id_index FROM attached""")
_SKIP_IDS = sa.text("""
    SELECT setval(sequence, CAST(:highest AS bigint))
    FROM pg_get_serial_sequence('people', 'person_id') AS sequence
    WHERE :highest > (SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0))""")


def by_index(tx: Connection, index: bytes) -> Person | None:
    """Return the person with this blind index."""
    return db.row(Person, tx.execute(_BY_INDEX, {"index": index}))


def by_ids(tx: Connection, ids: Sequence[int]) -> dict[int, Person]:
    """Return people by id."""
    rows = db.rows(Person, tx.execute(_BY_IDS, {"ids": sorted(set(ids))}))
    return {row.person_id: row for row in rows}


def of_branch(tx: Connection, branch_id: int, after: int, limit: int) -> list[Person]:
    """Return the members of a branch in order of their ids, after the given one."""
    return db.rows(Person, tx.execute(_OF_BRANCH, {"branch": branch_id, "after": after, "limit": limit}))


def stays(tx: Connection, person_id: int) -> list[Stay]:
    """Return the history of branches, newest first."""
    return db.rows(Stay, tx.execute(_STAYS, {"person": person_id}))


def elsewhere(tx: Connection, person_id: int) -> list[Elsewhere]:
    """Return the history of branches of other systems, newest first."""
    return db.rows(Elsewhere, tx.execute(_ELSEWHERE, {"person": person_id}))


def known(tx: Connection, indexes: list[bytes]) -> dict[bytes, domain.Known]:
    """Return who is registered under the blind indexes."""
    rows = tx.execute(_KNOWN, {"indexes": indexes})
    return {bytes(id_index): domain.Known(*known) for id_index, *known in rows}


_DELETED = sa.text("""
    SELECT DISTINCT ON (d.id_index) d.id_index, d.name, d.branch_id
    FROM deleted_people d JOIN org_directory o ON o.org_id = d.branch_id
    WHERE d.id_index = ANY(:indexes) AND NOT o.deleted
    ORDER BY d.id_index, d.deleted_at DESC""")


def deleted_from(tx: Connection, indexes: list[bytes]) -> dict[bytes, domain.Deleted]:
    """Return those of them last deleted from a branch that still exists (TRF-36)."""
    rows = tx.execute(_DELETED, {"indexes": indexes})
    return {bytes(id_index): domain.Deleted(*deleted) for id_index, *deleted in rows}


def used_numbers(tx: Connection, numbers: list[str], claimed: bool = False) -> dict[str, int]:
    """Return those of the development numbers that are taken, with who has them.

    With `claimed` also those of people whom only an own registration names: against another registration
    they count, against an organisation they do not.
    """
    rows = tx.execute(_USED_NUMBERS, {"numbers": numbers})
    return {row.development_number: row.person_id for row in rows if claimed or not row.claimed}


def take(tx: Connection, rows: Iterable[NewPerson]) -> list[int]:
    """Let people whom only an own registration names be those whom an organisation enters (ACC-11).

    Return who they are. Registrations that wait are left as they are.
    """
    return list(db.run(tx, _TAKE, rows).scalars())


def begin_afresh(tx: Connection, person_ids: Sequence[int], tail: int) -> list[Ended]:
    """Take people's own passwords away and end their sessions; return those that ended.

    Who holds the people, holds these.
    """
    tx.execute(_AFRESH, {"people": list(person_ids), "tail": tail})
    return db.rows(Ended, tx.execute(_END_ALL_SESSIONS, {"people": list(person_ids)}))


def take_numbers(tx: Connection, numbers: Iterable[str]) -> None:
    """Take development numbers away from people whom only an own registration names."""
    given = sorted({one for one in numbers if one})
    if given:
        tx.execute(_TAKE_NUMBERS, {"numbers": given})


def add(
    tx: Connection,
    rows: Iterable[NewPerson],
    now: datetime,
    password_hash: str | None = None,
    tail: int = 8,
    accounts: bool = True,
) -> dict[bytes, int]:
    """Enter people with first stays and, unless that is to come later, accounts; return the new ids by index.

    Those who are there already are left out. Sealed values come as base64 text. Rows are entered in
    the order of their indexes, so that two lists with the same people wait for each other instead
    of dying of a deadlock.
    """
    return {
        bytes(row.id_index): row.person_id
        for row in db.run(tx, _ADD, rows, now=now, password_hash=password_hash, tail=tail, accounts=accounts)
    }


def attach(tx: Connection, rows: Iterable[NewPerson], now: datetime) -> dict[bytes, int]:
    """Enter people into branches who have an account and no branch (REG-05, ORG-17).

    Such are applicants who withdrew and secretaries from outside. Return their ids by blind index;
    people whose name differs, or who are in a branch, are left out.
    """
    return {bytes(row.id_index): row.person_id for row in db.run(tx, _ATTACH, rows, now=now)}


def skip_ids(tx: Connection, highest: int) -> None:
    """Let the ids that the database gives begin after `highest`."""
    tx.execute(_SKIP_IDS, {"highest": highest})


_ADMINISTER = sa.text("""
    SELECT DISTINCT person_id FROM administrator_directory
    WHERE active AND person_id = ANY(CAST(:ids AS bigint[]))""")
_ADMINISTERED = sa.text("""
    SELECT person_id, array_agg(org_id) AS org_ids
    FROM administrator_directory
    WHERE active AND NOT observer AND person_id = ANY(CAST(:ids AS bigint[]))
    GROUP BY 1""")


def administer(tx: Connection, person_ids: Sequence[int]) -> set[int]:
    """Return those of the people who administer any organisation."""
    return set(tx.scalars(_ADMINISTER, {"ids": sorted(set(person_ids))}))


def administered(tx: Connection, person_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return the organisations that people administer; people who administer none are left out."""
    return {row.person_id: row.org_ids for row in tx.execute(_ADMINISTERED, {"ids": sorted(set(person_ids))})}
