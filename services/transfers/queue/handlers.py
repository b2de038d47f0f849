"""The queue of approvals beside its list: counts, views, phrases, assignment by a rule (MSG-01, ASG-02)."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.transfers import domain, waiting
from services.transfers.queue import rules, store
from services.transfers.saga import State
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Phrase, View

BRANCHES_MOST = 100
"""Source branches that are counted one by one."""


def count_work(tx: Connection, request: contract.CountWork, actor: Actor | None) -> contract.WorkCounts:
    """Return how much waits for the acting organisation, by several measures (MSG-01, MSG-04)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    rows = waiting.counts(tx, waiting.wanted(org_id, request.filter))
    parts: dict[int, list[waiting.Counted]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(row)
    (whole,) = parts[waiting.ALL]
    most = sorted(parts.get(waiting.BY_BRANCH, []), key=lambda row: -row.n)[:BRANCHES_MOST]
    return contract.WorkCounts(
        total=whole.total,
        late=whole.late,
        today=whole.today,
        soon=whole.soon,
        questioned=whole.questioned,
        reminded=whole.reminded,
        matching=whole.matching,
        states={str(row.state): row.n for row in parts.get(waiting.BY_STATE, [])},
        reasons={str(row.reason): row.n for row in parts.get(waiting.BY_REASON, [])},
        branches={row.source_branch_id or 0: row.n for row in most},
        provinces={str(row.target_province): row.n for row in parts.get(waiting.BY_PROVINCE, [])},
    )


# ---- views and phrases -----------------------------------------------------------------------------------


def save_views(tx: Connection, asked: list[Asked[contract.SaveView]]) -> list[View]:
    """Keep filters under names, each for its person in the acting organisation."""
    acting = directory.administering(tx, (one.actor for one in asked), observers=True)
    store.hold(tx, {one.actor.person_id for one in asked}, {one.item.view_id for one in asked})
    return [_save_view(tx, one, one.actor in acting) for one in asked]


def _save_view(tx: Connection, one: Asked[contract.SaveView], acts: bool) -> View:
    item, name = one.item, one.item.name.strip()
    refusal = domain.check_acting(acts) or rules.check_name(name) or domain.check_order(item.sort)
    if refusal is not None:
        return View(view_id=item.view_id, refusal=refusal)
    person, org = one.actor.person_id, one.actor.acting_org
    first = store.owner(tx, item.view_id)
    if first is not None:
        refusal = domain.check_repeated([first], (person, org))
        return View(view_id=item.view_id, name=name, repeated=refusal is None, refusal=refusal)
    held = store.views(tx, person, org)
    refusal = rules.check_views(len(held), name not in {view.name for view in held})
    if refusal is not None:
        return View(view_id=item.view_id, refusal=refusal)
    kept = store.View(item.view_id, name, waiting.as_json(item.filter), item.sort)
    view_id = store.save(tx, kept, person, org, clock.now())
    return View(view_id=view_id, name=name, filter=waiting.of_json(kept.filter), sort=item.sort)


def drop_views(tx: Connection, asked: list[Asked[contract.DropView]]) -> list[View]:
    """Forget views of one's own; what is not one's own is left as it is, and not spoken of."""
    acting = directory.administering(tx, (one.actor for one in asked), observers=True)
    answers = []
    for one in asked:
        refusal = domain.check_acting(one.actor in acting)
        if refusal is None:
            store.drop(tx, one.item.view_id, one.actor.person_id, one.actor.acting_org)
        answers.append(View(view_id=one.item.view_id, refusal=refusal))
    return answers


def keep_phrases(tx: Connection, asked: list[Asked[contract.KeepPhrase]]) -> list[Phrase]:
    """Remember notes of rejections for the next time, unless they are of one person (TRF-27)."""
    acting = directory.administering(tx, (one.actor for one in asked))
    store.hold(tx, {one.actor.person_id for one in asked})
    answers = []
    for one in asked:
        text = one.item.text.strip()
        refusal = domain.check_acting(one.actor in acting)
        kept = refusal is None and rules.is_phrase(text)
        if kept:
            store.keep_phrase(tx, one.actor.person_id, text, clock.now(), rules.PHRASES)
        answers.append(Phrase(text=text, kept=kept, refusal=refusal))
    return answers


def drop_phrases(tx: Connection, asked: list[Asked[contract.DropPhrase]]) -> list[Phrase]:
    """Forget phrases of one's own."""
    for one in asked:
        store.drop_phrase(tx, one.actor.person_id, one.item.text.strip())
    return [Phrase(text=one.item.text) for one in asked]


def list_habits(tx: Connection, request: contract.ListHabits, actor: Actor | None) -> contract.Habits:
    """Return one's own views of the acting organisation, and one's own phrases."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    assert actor is not None
    views = [
        View(view_id=row.view_id, name=row.name, filter=waiting.of_json(row.filter), sort=row.sort)
        for row in store.views(tx, actor.person_id, org_id)
    ]
    return contract.Habits(views=views, phrases=store.phrases(tx, actor.person_id, rules.PHRASES))


# ---- assignment by a rule ----------------------------------------------------------------------------------


def plan_assignment(
    tx: Connection, request: contract.PlanAssignment, actor: Actor | None
) -> contract.AssignmentPlan:
    """Return who would go into which branch by a rule; nothing is done (ASG-01, ASG-02, ASG-07).

    A branch that is not below the acting organisation, or takes nobody, is no choice.
    """
    org_id = directory.require_administrator(tx, actor, observers=True)
    refusal: Refusal | None = rules.check_rule(request.rule)
    org = directory.find(tx, [org_id]).get(org_id)
    if refusal is not None or org is None:
        raise Refused.of(refusal or Refusal("unknown_org"))
    members = {seat.branch_id: seat.members for seat in request.seats}
    rows = [
        rules.Branch(row.org_id, row.name, row.superior, members.get(row.org_id, 0))
        for row in store.branches(tx, org.path, list(members) or None)
    ]
    asked = waiting.wanted(org_id, replace(request.filter, state=str(State.ASSIGN)))
    who = waiting.matching(tx, asked, rules.ROWS)
    said = [
        rules.Waits(one.transfer_id, one.source_branch_id, f"{one.remark} {one.place_name}") for one in who
    ]
    found = rules.place(request.rule, said, rows)
    placed = Counter(branch for branch, _ in found if branch is not None)
    return contract.AssignmentPlan(
        rows=[
            contract.Placed(
                transfer_id=one.transfer_id,
                member_id=one.member_id,
                remark=one.remark,
                branch_id=branch,
                why=why or "",
            )
            for one, (branch, why) in zip(who, found, strict=True)
        ],
        places=[
            contract.Place(
                branch_id=row.branch_id,
                name=row.name,
                members=row.members,
                placed=placed[row.branch_id],
            )
            for row in rows
        ],
        waiting=sum(waiting.by_reason(tx, asked).values()),
    )
