"""Ways into an organisation that people take themselves (CADRE, ADM, REG).

Registration codes, which give a post and its right, and self-registration.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, people, store, throttle
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.entering import ranges
from services.members.entering import rules as entering_rules
from services.members.entering import store as entering_store
from services.members.joining import rules
from services.members.joining import store as joining_store
from services.members.log import changer, log
from services.members.posts import store as posts_store
from services.members.sealing.keys import b64, code_index, grouped, keys, new_code, opened
from shared import audit, clock, directory, outbox, practice
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    AdministratorRegistered,
    DecideRegistration,
    IssueRegistrationCode,
    Register,
    RegisterAdministrator,
    Registered,
    RegistrationCode,
    RegistrationDecided,
    RegistrationInfo,
)

CODE_LENGTH = 12
"""Of a registration code."""


# ---- registration codes ------------------------------------------------------------------------------------


def issue_registration_codes(
    tx: Connection, asked: list[Asked[IssueRegistrationCode]]
) -> list[RegistrationCode]:
    """Make codes with which people become administrators of subordinates (ADM-04, ADM-10..13).

    Only the direct superior makes them, for any number at once. A code is in this answer and
    nowhere else; repeated, the command makes a new one in its place.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    posts_store.lock(tx, [one.item.org_id for one in asked])
    orgs = directory.find(tx, [one.item.org_id for one in asked])
    having = posts_store.administrators(tx, orgs)
    days = os.environ.get("TUANQIAO_REGISTRATION_CODE_DAYS")
    expires_at = clock.now() + timedelta(days=float(days)) if days else None
    answers: list[RegistrationCode] = []
    rows: dict[int, dict[str, Any]] = {}
    codes: dict[int, str] = {}
    for one in asked:
        org = orgs.get(one.item.org_id)
        refusal = rules.check_issue(
            org.kind if org is not None else None,
            org is not None and one.actor in acting and one.actor.org_id == org.parent_id,
            having.get(one.item.org_id, 0),
        )
        if refusal is not None or org is None:
            answers.append(RegistrationCode(org_id=one.item.org_id, refusal=refusal))
            continue
        # one code for an organisation that stands in the list twice
        code = codes.setdefault(org.org_id, new_code(CODE_LENGTH))
        rows[org.org_id] = {
            "org_id": org.org_id,
            "code_index": b64(code_index("registration", code)),
            "expires_at": expires_at,
            "issued_by": one.actor.person_id,
        }
        answers.append(
            RegistrationCode(org_id=org.org_id, name=org.name, code=grouped(code), expires_at=expires_at)
        )
    if rows:
        joining_store.issue_codes(tx, list(rows.values()), clock.now())
        log.append(
            tx,
            [
                audit.Entry(kind="code.registration", place_id=one.item.org_id, **audit.by(one))
                for one in asked
                if one.item.org_id in rows
            ],
        )
    return answers


def _held_code(tx: Connection, request: RegisterAdministrator) -> tuple[bytes, sa.Row[Any]]:
    """Return a good code and its organisation; count the others, so that nobody guesses."""
    limits = throttle.of_address(request.address, "codes from", domain.CODES_FROM_ADDRESS)
    throttle.refuse_while_closed(tx, limits)
    index = code_index("registration", request.code)
    held = joining_store.hold_code(tx, index, clock.now())
    if held is None:
        throttle.count(tx, limits)
        raise Refused("code_invalid")
    having = posts_store.administrators(tx, [held.org_id]).get(held.org_id, 0)
    refusal = rules.check_use(held.kind, having, request.post)
    if refusal is not None:
        raise Refused.of(refusal)
    return index, held


def register_administrator(tx: Connection, request: RegisterAdministrator, actor: Actor | None) -> Registered:
    """Become an administrator with a code, as a person nobody has entered (ADM-04, ADM-09, ACC-03).

    Account, post and the use of the code are one transaction; orgs gives the right when it hears of
    it, or hands the code back (ADM-11).

    Raises:
        Refused: `code_invalid`, `sign_in_to_register` for a registered ID number (ADM-15),
            `too_many_administrators`, and what is wrong with the data.

    """
    captcha.check(tx, request.captcha_id, request.captcha)
    index, org = _held_code(tx, request)
    id_number = domain.normalise_id(request.id_number)
    name = domain.clean_name(request.name)
    today = clock.today()
    refusal = (
        domain.check_name(name)
        or domain.check_id(id_number, today)
        or domain.check_new_password(request.password, id_number)
    )
    if refusal is None and domain.age_on(domain.born_on(id_number), today) < domain.MINIMUM_AGE:
        refusal = Refusal("cadre_too_young")
    if refusal is not None:
        raise Refused.of(refusal)
    made = store.add(
        tx,
        [people.new_person(name, id_number, request.phone, "")],
        clock.now(),
        accounts.HASHER.hash(request.password),
    )
    if not made:
        raise Refused("sign_in_to_register")
    return _appoint(tx, index, org, next(iter(made.values())), request.post)


def redeem_code(tx: Connection, request: RegisterAdministrator, actor: Actor | None) -> Registered:
    """Become an administrator with a code, signed in (ADM-14, ADM-15); a post held there is kept."""
    assert actor is not None
    index, org = _held_code(tx, request)
    return _appoint(tx, index, org, actor.person_id, request.post)


def _appoint(tx: Connection, code: bytes, org: sa.Row[Any], person_id: int, post: str) -> Registered:
    posts_store.lock(tx, [org.org_id])
    posts = {row.person_id: row.post for row in posts_store.posts_of(tx, [org.org_id])}
    if person_id not in posts:
        if post == "secretary" and "secretary" in posts.values():
            raise Refused("secretary_in_post")
        posts_store.set_posts(
            tx,
            [
                {
                    "org_id": org.org_id,
                    "person_id": person_id,
                    "post": post,
                    "changed_by": person_id,
                    "ref": "registration code",
                }
            ],
            clock.now(),
        )
    joining_store.spend_code(tx, code, person_id, clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="code.redeemed",
                person_id=person_id,
                place_id=org.org_id,
                persons=[person_id],
                after={"post": posts.get(person_id, post)},
            )
        ],
    )
    outbox.emit(tx, [AdministratorRegistered(org_id=org.org_id, person_id=person_id)])
    return Registered(person_id=person_id, org_id=org.org_id, org_name=org.name)


def on_registration_refused(tx: Connection, items: list[Any]) -> None:
    """Make codes good again whose right could not be given (ADM-11)."""
    joining_store.give_back(tx, items)


# ---- self-registration -------------------------------------------------------------------------------------


def register(tx: Connection, request: Register, actor: Actor | None) -> RegistrationInfo:
    """Register oneself: an account at once, and a place when the organisation accepts.

    Rules REG-01..03, REG-08, ACC-03 and ACC-14. Somebody who withdrew or was not accepted registers
    again with the same name, ID number and password.

    Raises:
        Refused: `too_many_attempts` from one address, `registered_already` for a person whom
            somebody has entered (REG-02, ACC-11), `registration_pending`, and what is wrong with
            the data.

    """
    captcha.check(tx, request.captcha_id, request.captcha)
    # every try counts, since even an accepted one makes an account
    throttle.count(
        tx, throttle.of_address(request.address, "registrations from", domain.REGISTRATIONS_FROM_ADDRESS)
    )
    org = directory.find(tx, [request.org_id]).get(request.org_id)
    refusal = rules.check_place(
        org.kind if org is not None else None, org.purpose if org is not None else "", request.post
    )
    if refusal is not None or org is None:
        refusal = refusal or Refusal("unknown_org")
        raise Refused.of(refusal)
    refusal = entering_rules.check_entry(request, org.kind, org.province, ranges.issued, clock.today())
    id_number = domain.normalise_id(request.id_number)
    refusal = refusal or domain.check_new_password(request.password, id_number)
    if refusal is not None:
        raise Refused.of(refusal)
    index = keys.seal.index(id_number)
    number = request.development_number.strip()
    known = store.known(tx, [index]).get(index)
    own_id = known.person_id if known is not None else None
    if store.used_numbers(tx, [number]).get(number, own_id) != own_id:
        raise Refused("development_number_used")
    throttle.refuse_while_closed(
        tx, throttle.of_account(f"register {index.hex()}", request.address, known_here=False)
    )
    deleted = store.deleted_from(tx, [index]).get(index)
    if entering_rules.was_deleted_elsewhere(deleted, domain.clean_name(request.name), org.org_id):
        raise Refused("deleted_elsewhere")
    row = people.new_person(request.name, id_number, request.phone, request.ethnic_group) | {
        "joined_on": request.joined_on,
        "development_number": number,
    }
    made = store.add(tx, [row], clock.now(), accounts.HASHER.hash(request.password))
    # nobody is made where the number is registered; a former applicant may be back
    person_id = made.get(index) or _again(tx, known, index, request)
    now = clock.now()
    registration_id = joining_store.ask(
        tx, person_id, org.org_id, request.post.strip(), now, now + _patience(org)
    )
    if registration_id is None:
        raise Refused("registration_pending")
    log.append(
        tx,
        [
            audit.Entry(
                kind="registration.asked",
                person_id=person_id,
                place_id=org.org_id,
                persons=[person_id],
                ref=f"registration {registration_id}",
                after={"post": request.post.strip()},
            )
        ],
    )
    return _info(joining_store.hold(tx, [registration_id])[registration_id])


def _again(tx: Connection, known: domain.Known | None, index: bytes, request: Register) -> int:
    """Return a former applicant who proves to be the same person."""
    mine = joining_store.own(tx, known.person_id) if known is not None else []
    account = accounts_store.account(tx, known.person_id) if known is not None and mine else None
    if (
        known is None
        or not mine
        or known.branch_id is not None
        or posts_store.posts_held(tx, [known.person_id])
        or account is None
    ):
        raise Refused("registered_already")
    if known.name != domain.clean_name(request.name) or not accounts.password_is(account, request.password):
        throttle.count(tx, throttle.of_account(f"register {index.hex()}", request.address, known_here=False))
        raise Refused("registered_already")
    return int(known.person_id)


def _patience(org: sa.Row[Any]) -> timedelta:
    """Return how long an application to an organisation waits (REG-04).

    By default as long as an approval node of the same practice.
    """
    return timedelta(days=practice.number("registration_days", clock.today(), org.province, org.path))


def decide_registrations(tx: Connection, asked: list[Asked[DecideRegistration]]) -> list[RegistrationDecided]:
    """Accept or reject applicants, or withdraw one's own application (REG-05).

    Applicants are decided on for the organisation that they name (REG-03, REG-07).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    held = joining_store.hold(tx, [one.item.registration_id for one in asked])
    posts_store.lock(tx, {row.org_id for row in held.values()})
    orgs = directory.find(tx, [row.org_id for row in held.values()])
    secretaries = {row.org_id for row in posts_store.posts_of(tx, orgs) if row.post == "secretary"}
    now = clock.now()
    settled: dict[int, dict[str, Any]] = {}
    entries: list[audit.Entry] = []
    answers = []
    for one in asked:
        item, row = one.item, held.get(one.item.registration_id)
        own = row is not None and item.withdraw and row.person_id == one.actor.person_id
        org = orgs.get(row.org_id) if row is not None else None
        administers = (
            row is not None and not item.withdraw and one.actor in acting and one.actor.org_id == row.org_id
        )
        refusal = rules.check_decision(
            own,
            administers,
            waits=row is not None
            and row.state == "pending"
            and row.expires_at > now
            and row.registration_id not in settled,
            accept=item.accept,
            placed=row is not None and row.branch_id is not None,
            exists=org is not None,
            led_by_another=row is not None and row.post == "secretary" and row.org_id in secretaries,
        )
        if refusal is None and row is not None:
            if own:
                state = "withdrawn"
            else:
                state = "accepted" if item.accept else "rejected"
            # the next applicant of the list finds the post taken
            if state == "accepted" and row.post == "secretary":
                secretaries.add(row.org_id)
            settled[row.registration_id] = {
                "registration_id": row.registration_id,
                "state": state,
                "note": item.note.strip(),
                "decided_by": one.actor.person_id,
                **changer(one),
            }
            entries.append(
                audit.Entry(
                    kind=f"registration.{state}",
                    place_id=row.org_id,
                    persons=[row.person_id],
                    ref=f"registration {row.registration_id}",
                    after={"post": row.post},
                    note=item.note.strip(),
                    **audit.by(one),
                )
            )
        if item.registration_id in settled:
            state = settled[item.registration_id]["state"]
        else:
            state = row.state if row is not None else ""
        answers.append(
            RegistrationDecided(registration_id=item.registration_id, refusal=refusal, state=state)
        )
    joining_store.settle(tx, list(settled.values()), now)
    log.append(tx, entries)
    accepted = [held[one] for one, row in settled.items() if row["state"] == "accepted"]
    joining = [
        {"person_id": row.person_id, "branch_id": row.org_id}
        for row in accepted
        if orgs[row.org_id].kind == "branch"
    ]
    entering_store.hold(tx, [row["branch_id"] for row in joining])
    joining_store.join(tx, joining, now)
    entering_store.receive(tx, [row["person_id"] for row in joining], now)
    posts_store.set_posts(
        tx,
        [
            {
                "org_id": row.org_id,
                "person_id": row.person_id,
                "post": row.post,
                **{
                    name: settled[row.registration_id][name]
                    for name in ("changed_by", "changed_for", "request_id")
                },
            }
            for row in accepted
            if row.post
        ],
        now,
    )
    return answers


def list_registrations(
    tx: Connection, request: contract.ListRegistrations, actor: Actor | None
) -> list[RegistrationInfo]:
    """Return what waits for the acting organisation (REG-07), or the caller's own registrations.

    What waits is an item of the operation centre.
    """
    assert actor is not None
    if request.own:
        return [_info(row) for row in joining_store.own(tx, actor.person_id)]
    return [_info(row) for row in joining_store.waiting(tx, directory.require_administrator(tx, actor))]


def _info(row: sa.Row[Any]) -> RegistrationInfo:
    return RegistrationInfo(
        registration_id=row.registration_id,
        org_id=row.org_id,
        person_id=row.person_id,
        name=row.name,
        id_masked=domain.mask_id(keys.seal.open(row.id_sealed)),
        phone=opened(row.phone_sealed),
        joined_on=row.joined_on,
        post=row.post,
        state=row.state,
        note=row.note,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
    )


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """End registrations that nobody has decided in time (REG-04)."""
    joining_store.expire(tx, clock.now())
