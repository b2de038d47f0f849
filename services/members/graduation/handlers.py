"""Graduation: marks of branches and members, and the yearly switch of branches to graduates' organisations.

What is due is written in the marks themselves, so the switch may be stopped anywhere and goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.closed import closed
from services.members.entering import store as entering_store
from services.members.graduation import rules
from services.members.graduation import store as graduation_store
from services.members.log import log
from shared import audit, background, clock, directory, metrics, reference
from shared.bus.service import Asked, Machinery
from shared.directory import Org
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import BranchMark, BranchMarked, MarkBranch, MarkMember, MemberMarked
from shared.messages.words import OrgPurpose

BATCH = 1000
"""Branches of one transaction of the yearly switch."""
LOOK_AGAIN_SECONDS = 300.0
"""The longest sleep between two looks for what is due."""


def _switch(tx: Connection) -> tuple[int, int]:
    return settings.of(tx).practice.month_and_day("graduation_switch_date", clock.today()) or (1, 1)


def _by_branch(tx: Connection, branch: directory.Org) -> bool:
    practice = settings.of(tx).practice
    return bool(practice.value("member_mark_by_branch_admin", clock.today(), branch.province, branch.path))


def _until(tx: Connection) -> date:
    return rules.due_until(clock.today(), _switch(tx))


def mark_branches(tx: Connection, asked: list[Asked[MarkBranch]]) -> list[BranchMarked]:
    """Give branches their time of graduation, or the reason why they have none (GRAD-02..08, GRAD-14).

    A committee kind of the school domain above the branch marks, or its direct superior, never the
    branch itself (GRAD-04, GRAD-05); branches outside the school domain have none (GRAD-09). A time
    in the current year takes effect at once when the yearly moment is past. Of several marks for
    one branch the last holds.
    """
    branches = [one.item.branch_id for one in asked]
    # nobody enters between the look at the marks and their change
    entering_store.close(tx, branches)
    earlier = graduation_store.hold_marks(tx, branches)
    until = _until(tx)
    refusals = _check_branches(tx, asked, earlier, until)
    last = {one.item.branch_id: one for one, why in zip(asked, refusals, strict=True) if why is None}
    flagged = _change(tx, last, earlier, until)
    answers: list[BranchMarked] = []
    for branch_id, refusal in zip(branches, refusals, strict=True):
        if refusal is not None:
            answers.append(BranchMarked(branch_id=branch_id, refusal=refusal))
            continue
        on, members = _on(last[branch_id].item), flagged.get(branch_id, 0)
        answers.append(
            BranchMarked(branch_id=branch_id, members=members, graduate=on is not None and on <= until)
        )
    return answers


def _on(item: MarkBranch) -> date | None:
    return domain.month_end(item.graduates_on) if item.graduates_on else None


def _check_branches(
    tx: Connection,
    asked: Sequence[Asked[MarkBranch]],
    earlier: Mapping[int, graduation_store.HeldMark],
    until: date,
) -> list[Refusal | None]:
    """Return why branches are not marked, in the order of the list."""
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = directory.find(tx, [org_id for one in asked for org_id in (one.item.branch_id, one.actor.org_id)])
    refusals: list[Refusal | None] = []
    for one in asked:
        org = orgs.get(one.actor.org_id or 0) if one.actor in acting else None
        branch, mark = orgs.get(one.item.branch_id), earlier.get(one.item.branch_id)
        refusals.append(_check_marker(org, branch) or _check_mark(one.item, branch, mark, until))
    return refusals


def _check_marker(org: Org | None, branch: Org | None) -> Refusal | None:
    """Return why an organisation, None where the person administers none, does not mark a branch."""
    may_mark = (
        org is not None
        and branch is not None
        and rules.may_mark_graduates(
            org.kind,
            org.industry,
            branch.org_id != org.org_id and directory.is_below(branch, org),
            branch.parent_id == org.org_id,
        )
    )
    return rules.check_marker(branch is not None and branch.kind == "branch", org is not None, may_mark)


def _check_mark(
    item: MarkBranch, branch: Org | None, old: graduation_store.HeldMark | None, until: date
) -> Refusal | None:
    """Return why a branch is not marked so, whoever marks it; `old` is how it was marked before."""
    markable = branch is not None and reference.is_markable(branch.industry)
    purpose = branch.purpose if branch is not None else ""
    started = old is not None and old.converted_at is not None and old.started
    return (
        rules.check_branch_mark(_on(item), item.reason)
        or rules.check_markable(markable, purpose)
        or rules.check_started(started, _on(item), until)
    )


def _change(
    tx: Connection,
    last: Mapping[int, Asked[MarkBranch]],
    earlier: Mapping[int, graduation_store.HeldMark],
    until: date,
) -> dict[int, int]:
    """Store the marks that differ from those before; return how many members became graduates, by branch."""
    rows = [_row(one) for one in last.values()]
    changed = [row for row in rows if _differs(row, earlier.get(row["branch_id"]))]
    if not changed:
        return {}
    branches = [row["branch_id"] for row in changed]
    graduation_store.mark_branches(tx, changed, clock.now())
    log.append(tx, [_marked(row, earlier.get(row["branch_id"]), last[row["branch_id"]]) for row in changed])
    # a changed mark first undoes the switch, then takes effect if its time has come
    graduation_store.reopen(tx, branches, clock.now())
    return graduation_store.convert(tx, until, clock.now(), len(changed), branches)


def _row(one: Asked[MarkBranch]) -> graduation_store.NewMark:
    return {
        "branch_id": one.item.branch_id,
        "graduates_on": _on(one.item),
        "reason": one.item.reason,
        "marked_by": one.actor.person_id,
    }


def _differs(row: graduation_store.NewMark, old: graduation_store.HeldMark | None) -> bool:
    return old is None or (old.graduates_on, old.reason) != (row["graduates_on"], row["reason"])


def _marked(
    row: graduation_store.NewMark, old: graduation_store.HeldMark | None, one: Asked[MarkBranch]
) -> audit.Entry:
    before = None if old is None else {"graduates_on": old.graduates_on, "reason": old.reason}
    return audit.Entry(
        kind="branch.marked",
        place_id=row["branch_id"],
        before=before,
        after={"graduates_on": row["graduates_on"], "reason": row["reason"]},
        **audit.by(one),
    )


def mark_members(tx: Connection, asked: list[Asked[MarkMember]]) -> list[MemberMarked]:
    """Mark members, or take the mark back (GRAD-10, GRAD-11, GRAD-16..24).

    A member is marked as delayed, as a teacher, or with a time of the member's own in a mixed
    branch. Of several marks for one member the last holds.
    """
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    refusals, rows = _member_rows(tx, asked, people)
    last = {one.item.member_id: one for one, why in zip(asked, refusals, strict=True) if why is None}
    stored = graduation_store.mark_members(tx, list(rows.values()), clock.now())
    entries = [
        _member_marked(row, people[member], last[member]) for member, row in rows.items() if member in stored
    ]
    log.append(tx, entries)
    answers: list[MemberMarked] = []
    for one, refusal in zip(asked, refusals, strict=True):
        member = one.item.member_id
        gone = None if member in stored else rules.GONE
        answers.append(MemberMarked(member_id=member, refusal=refusal or gone))
    return answers


def _member_rows(
    tx: Connection, asked: Sequence[Asked[MarkMember]], people: Mapping[int, store.Person]
) -> tuple[list[Refusal | None], dict[int, graduation_store.MemberMark]]:
    """Return why members are not marked, in the order of the list, and what is stored of the others."""
    acting = directory.administering(tx, (one.actor for one in asked))
    branches = [row.branch_id for row in people.values()]
    orgs = directory.find(tx, [*branches, *(one.actor.org_id for one in asked)])
    marks = _marks(tx, branches)
    until = _until(tx)
    shut = closed(tx, people)
    refusals: list[Refusal | None] = []
    rows: dict[int, graduation_store.MemberMark] = {}
    for one in asked:
        item, person = one.item, people.get(one.item.member_id)
        branch_id = (person.branch_id or 0) if person is not None else 0
        org = orgs.get(one.actor.org_id or 0) if one.actor in acting else None
        mark = marks.get(branch_id, rules.UNMARKED)
        refusal = _check_member_marker(tx, org, orgs.get(branch_id)) or shut.get(item.member_id)
        refusal = refusal or _check_member_mark(item, person, mark)
        refusals.append(refusal)
        if refusal is None:
            rows[item.member_id] = _member_row(item, branch_id, mark, until)
    return refusals, rows


def _marks(tx: Connection, branch_ids: Sequence[int | None]) -> dict[int, rules.Mark]:
    found = graduation_store.marks(tx, [one for one in branch_ids if one])
    return {
        key: rules.Mark(row.graduates_on, row.reason, row.converted_at is not None)
        for key, row in found.items()
    }


def _check_member_marker(tx: Connection, org: Org | None, branch: Org | None) -> Refusal | None:
    """Return why an organisation, None where the person administers none, marks no member of a branch."""
    may_mark = (
        org is not None
        and branch is not None
        and rules.may_mark_member(
            org.kind,
            org.industry,
            branch.org_id == org.org_id,
            directory.is_below(branch, org),
            branch.parent_id == org.org_id,
            _by_branch(tx, branch),
        )
    )
    return rules.check_member_marker(branch is not None, may_mark)


def _check_member_mark(item: MarkMember, person: store.Person | None, branch: rules.Mark) -> Refusal | None:
    reserved = person is not None and person.reserved_by is not None
    return rules.check_member_mark(item.mark, item.graduates_on, item.reason, branch, reserved)


def _member_row(
    item: MarkMember, branch_id: int, branch: rules.Mark, until: date
) -> graduation_store.MemberMark:
    on, graduate = rules.becomes(item.mark, item.graduates_on, branch, until)
    return {
        "member_id": item.member_id,
        "branch_id": branch_id,
        "mark": item.mark,
        "graduates_on": on,
        "reason": item.reason if item.mark == "delayed" else "",
        "graduate": graduate,
    }


def _member_marked(
    row: graduation_store.MemberMark, person: store.Person, one: Asked[MarkMember]
) -> audit.Entry:
    return audit.Entry(
        kind="member.marked",
        place_id=row["branch_id"],
        persons=[row["member_id"]],
        note=row["reason"],
        before={
            "mark": person.mark,
            "graduates_on": person.graduates_on,
            "graduate": person.graduate,
        },
        after={
            "mark": row["mark"],
            "graduates_on": row["graduates_on"],
            "graduate": row["graduate"],
        },
        **audit.by(one),
    )


def list_branch_marks(
    tx: Connection, request: contract.ListBranchMarks, actor: Actor | None
) -> list[BranchMark]:
    """Return branches below the acting organisation with their times of graduation (GRAD-08, GRAD-32).

    Or only those without one; the answer says which of them the organisation marks (GRAD-09).
    """
    org = directory.require_above(tx, actor, observers=True)
    return [
        BranchMark(
            branch_id=row.org_id,
            name=row.name,
            superior_id=row.parent_id,
            graduates_on=row.graduates_on,
            reason=row.reason or "",
            graduate=row.converted_at is not None,
            teachers=row.purpose == OrgPurpose.TEACHERS,
            may_mark=rules.may_mark_graduates(
                org.kind, org.industry, row.org_id != org.org_id, row.parent_id == org.org_id
            ),
        )
        for row in graduation_store.branch_marks(
            tx, org.path, request.unmarked_only, request.name, request.after, max(1, min(request.limit, 500))
        )
    ]


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Look for what is due (GRAD-12); the looking itself is done by `CONVERT`, in pieces."""
    CONVERT.wake.set()


def convert_turn(machinery: Machinery) -> float | None:
    """Switch the next piece of what is due, in a transaction of its own (GRAD-12, GRAD-13, GRAD-25)."""
    with machinery.database.transaction() as tx:
        branches = len(graduation_store.convert(tx, _until(tx), clock.now(), BATCH))
        members = graduation_store.convert_members(tx, _until(tx), clock.now(), BATCH)
    metrics.BRANCHES_GRADUATED.inc(branches)
    return 0 if branches or members else None


CONVERT = background.Loop("graduation", convert_turn, LOOK_AGAIN_SECONDS)
