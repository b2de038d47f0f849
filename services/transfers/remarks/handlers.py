"""Use cases beside the saga: reminders, looking, starting again, escalation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from services.transfers import domain, handlers, store, trail
from services.transfers.remarks import rules, rulings
from services.transfers.remarks import store as remarks_store
from services.transfers.remarks.store import Answered, Escalated, Look, Remarked, UrgedBelow
from services.transfers.saga import ABROAD
from services.transfers.transitions import Item
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Outcome, Urged

# ---- reminders, looking --------------------------------------------------------------------------


def _items(asked: Sequence[Asked[Any]], acting: set[Actor]) -> list[Item]:
    """Return the items of a request for the statements, each for the organisation that its sender has."""
    return [
        Item(
            n=n,
            transfer_id=one.item.transfer_id,
            person_id=one.actor.person_id,
            org_id=one.actor.org_id if one.actor in acting else None,
            decision_id=getattr(one.item, "decision_id", None),
        )
        for n, one in enumerate(asked)
    ]


def _answers(
    asked: Sequence[Asked[Any]], rows: Sequence[Remarked], otherwise: Callable[[int], Refusal]
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


def _explained(
    tx: Connection, rows: Sequence[Item], refusal: Refusal, abroad: Refusal | None = None
) -> Callable[[int], Refusal]:
    """Return what an item is told that did not fit, by its number; `abroad`: at a node of another system."""
    found = store.explain(tx, rows)

    def told(n: int) -> Refusal:
        why = found.get(n)
        said = abroad if abroad is not None and why is not None and why.state in ABROAD else refusal
        return rules.held_back(said, why is not None and why.party)

    return told


def urge_transfers(tx: Connection, asked: list[Asked[contract.UrgeTransfer]]) -> list[Outcome]:
    """Remind whoever has to decide, as the starter's side or the member (BEY-21).

    The office is named, not the person. In another system nobody reads a reminder from here (FED-13).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _items(asked, acting)
    now = clock.now()
    done = remarks_store.urge(tx, rows, now, trail.stamp_of(now))
    return _answers(asked, done, _explained(tx, rows, rules.EARLY, rules.NOT_READ))


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
        row = UrgedBelow(
            n=0,
            person_id=one.actor.person_id,
            org_id=one.actor.org_id,
            decision_id=one.item.decision_id,
            top_id=top.org_id,
            days=max(0, min(one.item.days, rules.MOST_DAYS_AHEAD)),
        )
        urged = remarks_store.urge_below(tx, [row], now, trail.stamp_of(now))
        answers.append(Urged(nodes=len(urged)))
    return answers


def look_at_nodes(tx: Connection, asked: list[Asked[contract.LookAt]]) -> list[Outcome]:
    """Show to others that one is looking at nodes (BEY-23); it binds nobody."""
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _items(asked, acting)
    looks = [
        Look(
            n=row.n,
            transfer_id=row.transfer_id,
            person_id=one.actor.person_id,
            org_id=row.org_id,
            done=one.item.done,
        )
        for row, one in zip(rows, asked, strict=True)
    ]
    done = remarks_store.look(tx, looks, clock.now())
    return _answers(asked, done, _explained(tx, rows, rules.LOOKED_AT))


# ---- starting again, escalation ------------------------------------------------------------------


def restart_transfers(tx: Connection, asked: list[Asked[contract.RestartTransfer]]) -> list[Outcome]:
    """Start ended transfers again with their values, as the member or either side (BEY-04, DL-06).

    Everything is checked anew, except the look-up by the target, whose earlier transfer shows that it
    knows the member.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    found = store.many(tx, [one.item.transfer_id for one in asked])
    wanted = [_again(one, found.get(one.item.transfer_id), one.actor in acting) for one in asked]
    fresh = {n: Asked(want, asked[n].actor) for n, want in enumerate(wanted) if not isinstance(want, Refusal)}
    outcomes = handlers.request_transfers(tx, list(fresh.values()), known=True) if fresh else []
    started = dict(zip(fresh, outcomes, strict=True))
    return [
        Outcome(transfer_id=asked[n].item.transfer_id, refusal=want)
        if isinstance(want, Refusal)
        else started[n]
        for n, want in enumerate(wanted)
    ]


def _again(
    one: Asked[contract.RestartTransfer], row: store.Transfer | None, acts: bool
) -> contract.RequestTransfer | Refusal:
    """Return the request that starts a transfer again, or why there is none."""
    side = None
    if row is not None:
        side = rules.starts_as(
            row.state,
            row.initiator,
            one.actor.person_id == row.member_id,
            one.actor.org_id if acts else None,
            (row.source_branch_id, row.source_superior_id),
            row.target_org_id,
        )
    return rules.restart(row, side, one.item.command_id)


def escalate_transfers(tx: Connection, asked: list[Asked[contract.Escalate]]) -> list[Outcome]:
    """Hand rejections to the lowest common superior of both sides, once (BEY-06, TRF-26, TRF-43).

    Only the member may.
    """
    found = store.many(tx, [one.item.transfer_id for one in asked])
    sides = (org for row in found.values() for org in (row.source_branch_id, row.target_org_id))
    orgs = handlers.facts_of(tx, sides)
    rows: dict[int, Escalated] = {}
    for n, one in enumerate(asked):
        row = _escalation(n, one, found.get(one.item.transfer_id), orgs)
        if row is not None:
            rows.setdefault(one.item.transfer_id, row)  # of several items for one transfer the first counts
    now = clock.now()
    done = remarks_store.escalate(tx, list(rows.values()), now, trail.stamp_of(now))
    every = _items(asked, set())
    return _answers(asked, done, _explained(tx, every, rules.NOT_ESCALATABLE))


def _escalation(
    n: int,
    one: Asked[contract.Escalate],
    ended: store.Transfer | None,
    orgs: Mapping[int, domain.OrgFacts],
) -> Escalated | None:
    """Return an escalation, None where there is nobody to escalate to."""
    if ended is None:
        return None
    superior = rules.superior_of(orgs, ended.source_branch_id, ended.target_org_id)
    if superior is None:
        return None
    return Escalated(
        n=n,
        transfer_id=one.item.transfer_id,
        person_id=one.actor.person_id,
        note=one.item.note[: domain.NOTE_MAX],
        superior_id=superior,
    )


def answer_escalations(tx: Connection, asked: list[Asked[contract.AnswerEscalation]]) -> list[Outcome]:
    """Advise on escalated rejections, as the common superior, once (BEY-06).

    The member reads it and may start again. Where the policy lets the superior decide, `receive` starts the
    transfer again at once, past the approvals; the outcome is the new one.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    refusals = [rules.check_answer(one.actor in acting, one.item.answer) for one in asked]
    rows = [_answered(n, one) for n, one in enumerate(asked) if refusals[n] is None]
    now = clock.now()
    done = remarks_store.answer(tx, rows, now, trail.stamp_of(now))
    answers = _answers(asked, done, lambda n: refusals[n] or rules.NOT_ASKED)
    ruled = rulings.start(tx, [asked[row.n] for row in done if asked[row.n].item.answer == "receive"])
    return [ruled.get(one.item.decision_id, answer) for one, answer in zip(asked, answers, strict=True)]


def _answered(n: int, one: Asked[contract.AnswerEscalation]) -> Answered:
    return Answered(
        n=n,
        transfer_id=one.item.transfer_id,
        person_id=one.actor.person_id,
        org_id=one.actor.acting_org,
        decision_id=one.item.decision_id,
        answer=one.item.answer,
        note=one.item.note[: domain.NOTE_MAX],
    )


def list_escalations(
    tx: Connection, request: contract.ListEscalations, actor: Actor | None
) -> list[contract.Escalation]:
    """Return what members have escalated to the acting organisation (BEY-06)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    return remarks_store.escalations(tx, org_id, request.open_only, request.reason, request.oldest_first)
