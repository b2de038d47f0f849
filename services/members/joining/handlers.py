"""Ways into an organisation that people take themselves (CADRE, ADM, REG).

Registration codes, which give a post and its right, and self-registration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from services.members import domain, people, settings, store
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.closed import LEFT, closed
from services.members.entering import rules as entering_rules
from services.members.entering import store as entering_store
from services.members.joining import rules
from services.members.joining import store as joining_store
from services.members.log import PostChange, changer, log
from services.members.posts import store as posts_store
from services.members.sealing.keys import b64, code_index, grouped, keys, new_code, opened
from services.members.throttle import of_account
from shared import audit, clock, directory, outbox, throttle
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
from shared.messages.words import RegistrationState

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
    posts_store.lock(tx, [one.item.org_id for one in asked])
    orgs = directory.find(tx, [one.item.org_id for one in asked])
    refusals = _check_issue(tx, asked, orgs)
    good = [one for one, refusal in zip(asked, refusals, strict=True) if refusal is None]
    # one code for an organisation that stands in the list twice
    codes = {one.item.org_id: new_code(CODE_LENGTH) for one in good}
    expires_at = _expires_at(tx)
    _keep_codes(tx, good, codes, expires_at)
    answers: list[RegistrationCode] = []
    for one, refusal in zip(asked, refusals, strict=True):
        org_id = one.item.org_id
        if refusal is not None:
            answers.append(RegistrationCode(org_id=org_id, refusal=refusal))
        else:
            name, code = orgs[org_id].name, grouped(codes[org_id])
            answers.append(RegistrationCode(org_id=org_id, name=name, code=code, expires_at=expires_at))
    return answers


def _expires_at(tx: Connection) -> datetime | None:
    """Return when a code that is made now lapses: never, unless a setting says so (ADM-13)."""
    life = settings.of(tx).registration_code_life
    return clock.now() + life if life is not None else None


def _check_issue(
    tx: Connection, asked: Sequence[Asked[IssueRegistrationCode]], orgs: Mapping[int, directory.Org]
) -> list[Refusal | None]:
    """Return why no codes are made, in the order of the list."""
    acting = directory.administering(tx, (one.actor for one in asked))
    having = posts_store.administrators(tx, orgs)
    refusals: list[Refusal | None] = []
    for one in asked:
        org = orgs.get(one.item.org_id)
        kind = org.kind if org is not None else None
        by_superior = org is not None and one.actor in acting and one.actor.org_id == org.parent_id
        refusals.append(rules.check_issue(kind, by_superior, having.get(one.item.org_id, 0)))
    return refusals


def _keep_codes(
    tx: Connection,
    good: Sequence[Asked[IssueRegistrationCode]],
    codes: Mapping[int, str],
    expires_at: datetime | None,
) -> None:
    """Store codes and write them into the audit log; of two items for one organisation the last made it."""
    rows: dict[int, joining_store.NewCode] = {
        one.item.org_id: {
            "org_id": one.item.org_id,
            "code_index": b64(code_index("registration", codes[one.item.org_id])),
            "expires_at": expires_at,
            "issued_by": one.actor.person_id,
        }
        for one in good
    }
    if rows:
        joining_store.issue_codes(tx, list(rows.values()), clock.now())
    log.append(
        tx, [audit.Entry(kind="code.registration", place_id=one.item.org_id, **audit.by(one)) for one in good]
    )


class _Held(NamedTuple):
    """A code that is held, with its organisation and the posts there."""

    code: bytes
    """Its keyed hash."""
    org: joining_store.Code
    posts: dict[int, str]


def _held_code(tx: Connection, request: RegisterAdministrator, tries: list[throttle.Limit]) -> _Held:
    """Return a good code and its organisation; count the others, so that nobody guesses.

    The organisation is held before its code, as by whoever makes a code.
    """
    throttle.refuse_while_closed(tx, tries)
    index = code_index("registration", request.code)
    posts_store.lock(tx, joining_store.orgs_of_code(tx, index))
    held = joining_store.hold_code(tx, index, clock.now())
    if held is None:
        throttle.count(tx, tries)
    having = posts_store.administrators(tx, [held.org_id]).get(held.org_id, 0) if held is not None else 0
    refusal = rules.check_use(held.kind if held is not None else None, having, request.post)
    if held is not None:
        refusal = rules.check_kept_here(held.system) or refusal
    if refusal is not None:
        raise Refused.of(refusal)
    assert held is not None
    posts = {row.person_id: row.post for row in posts_store.posts_of(tx, [held.org_id])}
    return _Held(index, held, posts)


def register_administrator(tx: Connection, request: RegisterAdministrator, actor: Actor | None) -> Registered:
    """Become an administrator with a code, as a person nobody has entered (ADM-04, ADM-09, ACC-03).

    Account, post and the use of the code are one transaction; orgs gives the right when it hears of
    it, or hands the code back (ADM-11).

    Raises:
        Refused: `code_invalid`, `sign_in_to_register` for a registered ID number (ADM-15),
            `too_many_administrators`, and what is wrong with the data or the post.

    """
    captcha.check(tx, request.captcha_id, request.captcha)
    held = _held_code(
        tx, request, throttle.of_address(request.address, "codes from", domain.CODES_FROM_ADDRESS)
    )
    id_number, name = domain.normalise_id(request.id_number), domain.clean_name(request.name)
    # all of it before somebody is made, since what was done before a refusal stays done
    refusal = rules.check_newcomer(name, id_number, request.password, clock.today()) or rules.check_post(
        holds_one=False, post=request.post, has_secretary="secretary" in held.posts.values()
    )
    if refusal is not None:
        raise Refused.of(refusal)
    person = people.new_person(name, id_number, request.phone, "")
    made = store.add(tx, [person], clock.now(), accounts.HASHER.hash(request.password))
    if not made:
        raise Refused.of(rules.HAS_ACCOUNT)
    return _appoint(tx, held, next(iter(made.values())), request.post)


def redeem_code(tx: Connection, request: RegisterAdministrator, actor: Actor | None) -> Registered:
    """Become an administrator with a code, signed in (ADM-14, ADM-15); a post held there is kept.

    Who stands in another system becomes none here (FED-12).

    Wrong codes are counted with the person, who is known wherever they come from.
    """
    assert actor is not None
    if closed(tx, [actor.person_id]).get(actor.person_id) == LEFT:
        raise Refused.of(LEFT)
    held = _held_code(tx, request, throttle.of_person(actor.person_id, "codes by", domain.CODES_FROM_ADDRESS))
    holds_one = actor.person_id in held.posts
    refusal = rules.check_post(holds_one, request.post, "secretary" in held.posts.values())
    if refusal is not None:
        raise Refused.of(refusal)
    return _appoint(tx, held, actor.person_id, request.post)


def _appoint(tx: Connection, held: _Held, person_id: int, post: str) -> Registered:
    """Use a code up; give a post to who holds none, and tell orgs, which gives the right."""
    org, posts = held.org, held.posts
    if person_id not in posts:
        given: PostChange = {
            "org_id": org.org_id,
            "person_id": person_id,
            "post": post,
            "changed_by": person_id,
            "ref": "registration code",
        }
        posts_store.set_posts(tx, [given], clock.now())
    joining_store.spend_code(tx, held.code, person_id, clock.now())
    log.append(tx, [_redeemed(org.org_id, person_id, posts.get(person_id, post))])
    outbox.emit(tx, [AdministratorRegistered(org_id=org.org_id, person_id=person_id)])
    return Registered(person_id=person_id, org_id=org.org_id, org_name=org.name)


def _redeemed(org_id: int, person_id: int, post: str) -> audit.Entry:
    return audit.Entry(
        kind="code.redeemed", person_id=person_id, place_id=org_id, persons=[person_id], after={"post": post}
    )


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
            somebody has entered (REG-02, ACC-11), `stands_in_peer` (FED-07),
            `registration_pending`, and what is wrong with the data.

    """
    captcha.check(tx, request.captcha_id, request.captcha)
    # every try counts, since even an accepted one makes an account
    throttle.count(
        tx, throttle.of_address(request.address, "registrations from", domain.REGISTRATIONS_FROM_ADDRESS)
    )
    org = _place(tx, request)
    index = keys.seal.index(domain.normalise_id(request.id_number))
    known = store.known(tx, [index]).get(index)
    _check_claims(tx, request, index, known)
    person_id = _person(tx, request, index, known)
    now, post = clock.now(), request.post.strip()
    registration_id = joining_store.ask(tx, person_id, org.org_id, post, now, now + _patience(tx, org))
    if registration_id is None:
        raise Refused.of(rules.PENDING)
    row = joining_store.hold(tx, [registration_id])[registration_id]
    log.append(tx, [_applied(row)])
    return _info(row)


def _applied(row: joining_store.Registration) -> audit.Entry:
    return audit.Entry(
        kind="registration.asked",
        person_id=row.person_id,
        place_id=row.org_id,
        persons=[row.person_id],
        ref=f"registration {row.registration_id}",
        after={"post": row.post},
    )


def _place(tx: Connection, request: Register) -> directory.Org:
    """Return the organisation that is applied to; refuse what is wrong with it, the data or the password."""
    org = directory.find(tx, [request.org_id]).get(request.org_id)
    kind, purpose = (org.kind, org.purpose) if org is not None else (None, "")
    refusal = rules.check_place(kind, purpose, request.post)
    if refusal is None and org is not None:
        issued = settings.of(tx).ranges
        refusal = entering_rules.check_entry(
            request, org.kind, org.province, issued, clock.today()
        ) or domain.check_new_password(request.password, domain.normalise_id(request.id_number))
    if refusal is not None:
        raise Refused.of(refusal)
    assert org is not None
    return org


def _check_claims(tx: Connection, request: Register, index: bytes, known: domain.Known | None) -> None:
    """Refuse a development number of somebody else, and a person who belongs to another branch."""
    number = request.development_number.strip()
    owner = store.used_numbers(tx, [number], claimed=True).get(number)
    refusal = rules.check_number(owner, known.person_id if known is not None else None)
    if refusal is not None:
        raise Refused.of(refusal)
    throttle.refuse_while_closed(tx, _tries(request, index))
    deleted = store.deleted_from(tx, [index]).get(index)
    refusal = rules.check_deleted(deleted, domain.clean_name(request.name), request.org_id)
    if refusal is not None:
        raise Refused.of(refusal)


def _tries(request: Register, index: bytes) -> list[throttle.Limit]:
    return of_account(f"register {index.hex()}", request.address, known_here=False)


def _person(tx: Connection, request: Register, index: bytes, known: domain.Known | None) -> int:
    """Return the applicant: a new person with an account, or a former applicant who is back."""
    id_number = domain.normalise_id(request.id_number)
    row = people.new_person(request.name, id_number, request.phone, request.ethnic_group) | {
        "joined_on": request.joined_on,
        "development_number": request.development_number.strip(),
    }
    made = store.add(tx, [row], clock.now(), accounts.HASHER.hash(request.password))
    # nobody is made where the number is registered
    return made.get(index) or _again(tx, known, index, request)


def _again(tx: Connection, known: domain.Known | None, index: bytes, request: Register) -> int:
    """Return a former applicant who proves to be the same person; who stands in another system is none."""
    if known is not None:
        same_name = known.name == domain.clean_name(request.name)
        there = directory.of_others(tx, [known.branch_id] if known.branch_id is not None else [])
        refusal = rules.check_stands(same_name, bool(there))
        if refusal is not None:
            raise Refused.of(refusal)
    applied = known is not None and bool(joining_store.own(tx, known.person_id))
    account = accounts_store.account(tx, known.person_id) if known is not None and applied else None
    bound = known is not None and (
        known.branch_id is not None or bool(posts_store.posts_held(tx, [known.person_id]))
    )
    refusal = rules.check_back(applied and account is not None, bound)
    if refusal is not None:
        raise Refused.of(refusal)
    assert known is not None and account is not None
    same_name = known.name == domain.clean_name(request.name)
    refusal = rules.check_proof(same_name and accounts.password_is(account, request.password))
    if refusal is not None:
        throttle.count(tx, _tries(request, index))
        raise Refused.of(refusal)
    return known.person_id


def _patience(tx: Connection, org: directory.Org) -> timedelta:
    """Return how long an application to an organisation waits (REG-04).

    By default as long as an approval node of the same practice.
    """
    practice = settings.of(tx).practice
    return timedelta(days=practice.number("registration_days", clock.today(), org.province, org.path))


def decide_registrations(tx: Connection, asked: list[Asked[DecideRegistration]]) -> list[RegistrationDecided]:
    """Accept or reject applicants, or withdraw one's own application (REG-05).

    Applicants are decided on for the organisation that they name (REG-03, REG-07).
    """
    applications = _Applications(tx, asked)
    answers: list[RegistrationDecided] = []
    for one in asked:
        registration_id, refusal = one.item.registration_id, applications.settle(one)
        state = applications.state(registration_id)
        answers.append(RegistrationDecided(registration_id=registration_id, refusal=refusal, state=state))
    applications.write(tx)
    return answers


class _Applications:
    """The applications that a list decides on, item by item, and what becomes of them."""

    def __init__(self, tx: Connection, asked: Sequence[Asked[DecideRegistration]]) -> None:
        self.acting = directory.administering(tx, (one.actor for one in asked))
        self.held = joining_store.hold(tx, [one.item.registration_id for one in asked])
        posts_store.lock(tx, {row.org_id for row in self.held.values()})
        self.orgs = directory.find(tx, [row.org_id for row in self.held.values()])
        self.led = {row.org_id for row in posts_store.posts_of(tx, self.orgs) if row.post == "secretary"}
        self.now = clock.now()
        self.settled: dict[int, tuple[str, Asked[DecideRegistration]]] = {}

    def settle(self, one: Asked[DecideRegistration]) -> Refusal | None:
        """Decide on an application, or let it be withdrawn, or return why not."""
        row = self.held.get(one.item.registration_id)
        if row is None:
            return rules.MISSING
        refusal = self._check(one, row)
        if refusal is None:
            state = rules.becomes(one.item.withdraw, one.item.accept)
            self.settled[row.registration_id] = (state, one)
            # the next applicant of the list finds the post taken
            if state == "accepted" and row.post == "secretary":
                self.led.add(row.org_id)
        return refusal

    def _check(self, one: Asked[DecideRegistration], row: joining_store.Registration) -> Refusal | None:
        pending = row.state == "pending" and row.expires_at > self.now
        withdraws, decides = one.item.withdraw, not one.item.withdraw
        return rules.check_decision(
            own=withdraws and row.person_id == one.actor.person_id,
            administers=decides and one.actor in self.acting and one.actor.org_id == row.org_id,
            waits=pending and row.registration_id not in self.settled,
            accept=one.item.accept,
            placed=row.branch_id is not None,
            exists=row.org_id in self.orgs,
            led_by_another=row.post == "secretary" and row.org_id in self.led,
        )

    def state(self, registration_id: int) -> str:
        """Return how an application stands after the items so far; empty if there is none."""
        if registration_id in self.settled:
            return self.settled[registration_id][0]
        return self.held[registration_id].state if registration_id in self.held else ""

    def write(self, tx: Connection) -> None:
        """Write what became of the applications, and give the accepted their places and posts."""
        rows: list[joining_store.Settled] = [
            {
                "registration_id": registration_id,
                "state": state,
                "note": one.item.note.strip(),
                "decided_by": one.actor.person_id,
            }
            for registration_id, (state, one) in self.settled.items()
        ]
        joining_store.settle(tx, rows, self.now)
        log.append(tx, [_settled(self.held[key], *how) for key, how in self.settled.items()])
        accepted = {key: one for key, (state, one) in self.settled.items() if state == "accepted"}
        self._place(tx, [self.held[key] for key in accepted])
        posts: list[PostChange] = [
            {"org_id": row.org_id, "person_id": row.person_id, "post": row.post, **changer(one)}
            for row, one in ((self.held[key], one) for key, one in accepted.items())
            if row.post
        ]
        posts_store.set_posts(tx, posts, self.now)

    def _place(self, tx: Connection, accepted: Sequence[joining_store.Registration]) -> None:
        """Put accepted applicants into the branches that they have applied to (REG-03)."""
        joining: list[joining_store.Joined] = [
            {"person_id": row.person_id, "branch_id": row.org_id}
            for row in accepted
            if self.orgs[row.org_id].kind == "branch"
        ]
        entering_store.hold(tx, [row["branch_id"] for row in joining])
        joining_store.join(tx, joining, self.now)
        entering_store.receive(tx, [row["person_id"] for row in joining], self.now)


def _settled(row: joining_store.Registration, state: str, one: Asked[DecideRegistration]) -> audit.Entry:
    return audit.Entry(
        kind=f"registration.{state}",
        place_id=row.org_id,
        persons=[row.person_id],
        ref=f"registration {row.registration_id}",
        after={"post": row.post},
        note=one.item.note.strip(),
        **audit.by(one),
    )


def list_registrations(
    tx: Connection, request: contract.ListRegistrations, actor: Actor | None
) -> list[RegistrationInfo]:
    """Return what waits for the acting organisation (REG-07), or the caller's own registrations.

    What waits is an item of the operation centre.
    """
    assert actor is not None
    if request.own:
        return [_info(row) for row in joining_store.own(tx, actor.person_id)]
    org_id = directory.require_administrator(tx, actor)
    return [_info(row) for row in joining_store.waiting(tx, org_id, request.name)]


def _info(row: joining_store.Registration) -> RegistrationInfo:
    return RegistrationInfo(
        registration_id=row.registration_id,
        org_id=row.org_id,
        person_id=row.person_id,
        name=row.name,
        id_masked=domain.mask_id(keys.seal.open(row.id_sealed)),
        phone=opened(row.phone_sealed),
        joined_on=row.joined_on,
        post=row.post,
        state=RegistrationState(row.state),
        note=row.note,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
    )


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """End registrations that nobody has decided in time (REG-04)."""
    joining_store.expire(tx, clock.now())
