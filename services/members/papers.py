"""Who stays at school and why, and letters that introduce members (GRAD-26..33, DOC-01..04, DOC-09, BEY-13)."""
from __future__ import annotations

import os
from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import cadre_store, domain, list_store, paper_store, store
from services.members.log import log
from services.members.secret import b64, code_index, code_of, grouped, opened, sealed
from shared import audit, clock, directory, practice
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    DecideRetention,
    IssueLetter,
    Letter,
    LetterChecked,
    LetterVoided,
    RequestRetention,
    Retention,
    RetentionSaved,
    VoidLetter,
)

MOST_ON_A_LETTER = 50
LETTER_CODE_LENGTH = 16
"""Of the code on a letter; about 79 bits, so that nobody finds one by trying."""


# ---- who stays -------------------------------------------------------------------------------------------------------

def request_retentions(tx: Connection, asked: list[Asked[RequestRetention]]) -> list[RetentionSaved]:
    """Ask that members stay: retained without a destination (GRAD-26, GRAD-27), or abroad for studies (GRAD-29).

    By the member, or by the administrators of the branch or its direct superior. The six months count from the time of graduation, or by
    a setting from the day of the request. How long, from when on and at which schools are settings of the place (`shared/practice.py`).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    known = paper_store.by_command(tx, [one.item.command_id for one in asked])
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(tx, [row.branch_id for row in people.values()])
    today = clock.today()
    refusals: dict[int, Refusal] = {}
    rows: dict[Any, dict[str, Any]] = {}
    for n, one in enumerate(asked):
        item, person = one.item, people.get(one.item.member_id)
        branch = orgs.get(person.branch_id or 0) if person is not None else None
        own = one.actor.person_id == item.member_id
        if item.command_id in known:
            if known[item.command_id].requested_by != one.actor.person_id:
                refusals[n] = Refusal("command_taken")
            continue
        if person is None or branch is None or not (own or (one.actor in acting and directory.is_own_or_superior(one.actor.org_id, branch))):
            refusals[n] = Refusal("unknown_member")
            continue
        begins = person.graduates_on if person.graduates_on and os.environ.get("TUANQIAO_RETENTION_START") != "marked" else today
        fields = {"国(境)外所在地": item.place, "国内联系人": item.contact_name, "联系方式": item.contact_phone}
        place = (today, branch.province, branch.path)
        refusal = (domain.check_retention(item.kind, item.since, item.until, person.graduate, fields, practice.number("retention_months", *place), begins,
                                          practice.month_and_day("retention_mark_from", *place), today)
                   or domain.check_retention_school(item.kind, branch.industry, practice.value("retention_school_types", *place)))
        if refusal is not None:
            refusals[n] = refusal
            continue
        rows[item.command_id] = {
            "command_id": str(item.command_id), "member_id": item.member_id, "branch_id": branch.org_id, "kind": item.kind, "since": item.since, "until": item.until,
            "place": item.place.strip(), "contact_name": item.contact_name.strip(), "reason": item.reason.strip(), "requested_by": one.actor.person_id,
            "contact_phone_sealed": sealed(item.contact_phone)}
    made = paper_store.request(tx, list(rows.values()), clock.now())
    log.append(tx, [audit.Entry(
        kind="retention.requested", place_id=rows[one.item.command_id]["branch_id"], persons=[one.item.member_id], ref=f"retention {made[one.item.command_id]}",
        note=one.item.reason.strip(), after={"kind": one.item.kind, "since": one.item.since, "until": one.item.until}, **audit.by(one))
        for one in {one.item.command_id: one for one in asked}.values() if one.item.command_id in made])
    known |= paper_store.by_command(tx, list(rows))
    return [RetentionSaved(refusal=refusals[n]) if n in refusals else
            RetentionSaved(retention_id=known[one.item.command_id].retention_id, state=known[one.item.command_id].state) if one.item.command_id in known else
            RetentionSaved(refusal=Refusal("retention_open")) for n, one in enumerate(asked)]


def decide_retentions(tx: Connection, asked: list[Asked[DecideRetention]]) -> list[RetentionSaved]:
    """Approve, refuse, end or report: by a committee kind above the branch, for whose register it is (GRAD-29..31, GRAD-33).

    A report from abroad may also be added by the member.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    held = paper_store.hold(tx, [one.item.retention_id for one in asked])
    orgs = directory.find(tx, [org_id for one in asked for org_id in (one.actor.org_id, getattr(held.get(one.item.retention_id), "branch_id", None))])
    states = {key: row.state for key, row in held.items()}
    answers: list[RetentionSaved] = []
    entries: list[audit.Entry] = []
    turns: Counter[int] = Counter()
    rounds: dict[int, list[dict[str, Any]]] = {}
    for one in asked:
        item, row = one.item, held.get(one.item.retention_id)
        branch, org = orgs.get(row.branch_id) if row is not None else None, orgs.get(one.actor.org_id or 0)
        own = row is not None and row.member_id == one.actor.person_id and bool(item.report) and not item.end and not item.approve
        above = branch is not None and org is not None and one.actor in acting and org.kind != "branch" and directory.is_below(branch, org)
        if row is None or not (own or above):
            answers.append(RetentionSaved(retention_id=item.retention_id, refusal=Refusal("retention_unknown")))
            continue
        state = states[item.retention_id]
        wanted = state if item.report else "ended" if item.end else "approved" if item.approve else "refused"
        if state != ("approved" if item.report or item.end else "requested"):
            answers.append(RetentionSaved(retention_id=item.retention_id, state=state, refusal=None if state == wanted else Refusal("retention_closed")))
            continue
        rounds.setdefault(turns[item.retention_id], []).append({
            "retention_id": item.retention_id, "state": wanted, "note": item.note.strip(), "report": item.report.strip(), "decided_by": one.actor.person_id})
        entries.append(audit.Entry(
            kind="retention.reported" if item.report else f"retention.{wanted}", place_id=row.branch_id, persons=[row.member_id], note=item.note.strip(),
            ref=f"retention {item.retention_id}", before={"state": state}, after={"state": wanted}, **audit.by(one)))
        turns[item.retention_id] += 1
        states[item.retention_id] = wanted
        answers.append(RetentionSaved(retention_id=item.retention_id, state=wanted))
    for rows in rounds.values():  # one, unless a list says several things of one entry
        paper_store.decide(tx, rows, clock.now())
    log.append(tx, entries)
    return answers


def list_retentions(tx: Connection, request: contract.ListRetentions, actor: Actor | None) -> list[Retention]:
    """Return the register of the acting organisation and below, or the caller's own entries (DOC-09)."""
    assert actor is not None
    if request.own:
        return [_retention(row) for row in paper_store.own(tx, actor.person_id)]
    org = directory.require_above(tx, actor, observers=True)
    return [_retention(row) for row in paper_store.register(tx, org.path, request.kind, request.after, max(1, min(request.limit, 500)))]


def _retention(row: sa.Row[Any]) -> Retention:
    return Retention(
        retention_id=row.retention_id, member_id=row.member_id, member=row.name, branch_id=row.branch_id, kind=row.kind, since=row.since, until=row.until,
        place=row.place, contact_name=row.contact_name, contact_phone=opened(row.contact_phone_sealed), reason=row.reason, state=row.state, note=row.note,
        reports=list(row.reports))


# ---- letters ---------------------------------------------------------------------------------------------------------

def issue_letters(tx: Connection, asked: list[Asked[IssueLetter]]) -> list[Letter]:
    """Issue introduction letters for members of the own organisation and below (DOC-01..04); numbers run per issuer and year without gaps.

    The code that proves a letter is in this answer and on the paper only. It belongs to the command, so the command repeated by the same
    person gives the same letter with the same code, and the paper that was printed stays good.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    cadre_store.lock(tx, [one.actor.org_id for one in asked if one.actor.org_id])
    known = paper_store.letters_by_command(tx, [one.item.command_id for one in asked])
    orgs = directory.find(tx, [one.actor.org_id for one in asked])
    people = {org_id: {row.person_id: row.name for row in list_store.within(
        tx, [member for one in asked if one.actor.org_id == org_id for member in one.item.member_ids[:MOST_ON_A_LETTER]], org.path)} for org_id, org in orgs.items()}
    today = clock.today()
    numbers = paper_store.last_numbers(tx, orgs, today.year)
    valid_days = os.environ.get("TUANQIAO_LETTER_VALID_DAYS")
    issued: dict[Any, dict[str, Any]] = {}
    answers: list[Letter] = []
    for one in asked:
        item, org = one.item, orgs.get(one.actor.org_id or 0)
        refusal = (Refusal("not_administrator") if one.actor not in acting or org is None else Refusal("letter_by_committee") if org.kind == "branch"
                   else Refusal("field_missing", {"field": "团员、抬头"}) if not item.member_ids or not item.addressee.strip()
                   else Refusal("too_many_items", {"limit": str(MOST_ON_A_LETTER)}) if len(item.member_ids) > MOST_ON_A_LETTER
                   else Refusal("unknown_member") if not set(item.member_ids) <= people[org.org_id].keys() else None)
        if refusal is not None or org is None:
            answers.append(Letter(refusal=refusal))
            continue
        days = item.valid_days if item.valid_days is not None else int(valid_days) if valid_days else None
        old, row = known.get(item.command_id), issued.get(item.command_id)
        said = {"org_id": org.org_id, "issued_by": one.actor.person_id, "member_ids": sorted(set(item.member_ids)), "addressee": item.addressee.strip()}
        first = row or (old._mapping if old is not None else None)
        if first is not None and {name: first[name] for name in said} != said:
            answers.append(Letter(refusal=Refusal("command_taken")))
            continue
        if row is None:
            code = code_of("letter", str(item.command_id), LETTER_CODE_LENGTH)
            row = issued[item.command_id] = {**said, "code": code, "year": today.year, "issued_on": today, "number": 0, "code_index": b64(code_index("letter", code)),
                                             "valid_until": today + timedelta(days=days) if days is not None else None}
            if old is not None:
                # a letter of before codes belonged to commands keeps the code on its paper, which nobody knows here
                row |= {"letter_id": old.letter_id, "year": old.year, "number": old.number, "valid_until": old.valid_until,
                        "code": code if bytes(old.code_index) == code_index("letter", code) else "",
                        "issued_on": old.issued_at.astimezone(clock.CHINA).date()}
            else:
                numbers[org.org_id] += 1
                row |= {"command_id": str(item.command_id), "number": numbers[org.org_id]}
        answers.append(Letter(number=f"{row['year']}-{row['number']}", code=grouped(row["code"]), issuer=org.name, names=[people[org.org_id][member] for member in sorted(set(item.member_ids))],
                              addressee=item.addressee.strip(), to_org=item.to_org.strip(), dues_until=item.dues_until, issued_on=row["issued_on"],
                              valid_until=row["valid_until"]))
    made = paper_store.issue(tx, [row for row in issued.values() if "letter_id" not in row], clock.now())
    log.append(tx, [audit.Entry(
        kind="letter.issued", place_id=one.actor.org_id, persons=sorted(set(one.item.member_ids)), ref=f"letter {answer.number}",
        after={"addressee": one.item.addressee.strip()}, **audit.by(one))
        for one, answer in {one.item.command_id: (one, answer) for one, answer in zip(asked, answers, strict=True)}.values()
        if answer.refusal is None and one.item.command_id in made])
    return [answer if answer.refusal else msgspec.structs.replace(answer, letter_id=made.get(one.item.command_id) or issued[one.item.command_id]["letter_id"])
            for one, answer in zip(asked, answers, strict=True)]


def void_letters(tx: Connection, asked: list[Asked[VoidLetter]]) -> list[LetterVoided]:
    """Declare letters of the own organisation void; repeated without harm."""
    acting = directory.administering(tx, (one.actor for one in asked))
    found = paper_store.letters(tx, [one.item.letter_id for one in asked])
    mine = {one.item.letter_id for one in asked if one.actor in acting and one.item.letter_id in found and found[one.item.letter_id].org_id == one.actor.org_id}
    voided = paper_store.void(tx, sorted(mine), clock.now())
    log.append(tx, [audit.Entry(kind="letter.voided", place_id=one.actor.org_id, persons=list(found[letter].member_ids),
                                ref=f"letter {found[letter].year}-{found[letter].number}", **audit.by(one))
                    for letter, one in {one.item.letter_id: one for one in asked}.items() if letter in voided])
    return [LetterVoided(letter_id=one.item.letter_id, refusal=None if one.item.letter_id in mine else Refusal("letter_unknown")) for one in asked]


def check_letter(tx: Connection, request: contract.CheckLetter, actor: Actor | None) -> LetterChecked:
    """Say to anyone whether a letter is genuine and in force, and nothing about persons (BEY-13)."""
    found = paper_store.check(tx, code_index("letter", request.code))
    if found is None:
        raise Refused("letter_unknown")
    return LetterChecked(state=_state(found, clock.today()), issuer=found.issuer, number=f"{found.year}-{found.number}",
                         issued_on=found.issued_at.astimezone(clock.CHINA).date())


def _state(letter: sa.Row[Any], today: date) -> str:
    return "void" if letter.voided_at is not None else "lapsed" if letter.valid_until is not None and letter.valid_until < today else "in_force"
