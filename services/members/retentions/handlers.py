"""Who stays at school and why (GRAD-26..33)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from services.members import settings, store
from services.members.closed import closed
from services.members.log import log
from services.members.retentions import rules
from services.members.retentions import store as retentions_store
from services.members.sealing.keys import opened, sealed
from services.members.settings import Settings
from shared import audit, clock, directory
from shared.bus.service import Asked
from shared.commands import Earlier, again, once
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    DecideRetention,
    RequestRetention,
    Retention,
    RetentionSaved,
)
from shared.messages.words import StayKind, StayState


def request_retentions(tx: Connection, asked: list[Asked[RequestRetention]]) -> list[RetentionSaved]:
    """Ask that members stay.

    They are retained without a destination (GRAD-26, GRAD-27), or go abroad for studies (GRAD-29).
    By the member, or by the administrators of the branch or its direct superior. The six months
    count from the time of graduation, or by a setting from the day of the request. How long, from
    when on and at which schools are settings of the place (`shared/practice.py`).
    """
    earlier = _earlier(tx, [one.item.command_id for one in asked])
    return once(asked, earlier, partial(_request, tx), _refused)


def _earlier(tx: Connection, commands: Iterable[UUID]) -> dict[UUID, Earlier[RetentionSaved]]:
    known = retentions_store.by_command(tx, commands)
    return {command: Earlier(_saved(row), row.requested_by) for command, row in known.items()}


def _refused(item: RequestRetention, refusal: Refusal) -> RetentionSaved:
    return RetentionSaved(refusal=refusal)


def _saved(row: retentions_store.Asked) -> RetentionSaved:
    return RetentionSaved(retention_id=row.retention_id, state=row.state)


def _request(tx: Connection, asked: Sequence[Asked[RequestRetention]]) -> list[RetentionSaved]:
    """Store requests whose commands are new; of one member only one entry is open."""
    refusals, rows = _checked(tx, asked)
    made = retentions_store.request(tx, list(rows.values()), clock.now())
    new = [one for one in asked if one.item.command_id in made]
    log.append(
        tx,
        [_requested(one, made[one.item.command_id], rows[one.item.command_id]["branch_id"]) for one in new],
    )
    # also what the same command has stored at this very moment, sent twice
    kept = _earlier(tx, rows)
    answers: list[RetentionSaved] = []
    for one in asked:
        command = one.item.command_id
        if command in kept:
            answers.append(again(one, kept[command], _refused))
        else:
            answers.append(_refused(one.item, refusals.get(command, rules.OPEN)))
    return answers


def _requested(one: Asked[RequestRetention], retention_id: int, branch_id: int) -> audit.Entry:
    return audit.Entry(
        kind="retention.requested",
        place_id=branch_id,
        persons=[one.item.member_id],
        ref=f"retention {retention_id}",
        note=one.item.reason.strip(),
        after={"kind": one.item.kind, "since": one.item.since, "until": one.item.until},
        **audit.by(one),
    )


def _checked(
    tx: Connection, asked: Sequence[Asked[RequestRetention]]
) -> tuple[dict[UUID, Refusal], dict[UUID, retentions_store.Request]]:
    """Return, by command, why requests are refused, and the rows of the others."""
    acting = directory.administering(tx, (one.actor for one in asked))
    people = store.by_ids(tx, [one.item.member_id for one in asked])
    orgs = directory.find(tx, [row.branch_id for row in people.values()])
    shut = closed(tx, people)
    refusals: dict[UUID, Refusal] = {}
    rows: dict[UUID, retentions_store.Request] = {}
    for one in asked:
        person = people.get(one.item.member_id)
        branch = orgs.get(person.branch_id or 0) if person is not None else None
        refusal = _check(settings.of(tx), one, person, branch, one.actor in acting)
        if refusal is None or one.actor.person_id == one.item.member_id:
            refusal = shut.get(one.item.member_id) or refusal
        if refusal is not None:
            refusals[one.item.command_id] = refusal
        elif branch is not None:
            rows[one.item.command_id] = _row(one, branch.org_id)
    return refusals, rows


def _check(
    here: Settings,
    one: Asked[RequestRetention],
    person: store.Person | None,
    branch: directory.Org | None,
    administers: bool,
) -> Refusal | None:
    own = one.actor.person_id == one.item.member_id
    near = branch is not None and administers and directory.is_own_or_superior(one.actor.org_id, branch)
    refusal = rules.check_asking(branch is not None, own, near)
    if refusal is not None or person is None or branch is None:
        return refusal
    return _check_stay(here, one.item, person, branch)


def _check_stay(
    here: Settings, item: RequestRetention, person: store.Person, branch: directory.Org
) -> Refusal | None:
    """Return why a member may not stay, by the settings of the branch's place."""
    today = clock.today()
    place = (today, branch.province, branch.path)
    practice = here.practice
    return rules.check_retention(
        item.kind,
        item.since,
        item.until,
        person.graduate,
        {"国(境)外所在地": item.place, "国内联系人": item.contact_name, "联系方式": item.contact_phone},
        practice.number("retention_months", *place),
        rules.begins_on(person.graduates_on, here.retention_from_request, today),
        practice.month_and_day("retention_mark_from", *place),
        today,
    ) or rules.check_retention_school(
        item.kind, branch.industry, practice.value("retention_school_types", *place)
    )


def _row(one: Asked[RequestRetention], branch_id: int) -> retentions_store.Request:
    item = one.item
    return {
        "command_id": str(item.command_id),
        "member_id": item.member_id,
        "branch_id": branch_id,
        "kind": item.kind,
        "since": item.since,
        "until": item.until,
        "place": item.place.strip(),
        "contact_name": item.contact_name.strip(),
        "reason": item.reason.strip(),
        "requested_by": one.actor.person_id,
        "contact_phone_sealed": sealed(item.contact_phone),
    }


class _Change(NamedTuple):
    """A decision on an entry, or a report: the item that says so, the entry, its state before and after."""

    one: Asked[DecideRetention]
    entry: retentions_store.Held
    before: str
    after: str


def decide_retentions(tx: Connection, asked: list[Asked[DecideRetention]]) -> list[RetentionSaved]:
    """Approve, refuse, end or report (GRAD-29..31, GRAD-33).

    That is for a committee kind above the branch, whose register it is. A report from abroad may
    also be added by the member.
    """
    held = retentions_store.hold(tx, [one.item.retention_id for one in asked])
    above = _above(tx, asked, held)
    shut = closed(tx, (row.member_id for row in held.values()))
    # as the list goes on, each item finds what those before it have said
    states = {key: row.state for key, row in held.items()}
    answers: list[RetentionSaved] = []
    changes: list[_Change] = []
    for one, is_above in zip(asked, above, strict=True):
        retention_id, entry = one.item.retention_id, held.get(one.item.retention_id)
        before = states.get(retention_id, "")
        after, changed, refusal = _decide(one, entry, is_above, before)
        if changed and entry is not None and entry.member_id in shut:
            after, changed, refusal = before, False, shut[entry.member_id]
        answers.append(RetentionSaved(retention_id=retention_id, state=after, refusal=refusal))
        if changed and entry is not None:
            changes.append(_Change(one, entry, before, after))
            states[retention_id] = after
    _store(tx, changes)
    return answers


def _decide(
    one: Asked[DecideRetention], entry: retentions_store.Held | None, above: bool, state: str
) -> rules.Decision:
    own = entry is not None and entry.member_id == one.actor.person_id
    return rules.decide(own, above, state, bool(one.item.report), one.item.end, one.item.approve)


def _above(
    tx: Connection, asked: Sequence[Asked[DecideRetention]], held: Mapping[int, retentions_store.Held]
) -> list[bool]:
    """Return, for each item, whether its sender administers a committee kind above the member's branch."""
    acting = directory.administering(tx, (one.actor for one in asked))
    branches = [getattr(held.get(one.item.retention_id), "branch_id", None) for one in asked]
    orgs = directory.find(tx, [*(one.actor.org_id for one in asked), *branches])
    above: list[bool] = []
    for one, branch_id in zip(asked, branches, strict=True):
        org, branch = orgs.get(one.actor.org_id or 0), orgs.get(branch_id or 0)
        if org is None or branch is None or one.actor not in acting:
            above.append(False)
        else:
            above.append(org.kind != "branch" and directory.is_below(branch, org))
    return above


def _store(tx: Connection, changes: Sequence[_Change]) -> None:
    """Store changes in the order of the list, and write them into the audit log."""
    # a statement changes a row once, so what a list says of one entry is stored in rounds: mostly one
    turns: Counter[int] = Counter()
    rounds: dict[int, list[retentions_store.Decision]] = {}
    for one, entry, _, state in changes:
        row: retentions_store.Decision = {
            "retention_id": entry.retention_id,
            "state": state,
            "note": one.item.note.strip(),
            "report": one.item.report.strip(),
            "decided_by": one.actor.person_id,
        }
        rounds.setdefault(turns[entry.retention_id], []).append(row)
        turns[entry.retention_id] += 1
    for rows in rounds.values():
        retentions_store.decide(tx, rows, clock.now())
    log.append(tx, [_line(change) for change in changes])


def _line(change: _Change) -> audit.Entry:
    item = change.one.item
    return audit.Entry(
        kind="retention.reported" if item.report else f"retention.{change.after}",
        place_id=change.entry.branch_id,
        persons=[change.entry.member_id],
        note=item.note.strip(),
        ref=f"retention {item.retention_id}",
        before={"state": change.before},
        after={"state": change.after},
        **audit.by(change.one),
    )


def list_retentions(tx: Connection, request: contract.ListRetentions, actor: Actor | None) -> list[Retention]:
    """Return the register of the acting organisation and below, or the caller's own entries (DOC-09)."""
    assert actor is not None
    if request.own:
        return [_retention(row) for row in retentions_store.own(tx, actor.person_id)]
    org = directory.require_above(tx, actor, observers=True)
    return [
        _retention(row)
        for row in retentions_store.register(tx, org.path, request, max(1, min(request.limit, 500)))
    ]


def _retention(row: retentions_store.Retention) -> Retention:
    return Retention(
        retention_id=row.retention_id,
        member_id=row.member_id,
        member=row.name,
        branch_id=row.branch_id,
        kind=StayKind(row.kind),
        since=row.since,
        until=row.until,
        place=row.place,
        contact_name=row.contact_name,
        contact_phone=opened(row.contact_phone_sealed),
        reason=row.reason,
        state=StayState(row.state),
        note=row.note,
        reports=list(row.reports),
    )
