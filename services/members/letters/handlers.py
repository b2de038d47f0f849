"""Letters that introduce members (DOC-01..04, DOC-09, BEY-13)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

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
    IssueLetter,
    Letter,
    LetterChecked,
    LetterVoided,
    VoidLetter,
)

LETTER_CODE_LENGTH = 16
"""Of the code on a letter; about 79 bits, so that nobody finds one by trying."""


def issue_letters(tx: Connection, asked: list[Asked[IssueLetter]]) -> list[Letter]:
    """Issue introduction letters for members of the own organisation and below (DOC-01..04).

    Numbers run per issuer and year without gaps. The code that proves a letter is in this answer
    and on the paper only. It belongs to the command, so the command repeated by the same person
    gives the same letter with the same code, and the paper that was printed stays good.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    posts_store.lock(tx, [one.actor.org_id for one in asked if one.actor.org_id])
    known = store.letters_by_command(tx, [one.item.command_id for one in asked])
    orgs = directory.find(tx, [one.actor.org_id for one in asked])
    people: dict[int, dict[int, str]] = {}
    for org_id, issuer in orgs.items():
        named = [
            member
            for one in asked
            if one.actor.org_id == org_id
            for member in one.item.member_ids[: rules.MOST_ON_A_LETTER]
        ]
        found = lists_store.within(tx, named, issuer.path)
        people[org_id] = {row.person_id: row.name for row in found}
    today = clock.today()
    numbers = store.last_numbers(tx, orgs, today.year)
    valid_days = os.environ.get("TUANQIAO_LETTER_VALID_DAYS")
    issued: dict[Any, dict[str, Any]] = {}
    answers: list[Letter] = []
    for one in asked:
        item, org = one.item, orgs.get(one.actor.org_id or 0)
        refusal = rules.check_issue(
            org.kind if org is not None and one.actor in acting else None,
            item.member_ids,
            item.addressee,
            people.get(one.actor.org_id or 0, {}),
        )
        if refusal is not None or org is None:
            answers.append(Letter(refusal=refusal))
            continue
        days = item.valid_days
        if days is None and valid_days:
            days = int(valid_days)
        old = known.get(item.command_id)
        row = issued.get(item.command_id)
        said = {
            "org_id": org.org_id,
            "issued_by": one.actor.person_id,
            "member_ids": sorted(set(item.member_ids)),
            "addressee": item.addressee.strip(),
        }
        # what the command said the first time, in this list or long ago
        first = row or (old._mapping if old is not None else None)
        taken = rules.check_repeated(first, said)
        if taken is not None:
            answers.append(Letter(refusal=taken))
            continue
        if row is None:
            code = code_of("letter", str(item.command_id), LETTER_CODE_LENGTH)
            row = issued[item.command_id] = {
                **said,
                "code": code,
                "year": today.year,
                "issued_on": today,
                "number": 0,
                "code_index": b64(code_index("letter", code)),
                "valid_until": today + timedelta(days=days) if days is not None else None,
            }
            if old is not None:
                # a letter from before codes belonged to commands keeps the code on its paper, which nobody
                # knows here
                row |= {
                    "letter_id": old.letter_id,
                    "year": old.year,
                    "number": old.number,
                    "valid_until": old.valid_until,
                    "code": code if bytes(old.code_index) == code_index("letter", code) else "",
                    "issued_on": old.issued_at.astimezone(clock.CHINA).date(),
                }
            else:
                numbers[org.org_id] += 1
                row |= {"command_id": str(item.command_id), "number": numbers[org.org_id]}
        answers.append(
            Letter(
                number=f"{row['year']}-{row['number']}",
                code=grouped(row["code"]),
                issuer=org.name,
                names=[people[org.org_id][member] for member in sorted(set(item.member_ids))],
                addressee=item.addressee.strip(),
                to_org=item.to_org.strip(),
                dues_until=item.dues_until,
                issued_on=row["issued_on"],
                valid_until=row["valid_until"],
            )
        )
    made = store.issue(tx, [row for row in issued.values() if "letter_id" not in row], clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="letter.issued",
                place_id=one.actor.org_id,
                persons=sorted(set(one.item.member_ids)),
                ref=f"letter {answer.number}",
                after={"addressee": one.item.addressee.strip()},
                **audit.by(one),
            )
            for one, answer in {
                one.item.command_id: (one, answer) for one, answer in zip(asked, answers, strict=True)
            }.values()
            if answer.refusal is None and one.item.command_id in made
        ],
    )
    for n, one in enumerate(asked):
        if not answers[n].refusal:
            command = one.item.command_id
            letter_id = made.get(command) or issued[command]["letter_id"]
            answers[n] = msgspec.structs.replace(answers[n], letter_id=letter_id)
    return answers


def void_letters(tx: Connection, asked: list[Asked[VoidLetter]]) -> list[LetterVoided]:
    """Declare letters of the own organisation void; repeated without harm."""
    acting = directory.administering(tx, (one.actor for one in asked))
    found = store.letters(tx, [one.item.letter_id for one in asked])
    mine = {
        one.item.letter_id
        for one in asked
        if one.actor in acting
        and one.item.letter_id in found
        and found[one.item.letter_id].org_id == one.actor.org_id
    }
    voided = store.void(tx, sorted(mine), clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="letter.voided",
                place_id=one.actor.org_id,
                persons=list(found[letter].member_ids),
                ref=f"letter {found[letter].year}-{found[letter].number}",
                **audit.by(one),
            )
            for letter, one in {one.item.letter_id: one for one in asked}.items()
            if letter in voided
        ],
    )
    return [
        LetterVoided(
            letter_id=one.item.letter_id,
            refusal=None if one.item.letter_id in mine else Refusal("letter_unknown"),
        )
        for one in asked
    ]


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
