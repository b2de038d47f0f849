"""Signing in: passwords, lockout, sessions, tokens (ACC)."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.accounts import captcha, resets, rules
from services.members.accounts import store as accounts_store
from services.members.closed import LEFT, closed
from services.members.log import log
from services.members.sealing.keys import b64, code_index, new_code
from services.members.sealing.keys import keys as keys
from services.members.sealing.seal import Seal
from services.members.sessions import TOKEN_LIFE, tell_ended
from services.members.throttle import is_busy, of_account
from shared import audit, clock, directory, throttle
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor, Signer
from shared.messages.members import (
    ChangePassword,
    EndSessions,
    IssueResetCode,
    ListSessions,
    Renew,
    ResetCode,
    ResetPassword,
    SessionInfo,
    Sessions,
    Signed,
    SignIn,
    SignInTried,
    SignOut,
)

SESSION_LIFE = timedelta(hours=8)
CODE_LENGTH = 8
"""Of a reset code."""
DEVICE_LENGTH = 120
"""Characters kept of what a browser says of itself."""
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""argon2id, time_cost 2, 19 MiB, one lane: about 30 ms a sign-in on one core."""


def use(folder: Path) -> None:
    """Load the keys in `folder`."""
    keys.folder = folder
    keys.seal = Seal(folder)
    keys.signer = Signer(folder)
    # compared with where there is no password, so that the answer takes as long
    keys.nobody = HASHER.hash(secrets.token_hex(16))


def sign_in(tx: Connection, request: SignIn, actor: Actor | None) -> Signed:
    """Open a session for ID number and password (ACC-02, ACC-05, ACC-10).

    A number that nobody has costs the same time, is counted and is locked like any other. The
    counts outlast the refusal because the transaction of a refused query is committed.

    Raises:
        Refused: `captcha_wrong`; `sign_in_failed` for a wrong number as for a wrong password;
            `too_many_attempts` while the account, or the address for who is not known there, is
            closed.

    """
    id_number = domain.normalise_id(request.id_number)
    index = keys.seal.index(id_number)
    person = store.by_index(tx, index)
    known_here = _known_at(tx, person, request.address)
    _check_captcha(tx, request, known_here)
    account = accounts_store.hold_account(tx, person.person_id) if person is not None else None
    limits = of_account(index.hex(), request.address, known_here)
    try:
        _try_password(tx, account, id_number, request.password, limits)
    except Refused:
        _note(tx, person, request, succeeded=False)
        raise
    assert person is not None and account is not None
    _note(tx, person, request, succeeded=True)
    return _open(tx, person, account, request)


def _check_captcha(tx: Connection, request: SignIn, known_here: bool) -> None:
    # pictures that somebody else used up keep nobody out who belongs there
    if known_here and captcha.is_used_up(tx, request.address):
        return
    busy = not known_here and is_busy(tx, request.address)
    captcha.check(tx, request.captcha_id, request.captcha, asked=busy)


def _note(tx: Connection, person: store.Person | None, request: SignIn, succeeded: bool) -> None:
    """Keep a try to sign in, for the person to see; of a number that nobody has there is nobody to see it."""
    if person is not None:
        device = request.device[:DEVICE_LENGTH]
        accounts_store.note_sign_in(
            tx, person.person_id, clock.now(), request.address, device, succeeded=succeeded
        )


def _open(tx: Connection, person: store.Person, account: accounts_store.Account, request: SignIn) -> Signed:
    """Open a session; until the initial password is changed its tokens are restricted (ACC-05)."""
    secret, now = secrets.token_urlsafe(32), clock.now()
    device = request.device[:DEVICE_LENGTH]
    session_id = accounts_store.open_session(
        tx, _index(secret), person.person_id, now, now + SESSION_LIFE, request.address, device
    )
    return _signed(person, secret, session_id, account.password_hash is None)


def _known_at(tx: Connection, person: store.Person | None, address: str) -> bool:
    """Return whether a person has signed in from an address before.

    The look-up costs the same time for a number that nobody has.
    """
    person_id = person.person_id if person is not None else -1
    known = {throttle.network(one) for one in accounts_store.signed_in_from(tx, person_id)}
    return bool(address) and throttle.network(address) in known


def _try_password(
    tx: Connection,
    account: accounts_store.Account | None,
    id_number: str,
    password: str,
    limits: list[throttle.Limit],
) -> None:
    """Return if the password is the account's; otherwise count the failure and refuse.

    One hash is computed in every case, so that the time taken tells nothing.
    """
    throttle.refuse_while_closed(tx, limits)
    password_hash = keys.nobody
    if account is not None and account.password_hash:
        password_hash = account.password_hash
    right = _matches(password_hash, password)
    # until the person chooses a password, the end of the ID number is compared
    if account is not None and account.password_hash is None:
        right = rules.is_initial_password(password, id_number, account.initial_tail)
    refusal = rules.check_password(account is not None, right)
    if refusal is not None:
        throttle.count(tx, limits)
        raise Refused.of(refusal)
    throttle.admit(tx, limits)


def password_is(account: accounts_store.Account, password: str) -> bool:
    """Return whether the account has this password of its own."""
    return account.password_hash is not None and _matches(account.password_hash, password)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _index(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _signed(person: store.Person, secret: str, session_id: uuid.UUID, restricted: bool) -> Signed:
    token, expires_at = token_of(person.person_id, restricted, session_id)
    return Signed(
        person_id=person.person_id,
        name=person.name,
        token=token,
        session=secret,
        expires_at=expires_at,
        must_change_password=restricted,
    )


def token_of(
    person_id: int, restricted: bool = False, session_id: uuid.UUID | None = None
) -> tuple[str, datetime]:
    """Return a token and when it expires; it proves the person for 15 minutes, or until its session ends."""
    claims: dict[str, Any] = {}
    if restricted:
        claims["restricted"] = True
    if session_id:
        claims["sid"] = str(session_id)
    return keys.signer.sign("person", TOKEN_LIFE, sub=str(person_id), **claims)


def renew(tx: Connection, request: Renew, actor: Actor | None) -> Signed:
    """Return a fresh token of a living session; refuse `token_expired` otherwise."""
    session = accounts_store.session(tx, _index(request.session), clock.now())
    if session is None:
        raise Refused("token_expired")
    person = store.by_ids(tx, [session.person_id])[session.person_id]
    account = accounts_store.account(tx, person.person_id)
    return _signed(
        person, request.session, session.session_id, account is None or account.password_hash is None
    )


def sign_out(tx: Connection, request: SignOut, actor: Actor | None) -> bool:
    """End a session; its tokens count no more, in any service (ACC-16)."""
    ended = accounts_store.close_session(tx, _index(request.session))
    tell_ended(tx, ended)
    return bool(ended)


def list_sessions(tx: Connection, request: ListSessions, actor: Actor | None) -> Sessions:
    """Return the caller's living sessions and sign-ins of the last 180 days."""
    assert actor is not None
    return Sessions(
        sessions=[
            SessionInfo(
                session_id=row.session_id,
                began_at=row.created_at,
                expires_at=row.expires_at,
                address=row.address,
                device=row.device,
                this=bytes(row.session_index) == _index(request.session),
            )
            for row in accounts_store.sessions(tx, actor.person_id, clock.now())
        ],
        sign_ins=[
            SignInTried(at=row.at, address=row.address, device=row.device, succeeded=row.succeeded)
            for row in accounts_store.sign_ins(tx, actor.person_id)
        ],
    )


def end_sessions(tx: Connection, request: EndSessions, actor: Actor | None) -> bool:
    """End sessions of the caller, at once and everywhere; return whether any was ended."""
    assert actor is not None
    ended = accounts_store.end_other_sessions(
        tx, actor.person_id, _index(request.session), request.session_ids or None
    )
    tell_ended(tx, ended)
    return bool(ended)


def change_password(tx: Connection, request: ChangePassword, actor: Actor | None) -> bool:
    """Replace the caller's password (ACC-05).

    The other sessions of the person end; the given one is unrestricted from its next renewal on.
    """
    assert actor is not None
    person = store.by_ids(tx, [actor.person_id]).get(actor.person_id)
    account = accounts_store.hold_account(tx, actor.person_id)
    if person is None or account is None:
        raise Refused("sign_in_failed")
    id_number = keys.seal.open(person.id_sealed)
    limits = [throttle.Limit(f"change {bytes(person.id_index).hex()}", domain.LOCK_AFTER)]
    _try_password(tx, account, id_number, request.old_password, limits)
    refusal = domain.check_new_password(request.new_password, id_number)
    if refusal is not None:
        raise Refused.of(refusal)
    accounts_store.set_password(tx, actor.person_id, HASHER.hash(request.new_password), clock.now())
    tell_ended(tx, accounts_store.end_other_sessions(tx, actor.person_id, _index(request.session)))
    return True


def issue_reset_codes(tx: Connection, asked: list[Asked[IssueResetCode]]) -> list[ResetCode]:
    """Make codes that reset people's passwords, for administrators to hand over (ACC-06, ACC-07, ACC-09).

    Codes for members are made by the branch or what stands above it, as many levels up as a setting
    says; codes for people with a right only by those of `domain.resetters`. Nobody makes a code for
    their own account (ADM-07).

    A code is in this answer and nowhere else; repeated, the command makes a new one in its place.
    """
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    refusals = _without_too_many(tx, asked, _check_issue(tx, asked, people))
    good = [one for one, refusal in zip(asked, refusals, strict=True) if refusal is None]
    # one code for an account that stands in the list twice
    codes = {one.item.member_id: new_code(CODE_LENGTH) for one in good}
    expires_at = _expires_at(tx)
    _keep_codes(tx, {one.item.member_id: one.actor for one in good}, codes, expires_at)
    log.append(tx, [_issued(one, people[one.item.member_id]) for one in good])
    answers: list[ResetCode] = []
    for one, refusal in zip(asked, refusals, strict=True):
        member = one.item.member_id
        if refusal is not None:
            answers.append(ResetCode(member_id=member, refusal=refusal))
        else:
            answers.append(ResetCode(member_id=member, code=codes[member], expires_at=expires_at))
    return answers


def _check_issue(
    tx: Connection, asked: Sequence[Asked[IssueResetCode]], people: Mapping[int, store.Person]
) -> list[Refusal | None]:
    """Return why no codes are made, in the order of the list."""
    acting = directory.administering(tx, (one.actor for one in asked))
    may = resets.resetters(tx, people)
    branches = directory.find(tx, [row.branch_id for row in people.values()])
    # a record on its way is closed, an account is not
    left = {member for member, refusal in closed(tx, people).items() if refusal == LEFT}
    refusals: list[Refusal | None] = []
    for one in asked:
        member = one.item.member_id
        branch = branches.get(people[member].branch_id or 0) if member in people else None
        refusals.append(
            rules.check_issue(
                known=member in people and one.actor in acting,
                own=one.actor.person_id == member,
                may_reset=one.actor.org_id in may.get(member, ()),
                near=branch is not None and directory.is_own_or_superior(one.actor.org_id, branch),
            )
            or (LEFT if member in left else None)
        )
    return refusals


def _without_too_many(
    tx: Connection, asked: Sequence[Asked[IssueResetCode]], refusals: list[Refusal | None]
) -> list[Refusal | None]:
    """Count the codes that would be made for each account, and refuse what goes beyond its limit (ACC-09)."""
    members = {one.item.member_id for one, refusal in zip(asked, refusals, strict=True) if refusal is None}
    closed = throttle.too_often(tx, members, "codes of", domain.RESET_CODES_OF_ONE)
    return [
        throttle.TOO_OFTEN if refusal is None and one.item.member_id in closed else refusal
        for one, refusal in zip(asked, refusals, strict=True)
    ]


def _expires_at(tx: Connection) -> datetime:
    return clock.now() + settings.of(tx).reset_code_life


def _keep_codes(
    tx: Connection, makers: Mapping[int, Actor | None], codes: Mapping[int, str], expires_at: datetime
) -> None:
    """Store the codes of people, and who made them: nobody on the command line."""
    rows: list[accounts_store.NewCode] = [
        {
            "person_id": person_id,
            "expires_at": expires_at,
            "issued_by": maker.person_id if maker is not None else None,
            "issued_for": maker.org_id if maker is not None else None,
            "code_index": b64(_code_index(person_id, codes[person_id])),
        }
        for person_id, maker in makers.items()
    ]
    if rows:
        accounts_store.issue_codes(tx, rows)


def _issued(one: Asked[IssueResetCode], person: store.Person) -> audit.Entry:
    return audit.Entry(
        kind="code.reset",
        place_id=person.branch_id or one.actor.org_id,
        persons=[person.person_id],
        **audit.by(one),
    )


def issue_code_by_hand(tx: Connection, person_id: int) -> tuple[str, datetime]:
    """Make a code that resets anybody's password, at the command of whoever runs the installation.

    It is the last way back into the root's own account.

    Raises:
        Refused: `unknown_member`.

    """
    if person_id not in store.by_ids(tx, [person_id]):
        raise Refused("unknown_member")
    code, expires_at = new_code(CODE_LENGTH), _expires_at(tx)
    _keep_codes(tx, {person_id: None}, {person_id: code}, expires_at)
    log.append(tx, [audit.Entry(kind="code.reset", persons=[person_id], ref="command line")])
    return code, expires_at


def _code_index(person_id: int, code: str) -> bytes:
    return code_index(f"reset {person_id}", code)


def reset_password(tx: Connection, request: ResetPassword, actor: Actor | None) -> bool:
    """Replace a forgotten password by means of a reset code (ACC-08).

    A wrong number, a wrong code and a spent one get the same answer; failures count as in
    `sign_in`. A code is good only as long as its maker could still make it: not if the person has
    gained a right since, or the maker has lost one (ACC-07). Success ends all sessions of the
    person and the lock of the number.

    Raises:
        Refused: `captcha_wrong`, `reset_failed`, `password_weak` (the code stays good),
            `too_many_attempts`.

    """
    captcha.check(tx, request.captcha_id, request.captcha)
    id_number = domain.normalise_id(request.id_number)
    index = keys.seal.index(id_number)
    person = store.by_index(tx, index)
    known_here = _known_at(tx, person, request.address)
    limits = of_account(f"reset {index.hex()}", request.address, known_here)
    throttle.refuse_while_closed(tx, limits)
    refusal = domain.check_new_password(request.new_password, id_number)
    if refusal is not None:
        raise Refused.of(refusal)
    # computed before anything is known about the code, so that the time taken tells nothing
    password_hash = HASHER.hash(request.new_password)
    refusal = _spend_code(tx, person, request.code)
    if refusal is not None:
        throttle.count(tx, limits)
        raise Refused.of(refusal)
    assert person is not None
    _reset(tx, person, password_hash)
    throttle.forget(tx, index.hex())
    return True


def _spend_code(tx: Connection, person: store.Person | None, code: str) -> Refusal | None:
    """Use a reset code up, or return why it is of no use."""
    if person is None:
        return rules.check_reset(spent=False, still_good=False)
    index = _code_index(person.person_id, code)
    spent = accounts_store.spend_code(tx, person.person_id, index, clock.now())
    good = spent is not None and resets.still_good(tx, person, spent.issued_by, spent.issued_for)
    return rules.check_reset(spent is not None, good)


def _reset(tx: Connection, person: store.Person, password_hash: str) -> None:
    """Give an account its new password and end all of its sessions."""
    accounts_store.set_password(tx, person.person_id, password_hash, clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="code.reset_used",
                person_id=person.person_id,
                place_id=person.branch_id,
                persons=[person.person_id],
            )
        ],
    )
    # no session has an empty index, so all of them end
    tell_ended(tx, accounts_store.end_other_sessions(tx, person.person_id, b""))
