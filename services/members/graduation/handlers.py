"""Graduation: marks of branches and members, and the yearly switch of branches to graduates' organisations.

What is due is written in the marks themselves, so the switch may be stopped anywhere and goes on
where it was.
"""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, store
from services.members.entering import store as entering_store
from services.members.graduation import rules
from services.members.graduation import store as graduation_store
from services.members.log import log
from shared import audit, background, clock, directory, metrics, practice, reference
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import BranchMark, BranchMarked, MarkBranch, MarkMember, MemberMarked

BATCH = 1000
"""Branches of one transaction of the yearly switch."""
LOOK_AGAIN_SECONDS = 300.0
"""The longest sleep between two looks for what is due."""

_wake = threading.Event()


def _switch() -> tuple[int, int]:
    return practice.month_and_day("graduation_switch_date", clock.today()) or (1, 1)


def _by_branch(branch: sa.Row[Any]) -> bool:
    return bool(practice.value("member_mark_by_branch_admin", clock.today(), branch.province, branch.path))


def _until() -> date:
    return rules.due_until(clock.today(), _switch())


def mark_branches(tx: Connection, asked: list[Asked[MarkBranch]]) -> list[BranchMarked]:
    """Give branches their time of graduation, or the reason why they have none (GRAD-02..08, GRAD-14).

    A committee kind of the school domain above the branch marks, or its direct superior, never the
    branch itself (GRAD-04, GRAD-05); branches outside the school domain have none (GRAD-09). A time
    in the current year takes effect at once when the yearly moment is past. Of several marks for
    one branch the last holds.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = directory.find(tx, [org_id for one in asked for org_id in (one.item.branch_id, one.actor.org_id)])
    # nobody enters between the look at the marks and their change
    entering_store.close(tx, [one.item.branch_id for one in asked])
    earlier = graduation_store.hold_marks(tx, [one.item.branch_id for one in asked])
    until = _until()
    refusals: dict[int, Refusal] = {}
    wanted: dict[int, dict[str, Any]] = {}
    who: dict[int, Asked[MarkBranch]] = {}
    for n, one in enumerate(asked):
        branch = orgs.get(one.item.branch_id)
        org = orgs.get(one.actor.org_id or 0)
        on = domain.month_end(one.item.graduates_on) if one.item.graduates_on else None
        refusal = rules.check_branch_mark(on, one.item.reason)
        mark = earlier.get(one.item.branch_id)
        if branch is None or branch.kind != "branch":
            refusal = Refusal("branch_unknown")
        elif one.actor not in acting or org is None:
            refusal = Refusal("not_administrator")
        elif not rules.may_mark_graduates(
            org.kind,
            org.industry,
            branch.org_id != org.org_id and directory.is_below(branch, org),
            branch.parent_id == org.org_id,
        ):
            refusal = Refusal("not_your_org")
        elif refusal is None:
            refusal = rules.check_markable(reference.is_markable(branch.industry), branch.purpose)
            started = mark is not None and mark.converted_at is not None and mark.started
            # once a member has begun to leave, the switch is not taken back (GRAD-14)
            if refusal is None and started and (on is None or on > until):
                refusal = Refusal("graduation_started")
        if refusal is not None:
            refusals[n] = refusal
        else:
            who[one.item.branch_id] = one
            wanted[one.item.branch_id] = {
                "branch_id": one.item.branch_id,
                "graduates_on": on,
                "reason": one.item.reason,
                "marked_by": one.actor.person_id,
            }
    changed: list[dict[str, Any]] = []
    for row in wanted.values():
        old = earlier.get(row["branch_id"])
        if old is None or (old.graduates_on, old.reason) != (row["graduates_on"], row["reason"]):
            changed.append(row)
    flagged: dict[int, int] = {}
    if changed:
        graduation_store.mark_branches(tx, changed, clock.now())
        log.append(
            tx, [_marked(row, earlier.get(row["branch_id"]), who[row["branch_id"]]) for row in changed]
        )
        # a changed mark first undoes the switch, then takes effect if its time has come
        graduation_store.reopen(tx, [row["branch_id"] for row in changed], clock.now())
        flagged = graduation_store.convert(
            tx, until, clock.now(), len(changed), [row["branch_id"] for row in changed]
        )
    answers: list[BranchMarked] = []
    for n, one in enumerate(asked):
        branch_id = one.item.branch_id
        if n in refusals:
            answers.append(BranchMarked(branch_id=branch_id, refusal=refusals[n]))
            continue
        on = wanted[branch_id]["graduates_on"]
        answers.append(
            BranchMarked(
                branch_id=branch_id,
                members=flagged.get(branch_id, 0),
                graduate=on is not None and on <= until,
            )
        )
    return answers


def _marked(row: dict[str, Any], old: Any, one: Asked[MarkBranch]) -> audit.Entry:
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
    branch.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(
        tx,
        [
            org_id
            for one in asked
            for org_id in (one.actor.org_id, getattr(people.get(one.item.member_id), "branch_id", None))
        ],
    )
    marks = graduation_store.marks(tx, [row.branch_id for row in people.values() if row.branch_id])
    until = _until()
    refusals: dict[int, Refusal] = {}
    rows: dict[int, dict[str, Any]] = {}
    who: dict[int, Asked[MarkMember]] = {}
    for n, one in enumerate(asked):
        item = one.item
        person = people.get(item.member_id)
        org = orgs.get(one.actor.org_id or 0)
        branch = orgs.get(person.branch_id) if person is not None and person.branch_id else None
        if (
            person is None
            or branch is None
            or one.actor not in acting
            or org is None
            or not rules.may_mark_member(
                org.kind,
                org.industry,
                branch.org_id == org.org_id,
                directory.is_below(branch, org),
                branch.parent_id == org.org_id,
                _by_branch(branch),
            )
        ):
            refusals[n] = Refusal("unknown_member" if person is None or branch is None else "not_your_org")
            continue
        mark = marks.get(branch.org_id)
        converted = mark is not None and mark.converted_at is not None
        refusal = rules.check_member_mark(
            item.mark,
            item.graduates_on,
            item.reason,
            branch_graduates_on=mark.graduates_on if mark else None,
            converted=converted,
            branch_reason=mark.reason if mark else "",
            reserved=person.reserved_by is not None,
        )
        if refusal is not None:
            refusals[n] = refusal
            continue
        on = None
        if item.mark in ("own", "delayed") and item.graduates_on:
            on = domain.month_end(item.graduates_on)
        elif item.mark == "" and mark is not None and converted:
            on = mark.graduates_on  # without a mark of the own, the time of the branch is the member's
        if item.mark == "":
            graduate = converted
        else:
            graduate = item.mark == "own" and on is not None and on <= until
        who[item.member_id] = one
        rows[item.member_id] = {
            "member_id": item.member_id,
            "branch_id": branch.org_id,
            "mark": item.mark,
            "graduates_on": on,
            "reason": item.reason if item.mark == "delayed" else "",
            "graduate": graduate,
        }
    # a member who has moved or is held by now is not stored, and answered `transfer_open` below
    stored = graduation_store.mark_members(tx, list(rows.values()), clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="member.marked",
                place_id=row["branch_id"],
                persons=[member],
                note=row["reason"],
                before={
                    "mark": people[member].mark,
                    "graduates_on": people[member].graduates_on,
                    "graduate": people[member].graduate,
                },
                after={name: row[name] for name in ("mark", "graduates_on", "graduate")},
                **audit.by(who[member]),
            )
            for member, row in rows.items()
            if member in stored
        ],
    )
    return [
        MemberMarked(
            member_id=one.item.member_id,
            refusal=refusals.get(n) or (None if one.item.member_id in stored else Refusal("transfer_open")),
        )
        for n, one in enumerate(asked)
    ]


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
            may_mark=rules.may_mark_graduates(
                org.kind, org.industry, row.org_id != org.org_id, row.parent_id == org.org_id
            ),
        )
        for row in graduation_store.branch_marks(
            tx, org.path, request.unmarked_only, request.after, max(1, min(request.limit, 500))
        )
    ]


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Look for what is due (GRAD-12); the looking itself is done by `CONVERT`, in pieces."""
    _wake.set()


def convert_turn(machinery: Machinery) -> float | None:
    """Switch the next piece of what is due, in a transaction of its own (GRAD-12, GRAD-13, GRAD-25)."""
    with machinery.database.transaction() as tx:
        branches = len(graduation_store.convert(tx, _until(), clock.now(), BATCH))
        members = graduation_store.convert_members(tx, _until(), clock.now(), BATCH)
    metrics.BRANCHES_GRADUATED.inc(branches)
    return 0 if branches or members else None


CONVERT = background.Loop("graduation", convert_turn, _wake, LOOK_AGAIN_SECONDS)
