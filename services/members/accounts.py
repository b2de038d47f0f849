"""Signing in: passwords, lockout, sessions, tokens (ACC)."""
from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from pathlib import Path

import argon2
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, store
from services.members.seal import Seal
from shared import clock
from shared.errors import Refused
from shared.identity import Actor, Signer
from shared.messages.members import ChangePassword, Renew, Signed, SignIn, SignOut

TOKEN_LIFE = timedelta(minutes=15)
SESSION_LIFE = timedelta(hours=8)
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""argon2id with 19 MiB and two passes: about 30 ms a sign-in on one core."""


class Secrets:
    """The keys of this process; set once at start by `use`."""

    seal: Seal
    signer: Signer


keys = Secrets()
_NOBODY = HASHER.hash(secrets.token_hex(16))


def use(folder: Path) -> None:
    """Load the keys in `folder`."""
    keys.seal, keys.signer = Seal(folder), Signer(folder)


def sign_in(tx: Connection, request: SignIn, actor: Actor | None) -> Signed:
    """Open a session for ID number and password (ACC-02, ACC-05, ACC-10).

    Raises:
        Refused: `sign_in_failed` for a wrong number as for a wrong password; `too_many_attempts` while locked.
    """
    id_number = domain.normalise_id(request.id_number)
    person = store.by_index(tx, keys.seal.index(id_number))
    account = store.account(tx, person.person_id) if person is not None else None
    if person is None or account is None:
        _matches(_NOBODY, request.password)  # the same time as for a person who exists
        raise Refused("sign_in_failed")
    now = clock.now()
    if account.locked_until is not None and account.locked_until > now:
        raise Refused("too_many_attempts", minutes=int((account.locked_until - now).total_seconds() // 60) + 1)
    initial = account.password_hash is None
    if initial:
        right = hmac.compare_digest(request.password.upper().encode(), domain.initial_password(id_number).encode())
    else:
        right = _matches(account.password_hash, request.password)
    if not right:
        store.sign_in_failed(tx, person.person_id, domain.LOCK_AFTER, now + domain.LOCK_FOR)
        raise Refused("sign_in_failed")
    store.sign_in_succeeded(tx, person.person_id)
    secret = secrets.token_urlsafe(32)
    store.open_session(tx, _index(secret), person.person_id, now + SESSION_LIFE)
    return _signed(person, secret, initial)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _index(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _signed(person: sa.Row, secret: str, restricted: bool) -> Signed:
    token, expires_at = token_of(person.person_id, restricted)
    return Signed(person_id=person.person_id, name=person.name, token=token, session=secret, expires_at=expires_at, must_change_password=restricted)


def token_of(person_id: int, restricted: bool = False) -> tuple[str, object]:
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
    """Replace the own password (ACC-05); the next renewed token is unrestricted."""
    assert actor is not None
    person = store.by_ids(tx, [actor.person_id]).get(actor.person_id)
    account = store.account(tx, actor.person_id)
    if person is None or account is None:
        raise Refused("sign_in_failed")
    id_number = keys.seal.open(person.id_sealed)
    if account.password_hash is None:
        right = hmac.compare_digest(request.old_password.upper().encode(), domain.initial_password(id_number).encode())
    else:
        right = _matches(account.password_hash, request.old_password)
    if not right:
        raise Refused("sign_in_failed")
    refusal = domain.check_new_password(request.new_password, id_number)
    if refusal is not None:
        raise Refused(refusal.code)
    store.set_password(tx, actor.person_id, HASHER.hash(request.new_password))
    return True
