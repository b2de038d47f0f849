"""Use cases beside the saga: bulk decisions, reminders, looking, starting again, escalation, messages, addresses to be told."""
from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.engine import Connection

from services.transfers import addresses, channels, desk_store, domain, handlers, rulings, store
from services.transfers.log import log
from services.transfers.saga import NODES, State
from shared import audit, background, clock, db, directory, metrics
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Bulk, Outcome, StartBulk, Urged, Webhook

BULK_MAX = 50_000
"""Rows of one bulk decision (BEY-05)."""
BULK_ROWS = 200
"""Rows of one transaction, so that people's own requests go between."""
ENDED = (State.REJECTED, State.RETURNED, State.WITHDRAWN)
NOBODY = UUID(int=0)
_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
_bulk_wake = threading.Event()


# ---- bulk decisions --------------------------------------------------------------------------------------------------

def _wanted(filter: contract.Filter) -> dict[str, Any]:
    if filter.state not in set(NODES):
        raise Refused("bad_request", detail=f"state: {', '.join(NODES)}")
    return {"state": filter.state, "reason": filter.reason, "source": filter.source_branch_id, "opened_before": filter.opened_before,
            "due_before": filter.due_before, "unquestioned": filter.unquestioned}


def count_matching(tx: Connection, request: contract.CountMatching, actor: Actor | None) -> contract.Matching:
    """Return how many open nodes a filter takes in (BEY-05)."""
    return contract.Matching(count=desk_store.count_matching(tx, directory.require_administrator(tx, actor), _wanted(request.filter)))


def start_bulks(tx: Connection, asked: list[Asked[StartBulk]]) -> list[Bulk]:
    """Write bulk decisions down for the worker, with the rows that match now (BEY-05); each is checked once more when its turn comes."""
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        item = one.item
        earlier, _ = desk_store.bulks(tx, one.actor.org_id or 0, item.bulk_id)
        refusal = Refusal("not_administrator") if one.actor not in acting else None if earlier else _check_bulk(tx, item, one.actor.acting_org)
        if refusal is None and desk_store.bulk_of_another(tx, item.bulk_id, one.actor.acting_org, one.actor.person_id):
            refusal = Refusal("command_taken")
        if refusal is None and not earlier:
            desk_store.start_bulk(tx, item.bulk_id, one.actor.acting_org, one.actor.person_id, msgspec.json.encode(item).decode(), _wanted(item.filter), clock.now())
            log.append(tx, [audit.Entry(
                kind="bulk.started", place_id=one.actor.org_id, ref=f"bulk {item.bulk_id}", note=item.note,
                after={"state": item.filter.state, "approve": item.approve, "reason": item.reason_code, "branch": item.branch_id, "rows": item.expected},
                **audit.by(one))])
        answers.append(Bulk(bulk_id=item.bulk_id, refusal=refusal) if refusal else
                       Bulk(bulk_id=item.bulk_id, total=item.expected, waiting=item.expected, started_at=clock.now(), repeated=bool(earlier)))
    _bulk_wake.set()
    return answers


def _check_bulk(tx: Connection, item: StartBulk, org_id: int) -> Refusal | None:
    if item.filter.state == State.ASSIGN:
        orgs = handlers.facts_of(tx, [item.branch_id, org_id])
        wrong = None if domain.is_assignable(orgs.get(item.branch_id or 0), orgs.get(org_id)) else Refusal("branch_not_below")
    else:
        wrong = domain.check_decision(item.approve, item.reason_code, item.note)
        if wrong is None and item.approve and domain.lacks_letter(item.filter.state, item.note):
            wrong = Refusal("letter_missing")
    wanted = _wanted(item.filter)
    if wrong is not None:
        return wrong
    count = desk_store.count_matching(tx, org_id, wanted)
    if count == 0:
        return Refusal("nothing_matches")
    if count > BULK_MAX:
        return Refusal("too_many_match", {"count": str(count), "limit": str(BULK_MAX)})
    return Refusal("count_changed", {"count": str(count)}) if count != item.expected else None


def get_bulk(tx: Connection, request: contract.GetBulk, actor: Actor | None) -> list[Bulk]:
    """Return how far the newest bulk decisions of the acting organisation are, or one of them (BEY-05)."""
    jobs, problems = desk_store.bulks(tx, directory.require_administrator(tx, actor, observers=True), request.bulk_id)
    if request.bulk_id is not None and not jobs:
        raise Refused("unknown_bulk")
    return [_bulk(job, problems.get(job.bulk_id, {})) for job in jobs]


def _bulk(job: Any, problems: Mapping[int, str]) -> Bulk:
    return Bulk(bulk_id=job.bulk_id, total=job.total, done=job.done, waiting=job.waiting, started_at=job.started_at,
                problems={transfer: Refusal(code) for transfer, code in problems.items()})


def stop_bulks(tx: Connection, asked: list[Asked[contract.StopBulk]]) -> list[Bulk]:
    """Stop bulk decisions of the acting organisation; what is done stays done."""
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        if one.actor not in acting:
            answers.append(Bulk(bulk_id=one.item.bulk_id, refusal=Refusal("not_administrator")))
            continue
        stopped = desk_store.stop_bulk(tx, one.item.bulk_id, one.actor.acting_org)
        if stopped:
            log.append(tx, [audit.Entry(kind="bulk.stopped", place_id=one.actor.org_id, ref=f"bulk {one.item.bulk_id}", after={"rows": stopped}, **audit.by(one))])
        jobs, _ = desk_store.bulks(tx, one.actor.acting_org, one.item.bulk_id)
        answers.append(_bulk(jobs[0], {}) if jobs else Bulk(bulk_id=one.item.bulk_id, refusal=Refusal("unknown_bulk")))
    return answers


def work_off(tx: Connection, limit: int = BULK_ROWS) -> int:
    """Decide the next rows of bulk decisions as their starters, by the same use cases as single ones; return how many.

    The id of each decision comes from the bulk's and the transfer's, so a row that was decided before a crash is only answered again.
    """
    rows = desk_store.next_rows(tx, limit)
    by_job: dict[Any, list[Any]] = {}
    for row in rows:
        by_job.setdefault(row.bulk_id, []).append(row)
    for some in by_job.values():
        given = msgspec.json.decode(some[0].decision, type=StartBulk)
        actor = Actor(some[0].person_id, some[0].org_id)
        ids = {row.transfer_id: uuid5(row.bulk_id, str(row.transfer_id)) for row in some}
        if given.branch_id is not None:
            outcomes = handlers.assign_branches(tx, [Asked(contract.AssignBranch(
                decision_id=ids[row.transfer_id], transfer_id=row.transfer_id, branch_id=given.branch_id), actor) for row in some])
        else:
            outcomes = handlers.decide_nodes(tx, [Asked(contract.DecideNode(
                decision_id=ids[row.transfer_id], transfer_id=row.transfer_id, node_no=row.node_no, approve=given.approve, reason_code=given.reason_code,
                note=given.note), actor) for row in some])
        desk_store.settle_rows(tx, [{"bulk_id": str(row.bulk_id), "transfer_id": row.transfer_id, "result": outcome.refusal.code if outcome.refusal else ""}
                                    for row, outcome in zip(some, outcomes, strict=True)])
    return len(rows)


def _work_off(database: db.Database, size: int) -> int:
    with database.transaction() as tx:
        return work_off(tx, size)


def give_up_row(database: db.Database, problem: str) -> None:
    """Set the next row of the bulk decisions aside, since deciding it fails again and again; it is listed with the refused ones (BEY-05)."""
    with database.transaction() as tx:
        desk_store.settle_rows(tx, [{"bulk_id": str(row.bulk_id), "transfer_id": row.transfer_id, "result": "internal"} for row in desk_store.next_rows(tx, 1)])


_bulk_pieces = background.Pieces("transfers", "bulks", BULK_ROWS, _work_off, give_up_row)
WORK_OFF = background.Loop("bulks", lambda machinery: 0 if _bulk_pieces.turn(machinery.database) else None, _bulk_wake, 5.0)
"""Works off bulk decisions in pieces; several services share the rows."""


# ---- reminders, looking ----------------------------------------------------------------------------------------------

def _rows(asked: Sequence[Asked[Any]], row_of: Callable[[Any], dict[str, Any]], acting: set[Actor]) -> list[dict[str, Any]]:
    return [{"n": n, "person_id": one.actor.person_id, "org_id": one.actor.org_id if one.actor in acting else None, **row_of(one.item)}
            for n, one in enumerate(asked)]


def _answers(asked: Sequence[Asked[Any]], rows: Sequence[Any], otherwise: Callable[[int], Refusal]) -> list[Outcome]:
    done = {row.n: row for row in rows}
    return [Outcome(transfer_id=done[n].transfer_id, state=done[n].state, node_no=done[n].node_no) if n in done else
            Outcome(transfer_id=one.item.transfer_id, refusal=otherwise(n)) for n, one in enumerate(asked)]


def _explained(tx: Connection, rows: Sequence[dict[str, Any]], code: str) -> Callable[[int], Refusal]:
    """Return the refusal of an item that did not fit: to strangers the transfer does not exist (TRF-33)."""
    found = store.explain(tx, rows)
    return lambda n: Refusal(code if n in found and found[n].transfer_id is not None and found[n].party else "unknown_transfer")


def urge_transfers(tx: Connection, asked: list[Asked[contract.UrgeTransfer]]) -> list[Outcome]:
    """Remind whoever has to decide, as the starter's side or the member (BEY-21); the office is named, not the person."""
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _rows(asked, lambda item: {"transfer_id": item.transfer_id, "decision_id": item.decision_id}, acting)
    now = clock.now()
    return _answers(asked, desk_store.urge(tx, rows, now, store.stamp_of(now)), _explained(tx, rows, "urge_early"))


def urge_below(tx: Connection, asked: list[Asked[contract.UrgeBelow]]) -> list[Urged]:
    """Remind all that is late or nearly so below the acting organisation (BEY-18)."""
    now, answers = clock.now(), []
    for one in asked:
        try:
            top = directory.require_above(tx, one.actor, one.item.org_id)
        except Refused as refused:
            answers.append(Urged(refusal=refused.refusal))
            continue
        row = {"n": 0, "person_id": one.actor.person_id, "org_id": one.actor.org_id, "decision_id": one.item.decision_id, "branch_id": top.org_id,
               "node_no": max(0, min(one.item.days, 30))}
        answers.append(Urged(nodes=len(desk_store.urge_below(tx, [row], now, store.stamp_of(now)))))
    return answers


def look_at_nodes(tx: Connection, asked: list[Asked[contract.LookAt]]) -> list[Outcome]:
    """Show to others that one is looking at nodes (BEY-23); it binds nobody."""
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = _rows(asked, lambda item: {"transfer_id": item.transfer_id, "done": item.done, "decision_id": None}, acting)
    return _answers(asked, desk_store.look(tx, rows, clock.now()), _explained(tx, rows, "somebody_looks"))


# ---- starting again, escalation --------------------------------------------------------------------------------------

def restart_transfers(tx: Connection, asked: list[Asked[contract.RestartTransfer]]) -> list[Outcome]:
    """Start ended transfers again with their values, as the member, the source's side or the target (BEY-04, DL-06).

    Everything is checked anew, but for the look-up by the target, whose earlier transfer shows that it knows the member.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    found = store.many(tx, [one.item.transfer_id for one in asked])
    refusals: dict[int, Refusal] = {}
    fresh: dict[int, Asked[contract.RequestTransfer]] = {}
    for n, one in enumerate(asked):
        row = found.get(one.item.transfer_id)
        org = one.actor.org_id if one.actor in acting else None
        sides = {} if row is None else {"source": org in (row.source_branch_id, row.source_superior_id), "target": org == row.target_org_id,
                                        "member": one.actor.person_id == row.member_id}
        initiator = None if row is None else next((side for side in ("member", "source", "target") if sides[side] and (org is not None or side == "member")), None)
        claimed = row is not None and row.state in (State.CHECKING, State.REFUSED) and initiator not in ("member", row.initiator)
        if row is None or initiator is None or claimed:  # what never held its member is its starter's alone (TRF-33)
            refusals[n] = Refusal("unknown_transfer")
        elif row.state not in ENDED:
            refusals[n] = Refusal("transfer_open" if row.ended_at is None else "not_restartable")
        else:
            fresh[n] = Asked(contract.RequestTransfer(
                command_id=one.item.command_id, initiator=initiator, member_id=row.member_id, source_branch_id=row.source_branch_id,
                target_org_id=None if row.reason == "special_unit" else row.target_org_id, reason=row.reason, place_name=row.place_name,
                place_address=row.place_address, contact=row.contact, remark=row.remark, place_division=row.place_division, confirmed=bool(row.concern),
                drop_out=row.reason_kind == "drop_out"), one.actor)
    started = dict(zip(fresh, handlers.request_transfers(tx, list(fresh.values()), known=True), strict=True)) if fresh else {}
    return [started.get(n) or Outcome(transfer_id=one.item.transfer_id, refusal=refusals[n]) for n, one in enumerate(asked)]


def escalate_transfers(tx: Connection, asked: list[Asked[contract.Escalate]]) -> list[Outcome]:
    """Hand rejections to the lowest common superior of both sides, as the member, once (BEY-06, TRF-26, TRF-43)."""
    found = store.many(tx, [one.item.transfer_id for one in asked])
    orgs = handlers.facts_of(tx, (org for row in found.values() for org in (row.source_branch_id, row.target_org_id)))
    rows: list[dict[str, Any]] = []
    for n, one in enumerate(asked):
        row = found.get(one.item.transfer_id)
        if row is None or one.item.transfer_id in {other["transfer_id"] for other in rows} or row.source_branch_id not in orgs or row.target_org_id not in orgs:
            continue
        rows.append({"n": n, "transfer_id": one.item.transfer_id, "person_id": one.actor.person_id, "decision_id": one.item.decision_id,
                     "note": one.item.note[:domain.NOTE_MAX], "branch_id": domain.common_superior(orgs[row.source_branch_id], orgs[row.target_org_id])})
    now = clock.now()
    every = _rows(asked, lambda item: {"transfer_id": item.transfer_id, "decision_id": item.decision_id}, set())
    return _answers(asked, desk_store.escalate(tx, rows, now, store.stamp_of(now)), _explained(tx, every, "not_escalatable"))


def answer_escalations(tx: Connection, asked: list[Asked[contract.AnswerEscalation]]) -> list[Outcome]:
    """Advise on escalated rejections, as the common superior, once (BEY-06): the member reads it and may start again.

    Where the policy lets the superior decide, `receive` starts the transfer again at once, past the approvals; the outcome is the new one.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    rows = [row for row, one in zip(_rows(asked, lambda item: {"transfer_id": item.transfer_id, "decision_id": item.decision_id, "code": item.answer,
                                                              "note": item.note[:domain.NOTE_MAX]}, acting), asked, strict=True)
            if one.actor in acting and one.item.answer in ("receive", "uphold")]
    now = clock.now()
    done = desk_store.answer(tx, rows, now, store.stamp_of(now))
    answers = _answers(asked, done, lambda n: Refusal("not_administrator" if asked[n].actor not in acting else
                                                      "answer_unknown" if asked[n].item.answer not in ("receive", "uphold") else "unknown_transfer"))
    ruled = rulings.start(tx, [asked[row.n] for row in done if asked[row.n].item.answer == "receive"])
    return [ruled.get(one.item.decision_id, answer) for one, answer in zip(asked, answers, strict=True)]


def list_escalations(tx: Connection, request: contract.ListEscalations, actor: Actor | None) -> list[contract.Escalation]:
    """Return what members have escalated to the acting organisation (BEY-06)."""
    rows = desk_store.escalations(tx, directory.require_administrator(tx, actor, observers=True), request.open_only)
    return [msgspec.convert({name: row._mapping[name] for name in contract.Escalation.__struct_fields__}, contract.Escalation) for row in rows]


# ---- messages --------------------------------------------------------------------------------------------------------

KEPT = timedelta(days=400)
"""Messages to organisations are of transfers started within this time."""


def _context(tx: Connection, actor: Actor | None) -> tuple[int, int]:
    """Return person and organisation whose messages are meant: the acting one's, or without one the person's own (0) (MSG-09)."""
    assert actor is not None
    return actor.person_id, 0 if actor.org_id is None else directory.require_administrator(tx, actor, observers=True)


def list_messages(tx: Connection, request: contract.ListMessages, actor: Actor | None) -> contract.Inbox:
    """Return what happened to the own transfers, or to those the organisation has started, newest first (MSG-01, MSG-02, MSG-06, BEY-19)."""
    person, org = _context(tx, actor)
    if request.kind and request.kind not in desk_store.KINDS:
        raise Refused("bad_request", detail=f"kind: {', '.join(desk_store.KINDS)}")
    after: tuple[datetime, int, int] = (_FUTURE, 0, 0)
    if request.after:
        try:
            at, transfer, seq = request.after.split("~")
            after = (datetime.fromisoformat(at), int(transfer), int(seq))
        except ValueError as error:
            raise Refused("bad_request", detail="after") from error
    oldest = clock.now() - KEPT
    rows = desk_store.messages(tx, person, org, oldest, kind=request.kind, unread_only=request.unread_only, since=request.since, until=request.until,
                               at=after[0], transfer_id=after[1], seq=after[2], limit=max(1, min(request.limit, 500)))
    return contract.Inbox(unread=desk_store.unread(tx, person, org, oldest), items=[contract.Message(
        transfer_id=row.transfer_id, seq=row.seq, kind=row.event, at=row.at, member_id=row.member_id, org_id=row.org_id, note=row.note,
        end_code=row.end_code if row.event in ("reject", "unavailable") else "", state=row.state, read=row.read,
        cursor=f"{row.at.isoformat()}~{row.transfer_id}~{row.seq}") for row in rows])


def mark_messages(tx: Connection, asked: list[Asked[contract.MarkRead]]) -> list[Outcome]:
    """Mark messages read (MSG-01); repeated without effect."""
    until, single = [], []
    for one in asked:
        person, org = _context(tx, one.actor)
        if one.item.until is not None:
            until.append({"person_id": person, "org_id": org, "until": one.item.until})
        if one.item.transfer_id is not None:
            single.append({"person_id": person, "org_id": org, "transfer_id": one.item.transfer_id, "seq": one.item.seq})
    desk_store.mark_read(tx, until, single)
    return [Outcome() for _ in asked]


# ---- addresses that are told -----------------------------------------------------------------------------------------

_send_wake = threading.Event()
RETRIES = (60, 300, 1_800, 7_200, 43_200)
"""Seconds until a failed delivery is tried again; after the last it is given up and listed."""
SENDERS = 8
"""Deliveries under way at a time, so that a slow receiver holds up few others."""
HOOKS_MAX = 20
"""Addresses that one organisation has told at a time."""


def set_webhooks(tx: Connection, asked: list[Asked[contract.SetWebhook]]) -> list[Webhook]:
    """Add addresses that are told of the acting organisation's transfers, or switch some off (BEY-15, BEY-19).

    An address that is told already stays the one it is: the same id comes back, and its secret is not shown again.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    refusals = {n: _check_hook(one) if one.actor in acting else Refusal("not_administrator") for n, one in enumerate(asked)}
    ends = [{"webhook_id": one.item.webhook_id, "org_id": one.actor.org_id} for n, one in enumerate(asked) if not refusals[n] and one.item.webhook_id is not None]
    ended = desk_store.end_hooks(tx, ends) if ends else set()
    new = [{"n": n, "command_id": str(one.item.command_id), "org_id": one.actor.org_id, "url": addresses.normal(one.item.url), "person_id": one.actor.person_id,
            "secret": secrets.token_urlsafe(32)} for n, one in enumerate(asked) if not refusals[n] and one.item.webhook_id is None]
    hooks = desk_store.add_hooks(tx, new, HOOKS_MAX, clock.now()) if new else {}
    log.append(tx, _hooks_changed(asked, hooks, ended, refusals))
    return [Webhook(refusal=refusals[n]) if refusals[n] else
            _ended(one.item.webhook_id, (one.item.webhook_id, one.actor.org_id) in ended) if one.item.webhook_id is not None else
            _hook(hooks.get(n)) for n, one in enumerate(asked)]


def _hooks_changed(asked: Sequence[Asked[contract.SetWebhook]], hooks: Mapping[int, Any], ended: set[tuple[int, int]],
                   refusals: Mapping[int, Refusal | None]) -> list[audit.Entry]:
    """Return the lines of addresses that were added or switched off: the host is kept, what else is in the address may be a secret."""
    entries = []
    for n, one in enumerate(asked):
        hook = hooks.get(n)
        if hook is not None and hook.own and hook.same:
            entries.append(audit.Entry(kind="address.added", place_id=one.actor.org_id, ref=f"address {hook.webhook_id}",
                                       after={"host": urlsplit(hook.url).hostname or hook.url.partition(":")[0]}, **audit.by(one)))
        elif refusals[n] is None and one.item.webhook_id is not None and (one.item.webhook_id, one.actor.org_id) in ended:
            entries.append(audit.Entry(kind="address.ended", place_id=one.actor.org_id, ref=f"address {one.item.webhook_id}", **audit.by(one)))
    return entries


def _check_hook(one: Asked[contract.SetWebhook]) -> Refusal | None:
    try:
        if one.item.webhook_id is None:
            addresses.normal(one.item.url)
    except addresses.NotAllowed:
        return Refusal("address_refused", {"allowed": ", ".join(addresses.allowed()) or "TUANQIAO_NOTICE_HOSTS"})
    return None


def _ended(webhook_id: int, found: bool) -> Webhook:
    return Webhook(webhook_id=webhook_id, refusal=None if found else Refusal("unknown_webhook"))


def _hook(row: Any) -> Webhook:
    """Return a hook as the answer to who wanted it; the secret only to the command that made it."""
    if row is None:
        return Webhook(refusal=Refusal("too_many_webhooks", {"limit": str(HOOKS_MAX)}))
    if row.own and not row.same:
        return Webhook(refusal=Refusal("command_taken"))
    return Webhook(webhook_id=row.webhook_id, url=row.url, active=row.active, secret=row.secret if row.own else "")


def list_webhooks(tx: Connection, request: contract.ListWebhooks, actor: Actor | None) -> list[Webhook]:
    """Return the acting organisation's addresses with what was delivered, waits, or was given up."""
    return [Webhook(webhook_id=row.webhook_id, url=row.url, active=row.active, waiting=row.waiting, delivered=row.delivered, failed=row.failed, problem=row.last_problem)
            for row in desk_store.hooks(tx, directory.require_administrator(tx, actor))]


def send_some(database: db.Database, limit: int = 50) -> int:
    """Send what is due, some at a time; return how many were tried.

    Taken in one transaction, sent outside of any, settled in a second: killed in between, they are sent again, and receivers know them
    by their id. What was taken too often, whoever died with it, is given up.
    """
    now = clock.now()
    with database.transaction(tells=False) as tx:
        taken = desk_store.claim_deliveries(tx, now, limit, len(RETRIES) + 1)
    rows = [row for row in taken if row.next_at is not None]
    metrics.ITEMS_SET_ASIDE.labels("transfers", "notices").inc(len(taken) - len(rows))
    settled = []
    with ThreadPoolExecutor(SENDERS) as pool:
        for row, problem in zip(rows, pool.map(_send, rows), strict=True):
            again = None if not problem or row.attempts > len(RETRIES) else now + timedelta(seconds=RETRIES[row.attempts - 1])
            settled.append({"webhook_id": row.webhook_id, "transfer_id": row.transfer_id, "seq": row.seq, "delivered_at": None if problem else now,
                            "next_at": again, "problem": problem})
            if problem and again is None:
                metrics.ITEMS_SET_ASIDE.labels("transfers", "notices").inc()
    if settled:
        with database.transaction(tells=False) as tx:
            desk_store.settle_deliveries(tx, settled)
    return len(taken)


def _send(row: Any) -> str:
    """Send one notice; return what went wrong."""
    return channels.send(row.url, row.secret, {
        "id": f"{row.transfer_id}:{row.seq}", "event": row.event, "state": row.state, "at": row.at.isoformat(), "transfer_id": row.transfer_id,
        "member_id": row.member_id, "reason": row.reason, "source_branch_id": row.source_branch_id, "target_org_id": row.target_org_id})


SEND = background.Loop("notices", lambda machinery: 0 if send_some(machinery.database) else None, _send_wake, 10.0)
"""Tells offices of what happened."""
