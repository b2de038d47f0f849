"""Signing in: passwords, lockout, sessions, tokens (ACC)."""
from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, store
from services.members.seal import Seal
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor, Signer
from shared.messages.members import ChangePassword, IssueResetCode, Renew, ResetCode, ResetPassword, Signed, SignIn, SignOut

TOKEN_LIFE = timedelta(minutes=15)
SESSION_LIFE = timedelta(hours=8)
CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
"""Of a reset code, without letters that look alike."""
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""argon2id, time_cost 2, 19 MiB, one lane: about 30 ms a sign-in on one core."""


class Secrets:
    """The keys of this process; set once at start by `use`."""

    seal: Seal
    signer: Signer
    nobody: str
    """A hash that no password has, for numbers that nobody has."""


keys = Secrets()


def use(folder: Path) -> None:
    """Load the keys in `folder`."""
    keys.seal, keys.signer, keys.nobody = Seal(folder), Signer(folder), HASHER.hash(secrets.token_hex(16))


def sign_in(tx: Connection, request: SignIn, actor: Actor | None) -> Signed:
    """Open a session for ID number and password (ACC-02, ACC-05, ACC-10).

    A number that nobody has costs the same time, is counted and is locked like any other. The counts outlast the refusal because the
    transaction of a refused query is committed.

    Raises:
        Refused: `sign_in_failed` for a wrong number as for a wrong password; `too_many_attempts` while number or address is locked.

    """
    id_number = domain.normalise_id(request.id_number)
    index = keys.seal.index(id_number)
    person = store.by_index(tx, index)
    account = store.hold_account(tx, person.person_id) if person is not None else None
    limits = {index.hex(): domain.LOCK_AFTER} | ({f"from {request.address}": domain.LOCK_ADDRESS_AFTER} if request.address else {})
    _try_password(tx, account, id_number, request.password, limits)
    assert person is not None and account is not None
    store.forget_failures(tx, index.hex())
    now, secret = clock.now(), secrets.token_urlsafe(32)
    store.open_session(tx, _index(secret), person.person_id, now, now + SESSION_LIFE)
    return _signed(person, secret, account.password_hash is None)


def _try_password(tx: Connection, account: sa.Row[Any] | None, id_number: str, password: str, limits: dict[str, int]) -> None:
    """Return if the password is the account's; else count the failure and refuse. One hash is computed in every case."""
    now = clock.now()
    _refuse_while_locked(tx, limits, now)
    right = _matches(account.password_hash if account is not None and account.password_hash else keys.nobody, password)
    if account is not None and account.password_hash is None:
        right = hmac.compare_digest(password.upper().encode(), domain.initial_password(id_number).encode())
    if account is None or not right:
        store.count_failure(tx, limits, now, domain.LOCK_FOR)
        raise Refused("sign_in_failed")


def _refuse_while_locked(tx: Connection, limits: dict[str, int], now: datetime) -> None:
    until = store.locked_until(tx, list(limits), now)
    if until is not None:
        raise Refused("too_many_attempts", minutes=int((until - now).total_seconds() // 60) + 1)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _index(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _signed(person: sa.Row[Any], secret: str, restricted: bool) -> Signed:
    token, expires_at = token_of(person.person_id, restricted)
    return Signed(
        person_id=person.person_id, name=person.name, token=token, session=secret, expires_at=expires_at, must_change_password=restricted)


def token_of(person_id: int, restricted: bool = False) -> tuple[str, datetime]:
    """Return a token that proves the person for 15 minutes, and when it expires."""
    claims = {"restricted": True} if restricted else {}
    return keys.signer.sign("person", TOKEN_LIFE, sub=str(person_id), **claims)


def renew(tx: Connection, request: Renew, actor: Actor | None) -> Signed:
    """Return a fresh token of a living session; refuse `token_expired` otherwise."""
    session = store.session(tx, _index(request.session), clock.now())
    if session is None:
        raise Refused("token_expired")
    person = store.by_ids(tx, [session.person_id])[session.person_id]
    account = store.account(tx, person.person_id)
    return _signed(person, request.session, account is None or account.password_hash is None)


def sign_out(tx: Connection, request: SignOut, actor: Actor | None) -> bool:
    """End a session; its token lives on for at most 15 minutes (ACC-16)."""
    return store.close_session(tx, _index(request.session))


def change_password(tx: Connection, request: ChangePassword, actor: Actor | None) -> bool:
    """Replace the own password (ACC-05); the other sessions of the person end, the given one is unrestricted from its next renewal on."""
    assert actor is not None
    person = store.by_ids(tx, [actor.person_id]).get(actor.person_id)
    account = store.hold_account(tx, actor.person_id)
    if person is None or account is None:
        raise Refused("sign_in_failed")
    id_number = keys.seal.open(person.id_sealed)
    _try_password(tx, account, id_number, request.old_password, {bytes(person.id_index).hex(): domain.LOCK_AFTER})
    refusal = domain.check_new_password(request.new_password, id_number)
    if refusal is not None:
        raise Refused(refusal.code)
    store.set_password(tx, actor.person_id, HASHER.hash(request.new_password), clock.now())
    store.end_other_sessions(tx, actor.person_id, _index(request.session))
    return True


def issue_reset_codes(tx: Connection, asked: list[Asked[IssueResetCode]]) -> list[ResetCode]:
    """Make codes that reset members' passwords, for administrators of the branch or its direct superior to hand over (ACC-06, ACC-07, ACC-09).

    A code is in this answer and nowhere else; repeated, the command makes a new one in its place.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(tx, [row.branch_id for row in people.values()])
    expires_at = clock.now() + timedelta(hours=float(os.environ.get("TUANQIAO_RESET_CODE_HOURS") or 24))
    answers: list[ResetCode] = []
    codes: dict[int, str] = {}
    rows: dict[int, dict[str, Any]] = {}
    for one in asked:
        person = people.get(one.item.member_id)
        branch = orgs.get(person.branch_id) if person is not None and person.branch_id is not None else None
        if person is None or branch is None or one.actor not in acting or not directory.is_own_or_superior(one.actor.org_id, branch):
            answers.append(ResetCode(member_id=one.item.member_id, refusal=Refusal("unknown_member")))
            continue
        code = codes.setdefault(person.person_id, "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH)))
        answers.append(ResetCode(member_id=person.person_id, code=code, expires_at=expires_at))
        rows[person.person_id] = {"person_id": person.person_id, "expires_at": expires_at, "issued_by": one.actor.person_id,
                                  "code_index": base64.b64encode(_code_index(person.person_id, code)).decode()}
    if rows:
        store.issue_codes(tx, list(rows.values()))
    return answers


def _code_index(person_id: int, code: str) -> bytes:
    return keys.seal.index(f"reset {person_id} {code.strip().upper()}")


def reset_password(tx: Connection, request: ResetPassword, actor: Actor | None) -> bool:
    """Replace a forgotten password (ACC-08): one answer for a wrong number, a wrong code and a spent one; failures count as in `sign_in`.

    Success ends all sessions of the person and the lock of the number.

    Raises:
        Refused: `reset_failed`, `password_weak` (the code stays good), `too_many_attempts`.

    """
    id_number = domain.normalise_id(request.id_number)
    index, now = keys.seal.index(id_number), clock.now()
    limits = {f"reset {index.hex()}": domain.LOCK_AFTER} | ({f"from {request.address}": domain.LOCK_ADDRESS_AFTER} if request.address else {})
    _refuse_while_locked(tx, limits, now)
    refusal = domain.check_new_password(request.new_password, id_number)
    if refusal is not None:
        raise Refused(refusal.code)
    person = store.by_index(tx, index)
    password_hash = HASHER.hash(request.new_password)
    if person is None or not store.spend_code(tx, person.person_id, _code_index(person.person_id, request.code), now):
        store.count_failure(tx, limits, now, domain.LOCK_FOR)
        raise Refused("reset_failed")
    store.set_password(tx, person.person_id, password_hash, now)
    store.end_other_sessions(tx, person.person_id, b"")
    store.forget_failures(tx, index.hex())
    return True
