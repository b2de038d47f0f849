"""The only SQL of the members service. The three statements of the saga come first; each is one round trip for any number."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.messages.members import MemberMoved, MemberReserved, ReservationRefused
from shared.outbox import insert, tell

# ---- the saga --------------------------------------------------------------------------------------------------------

_RESERVE = sa.text(f"""
    WITH asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        transfer_id bigint, member_id bigint, source_branch_id bigint, target_org_id bigint)),
    held AS (UPDATE people p SET reserved_by = i.transfer_id, reserved_target_id = i.target_org_id FROM asked i
        WHERE p.person_id = i.member_id AND p.branch_id = i.source_branch_id AND p.reserved_by IS NULL RETURNING i.transfer_id, i.member_id),
    others AS (SELECT i.*, p.person_id, p.branch_id, p.reserved_by FROM asked i LEFT JOIN people p ON p.person_id = i.member_id
        WHERE i.transfer_id NOT IN (SELECT transfer_id FROM held)),
    reserved AS (SELECT transfer_id, member_id FROM held UNION ALL SELECT transfer_id, member_id FROM others WHERE reserved_by = transfer_id),
    refused AS (SELECT transfer_id, member_id, CASE WHEN person_id IS NULL THEN 'unknown_member'
            WHEN branch_id IS DISTINCT FROM source_branch_id THEN 'member_elsewhere' ELSE 'transfer_open' END AS code
        FROM others WHERE reserved_by IS DISTINCT FROM transfer_id)
    {insert(tell(MemberReserved, "reserved"), tell(ReservationRefused, "refused"))}""")

_MOVE = sa.text(f"""
    WITH asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        transfer_id bigint, member_id bigint, branch_id bigint, at timestamptz)),
    arrived AS (UPDATE people p SET branch_id = i.branch_id, reserved_by = NULL, reserved_target_id = NULL, graduate = false FROM asked i
        WHERE p.person_id = i.member_id AND p.reserved_by = i.transfer_id RETURNING i.*),
    closed AS (UPDATE memberships m SET ended_at = a.at FROM arrived a WHERE m.person_id = a.member_id AND m.ended_at IS NULL RETURNING 1),
    begun AS (INSERT INTO memberships (person_id, began_at, branch_id, transfer_id) SELECT member_id, at, branch_id, transfer_id FROM arrived
        WHERE (SELECT count(*) FROM closed) >= 0),
    moved AS (SELECT transfer_id, member_id, branch_id FROM arrived UNION ALL
        SELECT i.transfer_id, i.member_id, i.branch_id FROM asked i JOIN memberships m ON m.person_id = i.member_id AND m.transfer_id = i.transfer_id)
    {insert(tell(MemberMoved, "moved"))}""")

_RELEASE = sa.text("""
    UPDATE people p SET reserved_by = NULL, reserved_target_id = NULL
    FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint, member_id bigint)
    WHERE p.person_id = i.member_id AND p.reserved_by = i.transfer_id""")


def reserve(tx: Connection, items: Sequence[Any]) -> None:
    """Hold members for transfers, each for one only, and tell which were held and which not and why (TRF-02, MEM-01)."""
    db.run(tx, _RESERVE, items)


def move(tx: Connection, items: Sequence[Any]) -> None:
    """Move held members once, close the old stay and begin the new (TRF-35, BEY-09); a repeated message is only answered again.

    Counting `closed` makes PostgreSQL close before it begins; left alone it may begin first and break `uq_memberships_one_open`.
    """
    db.run(tx, _MOVE, items)


def release(tx: Connection, items: Sequence[Any]) -> None:
    """Let members go whose transfer ended without a move (TRF-25)."""
    db.run(tx, _RELEASE, items)


# ---- people ----------------------------------------------------------------------------------------------------------

_BY_INDEX = sa.text("SELECT * FROM people WHERE id_index = :index")
_BY_IDS = sa.text("SELECT * FROM people WHERE person_id = ANY(CAST(:ids AS bigint[]))")
_OF_BRANCH = sa.text("SELECT * FROM people WHERE branch_id = :branch AND person_id > :after ORDER BY person_id LIMIT :limit")
_STAYS = sa.text("SELECT * FROM memberships WHERE person_id = :person ORDER BY began_at DESC")
_KNOWN = sa.text("SELECT id_index FROM people WHERE id_index = ANY(:indexes)")
_USED_NUMBERS = sa.text("SELECT development_number FROM people WHERE development_number = ANY(:numbers) AND development_number <> ''")
_ADD = sa.text("""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        person_id bigint, name text, id_sealed text, id_index text, phone_sealed text, ethnic_group text, joined_on date,
        development_number text, post text, branch_id bigint)),
    made AS (INSERT INTO people (person_id, name, id_sealed, id_index, phone_sealed, ethnic_group, joined_on, development_number, post, branch_id)
        SELECT coalesce(person_id, nextval(pg_get_serial_sequence('people', 'person_id'))), name, decode(id_sealed, 'base64'),
            decode(id_index, 'base64'), decode(phone_sealed, 'base64'), ethnic_group, joined_on, development_number, post, branch_id
        FROM given ORDER BY id_index
        ON CONFLICT DO NOTHING RETURNING person_id, id_index, branch_id),
    begun AS (INSERT INTO memberships (person_id, began_at, branch_id) SELECT person_id, :now, branch_id FROM made WHERE branch_id IS NOT NULL),
    opened AS (INSERT INTO accounts (person_id, password_hash) SELECT person_id, CAST(:password_hash AS text) FROM made)
    SELECT person_id, id_index FROM made""")
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


def known(tx: Connection, indexes: list[bytes]) -> set[bytes]:
    """Return those of the blind indexes that are registered."""
    return {bytes(one) for one in tx.scalars(_KNOWN, {"indexes": indexes})}


def used_numbers(tx: Connection, numbers: list[str]) -> set[str]:
    """Return those of the development numbers that are taken."""
    return set(tx.scalars(_USED_NUMBERS, {"numbers": numbers}))


def add(tx: Connection, rows: Iterable[dict[str, Any]], now: datetime, password_hash: str | None = None) -> dict[bytes, int]:
    """Enter people with accounts and first stays; return the new ids by blind index. Who is there already is left out.

    Sealed values come as base64 text. Rows are entered in the order of their indexes, so that two lists with the same people wait
    for each other instead of dying of a deadlock.
    """
    return {bytes(row.id_index): row.person_id for row in db.run(tx, _ADD, rows, now=now, password_hash=password_hash)}


def skip_ids(tx: Connection, highest: int) -> None:
    """Let the ids that the database gives begin after `highest`."""
    tx.execute(_SKIP_IDS, {"highest": highest})


_MARK = sa.text("""
    WITH asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint, graduates_on date)),
    marked AS (UPDATE people p SET graduate = true, graduates_on = i.graduates_on FROM asked i WHERE p.branch_id = i.branch_id RETURNING p.branch_id)
    SELECT branch_id, count(*)::int AS n FROM marked GROUP BY branch_id""")


def mark_graduates(tx: Connection, items: list[dict[str, Any]]) -> dict[int, int]:
    """Flag the members of branches as graduates (GRAD-12); return how many by branch."""
    return {row.branch_id: row.n for row in db.run(tx, _MARK, items)}


# ---- accounts and sessions -------------------------------------------------------------------------------------------

_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person")
_HOLD_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person FOR UPDATE")
_LOCKED = sa.text("SELECT max(locked_until) FROM attempts WHERE tried = ANY(:tried) AND locked_until > :now")
_FAILED = sa.text("""
    INSERT INTO attempts AS a (tried, failed, began_at) SELECT tried, 1, :now
        FROM json_to_recordset(CAST(:items AS json)) AS i(tried text) ORDER BY tried
    ON CONFLICT (tried) DO UPDATE SET
        failed = CASE WHEN a.began_at > :since THEN a.failed + 1 ELSE 1 END,
        began_at = CASE WHEN a.began_at > :since THEN a.began_at ELSE :now END,
        locked_until = CASE WHEN a.began_at > :since AND a.failed + 1 >= CAST(CAST(:limits AS json) ->> a.tried AS int)
            THEN CAST(:until AS timestamptz) END""")
_FORGET = sa.text("DELETE FROM attempts WHERE tried = :tried")
_FORGET_OLD = sa.text("""
    DELETE FROM attempts WHERE tried IN (SELECT tried FROM attempts WHERE began_at < :since AND (locked_until IS NULL OR locked_until < :now)
        LIMIT 100 FOR UPDATE SKIP LOCKED)""")
_OPEN_SESSION = sa.text("INSERT INTO sessions (session_index, person_id, expires_at) VALUES (:index, :person, :expires)")
_SESSION = sa.text("SELECT * FROM sessions WHERE session_index = :index AND expires_at > :now")
_CLOSE_SESSION = sa.text("DELETE FROM sessions WHERE session_index = :index")
_END_SESSIONS = sa.text("DELETE FROM sessions WHERE person_id = :person AND expires_at <= :now")
_SET_PASSWORD = sa.text("UPDATE accounts SET password_hash = :hash, changed_at = :now WHERE person_id = :person")


def account(tx: Connection, person_id: int) -> sa.Row[Any] | None:
    """Return the account of a person."""
    return tx.execute(_ACCOUNT, {"person": person_id}).one_or_none()


def hold_account(tx: Connection, person_id: int) -> sa.Row[Any] | None:
    """Return the account of a person, held until the end of the transaction: passwords of one account are tried one after the other."""
    return tx.execute(_HOLD_ACCOUNT, {"person": person_id}).one_or_none()


def locked_until(tx: Connection, tried: Sequence[str], now: datetime) -> datetime | None:
    """Return until when one of the given numbers or addresses is locked, if any is."""
    until: datetime | None = tx.scalar(_LOCKED, {"tried": list(tried), "now": now})
    return until


def count_failure(tx: Connection, limits: dict[str, int], now: datetime, window: timedelta) -> None:
    """Count a failure against each key of `limits`; who reaches the limit within `window` is locked as long."""
    since = now - window
    db.run(tx, _FAILED, [{"tried": tried} for tried in limits], limits=msgspec.json.encode(limits).decode(), now=now, since=since, until=now + window)
    tx.execute(_FORGET_OLD, {"since": since, "now": now})


def forget_failures(tx: Connection, tried: str) -> None:
    """Start the count of a number afresh."""
    tx.execute(_FORGET, {"tried": tried})


def open_session(tx: Connection, index: bytes, person_id: int, now: datetime, expires: datetime) -> None:
    """Store a session by the hash of its secret; the person's lapsed ones go."""
    tx.execute(_END_SESSIONS, {"person": person_id, "now": now})
    tx.execute(_OPEN_SESSION, {"index": index, "person": person_id, "expires": expires})


def session(tx: Connection, index: bytes, now: datetime) -> sa.Row[Any] | None:
    """Return a living session."""
    return tx.execute(_SESSION, {"index": index, "now": now}).one_or_none()


def close_session(tx: Connection, index: bytes) -> bool:
    """End a session; return whether there was one."""
    return bool(tx.execute(_CLOSE_SESSION, {"index": index}).rowcount)


def set_password(tx: Connection, person_id: int, password_hash: str, now: datetime) -> None:
    """Replace the password of a person."""
    tx.execute(_SET_PASSWORD, {"person": person_id, "hash": password_hash, "now": now})


_REPLIES = sa.text("SELECT command_id, reply FROM handled_commands WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_REMEMBER = sa.text("INSERT INTO handled_commands (command_id, reply)"
                    " SELECT command_id, reply FROM json_to_recordset(CAST(:items AS json)) AS i(command_id uuid, reply text)")


def replies(tx: Connection, command_ids: Sequence[Any]) -> dict[Any, str]:
    """Return the stored answers of commands that were handled before."""
    return {row.command_id: row.reply for row in tx.execute(_REPLIES, {"ids": [str(one) for one in command_ids]})}


def remember(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Store the answers of commands that changed something."""
    if rows:
        db.run(tx, _REMEMBER, rows)
