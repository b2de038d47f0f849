"""Use cases beside the saga: reminders, looking, starting again, escalation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from services.transfers import domain, handlers, store, trail
from services.transfers.remarks import rulings
from services.transfers.remarks import store as remarks_store
from services.transfers.saga import State
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Outcome, Urged

ENDED = (State.REJECTED, State.RETURNED, State.WITHDRAWN)
NOBODY = UUID(int=0)
ANSWERS = ("receive", "uphold")
"""What the common superior may answer to an escalation."""


# ---- reminders, looking --------------------------------------------------------------------------


def _rows(
    asked: Sequence[Asked[Any]], row_of: Callable[[Any], dict[str, Any]], acting: set[Actor]
) -> list[dict[str, Any]]:
    return [
        {
            "n": n,
            "person_id": one.actor.person_id,
            "org_id": one.actor.org_id if one.actor in acting else None,
            **row_of(one.item),
        }
        for n, one in enumerate(asked)
    ]


def _answers(
    asked: Sequence[Asked[Any]], rows: Sequence[Any], otherwise: Callable[[int], Refusal]
) -> list[Outcome]:
    done = {row.n: row for row in rows}
    answers = []
    for n, one in enumerate(asked):
        if n in done:
            row = done[n]
            answers.append(Outcome(transfer_id=row.transfer_id, state=row.state, node_no=row.node_no))
        else:
            answers.append(Outcome(transfer_id=one.item.transfer_id, refusal=otherwise(n)))
    return answers


def _explained(tx: Connection, rows: Sequence[dict[str, Any]], code: str) -> Callable[[int], Refusal]:
    """Return the refusal of an item that did not fit: to strangers the transfer does not exist (TRF-33)."""
    found = store.explain(tx, rows)

    def refusal(n: int) -> Refusal:
        known = n in found and found[n].transfer_id is not None and found[n].party
        return Refusal(code if known else "unknown_transfer")

    return refusal


def urge_transfers(tx: Connection, asked: list[Asked[contract.UrgeTransfer]]) -> list[Outcome]:
    """Remind whoever has to decide, as the starter's side or the member (BEY-21).

    The office is named, not the person.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _rows(asked, _named, acting)
    now = clock.now()
    done = remarks_store.urge(tx, rows, now, trail.stamp_of(now))
    return _answers(asked, done, _explained(tx, rows, "urge_early"))


def _named(item: Any) -> dict[str, Any]:
    """Return the transfer and the decision that an item names."""
    return {"transfer_id": item.transfer_id, "decision_id": item.decision_id}


def urge_below(tx: Connection, asked: list[Asked[contract.UrgeBelow]]) -> list[Urged]:
    """Remind all that is late or nearly so below the acting organisation (BEY-18)."""
    now = clock.now()
    answers = []
    for one in asked:
        try:
            top = directory.require_above(tx, one.actor, one.item.org_id)
        except Refused as refused:
            answers.append(Urged(refusal=refused.refusal))
            continue
        row = {
            "n": 0,
            "person_id": one.actor.person_id,
            "org_id": one.actor.org_id,
            "decision_id": one.item.decision_id,
            "branch_id": top.org_id,
            "node_no": max(0, min(one.item.days, 30)),
        }
        urged = remarks_store.urge_below(tx, [row], now, trail.stamp_of(now))
        answers.append(Urged(nodes=len(urged)))
    return answers


def look_at_nodes(tx: Connection, asked: list[Asked[contract.LookAt]]) -> list[Outcome]:
    """Show to others that one is looking at nodes (BEY-23); it binds nobody."""
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _rows(
        asked, lambda item: {"transfer_id": item.transfer_id, "done": item.done, "decision_id": None}, acting
    )
    return _answers(asked, remarks_store.look(tx, rows, clock.now()), _explained(tx, rows, "somebody_looks"))


# ---- starting again, escalation ------------------------------------------------------------------


def restart_transfers(tx: Connection, asked: list[Asked[contract.RestartTransfer]]) -> list[Outcome]:
    """Start ended transfers again with their values, as the member or either side (BEY-04, DL-06).

    Everything is checked anew, except the look-up by the target, whose earlier transfer shows that it
    knows the member.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    found = store.many(tx, [one.item.transfer_id for one in asked])
    refusals: dict[int, Refusal] = {}
    fresh: dict[int, Asked[contract.RequestTransfer]] = {}
    for n, one in enumerate(asked):
        row = found.get(one.item.transfer_id)
        initiator = None
        if row is not None:
            initiator = _starts_as(row, one.actor, one.actor.org_id if one.actor in acting else None)
        if row is None or initiator is None:
            refusals[n] = Refusal("unknown_transfer")
        elif row.state not in ENDED:
            refusals[n] = Refusal("transfer_open" if row.ended_at is None else "not_restartable")
        else:
            fresh[n] = Asked(
                contract.RequestTransfer(
                    command_id=one.item.command_id,
                    initiator=initiator,
                    member_id=row.member_id,
                    source_branch_id=row.source_branch_id,
                    # the vault stands there for a special unit, which nobody chooses
                    target_org_id=None if row.reason == "special_unit" else row.target_org_id,
                    reason=row.reason,
                    place_name=row.place_name,
                    place_address=row.place_address,
                    contact=row.contact,
                    remark=row.remark,
                    place_division=row.place_division,
                    confirmed=bool(row.concern),
                    drop_out=row.reason_kind == "drop_out",
                ),
                one.actor,
            )
    started: dict[int, Outcome] = {}
    if fresh:
        outcomes = handlers.request_transfers(tx, list(fresh.values()), known=True)
        started = dict(zip(fresh, outcomes, strict=True))
    return [
        started.get(n) or Outcome(transfer_id=one.item.transfer_id, refusal=refusals[n])
        for n, one in enumerate(asked)
    ]


def _starts_as(row: Any, actor: Actor, org_id: int | None) -> str | None:
    """Return as which side somebody may start a transfer again, None as none.

    `org_id` is the organisation that they administer. A transfer that never held its member is for the
    side that started it and for the member alone (TRF-33).
    """
    side = None
    if actor.person_id == row.member_id:
        side = "member"
    elif org_id is None:
        return None
    elif org_id in (row.source_branch_id, row.source_superior_id):
        side = "source"
    elif org_id == row.target_org_id:
        side = "target"
    if row.state in (State.CHECKING, State.REFUSED) and side not in ("member", row.initiator):
        return None
    return side


def escalate_transfers(tx: Connection, asked: list[Asked[contract.Escalate]]) -> list[Outcome]:
    """Hand rejections to the lowest common superior of both sides, once (BEY-06, TRF-26, TRF-43).

    Only the member may.
    """
    found = store.many(tx, [one.item.transfer_id for one in asked])
    sides = (org for row in found.values() for org in (row.source_branch_id, row.target_org_id))
    orgs = handlers.facts_of(tx, sides)
    rows: list[dict[str, Any]] = []
    taken: set[int] = set()
    for n, one in enumerate(asked):
        row = found.get(one.item.transfer_id)
        if row is None or one.item.transfer_id in taken:
            continue
        if row.source_branch_id not in orgs or row.target_org_id not in orgs:
            continue
        taken.add(one.item.transfer_id)
        rows.append(
            {
                "n": n,
                "transfer_id": one.item.transfer_id,
                "person_id": one.actor.person_id,
                "decision_id": one.item.decision_id,
                "note": one.item.note[: domain.NOTE_MAX],
                "branch_id": domain.common_superior(orgs[row.source_branch_id], orgs[row.target_org_id]),
            }
        )
    now = clock.now()
    every = _rows(asked, _named, set())
    done = remarks_store.escalate(tx, rows, now, trail.stamp_of(now))
    return _answers(asked, done, _explained(tx, every, "not_escalatable"))


def answer_escalations(tx: Connection, asked: list[Asked[contract.AnswerEscalation]]) -> list[Outcome]:
    """Advise on escalated rejections, as the common superior, once (BEY-06).

    The member reads it and may start again. Where the policy lets the superior decide, `receive` starts the
    transfer again at once, past the approvals; the outcome is the new one.
    """
    acting = directory.administering(tx, (one.actor for one in asked))

    def answered(item: contract.AnswerEscalation) -> dict[str, Any]:
        return {**_named(item), "code": item.answer, "note": item.note[: domain.NOTE_MAX]}

    def refusal(n: int) -> Refusal:
        if asked[n].actor not in acting:
            return Refusal("not_administrator")
        if asked[n].item.answer not in ANSWERS:
            return Refusal("answer_unknown")
        return Refusal("unknown_transfer")

    rows = [
        row
        for row, one in zip(_rows(asked, answered, acting), asked, strict=True)
        if one.actor in acting and one.item.answer in ANSWERS
    ]
    now = clock.now()
    done = remarks_store.answer(tx, rows, now, trail.stamp_of(now))
    answers = _answers(asked, done, refusal)
    ruled = rulings.start(tx, [asked[row.n] for row in done if asked[row.n].item.answer == "receive"])
    return [ruled.get(one.item.decision_id, answer) for one, answer in zip(asked, answers, strict=True)]


def list_escalations(
    tx: Connection, request: contract.ListEscalations, actor: Actor | None
) -> list[contract.Escalation]:
    """Return what members have escalated to the acting organisation (BEY-06)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    fields = contract.Escalation.__struct_fields__
    return [
        msgspec.convert({name: row._mapping[name] for name in fields}, contract.Escalation)
        for row in remarks_store.escalations(tx, org_id, request.open_only)
    ]
