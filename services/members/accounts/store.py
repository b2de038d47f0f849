"""The SQL of accounts, sessions, sign-ins, captchas and reset codes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.sessions import Ended
from shared import db
from shared.recordset import columns, recordset


class Account(NamedTuple):
    """An account; without a password of its own it has so many last characters of the ID number."""

    person_id: int
    password_hash: str | None
    changed_at: datetime | None
    initial_tail: int


class Session(NamedTuple):
    """A session that has not lapsed."""

    session_id: uuid.UUID
    session_index: bytes
    person_id: int
    created_at: datetime
    expires_at: datetime
    address: str
    device: str


class SignIn(NamedTuple):
    """An attempt to sign in."""

    at: datetime
    address: str
    device: str
    succeeded: bool


class Captcha(NamedTuple):
    """The keyed hash of a captcha's answer, and when it lapses."""

    answer_index: bytes
    expires_at: datetime


class NewCode(TypedDict):
    """A reset code by its keyed hash, as base64, and who has made it for which organisation."""

    person_id: int
    code_index: str
    expires_at: datetime
    issued_by: int | None
    issued_for: int | None


class Spent(NamedTuple):
    """Who had made a code that was used, for which organisation; on the command line nobody for none."""

    issued_by: int | None
    issued_for: int | None


_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person")

_HOLD_ACCOUNT = sa.text("SELECT * FROM accounts WHERE person_id = :person FOR UPDATE")

_OPEN_SESSION = sa.text("""
    INSERT INTO sessions (session_index, person_id, expires_at, created_at, address, device)
    VALUES (:index, :person, :expires, :now, :address, :device)
    RETURNING session_id""")

_SESSION = sa.text("SELECT * FROM sessions WHERE session_index = :index AND expires_at > :now")

_CLOSE_SESSION = sa.text("DELETE FROM sessions WHERE session_index = :index RETURNING session_id, expires_at")

_END_SESSIONS = sa.text("DELETE FROM sessions WHERE person_id = :person AND expires_at <= :now")

_SET_PASSWORD = sa.text(
    "UPDATE accounts SET password_hash = :hash, changed_at = :now WHERE person_id = :person"
)


def account(tx: Connection, person_id: int) -> Account | None:
    """Return the account of a person."""
    return db.row(Account, tx.execute(_ACCOUNT, {"person": person_id}))


def hold_account(tx: Connection, person_id: int) -> Account | None:
    """Return the account of a person, held until the transaction ends.

    So passwords of one account are tried one after the other.
    """
    return db.row(Account, tx.execute(_HOLD_ACCOUNT, {"person": person_id}))


def open_session(
    tx: Connection, index: bytes, person_id: int, now: datetime, expires: datetime, address: str, device: str
) -> uuid.UUID:
    """Store a session by the hash of its secret and return its id; the person's lapsed ones go."""
    tx.execute(_END_SESSIONS, {"person": person_id, "now": now})
    made: uuid.UUID = tx.execute(
        _OPEN_SESSION,
        {
            "index": index,
            "person": person_id,
            "expires": expires,
            "now": now,
            "address": address,
            "device": device,
        },
    ).scalar_one()
    return made


def session(tx: Connection, index: bytes, now: datetime) -> Session | None:
    """Return a living session."""
    return db.row(Session, tx.execute(_SESSION, {"index": index, "now": now}))


def close_session(tx: Connection, index: bytes) -> list[Ended]:
    """End a session; return it, if there was one."""
    return db.rows(Ended, tx.execute(_CLOSE_SESSION, {"index": index}))


def set_password(tx: Connection, person_id: int, password_hash: str, now: datetime) -> None:
    """Replace the password of a person."""
    tx.execute(_SET_PASSWORD, {"person": person_id, "hash": password_hash, "now": now})


_END_OTHER_SESSIONS = sa.text("""
    DELETE FROM sessions
    WHERE person_id = :person AND session_index <> :but
        AND (CAST(:only AS uuid[]) IS NULL OR session_id = ANY(CAST(:only AS uuid[])))
    RETURNING session_id, expires_at""")

_SESSIONS = sa.text(
    "SELECT * FROM sessions WHERE person_id = :person AND expires_at > :now ORDER BY created_at DESC"
)

_NOTE_SIGN_IN = sa.text("""
    INSERT INTO sign_ins (person_id, at, address, device, succeeded)
    VALUES (:person, :at, :address, :device, :succeeded)
    ON CONFLICT DO NOTHING""")

_SIGN_INS = sa.text("SELECT * FROM sign_ins WHERE person_id = :person ORDER BY at DESC LIMIT 100")

_SIGNED_IN_FROM = sa.text("""
    SELECT DISTINCT address
    FROM (
        SELECT address FROM sign_ins
        WHERE person_id = :person AND succeeded
        ORDER BY at DESC
        LIMIT 100
    ) AS s""")

_FORGET_SIGN_INS = sa.text("DELETE FROM sign_ins WHERE at < CAST(:now AS timestamptz) - interval '180 days'")

_KEEP_CAPTCHA = sa.text("""
    WITH gone AS (DELETE FROM captchas WHERE captcha_id = ANY(ARRAY(
        SELECT captcha_id FROM captchas WHERE expires_at < :now FOR UPDATE SKIP LOCKED)))
    INSERT INTO captchas (captcha_id, answer_index, expires_at) VALUES (:id, :answer, :expires)""")

_SPEND_CAPTCHA = sa.text(
    "DELETE FROM captchas WHERE captcha_id = CAST(:id AS uuid) RETURNING answer_index, expires_at"
)

_ISSUE = sa.text(f"""
    INSERT INTO reset_codes ({columns(NewCode)})
    SELECT {columns(NewCode, code_index="decode(code_index, 'base64')")}
    FROM {recordset(NewCode)}
    ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET (code_index, expires_at, issued_by, issued_for) =
        (excluded.code_index, excluded.expires_at, excluded.issued_by, excluded.issued_for)""")

_SPEND = sa.text("""
    DELETE FROM reset_codes
    WHERE person_id = :person AND code_index = :code AND expires_at > :now
    RETURNING issued_by, issued_for""")


def end_other_sessions(
    tx: Connection, person_id: int, but: bytes, only: Sequence[uuid.UUID] | None = None
) -> list[Ended]:
    """End every session of a person but one, or only those named in `only`; return those that ended."""
    ids = None if only is None else [str(one) for one in only]
    return db.rows(Ended, tx.execute(_END_OTHER_SESSIONS, {"person": person_id, "but": but, "only": ids}))


def sessions(tx: Connection, person_id: int, now: datetime) -> list[Session]:
    """Return the living sessions of a person, newest first."""
    return db.rows(Session, tx.execute(_SESSIONS, {"person": person_id, "now": now}))


def note_sign_in(
    tx: Connection, person_id: int, at: datetime, address: str, device: str, succeeded: bool
) -> None:
    """Keep an attempt to sign in, for the person to see."""
    tx.execute(
        _NOTE_SIGN_IN,
        {"person": person_id, "at": at, "address": address, "device": device, "succeeded": succeeded},
    )


def signed_in_from(tx: Connection, person_id: int) -> set[str]:
    """Return the addresses from which a person has signed in lately."""
    return set(tx.scalars(_SIGNED_IN_FROM, {"person": person_id}))


def sign_ins(tx: Connection, person_id: int) -> list[SignIn]:
    """Return the last hundred attempts to sign in as a person, newest first."""
    return db.rows(SignIn, tx.execute(_SIGN_INS, {"person": person_id}))


def forget_sign_ins(tx: Connection, now: datetime) -> None:
    """Forget attempts older than 180 days."""
    tx.execute(_FORGET_SIGN_INS, {"now": now})


def keep_captcha(
    tx: Connection, captcha_id: uuid.UUID, answer: bytes, now: datetime, expires: datetime
) -> None:
    """Store the keyed hash of a captcha's answer; those that have lapsed go."""
    tx.execute(_KEEP_CAPTCHA, {"id": captcha_id, "answer": answer, "now": now, "expires": expires})


def spend_captcha(tx: Connection, captcha_id: str) -> Captcha | None:
    """Use a captcha up, whatever was answered."""
    return db.row(Captcha, tx.execute(_SPEND_CAPTCHA, {"id": captcha_id}))


def issue_codes(tx: Connection, rows: Sequence[NewCode]) -> None:
    """Store reset codes by their keyed hashes, each in place of the person's earlier one."""
    db.run(tx, _ISSUE, rows)


def spend_code(tx: Connection, person_id: int, code_index: bytes, now: datetime) -> Spent | None:
    """Use a reset code up; return who made it and for which organisation, if it was there and living."""
    return db.row(Spent, tx.execute(_SPEND, {"person": person_id, "code": code_index, "now": now}))
