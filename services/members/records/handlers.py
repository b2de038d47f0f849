"""A member's record after it was entered.

Edits, deletion of what was entered wrongly, and where somebody was on a day.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, store
from services.members.entering import ranges
from services.members.log import edited, log
from services.members.posts import store as posts_store
from services.members.records import rules
from services.members.records import store as records_store
from services.members.sealing.keys import keys, sealed
from shared import audit, clock, directory, practice
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import DeleteMember, EditMember, MemberSaved, RequestDeletion, Whereabouts


def _branch(orgs: dict[int, sa.Row[Any]], person: sa.Row[Any] | None) -> sa.Row[Any] | None:
    return orgs.get(person.branch_id) if person is not None and person.branch_id is not None else None


def edit_members(tx: Connection, asked: list[Asked[EditMember]]) -> list[MemberSaved]:
    """Change members' data (MEM-14, MEM-21, MEM-30).

    By themselves, or by administrators of the branch or its direct superior. That work or study was
    found may be said by the member as well (TYPE-16). Posts change by `set_posts` only; whether
    somebody is a Party member or was contacted is for the organisation to say.

    The checks of an entry hold for the record as it will be (MEM-05, MEM-08..12). Of several edits
    of one member the last holds.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(tx, [row.branch_id for row in people.values()])
    cadres = {row.person_id for row in posts_store.posts_held(tx, people)}
    used = store.used_numbers(
        tx, [one.item.development_number.strip() for one in asked if one.item.development_number]
    )
    today = clock.today()
    refusals: dict[int, Refusal] = {}
    rows: dict[int, dict[str, Any]] = {}
    who: dict[int, Asked[EditMember]] = {}
    for n, one in enumerate(asked):
        item, person = one.item, people.get(one.item.member_id)
        branch = _branch(orgs, person)
        own = person is not None and one.actor.person_id == person.person_id
        administers = (
            branch is not None
            and one.actor in acting
            and directory.is_own_or_superior(one.actor.org_id, branch)
        )
        if person is None or not (own or administers):
            refusals[n] = Refusal("unknown_member")
            continue
        number = (
            person.development_number if item.development_number is None else item.development_number.strip()
        )
        joined = item.joined_on or person.joined_on
        post = "cadre" if person.person_id in cadres else ""
        refusal = None
        # people in no branch are no members, for whom alone there are limits
        if branch is not None:
            born = domain.born_on(keys.seal.open(person.id_sealed))
            refusal = domain.check_ages(
                born, joined, post, today, branch.province
            ) or domain.check_development_number(number, joined, branch.province, ranges.issued)
        number_is_used = number != person.development_number and (
            used.get(number, person.person_id) != person.person_id
            or any(row["development_number"] == number for row in rows.values())
        )
        refusal = refusal or rules.check_edit(number_is_used, item.found_on, today)
        if refusal is not None:
            refusals[n] = refusal
            continue
        who[item.member_id] = one
        rows[item.member_id] = {
            "person_id": item.member_id,
            "ethnic_group": item.ethnic_group,
            "joined_on": item.joined_on,
            "development_number": number,
            "phone_sealed": _changed(item.phone),
            "contact_sealed": _changed(item.contact),
            "emergency_sealed": _changed(item.emergency_contact),
            "party": None if own else item.party,
            "contacted": None if own else item.contacted,
            "found": item.found,
            "found_on": item.found_on or today,
        }
    if rows:
        records_store.edit(tx, list(rows.values()))
        entries = [edited(who[member], people[member], row) for member, row in rows.items()]
        log.append(tx, [entry for entry in entries if entry is not None])
        posts_store.tell_posts(
            tx,
            [
                person_id
                for person_id, row in rows.items()
                if row["phone_sealed"] is not None and person_id in cadres
            ],
        )
    return [MemberSaved(member_id=one.item.member_id, refusal=refusals.get(n)) for n, one in enumerate(asked)]


def _changed(text: str | None) -> str | None:
    """Return a text sealed for the statement of an edit.

    None leaves what is there, an empty text clears it.
    """
    return None if text is None else sealed(text) or ""


def request_deletions(tx: Connection, asked: list[Asked[RequestDeletion]]) -> list[MemberSaved]:
    """Report wrongly entered members to the leading bodies above (DEL-06, DEL-09, DEL-10, DOC-11).

    They see them in their list and decide.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(tx, [row.branch_id for row in people.values()])
    answers, rows = [], {}
    entries: dict[int, audit.Entry] = {}
    for one in asked:
        branch = _branch(orgs, people.get(one.item.member_id))
        near = (
            branch is not None
            and one.actor in acting
            and directory.is_own_or_superior(one.actor.org_id, branch)
        )
        refusal = rules.check_report(near, one.item.cause, one.item.explanation)
        answers.append(MemberSaved(member_id=one.item.member_id, refusal=refusal))
        if refusal is None:
            rows[one.item.member_id] = {
                "person_id": one.item.member_id,
                "cause": one.item.cause,
                "explanation": one.item.explanation.strip(),
                "requested_by": one.actor.person_id,
            }
            entries[one.item.member_id] = audit.Entry(
                kind="member.reported",
                place_id=people[one.item.member_id].branch_id,
                persons=[one.item.member_id],
                after={"cause": one.item.cause},
                note=one.item.explanation.strip(),
                **audit.by(one),
            )
    records_store.request_deletions(tx, list(rows.values()), clock.now())
    log.append(tx, entries.values())
    return answers


def delete_members(tx: Connection, asked: list[Asked[DeleteMember]]) -> list[MemberSaved]:
    """Delete wrongly entered members (DEL-05, DEL-07, DEL-08, DEL-11, MEM-19).

    Only a leading body above the branch does so, with a reason. Repeated by the same person, the
    command is answered as before: a member whom this very command deleted is gone.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    known = store.replies(tx, [one.item.command_id for one in asked])
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(
        tx,
        [
            org_id
            for one in asked
            for org_id in (one.actor.org_id, getattr(people.get(one.item.member_id), "branch_id", None))
        ],
    )
    administrators = store.administer(tx, list(people))
    refusals: dict[int, Refusal] = {}
    rows: dict[int, dict[str, Any]] = {}
    for n, one in enumerate(asked):
        person = people.get(one.item.member_id)
        org = orgs.get(one.actor.org_id or 0)
        branch = _branch(orgs, person)
        if one.item.command_id in known:
            if known[one.item.command_id].person_id not in (None, one.actor.person_id):
                refusals[n] = Refusal("command_taken")
            continue
        if one.actor not in acting:
            org = None
        below = org is not None and branch is not None and directory.is_below(branch, org)
        refusal = rules.check_deletion(
            org.kind if org is not None else None,
            below,
            below and domain.may_delete(org, _level(branch)),
            one.item.reason,
            one.item.member_id in administrators,
        )
        if refusal is not None:
            refusals[n] = refusal
        elif person is not None and org is not None:
            rows[n] = {
                "person_id": person.person_id,
                "reason": one.item.reason.strip(),
                "deleted_by": one.actor.person_id,
                "deleted_for": org.org_id,
            }
    gone = records_store.delete(tx, [*{row["person_id"]: row for row in rows.values()}.values()], clock.now())
    deleted = {row["person_id"]: n for n, row in rows.items() if row["person_id"] in gone}
    log.append(
        tx,
        [
            audit.Entry(
                kind="member.deleted",
                place_id=people[person].branch_id,
                persons=[person],
                note=rows[n]["reason"],
                **audit.by(asked[n]),
            )
            for person, n in deleted.items()
        ],
    )
    refusals |= {n: Refusal("transfer_open") for n, row in rows.items() if row["person_id"] not in gone}
    store.remember(
        tx,
        [
            {"command_id": command_id, "reply": "{}", "person_id": person_id}
            for command_id, person_id in {
                asked[n].item.command_id: asked[n].actor.person_id
                for n, row in rows.items()
                if row["person_id"] in gone
            }.items()
        ],
    )
    return [MemberSaved(member_id=one.item.member_id, refusal=refusals.get(n)) for n, one in enumerate(asked)]


def _level(branch: Any) -> str:
    """Return how high an organisation has to be to delete members of a branch, as its place sets it."""
    return practice.text("member_delete_min_level", clock.today(), branch.province, branch.path)


def where_was(tx: Connection, request: contract.WhereWas, actor: Actor | None) -> list[Whereabouts]:
    """Return people's branches at the end of a day (BEY-09).

    They are told to the people themselves, and to those who administer their branch of that day or
    what is above it.
    """
    assert actor is not None
    if len(request.person_ids) > 500:
        raise Refused("too_many_items", limit=500)
    # midnight in China, when the day is over
    at = datetime.combine(request.on + timedelta(days=1), time(), clock.CHINA)
    found = records_store.were(tx, request.person_ids, at)
    org_id = actor.org_id if directory.administering(tx, [actor]) else None
    orgs = directory.find(tx, [org_id, *found.values()]) if org_id else {}

    def sees(person_id: int, branch_id: int) -> bool:
        return person_id == actor.person_id or (
            branch_id in orgs and org_id in orgs and directory.is_below(orgs[branch_id], orgs[org_id])
        )

    return [
        Whereabouts(person_id=one, branch_id=found[one] if one in found and sees(one, found[one]) else None)
        for one in request.person_ids
    ]
