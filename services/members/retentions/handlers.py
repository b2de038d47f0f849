"""Who stays at school and why (GRAD-26..33)."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import store
from services.members.log import log
from services.members.retentions import rules
from services.members.retentions import store as retentions_store
from services.members.sealing.keys import opened, sealed
from shared import audit, clock, directory, practice
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    DecideRetention,
    RequestRetention,
    Retention,
    RetentionSaved,
)


def request_retentions(tx: Connection, asked: list[Asked[RequestRetention]]) -> list[RetentionSaved]:
    """Ask that members stay.

    They are retained without a destination (GRAD-26, GRAD-27), or go abroad for studies (GRAD-29).
    By the member, or by the administrators of the branch or its direct superior. The six months
    count from the time of graduation, or by a setting from the day of the request. How long, from
    when on and at which schools are settings of the place (`shared/practice.py`).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    known = retentions_store.by_command(tx, [one.item.command_id for one in asked])
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
        refused = rules.check_asking(
            branch is not None,
            own,
            branch is not None
            and one.actor in acting
            and directory.is_own_or_superior(one.actor.org_id, branch),
        )
        if refused is not None or person is None or branch is None:
            refusals[n] = refused or Refusal("unknown_member")
            continue
        from_the_mark = os.environ.get("TUANQIAO_RETENTION_START") == "marked"
        begins = rules.begins_on(person.graduates_on, from_the_mark, today)
        fields = {
            "国(境)外所在地": item.place,
            "国内联系人": item.contact_name,
            "联系方式": item.contact_phone,
        }
        place = (today, branch.province, branch.path)
        refusal = rules.check_retention(
            item.kind,
            item.since,
            item.until,
            person.graduate,
            fields,
            practice.number("retention_months", *place),
            begins,
            practice.month_and_day("retention_mark_from", *place),
            today,
        ) or rules.check_retention_school(
            item.kind, branch.industry, practice.value("retention_school_types", *place)
        )
        if refusal is not None:
            refusals[n] = refusal
            continue
        rows[item.command_id] = {
            "command_id": str(item.command_id),
            "member_id": item.member_id,
            "branch_id": branch.org_id,
            "kind": item.kind,
            "since": item.since,
            "until": item.until,
            "place": item.place.strip(),
            "contact_name": item.contact_name.strip(),
            "reason": item.reason.strip(),
            "requested_by": one.actor.person_id,
            "contact_phone_sealed": sealed(item.contact_phone),
        }
    made = retentions_store.request(tx, list(rows.values()), clock.now())
    log.append(
        tx,
        [
            audit.Entry(
                kind="retention.requested",
                place_id=rows[one.item.command_id]["branch_id"],
                persons=[one.item.member_id],
                ref=f"retention {made[one.item.command_id]}",
                note=one.item.reason.strip(),
                after={"kind": one.item.kind, "since": one.item.since, "until": one.item.until},
                **audit.by(one),
            )
            for one in {one.item.command_id: one for one in asked}.values()
            if one.item.command_id in made
        ],
    )
    known |= retentions_store.by_command(tx, list(rows))
    answers: list[RetentionSaved] = []
    for n, one in enumerate(asked):
        if n in refusals:
            answers.append(RetentionSaved(refusal=refusals[n]))
        elif one.item.command_id in known:
            kept = known[one.item.command_id]
            answers.append(RetentionSaved(retention_id=kept.retention_id, state=kept.state))
        else:
            # not stored, since the member has one that is still open
            answers.append(RetentionSaved(refusal=Refusal("retention_open")))
    return answers


def decide_retentions(tx: Connection, asked: list[Asked[DecideRetention]]) -> list[RetentionSaved]:
    """Approve, refuse, end or report (GRAD-29..31, GRAD-33).

    That is for a committee kind above the branch, whose register it is. A report from abroad may
    also be added by the member.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    held = retentions_store.hold(tx, [one.item.retention_id for one in asked])
    orgs = directory.find(
        tx,
        [
            org_id
            for one in asked
            for org_id in (one.actor.org_id, getattr(held.get(one.item.retention_id), "branch_id", None))
        ],
    )
    states = {key: row.state for key, row in held.items()}
    answers: list[RetentionSaved] = []
    entries: list[audit.Entry] = []
    # a statement changes a row once, so what a list says of one entry is stored in rounds
    turns: Counter[int] = Counter()
    rounds: dict[int, list[dict[str, Any]]] = {}
    for one in asked:
        item, row = one.item, held.get(one.item.retention_id)
        branch = orgs.get(row.branch_id) if row is not None else None
        org = orgs.get(one.actor.org_id or 0)
        said = (bool(item.report), item.end, item.approve)
        own = row is not None and row.member_id == one.actor.person_id
        above = (
            branch is not None
            and org is not None
            and one.actor in acting
            and org.kind != "branch"
            and directory.is_below(branch, org)
        )
        unknown = rules.check_saying(own, above, *said)
        if unknown is not None or row is None:
            answers.append(RetentionSaved(retention_id=item.retention_id, refusal=unknown))
            continue
        state = states[item.retention_id]
        wanted = rules.wanted(state, *said)
        changes, closed = rules.check_state(state, *said)
        if not changes:
            answers.append(RetentionSaved(retention_id=item.retention_id, state=state, refusal=closed))
            continue
        rounds.setdefault(turns[item.retention_id], []).append(
            {
                "retention_id": item.retention_id,
                "state": wanted,
                "note": item.note.strip(),
                "report": item.report.strip(),
                "decided_by": one.actor.person_id,
            }
        )
        entries.append(
            audit.Entry(
                kind="retention.reported" if item.report else f"retention.{wanted}",
                place_id=row.branch_id,
                persons=[row.member_id],
                note=item.note.strip(),
                ref=f"retention {item.retention_id}",
                before={"state": state},
                after={"state": wanted},
                **audit.by(one),
            )
        )
        turns[item.retention_id] += 1
        states[item.retention_id] = wanted
        answers.append(RetentionSaved(retention_id=item.retention_id, state=wanted))
    for rows in rounds.values():  # one, unless a list says several things of one entry
        retentions_store.decide(tx, rows, clock.now())
    log.append(tx, entries)
    return answers


def list_retentions(tx: Connection, request: contract.ListRetentions, actor: Actor | None) -> list[Retention]:
    """Return the register of the acting organisation and below, or the caller's own entries (DOC-09)."""
    assert actor is not None
    if request.own:
        return [_retention(row) for row in retentions_store.own(tx, actor.person_id)]
    org = directory.require_above(tx, actor, observers=True)
    return [
        _retention(row)
        for row in retentions_store.register(
            tx, org.path, request.kind, request.after, max(1, min(request.limit, 500))
        )
    ]


def _retention(row: sa.Row[Any]) -> Retention:
    return Retention(
        retention_id=row.retention_id,
        member_id=row.member_id,
        member=row.name,
        branch_id=row.branch_id,
        kind=row.kind,
        since=row.since,
        until=row.until,
        place=row.place,
        contact_name=row.contact_name,
        contact_phone=opened(row.contact_phone_sealed),
        reason=row.reason,
        state=row.state,
        note=row.note,
        reports=list(row.reports),
    )
