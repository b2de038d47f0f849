"""Letters that introduce members (DOC-01..04, DOC-09, BEY-13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from services.members import settings
from services.members.closed import closed
from services.members.letters import rules, store
from services.members.lists import store as lists_store
from services.members.log import log
from services.members.posts import store as posts_store
from services.members.sealing.keys import b64, code_index, code_of, grouped
from shared import audit, clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    IssuedLetter,
    IssueLetter,
    Letter,
    LetterChecked,
    LetterVoided,
    VoidLetter,
)

LETTER_CODE_LENGTH = 16
"""Of the code on a letter; about 79 bits, so that nobody finds one by trying."""


class _Issuer(NamedTuple):
    """An organisation that issues letters, and the names of those on them whom it may introduce."""

    kind: str
    name: str
    names: dict[int, str]


class _Paper(NamedTuple):
    """What stands on a letter beside what was asked for."""

    year: int
    number: int
    code: str
    issued_on: date
    valid_until: date | None
    letter_id: int = 0
    """Not printed; 0 until the letter is stored."""


def issue_letters(tx: Connection, asked: list[Asked[IssueLetter]]) -> list[Letter]:
    """Issue introduction letters for members of the own organisation and below (DOC-01..04).

    Numbers run per issuer and year without gaps. The code that proves a letter is in this answer
    and on the paper only. It belongs to the command, so the command repeated by the same person
    gives the same letter with the same code, and the paper that was printed stays good.
    """
    posts_store.lock(tx, [one.actor.org_id for one in asked if one.actor.org_id])
    known = store.letters_by_command(tx, [one.item.command_id for one in asked])
    issuers = _issuers(tx, asked)
    refusals, fresh = _decided(tx, asked, issuers, known)
    papers = {command: _kept(row) for command, row in known.items()} | _issued(tx, fresh)
    answers: list[Letter] = []
    for one, refusal in zip(asked, refusals, strict=True):
        if refusal is not None:
            answers.append(Letter(refusal=refusal))
            continue
        issuer, paper = issuers[one.actor.acting_org], papers[one.item.command_id]
        answers.append(_letter(one.item, paper, issuer))
    return answers


def _issuers(tx: Connection, asked: Sequence[Asked[IssueLetter]]) -> dict[int, _Issuer]:
    """Return the acting organisations by id, with the names of their members and of those below them."""
    orgs = directory.find(tx, [one.actor.org_id for one in asked])
    wanted: dict[int, list[int]] = {org_id: [] for org_id in orgs}
    for one in asked:
        if one.actor.org_id in wanted:
            # a longer letter is refused, so nobody is looked up for it
            wanted[one.actor.org_id] += one.item.member_ids[: rules.MOST_ON_A_LETTER]
    issuers: dict[int, _Issuer] = {}
    for org_id, org in orgs.items():
        found = lists_store.within(tx, wanted[org_id], org.path)
        issuers[org_id] = _Issuer(org.kind, org.name, {row.person_id: row.name for row in found})
    return issuers


def _decided(
    tx: Connection,
    asked: Sequence[Asked[IssueLetter]],
    issuers: Mapping[int, _Issuer],
    known: Mapping[UUID, store.Letter],
) -> tuple[list[Refusal | None], dict[UUID, Asked[IssueLetter]]]:
    """Return why items are refused, in their order, and the first item of each command that is new."""
    acting = directory.administering(tx, (one.actor for one in asked))
    shut = closed(tx, {member for issuer in issuers.values() for member in issuer.names})
    # what each command said the first time, long ago or in this list
    first: dict[UUID, Any] = {command: row._asdict() for command, row in known.items()}
    refusals: list[Refusal | None] = []
    fresh: dict[UUID, Asked[IssueLetter]] = {}
    for one in asked:
        issuer = issuers.get(one.actor.acting_org) if one.actor in acting else None
        command, said = one.item.command_id, _said(one)
        refusal = _check(one.item, issuer) or rules.check_repeated(first.get(command), said)
        if refusal is None and command not in first:
            refusal = next((shut[member] for member in one.item.member_ids if member in shut), None)
        refusals.append(refusal)
        if refusal is None and command not in first:
            first[command], fresh[command] = said, one
    return refusals, fresh


def _check(item: IssueLetter, issuer: _Issuer | None) -> Refusal | None:
    """Return why an issuer, None where the person administers none, issues no such letter."""
    if issuer is None:
        return rules.check_issue(None, item.member_ids, item.addressee, ())
    return rules.check_issue(issuer.kind, item.member_ids, item.addressee, issuer.names)


def _said(one: Asked[IssueLetter]) -> dict[str, Any]:
    """Return what makes a letter this letter: a command that says something else is another one."""
    return {
        "org_id": one.actor.org_id,
        "issued_by": one.actor.person_id,
        "member_ids": sorted(set(one.item.member_ids)),
        "addressee": one.item.addressee.strip(),
    }


def _kept(row: store.Letter) -> _Paper:
    """Return what stands on a letter that was issued before."""
    code = code_of("letter", str(row.command_id), LETTER_CODE_LENGTH)
    # a letter from before codes belonged to commands keeps the code on its paper, which nobody knows here
    if bytes(row.code_index) != code_index("letter", code):
        code = ""
    issued_on = row.issued_at.astimezone(clock.CHINA).date()
    return _Paper(row.year, row.number, code, issued_on, row.valid_until, row.letter_id)


def _drawn(tx: Connection, fresh: Mapping[UUID, Asked[IssueLetter]]) -> dict[UUID, _Paper]:
    """Return what stands on new letters; numbers go on from their issuer's last one of the year (DOC-04)."""
    today = clock.today()
    numbers = store.last_numbers(tx, [one.actor.acting_org for one in fresh.values()], today.year)
    papers: dict[UUID, _Paper] = {}
    for command, one in fresh.items():
        numbers[one.actor.acting_org] += 1
        code = code_of("letter", str(command), LETTER_CODE_LENGTH)
        until = _valid_until(one.item, today, settings.of(tx).letter_valid_days)
        papers[command] = _Paper(today.year, numbers[one.actor.acting_org], code, today, until)
    return papers


def _valid_until(item: IssueLetter, today: date, otherwise: int | None) -> date | None:
    """Return the last day of a letter, None if it has none; `otherwise` is for one that names no days."""
    days = item.valid_days if item.valid_days is not None else otherwise
    return None if days is None else today + timedelta(days=days)


def _issued(tx: Connection, fresh: Mapping[UUID, Asked[IssueLetter]]) -> dict[UUID, _Paper]:
    """Issue new letters and write them into the audit log; return what stands on them."""
    papers = _drawn(tx, fresh)
    rows = [_row(command, one, papers[command]) for command, one in fresh.items()]
    ids = store.issue(tx, rows, clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="letter.issued",
                place_id=one.actor.org_id,
                persons=sorted(set(one.item.member_ids)),
                ref=f"letter {papers[command].year}-{papers[command].number}",
                after={"addressee": one.item.addressee.strip()},
                **audit.by(one),
            )
            for command, one in fresh.items()
        ],
    )
    return {command: paper._replace(letter_id=ids[command]) for command, paper in papers.items()}


def _row(command: UUID, one: Asked[IssueLetter], paper: _Paper) -> dict[str, Any]:
    return {
        **_said(one),
        "to_org": one.item.to_org.strip(),
        "dues_until": one.item.dues_until,
        "command_id": str(command),
        "year": paper.year,
        "number": paper.number,
        "code_index": b64(code_index("letter", paper.code)),
        "valid_until": paper.valid_until,
    }


def _letter(item: IssueLetter, paper: _Paper, issuer: _Issuer) -> Letter:
    return Letter(
        letter_id=paper.letter_id,
        number=f"{paper.year}-{paper.number}",
        code=grouped(paper.code),
        issuer=issuer.name,
        names=[issuer.names[member] for member in sorted(set(item.member_ids))],
        addressee=item.addressee.strip(),
        to_org=item.to_org.strip(),
        dues_until=item.dues_until,
        issued_on=paper.issued_on,
        valid_until=paper.valid_until,
    )


def void_letters(tx: Connection, asked: list[Asked[VoidLetter]]) -> list[LetterVoided]:
    """Declare letters of the own organisation void; repeated without harm."""
    acting = directory.administering(tx, (one.actor for one in asked))
    found = store.letters(tx, [one.item.letter_id for one in asked])
    answers: list[LetterVoided] = []
    who: dict[int, Asked[VoidLetter]] = {}
    for one in asked:
        letter = found.get(one.item.letter_id)
        own = letter is not None and one.actor in acting and letter.org_id == one.actor.org_id
        refusal = rules.check_voiding(own)
        answers.append(LetterVoided(letter_id=one.item.letter_id, refusal=refusal))
        if refusal is None:
            who[one.item.letter_id] = one
    rows: list[store.Voiding] = [
        {"letter_id": letter_id, "reason": who[letter_id].item.reason.strip()} for letter_id in sorted(who)
    ]
    voided = store.void(tx, rows, clock.now())
    log.append(tx, [_voided(who[letter_id], found[letter_id]) for letter_id in who if letter_id in voided])
    return answers


def _voided(one: Asked[VoidLetter], letter: store.Letter) -> audit.Entry:
    return audit.Entry(
        kind="letter.voided",
        place_id=letter.org_id,
        persons=list(letter.member_ids),
        ref=f"letter {letter.year}-{letter.number}",
        note=one.item.reason.strip(),
        **audit.by(one),
    )


def list_letters(tx: Connection, request: contract.ListLetters, actor: Actor | None) -> list[IssuedLetter]:
    """Return the letters that the acting organisation has issued (DOC-14)."""
    org_id, today = directory.require_administrator(tx, actor), clock.today()
    found = store.listed(
        tx,
        org_id,
        request.state,
        request.text.strip(),
        today,
        request.oldest_first,
        request.after,
        max(1, min(request.limit, 500)),
    )
    return [
        IssuedLetter(
            letter_id=row.letter_id,
            number=f"{row.year}-{row.number}",
            addressee=row.addressee,
            to_org=row.to_org,
            names=row.names,
            issued_on=row.issued_at.astimezone(clock.CHINA).date(),
            valid_until=row.valid_until,
            state=rules.state_of(row.voided_at is not None, row.valid_until, today),
            reason=row.void_reason,
        )
        for row in found
    ]


def print_letter(tx: Connection, request: contract.PrintLetter, actor: Actor | None) -> Letter:
    """Return a letter of the acting organisation as it was issued, and log it (DOC-14).

    The code is the one on the paper that was printed first; a letter whose code is not known any
    more, and one that is void, are not printed again.
    """
    org_id = directory.require_administrator(tx, actor)
    row = store.letters(tx, [request.letter_id]).get(request.letter_id)
    refusal = rules.check_voiding(row is not None and row.org_id == org_id)
    if refusal is not None or row is None:
        raise Refused("letter_unknown")
    paper = _kept(row)
    refusal = rules.check_printing(row.voided_at is not None, bool(paper.code and row.names))
    if refusal is not None:
        raise Refused.of(refusal)
    log.append(
        tx,
        [
            audit.Entry(
                kind="letter.printed",
                place_id=org_id,
                persons=list(row.member_ids),
                ref=f"letter {row.year}-{row.number}",
                **audit.by(actor),
            )
        ],
    )
    issuer = directory.find(tx, [org_id])[org_id]
    return Letter(
        letter_id=row.letter_id,
        number=f"{row.year}-{row.number}",
        code=grouped(paper.code),
        issuer=issuer.name,
        names=row.names,
        addressee=row.addressee,
        to_org=row.to_org,
        dues_until=row.dues_until,
        issued_on=paper.issued_on,
        valid_until=row.valid_until,
    )


def check_letter(tx: Connection, request: contract.CheckLetter, actor: Actor | None) -> LetterChecked:
    """Say to anyone whether a letter is genuine and in force, and nothing about persons (BEY-13)."""
    found = store.check(tx, code_index("letter", request.code))
    if found is None:
        raise Refused("letter_unknown")
    return LetterChecked(
        state=rules.state_of(found.voided_at is not None, found.valid_until, clock.today()),
        issuer=found.issuer,
        number=f"{found.year}-{found.number}",
        issued_on=found.issued_at.astimezone(clock.CHINA).date(),
    )
