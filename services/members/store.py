"""The only SQL of the members service. The three statements of the saga come first; each is one round trip for any number."""
from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain
from services.members.log import log, post_entries
from shared import db, reference
from shared.messages.members import (
    BranchGraduated,
    CadreChanged,
    DeletionRefused,
    GraduateChanged,
    MemberMoved,
    MemberReserved,
    ReservationRefused,
    SessionEnded,
)
from shared.outbox import insert, tell

NUMBER_FROM = (f"CASE WHEN {{province}} = '{domain.XINJIANG}' THEN date '{domain.number_from(domain.XINJIANG)}'"
               f" ELSE date '{domain.number_from()}' END")
"""From which day on who joined needs a development number, by the province of the branch (MEM-08)."""

# ---- the saga --------------------------------------------------------------------------------------------------------

_MAY_GO_ABROAD = """EXISTS (SELECT 1 FROM retentions r WHERE r.member_id = p.person_id AND r.kind = 'abroad' AND r.state = 'approved')"""
"""The school has approved that the person `p` stays with it while studying abroad (GRAD-29, GRAD-33)."""
_RESERVE = sa.text(f"""
    WITH asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        transfer_id bigint, member_id bigint, source_branch_id bigint, target_org_id bigint, reason_kind text)),
    held AS (UPDATE people p SET reserved_by = i.transfer_id, reserved_target_id = i.target_org_id FROM asked i
        WHERE p.person_id = i.member_id AND p.branch_id = i.source_branch_id AND p.reserved_by IS NULL
            AND (coalesce(i.reason_kind, 'any') = 'any' OR (i.reason_kind IN ('graduate', 'abroad')) = p.graduate)
            AND (i.reason_kind IS DISTINCT FROM 'outward' OR p.mark IN ('delayed', 'teacher'))
            AND (i.reason_kind IS DISTINCT FROM 'abroad' OR {_MAY_GO_ABROAD})
        RETURNING i.transfer_id, i.member_id),
    others AS (SELECT i.*, p.person_id, p.branch_id, p.reserved_by, p.graduate, p.mark FROM asked i LEFT JOIN people p ON p.person_id = i.member_id
        WHERE i.transfer_id NOT IN (SELECT transfer_id FROM held)),
    reserved AS (SELECT transfer_id, member_id FROM held UNION ALL SELECT transfer_id, member_id FROM others WHERE reserved_by = transfer_id),
    refused AS (SELECT transfer_id, member_id, CASE WHEN person_id IS NULL THEN 'unknown_member'
            WHEN branch_id IS DISTINCT FROM source_branch_id THEN 'member_elsewhere' WHEN reserved_by IS NOT NULL THEN 'transfer_open'
            WHEN graduate AND reason_kind NOT IN ('graduate', 'abroad', 'any') THEN 'graduate_reason_needed'
            WHEN NOT graduate AND reason_kind IN ('graduate', 'abroad') THEN 'ordinary_reason_needed'
            WHEN reason_kind = 'outward' AND mark NOT IN ('delayed', 'teacher') THEN 'drop_out_needed'
            WHEN reason_kind = 'abroad' THEN 'abroad_request_missing' ELSE 'transfer_open' END AS code
        FROM others WHERE reserved_by IS DISTINCT FROM transfer_id)
    {insert(tell(MemberReserved, "reserved"), tell(ReservationRefused, "refused"))}""")

_MOVE = sa.text(f"""
    WITH asked AS (SELECT i.*, coalesce(o.purpose = 'floating', false) AS floats, coalesce(o.path, '') AS path, {NUMBER_FROM.format(province="o.province")} AS number_from
        FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint, member_id bigint, branch_id bigint, at timestamptz)
        LEFT JOIN org_directory o ON o.org_id = i.branch_id),
    arrived AS (UPDATE people p SET branch_id = i.branch_id, reserved_by = NULL, reserved_target_id = NULL,
            graduate = p.graduate AND i.floats, graduates_on = CASE WHEN i.floats THEN p.graduates_on END,
            mark = '', mark_reason = '', to_contact = true, found_on = NULL, number_from = i.number_from FROM asked i
        WHERE p.person_id = i.member_id AND p.reserved_by = i.transfer_id RETURNING i.*),
    closed AS (UPDATE memberships m SET ended_at = a.at FROM arrived a WHERE m.person_id = a.member_id AND m.ended_at IS NULL
        RETURNING m.person_id, m.branch_id, m.ended_at, a.path),
    resigned AS (UPDATE posts p SET ended_at = c.ended_at FROM closed c WHERE p.person_id = c.person_id AND p.ended_at IS NULL
            AND (p.org_id = c.branch_id OR (strpos('.' || c.path, '.' || p.org_id || '.') = 0
                AND strpos((SELECT '.' || old.path FROM org_directory old WHERE old.org_id = c.branch_id), '.' || p.org_id || '.') > 0))
        RETURNING p.org_id, p.person_id, p.post AS was, '' AS post, false AS has_phone, nextval('post_version') AS version),
    begun AS (INSERT INTO memberships (person_id, began_at, branch_id, transfer_id) SELECT member_id, at, branch_id, transfer_id FROM arrived
        WHERE (SELECT count(*) FROM closed) >= 0),
    moved AS (SELECT transfer_id, member_id, branch_id FROM arrived UNION ALL
        SELECT i.transfer_id, i.member_id, i.branch_id FROM asked i JOIN memberships m ON m.person_id = i.member_id AND m.transfer_id = i.transfer_id),
    told AS ({insert(tell(MemberMoved, "moved"), tell(CadreChanged, "resigned"))})
    SELECT org_id, person_id, was FROM resigned""")

_RELEASE = sa.text("""
    UPDATE people p SET reserved_by = NULL, reserved_target_id = NULL
    FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint, member_id bigint)
    WHERE p.person_id = i.member_id AND p.reserved_by = i.transfer_id""")


def reserve(tx: Connection, items: Sequence[Any]) -> None:
    """Hold members for transfers, each for one only, and tell which were held and which not and why (TRF-02, MEM-01).

    Graduates leave with one of the eight reasons (GRAD-15); everybody else, delayed graduates and teachers included, with an ordinary one
    (GRAD-17), so that the reason alone says whether a transfer counts as a graduate hand-over. Into the study-abroad branch goes whose
    request was approved (GRAD-33); a student who leaves the schools for elsewhere has dropped out and says so (TYPE-21).
    """
    db.run(tx, _RESERVE, items)


def move(tx: Connection, items: Sequence[Any]) -> None:
    """Move held members once, close the old stay and begin the new (TRF-35, BEY-09); a repeated message is only answered again.

    Graduates who only go into the own school's mobile branch stay graduates, who have yet to leave (TYPE-05).
    Who held a post in the old branch, or in an organisation above it that is not above the new branch, too, holds it no more, and with
    it goes the right to administer there (ADM-18). Posts elsewhere are nobody's business here (CADRE-02).

    Counting `closed` makes PostgreSQL close before it begins; left alone it may begin first and break `uq_memberships_one_open`.
    """
    log_resigned(tx, db.run(tx, _MOVE, items).all(), "moved")


def log_resigned(tx: Connection, rows: Sequence[Any], why: str) -> None:
    """Write posts that ended with the membership into the audit log; nobody is behind it but the move or the deletion."""
    log.append(tx, post_entries([{"org_id": row.org_id, "person_id": row.person_id, "post": "", "ref": why} for row in rows],
                                {(row.org_id, row.person_id): row.was for row in rows}))


def release(tx: Connection, items: Sequence[Any]) -> None:
    """Let members go whose transfer ended without a move (TRF-25)."""
    db.run(tx, _RELEASE, items)


_REFUSE_DELETIONS = sa.text(f"""
    WITH kept AS (SELECT o.org_id FROM org_directory o WHERE o.org_id = ANY(CAST(:ids AS bigint[])) AND o.deleted
        AND EXISTS (SELECT 1 FROM people p WHERE p.branch_id = o.org_id))
    {insert(tell(DeletionRefused, "kept"))}""")


_HOLD_BATCH = sa.text(f"""
    SELECT person_id, branch_id, reserved_by, graduate, mark, {_MAY_GO_ABROAD} AS may_go_abroad FROM people p WHERE person_id = ANY(CAST(:ids AS bigint[])) ORDER BY person_id FOR UPDATE""")


def hold_people(tx: Connection, ids: Iterable[int]) -> dict[int, sa.Row[Any]]:
    """Return where people are and what holds them, and keep it so until the transaction ends."""
    return {row.person_id: row for row in tx.execute(_HOLD_BATCH, {"ids": sorted(set(ids))})}


def refuse_deletions(tx: Connection, org_ids: Iterable[int]) -> None:
    """Tell of those of the organisations that are deleted and have members (DEL-03)."""
    tx.execute(_REFUSE_DELETIONS, {"ids": sorted(set(org_ids))})


COHORT = "coalesce(extract(year FROM {on})::int, extract(year FROM CAST(:now AS timestamptz))::int)"
GRADUATES = tell(GraduateChanged, "flagged", at="CAST(:now AS timestamptz)", version="nextval('graduate_version')")
"""What is told of people whose standing as graduates has changed: the CTE `flagged` with member, cohort, branch and whether they count."""


# ---- people ----------------------------------------------------------------------------------------------------------

_BY_INDEX = sa.text("SELECT * FROM people WHERE id_index = :index")
_BY_IDS = sa.text("SELECT * FROM people WHERE person_id = ANY(CAST(:ids AS bigint[]))")
_OF_BRANCH = sa.text("SELECT * FROM people WHERE branch_id = :branch AND person_id > :after ORDER BY person_id LIMIT :limit")
_STAYS = sa.text("SELECT * FROM memberships WHERE person_id = :person ORDER BY began_at DESC")
_KNOWN = sa.text("""
    SELECT p.person_id, p.id_index, p.name, p.branch_id, EXISTS (SELECT 1 FROM registrations r WHERE r.person_id = p.person_id AND r.state = 'pending') AS pending
    FROM people p WHERE id_index = ANY(:indexes)""")
_USED_NUMBERS = sa.text("SELECT development_number, person_id FROM people WHERE development_number = ANY(:numbers) AND development_number <> ''")
_ADD = sa.text("""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        person_id bigint, name text, id_sealed text, id_index text, phone_sealed text, ethnic_group text, joined_on date,
        development_number text, branch_id bigint, born_on date)),
    made AS (INSERT INTO people (person_id, name, id_sealed, id_index, phone_sealed, ethnic_group, joined_on, development_number, branch_id, born_on)
        SELECT coalesce(person_id, nextval(pg_get_serial_sequence('people', 'person_id'))), name, decode(id_sealed, 'base64'),
            decode(id_index, 'base64'), decode(phone_sealed, 'base64'), ethnic_group, joined_on, development_number, branch_id, born_on
        FROM given ORDER BY id_index
        ON CONFLICT DO NOTHING RETURNING person_id, id_index, branch_id),
    begun AS (INSERT INTO memberships (person_id, began_at, branch_id) SELECT person_id, :now, branch_id FROM made WHERE branch_id IS NOT NULL),
    opened AS (INSERT INTO accounts (person_id, password_hash, initial_tail) SELECT person_id, CAST(:password_hash AS text), :tail FROM made)
    SELECT person_id, id_index FROM made""")
_ATTACH = sa.text("""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        name text, id_index text, phone_sealed text, ethnic_group text, joined_on date, development_number text, branch_id bigint)),
    attached AS (UPDATE people p SET branch_id = g.branch_id, joined_on = coalesce(g.joined_on, p.joined_on),
            phone_sealed = coalesce(decode(g.phone_sealed, 'base64'), p.phone_sealed),
            ethnic_group = CASE WHEN g.ethnic_group = '' THEN p.ethnic_group ELSE g.ethnic_group END,
            development_number = CASE WHEN g.development_number = '' THEN p.development_number ELSE g.development_number END
        FROM given g WHERE p.id_index = decode(g.id_index, 'base64') AND p.name = g.name AND p.branch_id IS NULL
        RETURNING p.person_id, p.id_index, p.branch_id),
    begun AS (INSERT INTO memberships (person_id, began_at, branch_id) SELECT person_id, :now, branch_id FROM attached)
    SELECT person_id, id_index FROM attached""")
_SKIP_IDS = sa.text("""
    SELECT setval(sequence, CAST(:highest AS bigint)) FROM pg_get_serial_sequence('people', 'person_id') AS sequence
    WHERE :highest > (SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0))""")


def by_index(tx: Connection, index: bytes) -> sa.Row[Any] | None:
    """Return the person with this blind index."""
    return tx.execute(_BY_INDEX, {"index": index}).one_or_none()


def by_ids(tx: Connection, ids: Sequence[int]) -> dict[int, sa.Row[Any]]:
    """Return people by id."""
    return {row.person_id: row for row in tx.execute(_BY_IDS, {"ids": sorted(set(ids))})}


def of_branch(tx: Connection, branch_id: int, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Return the members of a branch in order of their ids, after the given one."""
    return tx.execute(_OF_BRANCH, {"branch": branch_id, "after": after, "limit": limit}).all()


def stays(tx: Connection, person_id: int) -> Sequence[sa.Row[Any]]:
    """Return the history of branches, newest first."""
    return tx.execute(_STAYS, {"person": person_id}).all()


def known(tx: Connection, indexes: list[bytes]) -> dict[bytes, sa.Row[Any]]:
    """Return who is registered under the blind indexes: person, name, branch, and whether the own registration is `pending`."""
    return {bytes(row.id_index): row for row in tx.execute(_KNOWN, {"indexes": indexes})}


_DELETED = sa.text("""
    SELECT DISTINCT ON (d.id_index) d.id_index, d.name, d.branch_id FROM deleted_people d JOIN org_directory o ON o.org_id = d.branch_id
    WHERE d.id_index = ANY(:indexes) AND NOT o.deleted ORDER BY d.id_index, d.deleted_at DESC""")


def deleted_from(tx: Connection, indexes: list[bytes]) -> dict[bytes, sa.Row[Any]]:
    """Return who of them was deleted last from a branch that still exists, under which name and from which (TRF-36)."""
    return {bytes(row.id_index): row for row in tx.execute(_DELETED, {"indexes": indexes})}


def used_numbers(tx: Connection, numbers: list[str]) -> dict[str, int]:
    """Return those of the development numbers that are taken, with who has them."""
    return {row.development_number: row.person_id for row in tx.execute(_USED_NUMBERS, {"numbers": numbers})}


def add(tx: Connection, rows: Iterable[dict[str, Any]], now: datetime, password_hash: str | None = None, tail: int = 8) -> dict[bytes, int]:
    """Enter people with accounts and first stays; return the new ids by blind index. Who is there already is left out.

    Sealed values come as base64 text. Rows are entered in the order of their indexes, so that two lists with the same people wait
    for each other instead of dying of a deadlock.
    """
    return {bytes(row.id_index): row.person_id for row in db.run(tx, _ADD, rows, now=now, password_hash=password_hash, tail=tail)}


def attach(tx: Connection, rows: Iterable[dict[str, Any]], now: datetime) -> dict[bytes, int]:
    """Enter people into branches who have an account and no branch, such as applicants who withdrew and secretaries from outside (REG-05, ORG-17).

    Return their ids by blind index; whose name differs, or who is in a branch, is left out.
    """
    return {bytes(row.id_index): row.person_id for row in db.run(tx, _ATTACH, rows, now=now)}


def skip_ids(tx: Connection, highest: int) -> None:
    """Let the ids that the database gives begin after `highest`."""
    tx.execute(_SKIP_IDS, {"highest": highest})


_EDIT = sa.text("""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        person_id bigint, phone_sealed text, ethnic_group text, joined_on date, development_number text, contact_sealed text, emergency_sealed text,
        party boolean, contacted boolean, found boolean, found_on date))
    UPDATE people p SET phone_sealed = CASE WHEN g.phone_sealed = '' THEN NULL ELSE coalesce(decode(g.phone_sealed, 'base64'), p.phone_sealed) END,
            ethnic_group = coalesce(g.ethnic_group, p.ethnic_group), joined_on = coalesce(g.joined_on, p.joined_on),
            development_number = coalesce(g.development_number, p.development_number),
            contact_sealed = CASE WHEN g.contact_sealed = '' THEN NULL ELSE coalesce(decode(g.contact_sealed, 'base64'), p.contact_sealed) END,
            emergency_sealed = CASE WHEN g.emergency_sealed = '' THEN NULL ELSE coalesce(decode(g.emergency_sealed, 'base64'), p.emergency_sealed) END, party = coalesce(g.party, p.party),
            to_contact = p.to_contact AND NOT coalesce(g.contacted, false),
            found_on = CASE g.found WHEN true THEN g.found_on WHEN false THEN NULL ELSE p.found_on END
    FROM given g WHERE p.person_id = g.person_id""")
_DELETE = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, reason text, deleted_by bigint, deleted_for bigint)),
    gone AS (DELETE FROM people p USING given g WHERE p.person_id = g.person_id AND p.reserved_by IS NULL
        RETURNING p.person_id, p.name, p.id_sealed, p.id_index, p.branch_id, p.joined_on, p.development_number, p.graduate, p.graduates_on, g.reason, g.deleted_by,
            g.deleted_for),
    flagged AS (SELECT person_id AS member_id, branch_id, {COHORT.format(on="graduates_on")} AS cohort, false AS counts FROM gone WHERE graduate AND branch_id IS NOT NULL),
    kept AS (INSERT INTO deleted_people (person_id, name, id_sealed, id_index, branch_id, joined_on, development_number, reason, deleted_at, deleted_by, deleted_for)
        SELECT person_id, name, id_sealed, id_index, branch_id, joined_on, development_number, reason, :now, deleted_by, deleted_for FROM gone),
    closed AS (UPDATE memberships m SET ended_at = :now FROM gone g WHERE m.person_id = g.person_id AND m.ended_at IS NULL),
    accounts_gone AS (DELETE FROM accounts a USING gone g WHERE a.person_id = g.person_id),
    sessions_gone AS (DELETE FROM sessions s USING gone g WHERE s.person_id = g.person_id RETURNING s.session_id, s.expires_at AS until),
    requests_gone AS (DELETE FROM deletion_requests r USING gone g WHERE r.person_id = g.person_id),
    resigned AS (UPDATE posts p SET ended_at = :now FROM gone g WHERE p.person_id = g.person_id AND p.ended_at IS NULL
        RETURNING p.org_id, p.person_id, p.post AS was, '' AS post, false AS has_phone, nextval('post_version') AS version),
    refused_here AS (INSERT INTO ended_sessions (session_id, until) SELECT session_id, until FROM sessions_gone ON CONFLICT DO NOTHING),
    told AS ({insert(tell(CadreChanged, "resigned"), tell(SessionEnded, "sessions_gone"), GRADUATES)})
    SELECT g.person_id, r.org_id, r.was FROM gone g LEFT JOIN resigned r USING (person_id)""")
_REQUEST_DELETIONS = sa.text("""
    INSERT INTO deletion_requests (person_id, cause, explanation, requested_by, requested_at)
    SELECT person_id, cause, explanation, requested_by, :now
        FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, cause text, explanation text, requested_by bigint) ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET (cause, explanation, requested_by, requested_at) =
        (excluded.cause, excluded.explanation, excluded.requested_by, excluded.requested_at)""")
_ADMINISTER = sa.text("SELECT DISTINCT person_id FROM administrator_directory WHERE active AND person_id = ANY(CAST(:ids AS bigint[]))")
_ADMINISTERED = sa.text("""
    SELECT person_id, array_agg(org_id) AS org_ids FROM administrator_directory WHERE active AND NOT observer AND person_id = ANY(CAST(:ids AS bigint[])) GROUP BY 1""")
_WERE = sa.text("""
    SELECT person_id, branch_id FROM memberships WHERE person_id = ANY(CAST(:ids AS bigint[])) AND began_at < :at AND (ended_at IS NULL OR ended_at >= :at)""")


def edit(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Change what is given of people."""
    db.run(tx, _EDIT, rows)


def delete(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> set[int]:
    """Take people out of the register and keep what is needed to prove it; return who is gone. Who is held by a transfer stays (DEL-08, DEL-11)."""
    gone = db.run(tx, _DELETE, rows, now=now).all() if rows else []
    log_resigned(tx, [row for row in gone if row.org_id is not None], "deleted")
    return {row.person_id for row in gone}


def request_deletions(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store requests to delete people, each in place of the person's earlier one (DEL-06)."""
    if rows:
        db.run(tx, _REQUEST_DELETIONS, rows, now=now)


def administer(tx: Connection, person_ids: Sequence[int]) -> set[int]:
    """Return those of the people who administer any organisation."""
    return set(tx.scalars(_ADMINISTER, {"ids": sorted(set(person_ids))}))


def administered(tx: Connection, person_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return, of the people who administer anything, what."""
    return {row.person_id: row.org_ids for row in tx.execute(_ADMINISTERED, {"ids": sorted(set(person_ids))})}


def were(tx: Connection, person_ids: Sequence[int], at: datetime) -> dict[int, int]:
    """Return the branches in which people were right before an instant."""
    return {row.person_id: row.branch_id for row in tx.execute(_WERE, {"ids": sorted(set(person_ids)), "at": at})}


_TO_CHECK = sa.text("""
    UPDATE people p SET identity_checked_at = :claimed FROM (SELECT person_id FROM people WHERE identity_check <> 'passed' AND identity_checked_at < :before
        ORDER BY identity_checked_at LIMIT :limit FOR UPDATE SKIP LOCKED) AS due
    WHERE p.person_id = due.person_id RETURNING p.person_id, p.name, p.id_sealed""")
_SET_CHECKS = sa.text("""
    UPDATE people p SET identity_check = coalesce(i.result, p.identity_check), identity_checked_at = :now FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, result text)
    WHERE p.person_id = i.person_id""")
_RESEAL = sa.text("""
    SELECT person_id, id_sealed, phone_sealed, contact_sealed, emergency_sealed FROM people WHERE person_id > :after
        AND (get_byte(id_sealed, 0) <> :key OR get_byte(phone_sealed, 0) <> :key OR get_byte(contact_sealed, 0) <> :key OR get_byte(emergency_sealed, 0) <> :key)
    ORDER BY person_id LIMIT 1000 FOR UPDATE""")
_RESEALED = sa.text("""
    UPDATE people p SET id_sealed = decode(i.id_sealed, 'base64'), phone_sealed = decode(i.phone_sealed, 'base64'),
        contact_sealed = decode(i.contact_sealed, 'base64'), emergency_sealed = decode(i.emergency_sealed, 'base64')
    FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, id_sealed text, phone_sealed text, contact_sealed text, emergency_sealed text)
    WHERE p.person_id = i.person_id""")
_OTHER_SEALED = {
    "deleted_people": ("person_id", "id_sealed"), "import_rows": ("ctid", "row_sealed"), "retentions": ("retention_id", "contact_phone_sealed")}


def to_check(tx: Connection, before: datetime, claimed: datetime, limit: int) -> Sequence[sa.Row[Any]]:
    """Return people whose identity check has not passed and was not tried since `before`, longest first; it counts as tried at `claimed`."""
    return tx.execute(_TO_CHECK, {"claimed": claimed, "before": before, "limit": limit}).all()


def set_checks(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store what the identity service said, None where it could not say, and that it was asked."""
    if rows:
        db.run(tx, _SET_CHECKS, rows, now=now)


def sealed_by_other_keys(tx: Connection, key: int, after: int) -> Sequence[sa.Row[Any]]:
    """Return up to 1,000 people with values sealed by another key, held until the transaction ends."""
    return tx.execute(_RESEAL, {"key": key, "after": after}).all()


def reseal(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store values that were sealed anew; they come as base64."""
    db.run(tx, _RESEALED, rows)


def others_sealed(tx: Connection, key: int) -> dict[str, list[tuple[str, bytes]]]:
    """Return the sealed values of the smaller tables that another key has sealed, by table: place and value."""
    return {table: [(str(row[0]), bytes(row[1])) for row in tx.execute(sa.text(
        f"SELECT CAST({place} AS text), {column} FROM {table} WHERE {column} IS NOT NULL AND get_byte({column}, 0) <> :key FOR UPDATE"), {"key": key})]
        for table, (place, column) in _OTHER_SEALED.items()}


def reseal_other(tx: Connection, table: str, place: str, value: bytes) -> None:
    """Store one value of a smaller table that was sealed anew."""
    at, column = _OTHER_SEALED[table]
    kind = "tid" if at == "ctid" else "bigint"
    tx.execute(sa.text(f"UPDATE {table} SET {column} = :value WHERE {at} = CAST(:place AS {kind})"), {"value": value, "place": place})


# ---- imports ---------------------------------------------------------------------------------------------------------

_OPEN_IMPORTS = sa.text("""
    INSERT INTO imports (import_id, org_id, person_id, started_at)
    SELECT import_id, org_id, person_id, :now FROM json_to_recordset(CAST(:items AS json)) AS i(import_id uuid, org_id bigint, person_id bigint)
    ON CONFLICT DO NOTHING""")
_IMPORTS = sa.text("SELECT * FROM imports WHERE import_id = ANY(CAST(:ids AS uuid[]))")
_TAKE_ROWS = sa.text("""
    INSERT INTO import_rows (import_id, number, state, row_sealed, problem)
    SELECT import_id, number, CASE WHEN problem = '' THEN 'waiting' ELSE 'failed' END, decode(row_sealed, 'base64'), problem
    FROM json_to_recordset(CAST(:items AS json)) AS i(import_id uuid, number int, row_sealed text, problem text)
    ON CONFLICT DO NOTHING""")
_NEXT_IMPORT = sa.text("""
    SELECT i.* FROM imports i WHERE EXISTS (SELECT 1 FROM import_rows r WHERE r.import_id = i.import_id AND r.state = 'waiting')
        AND i.started_at > CAST(:now AS timestamptz) - interval '30 days'
    ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED""")
_WAITING_ROWS = sa.text("""SELECT number, row_sealed FROM import_rows WHERE import_id = CAST(:id AS uuid) AND state = 'waiting' ORDER BY number LIMIT :limit""")
_SETTLE_ROWS = sa.text("""
    UPDATE import_rows r SET state = CASE WHEN i.problem = '' THEN 'entered' ELSE 'failed' END, problem = i.problem,
        row_sealed = CASE WHEN i.problem = '' THEN NULL ELSE r.row_sealed END
    FROM json_to_recordset(CAST(:items AS json)) AS i(import_id uuid, number int, problem text) WHERE r.import_id = i.import_id AND r.number = i.number""")
_IMPORT_COUNTS = sa.text("SELECT state, count(*)::int AS n FROM import_rows WHERE import_id = CAST(:id AS uuid) GROUP BY state")
_FAILED_ROWS = sa.text("""
    SELECT number, row_sealed, problem FROM import_rows WHERE import_id = CAST(:id AS uuid) AND state = 'failed' AND number > :after
    ORDER BY number LIMIT 500""")
_BRANCHES_NAMED = sa.text("""
    SELECT name, min(org_id) AS org_id FROM org_directory WHERE (org_id = :org OR parent_id = :org) AND kind = 'branch' AND NOT deleted
        AND name = ANY(CAST(:names AS text[])) GROUP BY name""")
_BRANCHES_ELSEWHERE = sa.text("""
    SELECT b.name, min(s.name) AS superior FROM org_directory b JOIN org_directory s ON s.org_id = b.parent_id
    WHERE b.kind = 'branch' AND NOT b.deleted AND b.name = ANY(CAST(:names AS text[])) AND b.parent_id <> :org AND b.org_id <> :org GROUP BY b.name""")
_FORGET_IMPORTS = sa.text("DELETE FROM import_rows WHERE import_id IN (SELECT import_id FROM imports WHERE started_at < CAST(:now AS timestamptz) - interval '30 days')")


def open_imports(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> dict[str, sa.Row[Any]]:
    """Remember who imports for which organisation, the first time each import is seen; return the imports by id."""
    db.run(tx, _OPEN_IMPORTS, rows, now=now)
    return {str(row.import_id): row for row in tx.execute(_IMPORTS, {"ids": [row["import_id"] for row in rows]})}


def one_import(tx: Connection, import_id: str) -> sa.Row[Any] | None:
    """Return an import."""
    return tx.execute(_IMPORTS, {"ids": [import_id]}).one_or_none()


def take_rows(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep rows to be tried; those that are kept already stay as they are."""
    db.run(tx, _TAKE_ROWS, rows)


def next_import(tx: Connection, now: datetime) -> sa.Row[Any] | None:
    """Return the oldest import with waiting rows that nobody works on, held until the transaction ends."""
    return tx.execute(_NEXT_IMPORT, {"now": now}).one_or_none()


def waiting_rows(tx: Connection, import_id: str, limit: int) -> Sequence[sa.Row[Any]]:
    """Return the next rows of an import."""
    return tx.execute(_WAITING_ROWS, {"id": import_id, "limit": limit}).all()


def settle_rows(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store what became of rows; an entered row is forgotten."""
    db.run(tx, _SETTLE_ROWS, rows)


def import_counts(tx: Connection, import_id: str) -> dict[str, int]:
    """Return the number of rows by state."""
    return {row.state: row.n for row in tx.execute(_IMPORT_COUNTS, {"id": import_id})}


def failed_rows(tx: Connection, import_id: str, after: int) -> Sequence[sa.Row[Any]]:
    """Return up to 500 failed rows after a number."""
    return tx.execute(_FAILED_ROWS, {"id": import_id, "after": after}).all()


def branches_named(tx: Connection, org_id: int, names: Iterable[str]) -> dict[str, int]:
    """Return, by full name, the organisation itself and its direct branches (IMP-11)."""
    return {row.name: row.org_id for row in tx.execute(_BRANCHES_NAMED, {"org": org_id, "names": sorted(set(names))})}


def branches_elsewhere(tx: Connection, org_id: int, names: Iterable[str]) -> dict[str, str]:
    """Return, by full name, the direct superiors of branches that are not directly below the organisation (IMP-11)."""
    wanted = sorted(set(names))
    return {row.name: row.superior for row in tx.execute(_BRANCHES_ELSEWHERE, {"org": org_id, "names": wanted})} if wanted else {}


def forget_imports(tx: Connection, now: datetime) -> None:
    """Forget the rows of imports older than 30 days: failed rows hold identity numbers."""
    tx.execute(_FORGET_IMPORTS, {"now": now})


# ---- graduation ------------------------------------------------------------------------------------------------------

_HOLD_MARKS = sa.text("""
    SELECT b.*, EXISTS (SELECT 1 FROM people p WHERE p.branch_id = b.branch_id AND p.reserved_by IS NOT NULL)
            OR (SELECT count(*) FROM people p WHERE p.branch_id = b.branch_id) < b.members AS started
    FROM branch_marks b WHERE branch_id = ANY(CAST(:ids AS bigint[])) ORDER BY branch_id FOR UPDATE""")
_MARKS = sa.text("SELECT * FROM branch_marks WHERE branch_id = ANY(CAST(:ids AS bigint[]))")
_MARK_BRANCHES = sa.text("""
    INSERT INTO branch_marks AS b (branch_id, graduates_on, reason, version, marked_at, marked_by)
    SELECT branch_id, graduates_on, reason, 1, :now, marked_by
        FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint, graduates_on date, reason text, marked_by bigint) ORDER BY branch_id
    ON CONFLICT (branch_id) DO UPDATE SET (graduates_on, reason, marked_at, marked_by) =
        (excluded.graduates_on, excluded.reason, excluded.marked_at, excluded.marked_by)""")
_REOPEN = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint)),
    reopened AS (UPDATE branch_marks b SET converted_at = NULL, members = 0, version = b.version + 1 FROM given g
        WHERE b.branch_id = g.branch_id AND b.converted_at IS NOT NULL RETURNING b.branch_id, b.version, false AS graduate),
    flagged AS (UPDATE people p SET graduate = false, graduates_on = NULL FROM reopened r JOIN people q ON q.branch_id = r.branch_id
        WHERE p.person_id = q.person_id AND p.mark = '' RETURNING p.person_id AS member_id, p.branch_id, {COHORT.format(on="q.graduates_on")} AS cohort, false AS counts)
    {insert(tell(BranchGraduated, "reopened"), GRADUATES)}""")
_CONVERT = sa.text(f"""
    WITH due AS (SELECT branch_id FROM branch_marks WHERE converted_at IS NULL AND graduates_on <= CAST(:until AS date)
            AND (CAST(:only AS bigint[]) IS NULL OR branch_id = ANY(CAST(:only AS bigint[])))
        ORDER BY graduates_on, branch_id LIMIT :limit FOR UPDATE SKIP LOCKED),
    flagged AS (UPDATE people p SET graduate = true, graduates_on = b.graduates_on FROM due d JOIN branch_marks b USING (branch_id)
        WHERE p.branch_id = d.branch_id AND p.mark = ''
        RETURNING p.person_id AS member_id, p.branch_id, {COHORT.format(on="p.graduates_on")} AS cohort, true AS counts),
    converted AS (UPDATE branch_marks b SET converted_at = :now, version = b.version + 1,
            members = (SELECT count(*)::int FROM people p WHERE p.branch_id = b.branch_id AND p.mark = '') FROM due d
        WHERE b.branch_id = d.branch_id RETURNING b.branch_id, b.version, b.members, true AS graduate),
    told AS ({insert(tell(BranchGraduated, "converted"), GRADUATES)})
    SELECT branch_id, members FROM converted""")
_CONVERT_MEMBERS = sa.text(f"""
    WITH changed AS (UPDATE people p SET graduate = true FROM (SELECT person_id FROM people WHERE mark IN ('own', 'delayed') AND NOT graduate
        AND graduates_on <= CAST(:until AS date) ORDER BY graduates_on, person_id LIMIT :limit FOR UPDATE SKIP LOCKED) AS due
    WHERE p.person_id = due.person_id RETURNING p.person_id AS member_id, p.branch_id, {COHORT.format(on="p.graduates_on")} AS cohort),
    flagged AS (SELECT member_id, branch_id, cohort, true AS counts FROM changed WHERE branch_id IS NOT NULL),
    told AS ({insert(GRADUATES)})
    SELECT member_id FROM changed""")
_MARK_MEMBERS = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        member_id bigint, branch_id bigint, mark text, graduates_on date, reason text, graduate boolean))
    , stored AS (UPDATE people p SET mark = g.mark, mark_reason = g.reason, graduates_on = g.graduates_on, graduate = g.graduate
        FROM given g JOIN people q ON q.person_id = g.member_id
        WHERE p.person_id = q.person_id AND p.branch_id = g.branch_id AND (g.mark = '' OR p.reserved_by IS NULL)
        RETURNING p.person_id, p.branch_id, p.graduate, p.graduates_on, q.graduate AS was, q.graduates_on AS was_on),
    flagged AS (SELECT person_id AS member_id, branch_id, {COHORT.format(on="was_on")} AS cohort, false AS counts FROM stored
            WHERE was AND (NOT graduate OR graduates_on IS DISTINCT FROM was_on)
        UNION ALL SELECT person_id, branch_id, {COHORT.format(on="graduates_on")}, true FROM stored WHERE graduate),
    told AS ({insert(GRADUATES)})
    SELECT person_id FROM stored""")
_BRANCH_MARKS = sa.text("""
    SELECT o.org_id, o.name, o.parent_id, b.graduates_on, b.reason, b.converted_at FROM org_directory o LEFT JOIN branch_marks b ON b.branch_id = o.org_id
    WHERE o.path >= :path AND o.path < :path_end AND o.kind = 'branch' AND NOT o.deleted AND o.purpose IN ('ordinary', 'graduate', 'mixed', 'teachers')
        AND o.industry = ANY(CAST(:industries AS text[])) AND o.org_id > :after AND (NOT :unmarked OR b.branch_id IS NULL)
    ORDER BY o.org_id LIMIT :limit""")


def hold_marks(tx: Connection, branch_ids: Sequence[int]) -> dict[int, sa.Row[Any]]:
    """Return the marks of branches, held until the transaction ends; `started`: a member has a transfer, or has left since (GRAD-14)."""
    return {row.branch_id: row for row in tx.execute(_HOLD_MARKS, {"ids": sorted(set(branch_ids))})}


def marks(tx: Connection, branch_ids: Iterable[int]) -> dict[int, sa.Row[Any]]:
    """Return the marks of branches."""
    return {row.branch_id: row for row in tx.execute(_MARKS, {"ids": sorted(set(branch_ids))})}


def mark_branches(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store marks, one per branch."""
    db.run(tx, _MARK_BRANCHES, rows, now=now)


def reopen(tx: Connection, branch_ids: Iterable[int], now: datetime) -> None:
    """Make graduates' organisations ordinary branches again, and their members ordinary members, and tell (GRAD-14)."""
    db.run(tx, _REOPEN, [{"branch_id": one} for one in branch_ids], now=now)


def convert(tx: Connection, until: date, now: datetime, limit: int, only: Sequence[int] | None = None) -> dict[int, int]:
    """Switch up to `limit` branches whose time has come, flag their members, and tell; return members flagged by branch (GRAD-12)."""
    return {row.branch_id: row.members for row in tx.execute(_CONVERT, {"until": until, "now": now, "limit": limit, "only": None if only is None else list(only)})}


def convert_members(tx: Connection, until: date, now: datetime, limit: int) -> int:
    """Flag up to `limit` members with a time of their own that has come; return how many (GRAD-13, GRAD-25)."""
    return len(tx.execute(_CONVERT_MEMBERS, {"until": until, "now": now, "limit": limit}).all())


def mark_members(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> set[int]:
    """Store marks of members that are still where they were and, to be marked, not held by a transfer; return whose were stored."""
    return set(db.run(tx, _MARK_MEMBERS, rows, now=now).scalars()) if rows else set()


def branch_marks(tx: Connection, path: str, unmarked: bool, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Return branches of a subtree with their marks, or only those without (GRAD-08, GRAD-32)."""
    return tx.execute(_BRANCH_MARKS, {"path": path, "path_end": path[:-1] + "/", "unmarked": unmarked, "after": after, "limit": limit,
                                      "industries": [name for name, one in reference.INDUSTRIES.items() if one.markable]}).all()


# ---- accounts and sessions -------------------------------------------------------------------------------------------

_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person")
_HOLD_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person FOR UPDATE")
_OPEN_SESSION = sa.text("""
    INSERT INTO sessions (session_index, person_id, expires_at, created_at, address, device) VALUES (:index, :person, :expires, :now, :address, :device)
    RETURNING session_id""")
_SESSION = sa.text("SELECT * FROM sessions WHERE session_index = :index AND expires_at > :now")
_CLOSE_SESSION = sa.text("DELETE FROM sessions WHERE session_index = :index RETURNING session_id, expires_at")
_END_SESSIONS = sa.text("DELETE FROM sessions WHERE person_id = :person AND expires_at <= :now")
_SET_PASSWORD = sa.text("UPDATE accounts SET password_hash = :hash, changed_at = :now WHERE person_id = :person")


def account(tx: Connection, person_id: int) -> sa.Row[Any] | None:
    """Return the account of a person."""
    return tx.execute(_ACCOUNT, {"person": person_id}).one_or_none()


def hold_account(tx: Connection, person_id: int) -> sa.Row[Any] | None:
    """Return the account of a person, held until the end of the transaction: passwords of one account are tried one after the other."""
    return tx.execute(_HOLD_ACCOUNT, {"person": person_id}).one_or_none()


def open_session(tx: Connection, index: bytes, person_id: int, now: datetime, expires: datetime, address: str, device: str) -> uuid.UUID:
    """Store a session by the hash of its secret and return its id; the person's lapsed ones go."""
    tx.execute(_END_SESSIONS, {"person": person_id, "now": now})
    made: uuid.UUID = tx.execute(_OPEN_SESSION, {"index": index, "person": person_id, "expires": expires, "now": now, "address": address,
                                                 "device": device}).scalar_one()
    return made


def session(tx: Connection, index: bytes, now: datetime) -> sa.Row[Any] | None:
    """Return a living session."""
    return tx.execute(_SESSION, {"index": index, "now": now}).one_or_none()


def close_session(tx: Connection, index: bytes) -> Sequence[sa.Row[Any]]:
    """End a session; return it, if there was one, by `session_id` and `expires_at`."""
    return tx.execute(_CLOSE_SESSION, {"index": index}).all()


def set_password(tx: Connection, person_id: int, password_hash: str, now: datetime) -> None:
    """Replace the password of a person."""
    tx.execute(_SET_PASSWORD, {"person": person_id, "hash": password_hash, "now": now})


_END_OTHER_SESSIONS = sa.text("""
    DELETE FROM sessions WHERE person_id = :person AND session_index <> :but AND (CAST(:only AS uuid[]) IS NULL OR session_id = ANY(CAST(:only AS uuid[])))
    RETURNING session_id, expires_at""")
_SESSIONS = sa.text("SELECT * FROM sessions WHERE person_id = :person AND expires_at > :now ORDER BY created_at DESC")
_NOTE_SIGN_IN = sa.text("INSERT INTO sign_ins (person_id, at, address, device, succeeded) VALUES (:person, :at, :address, :device, :succeeded) ON CONFLICT DO NOTHING")
_SIGN_INS = sa.text("SELECT * FROM sign_ins WHERE person_id = :person ORDER BY at DESC LIMIT 100")
_SIGNED_IN_FROM = sa.text("SELECT DISTINCT address FROM (SELECT address FROM sign_ins WHERE person_id = :person AND succeeded ORDER BY at DESC LIMIT 100) AS s")
_FORGET_SIGN_INS = sa.text("DELETE FROM sign_ins WHERE at < CAST(:now AS timestamptz) - interval '180 days'")
_KEEP_CAPTCHA = sa.text("""
    WITH gone AS (DELETE FROM captchas WHERE expires_at < :now)
    INSERT INTO captchas (captcha_id, answer_index, expires_at) VALUES (:id, :answer, :expires)""")
_SPEND_CAPTCHA = sa.text("DELETE FROM captchas WHERE captcha_id = CAST(:id AS uuid) RETURNING answer_index, expires_at")
_ISSUE = sa.text("""
    INSERT INTO reset_codes (person_id, code_index, expires_at, issued_by, issued_for)
    SELECT person_id, decode(code_index, 'base64'), expires_at, issued_by, issued_for FROM json_to_recordset(CAST(:items AS json)) AS i(
        person_id bigint, code_index text, expires_at timestamptz, issued_by bigint, issued_for bigint) ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET (code_index, expires_at, issued_by, issued_for) =
        (excluded.code_index, excluded.expires_at, excluded.issued_by, excluded.issued_for)""")
_SPEND = sa.text("""
    DELETE FROM reset_codes WHERE person_id = :person AND code_index = :code AND expires_at > :now RETURNING issued_by, issued_for""")


def end_other_sessions(tx: Connection, person_id: int, but: bytes, only: Sequence[uuid.UUID] | None = None) -> Sequence[sa.Row[Any]]:
    """End every session of a person but one, or `only` some; return the ended by `session_id` and `expires_at`."""
    ids = None if only is None else [str(one) for one in only]
    return tx.execute(_END_OTHER_SESSIONS, {"person": person_id, "but": but, "only": ids}).all()


def sessions(tx: Connection, person_id: int, now: datetime) -> Sequence[sa.Row[Any]]:
    """Return the living sessions of a person, newest first."""
    return tx.execute(_SESSIONS, {"person": person_id, "now": now}).all()


def note_sign_in(tx: Connection, person_id: int, at: datetime, address: str, device: str, succeeded: bool) -> None:
    """Keep an attempt to sign in, for the person to see."""
    tx.execute(_NOTE_SIGN_IN, {"person": person_id, "at": at, "address": address, "device": device, "succeeded": succeeded})


def signed_in_from(tx: Connection, person_id: int) -> set[str]:
    """Return the addresses from which a person has signed in lately."""
    return set(tx.scalars(_SIGNED_IN_FROM, {"person": person_id}))


def sign_ins(tx: Connection, person_id: int) -> Sequence[sa.Row[Any]]:
    """Return the last hundred attempts to sign in as a person, newest first."""
    return tx.execute(_SIGN_INS, {"person": person_id}).all()


def forget_sign_ins(tx: Connection, now: datetime) -> None:
    """Forget attempts older than 180 days."""
    tx.execute(_FORGET_SIGN_INS, {"now": now})


def keep_captcha(tx: Connection, captcha_id: uuid.UUID, answer: bytes, now: datetime, expires: datetime) -> None:
    """Store the keyed hash of a captcha's answer; those that have lapsed go."""
    tx.execute(_KEEP_CAPTCHA, {"id": captcha_id, "answer": answer, "now": now, "expires": expires})


def spend_captcha(tx: Connection, captcha_id: str) -> sa.Row[Any] | None:
    """Use a captcha up, whatever was answered; return its answer's hash and when it lapses."""
    return tx.execute(_SPEND_CAPTCHA, {"id": captcha_id}).one_or_none()


def issue_codes(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store reset codes by their keyed hashes, each in place of the person's earlier one."""
    db.run(tx, _ISSUE, rows)


def spend_code(tx: Connection, person_id: int, code_index: bytes, now: datetime) -> sa.Row[Any] | None:
    """Use a reset code up; return who made it and for which organisation, if it was there and living."""
    return tx.execute(_SPEND, {"person": person_id, "code": code_index, "now": now}).one_or_none()


_REPLIES = sa.text("SELECT command_id, reply, person_id FROM handled_commands WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_REMEMBER = sa.text("INSERT INTO handled_commands (command_id, reply, person_id) SELECT command_id, reply, person_id"
                    " FROM json_to_recordset(CAST(:items AS json)) AS i(command_id uuid, reply text, person_id bigint)")


def replies(tx: Connection, command_ids: Sequence[Any]) -> dict[Any, sa.Row[Any]]:
    """Return the stored answers of commands that were handled before, and whose commands they were."""
    return {row.command_id: row for row in tx.execute(_REPLIES, {"ids": [str(one) for one in command_ids]})}


def remember(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Store the answers of commands that changed something."""
    if rows:
        db.run(tx, _REMEMBER, rows)
