"""A member's record after it was entered.

Edits, deletion of what was entered wrongly, and where somebody was on a day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import partial

import msgspec
from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.closed import closed
from services.members.log import edited, log
from services.members.posts import store as posts_store
from services.members.records import rules
from services.members.records import store as records_store
from services.members.sealing.keys import keys, sealed
from shared import audit, clock, directory
from shared.bus.service import Asked
from shared.commands import once_remembered
from shared.directory import Org
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import DeleteMember, EditMember, MemberSaved, RequestDeletion, Whereabouts


def _branch(orgs: dict[int, Org], person: store.Person | None) -> Org | None:
    return orgs.get(person.branch_id) if person is not None and person.branch_id is not None else None


def _is_near(actor: Actor, branch: Org | None, acting: Collection[Actor]) -> bool:
    """Return whether a person administers a branch or its direct superior."""
    return branch is not None and actor in acting and directory.is_own_or_superior(actor.org_id, branch)


def edit_members(tx: Connection, asked: list[Asked[EditMember]]) -> list[MemberSaved]:
    """Change members' data (MEM-14, MEM-21, MEM-30).

    By themselves, or by administrators of the branch or its direct superior. That work or study was
    found may be said by the member as well (TYPE-16). Posts change by `set_posts` only; whether
    somebody is a Party member or was contacted is for the organisation to say.

    The checks of an entry hold for the record as it will be (MEM-05, MEM-08..12). Of several edits
    of one member the last holds.
    """
    edits = _Edits(tx, asked)
    answers = [MemberSaved(member_id=one.item.member_id, refusal=edits.take(one)) for one in asked]
    if edits.rows:
        store.take_numbers(tx, edits.new_numbers())
        records_store.edit(tx, list(edits.rows.values()))
        entries = [
            edited(edits.last[member], edits.people[member], row) for member, row in edits.rows.items()
        ]
        log.append(tx, [entry for entry in entries if entry is not None])
        posts_store.tell_posts(
            tx,
            [
                person_id
                for person_id, row in edits.rows.items()
                if row["phone_sealed"] is not None and person_id in edits.cadres
            ],
        )
    return answers


class _Edits:
    """The members that a list edits, and what is written of each in the end."""

    def __init__(self, tx: Connection, asked: Sequence[Asked[EditMember]]) -> None:
        self.acting = directory.administering(tx, (one.actor for one in asked))
        self.closed = closed(tx, (one.item.member_id for one in asked), hold=True)
        self.people = store.by_ids(tx, [one.item.member_id for one in asked])
        self.orgs = directory.find(tx, [row.branch_id for row in self.people.values()])
        self.cadres = {row.person_id for row in posts_store.posts_held(tx, self.people)}
        numbers = [one.item.development_number.strip() for one in asked if one.item.development_number]
        self.used = store.used_numbers(tx, numbers)
        self.used_or_claimed = store.used_numbers(tx, numbers, claimed=True)
        self.issued = settings.of(tx).ranges
        self.rows: dict[int, records_store.Edit] = {}
        self.last: dict[int, Asked[EditMember]] = {}

    def take(self, one: Asked[EditMember]) -> Refusal | None:
        """Take an edit in place of an earlier one of the same member, or return why not."""
        person = self.people.get(one.item.member_id)
        own = one.actor.person_id == one.item.member_id
        near = _is_near(one.actor, _branch(self.orgs, person), self.acting)
        refusal = rules.check_editor(person is not None, own, near)
        if refusal is not None or person is None:
            return refusal
        refusal = rules.check_open(self.closed.get(person.person_id), _changes(one.item, person, own))
        if refusal is not None:
            return refusal
        refusal = self._check(one.item, person, self.used_or_claimed if own else self.used)
        if refusal is None:
            self.last[person.person_id] = one
            self.rows[person.person_id] = _row(one.item, person, own)
        return refusal

    def _check(self, item: EditMember, person: store.Person, used: Mapping[str, int]) -> Refusal | None:
        """Return what is wrong with the record as it will be."""
        today, branch = clock.today(), _branch(self.orgs, person)
        number, joined = _number(item, person), item.joined_on or person.joined_on
        refusal = None
        # people in no branch are no members, for whom alone there are limits
        if branch is not None:
            born = domain.born_on(keys.seal.open(person.id_sealed))
            post = "cadre" if person.person_id in self.cadres else ""
            refusal = domain.check_ages(
                born, joined, post, today, branch.province
            ) or domain.check_development_number(number, joined, branch.province, self.issued)
        return refusal or rules.check_edit(self._is_used(number, person, used), item.found_on, today)

    def new_numbers(self) -> list[str]:
        """Return the development numbers that members will have and have not yet."""
        numbers = {member: row["development_number"] or "" for member, row in self.rows.items()}
        return [one for member, one in numbers.items() if one != self.people[member].development_number]

    def _is_used(self, number: str, person: store.Person, used: Mapping[str, int]) -> bool:
        """Return whether a new number is somebody else's, or given by an earlier edit of the list."""
        return number != person.development_number and (
            used.get(number, person.person_id) != person.person_id
            or any(row["development_number"] == number for row in self.rows.values())
        )


def _changes(item: EditMember, person: store.Person, own: bool) -> bool:
    """Return whether an edit changes more than how a member is reached; forms send what stays, too."""
    said = {
        "ethnic_group": item.ethnic_group,
        "joined_on": item.joined_on,
        "development_number": _number(item, person),
        "party": None if own else item.party,
        "found_on": item.found_on,
    }
    changed = any(value not in (None, getattr(person, name)) for name, value in said.items())
    found = item.found is not None and item.found != (person.found_on is not None)
    return changed or found or bool(not own and item.contacted and person.to_contact)


def _number(item: EditMember, person: store.Person) -> str:
    """Return the development number that a member will have."""
    if item.development_number is None:
        return str(person.development_number)
    return item.development_number.strip()


def _row(item: EditMember, person: store.Person, own: bool) -> records_store.Edit:
    """Return what is written of an edit; None leaves what is there."""
    return {
        "person_id": item.member_id,
        "ethnic_group": item.ethnic_group,
        "joined_on": item.joined_on,
        "development_number": _number(item, person),
        "phone_sealed": _changed(item.phone),
        "contact_sealed": _changed(item.contact),
        "emergency_sealed": _changed(item.emergency_contact),
        # these two are for the organisation to say, so what members say of themselves is left out
        "party": None if own else item.party,
        "contacted": None if own else item.contacted,
        "found": item.found,
        "found_on": item.found_on or clock.today(),
    }


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
    shut = closed(tx, people)
    answers: list[MemberSaved] = []
    last: dict[int, Asked[RequestDeletion]] = {}
    for one in asked:
        item, branch = one.item, _branch(orgs, people.get(one.item.member_id))
        near = _is_near(one.actor, branch, acting)
        refusal = rules.check_report(near, item.cause, item.explanation, shut.get(item.member_id))
        answers.append(MemberSaved(member_id=item.member_id, refusal=refusal))
        if refusal is None:
            last[item.member_id] = one
    records_store.request_deletions(tx, [_report(one) for one in last.values()], clock.now())
    log.append(tx, [_reported(one, people[member].branch_id) for member, one in last.items()])
    return answers


def _report(one: Asked[RequestDeletion]) -> records_store.Report:
    return {
        "person_id": one.item.member_id,
        "cause": one.item.cause,
        "explanation": one.item.explanation.strip(),
        "requested_by": one.actor.person_id,
    }


def _reported(one: Asked[RequestDeletion], branch_id: int | None) -> audit.Entry:
    return audit.Entry(
        kind="member.reported",
        place_id=branch_id,
        persons=[one.item.member_id],
        after={"cause": one.item.cause},
        note=one.item.explanation.strip(),
        **audit.by(one),
    )


def delete_members(tx: Connection, asked: list[Asked[DeleteMember]]) -> list[MemberSaved]:
    """Delete wrongly entered members (DEL-05, DEL-07, DEL-08, DEL-11, MEM-19).

    Only a leading body above the branch does so, with a reason. Repeated by the same person, the
    command is answered as before: a member whom this very command deleted is gone.
    """
    answers = once_remembered(tx, asked, _Deletion, partial(_delete, tx), _refused)
    return [
        MemberSaved(member_id=answer.member_id or one.item.member_id, refusal=answer.refusal)
        for one, answer in zip(asked, answers, strict=True)
    ]


class _Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a deletion; 0: by a release that did not keep of whom."""

    member_id: int = 0
    refusal: Refusal | None = None


def _refused(item: DeleteMember, refusal: Refusal) -> _Deletion:
    return _Deletion(member_id=item.member_id, refusal=refusal)


def _delete(tx: Connection, asked: list[Asked[DeleteMember]]) -> list[_Deletion]:
    """Delete members whom no earlier command has deleted."""
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    refusals = _check_deletions(tx, asked, people)
    last = {one.item.member_id: one for one, why in zip(asked, refusals, strict=True) if why is None}
    gone = records_store.delete(tx, [_removal(one) for one in last.values()], clock.now())
    log.append(
        tx, [_deleted(one, people[member].branch_id) for member, one in last.items() if member in gone]
    )
    answers: list[_Deletion] = []
    for one, why in zip(asked, refusals, strict=True):
        held = None if one.item.member_id in gone else rules.HELD
        answers.append(_Deletion(member_id=one.item.member_id, refusal=why or held))
    return answers


def _check_deletions(
    tx: Connection, asked: Sequence[Asked[DeleteMember]], people: Mapping[int, store.Person]
) -> list[Refusal | None]:
    """Return why members are not deleted, in the order of the list."""
    acting = directory.administering(tx, (one.actor for one in asked))
    branches = [row.branch_id for row in people.values()]
    orgs = directory.find(tx, [*branches, *(one.actor.org_id for one in asked)])
    administrators = store.administer(tx, list(people))
    shut = closed(tx, people)
    refusals: list[Refusal | None] = []
    for one in asked:
        org = orgs.get(one.actor.org_id or 0) if one.actor in acting else None
        branch = _branch(orgs, people.get(one.item.member_id))
        below = org is not None and branch is not None and directory.is_below(branch, org)
        kind = org.kind if org is not None else None
        high_enough = branch is not None and below and domain.may_delete(org, _level(tx, branch))
        administers = one.item.member_id in administrators
        refusal = rules.check_deletion(kind, below, high_enough, one.item.reason, administers)
        seen = below and kind is not None
        refusals.append((shut.get(one.item.member_id) if seen else None) or refusal)
    return refusals


def _removal(one: Asked[DeleteMember]) -> records_store.Deletion:
    return {
        "person_id": one.item.member_id,
        "reason": one.item.reason.strip(),
        "deleted_by": one.actor.person_id,
        "deleted_for": one.actor.acting_org,
    }


def _deleted(one: Asked[DeleteMember], branch_id: int | None) -> audit.Entry:
    return audit.Entry(
        kind="member.deleted",
        place_id=branch_id,
        persons=[one.item.member_id],
        note=one.item.reason.strip(),
        **audit.by(one),
    )


def _level(tx: Connection, branch: Org) -> str:
    """Return how high an organisation has to be to delete members of a branch, as its place sets it."""
    practice = settings.of(tx).practice
    return practice.text("member_delete_min_level", clock.today(), branch.province, branch.path)


def where_was(tx: Connection, request: contract.WhereWas, actor: Actor | None) -> list[Whereabouts]:
    """Return people's branches at the end of a day (BEY-09).

    They are told to the people themselves, and to those who administer their branch of that day or
    what is above it.
    """
    assert actor is not None
    refusal = rules.check_number(len(request.person_ids))
    if refusal is not None:
        raise Refused.of(refusal)
    # midnight in China, when the day is over
    at = datetime.combine(request.on + timedelta(days=1), time(), clock.CHINA)
    found = records_store.were(tx, request.person_ids, at)
    org_id = actor.org_id if directory.administering(tx, [actor]) else None
    orgs = directory.find(tx, [org_id, *found.values()]) if org_id else {}
    org = orgs.get(org_id or 0)
    seen: dict[int, int] = {}
    for person_id, branch_id in found.items():
        below = org is not None and branch_id in orgs and directory.is_below(orgs[branch_id], org)
        if below or person_id == actor.person_id:
            seen[person_id] = branch_id
    return [Whereabouts(person_id=one, branch_id=seen.get(one)) for one in request.person_ids]
