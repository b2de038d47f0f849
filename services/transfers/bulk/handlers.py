"""Bulk decisions: written down with the rows that match, worked off in the background (BEY-05)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.engine import Connection

from services.transfers import domain, handlers
from services.transfers.bulk import store
from services.transfers.log import log
from services.transfers.saga import NODES, State
from shared import audit, background, clock, db, directory
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Bulk, StartBulk

BULK_MAX = 50_000
"""Rows of one bulk decision (BEY-05)."""

BULK_ROWS = 200
"""Rows of one transaction, so that people's own requests go between."""

_bulk_wake = threading.Event()


def _wanted(filter: contract.Filter) -> dict[str, Any]:
    if filter.state not in set(NODES):
        raise Refused("bad_request", detail=f"state: {', '.join(NODES)}")
    return {
        "state": filter.state,
        "reason": filter.reason,
        "source": filter.source_branch_id,
        "opened_before": filter.opened_before,
        "due_before": filter.due_before,
        "unquestioned": filter.unquestioned,
    }


def count_matching(tx: Connection, request: contract.CountMatching, actor: Actor | None) -> contract.Matching:
    """Return how many open nodes a filter takes in (BEY-05)."""
    org_id = directory.require_administrator(tx, actor)
    return contract.Matching(count=store.count_matching(tx, org_id, _wanted(request.filter)))


def start_bulks(tx: Connection, asked: list[Asked[StartBulk]]) -> list[Bulk]:
    """Write bulk decisions down for the worker, with the rows that match now (BEY-05).

    Each row is checked once more when its turn comes.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        bulk_id = one.item.bulk_id
        if one.actor not in acting:
            answers.append(Bulk(bulk_id=bulk_id, refusal=Refusal("not_administrator")))
            continue
        # A repeated command is answered as before: by now its filter matches fewer nodes, or none.
        earlier, _ = store.bulks(tx, one.actor.acting_org, bulk_id)
        refusal = None if earlier else _check_bulk(tx, one.item, one.actor.acting_org)
        if refusal is None and store.bulk_of_another(tx, bulk_id, one.actor.acting_org, one.actor.person_id):
            refusal = Refusal("command_taken")
        if refusal is not None:
            answers.append(Bulk(bulk_id=bulk_id, refusal=refusal))
            continue
        if not earlier:
            _start(tx, one)
        answers.append(
            Bulk(
                bulk_id=bulk_id,
                total=one.item.expected,
                waiting=one.item.expected,
                started_at=clock.now(),
                repeated=bool(earlier),
            )
        )
    # The worker may look before this commits, and then finds nothing; it looks again after its usual rest.
    _bulk_wake.set()
    return answers


def _start(tx: Connection, one: Asked[StartBulk]) -> None:
    """Write down a bulk decision that nothing speaks against, and its line of the log."""
    item = one.item
    store.start_bulk(
        tx,
        item.bulk_id,
        one.actor.acting_org,
        one.actor.person_id,
        msgspec.json.encode(item).decode(),
        _wanted(item.filter),
        clock.now(),
    )
    started = audit.Entry(
        kind="bulk.started",
        place_id=one.actor.org_id,
        ref=f"bulk {item.bulk_id}",
        note=item.note,
        after={
            "state": item.filter.state,
            "approve": item.approve,
            "reason": item.reason_code,
            "branch": item.branch_id,
            "rows": item.expected,
        },
        **audit.by(one),
    )
    log.append(tx, [started])


def _check_bulk(tx: Connection, item: StartBulk, org_id: int) -> Refusal | None:
    wrong: Refusal | None = None
    if item.filter.state == State.ASSIGN:
        orgs = handlers.facts_of(tx, [item.branch_id, org_id])
        if not domain.is_assignable(orgs.get(item.branch_id or 0), orgs.get(org_id)):
            wrong = Refusal("branch_not_below")
    else:
        wrong = domain.check_decision(item.approve, item.reason_code, item.note)
        if wrong is None and item.approve and domain.lacks_letter(item.filter.state, item.note):
            wrong = Refusal("letter_missing")
    wanted = _wanted(item.filter)  # refuses a filter that is none, whatever else is wrong
    if wrong is not None:
        return wrong
    count = store.count_matching(tx, org_id, wanted)
    if count == 0:
        return Refusal("nothing_matches")
    if count > BULK_MAX:
        return Refusal("too_many_match", {"count": str(count), "limit": str(BULK_MAX)})
    if count != item.expected:  # the sender has seen another number, so others have decided meanwhile
        return Refusal("count_changed", {"count": str(count)})
    return None


def get_bulk(tx: Connection, request: contract.GetBulk, actor: Actor | None) -> list[Bulk]:
    """Return how far the newest bulk decisions of the acting organisation are, or one of them (BEY-05)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    jobs, problems = store.bulks(tx, org_id, request.bulk_id)
    if request.bulk_id is not None and not jobs:
        raise Refused("unknown_bulk")
    return [_bulk(job, problems.get(job.bulk_id, {})) for job in jobs]


def _bulk(job: Any, problems: Mapping[int, str]) -> Bulk:
    return Bulk(
        bulk_id=job.bulk_id,
        total=job.total,
        done=job.done,
        waiting=job.waiting,
        started_at=job.started_at,
        problems={transfer: Refusal(code) for transfer, code in problems.items()},
    )


def stop_bulks(tx: Connection, asked: list[Asked[contract.StopBulk]]) -> list[Bulk]:
    """Stop bulk decisions of the acting organisation; what is done stays done."""
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        if one.actor not in acting:
            answers.append(Bulk(bulk_id=one.item.bulk_id, refusal=Refusal("not_administrator")))
            continue
        stopped = store.stop_bulk(tx, one.item.bulk_id, one.actor.acting_org)
        if stopped:
            entry = audit.Entry(
                kind="bulk.stopped",
                place_id=one.actor.org_id,
                ref=f"bulk {one.item.bulk_id}",
                after={"rows": stopped},
                **audit.by(one),
            )
            log.append(tx, [entry])
        jobs, _ = store.bulks(tx, one.actor.acting_org, one.item.bulk_id)
        if jobs:
            answers.append(_bulk(jobs[0], {}))
        else:
            answers.append(Bulk(bulk_id=one.item.bulk_id, refusal=Refusal("unknown_bulk")))
    return answers


def work_off(tx: Connection, limit: int = BULK_ROWS) -> int:
    """Decide the next rows of bulk decisions as their starters; return how many.

    This goes by the same use cases as single decisions. The id of each decision comes from the bulk's and
    the transfer's, so a row that was decided before a crash is only answered again.
    """
    rows = store.next_rows(tx, limit)
    by_job: dict[Any, list[Any]] = {}
    for row in rows:
        by_job.setdefault(row.bulk_id, []).append(row)
    for some in by_job.values():
        given = msgspec.json.decode(some[0].decision, type=StartBulk)
        actor = Actor(some[0].person_id, some[0].org_id)
        if given.branch_id is not None:
            assignments = [Asked(_assignment(row, given.branch_id), actor) for row in some]
            outcomes = handlers.assign_branches(tx, assignments)
        else:
            decisions = [Asked(_decision(row, given), actor) for row in some]
            outcomes = handlers.decide_nodes(tx, decisions)
        results = [outcome.refusal.code if outcome.refusal else "" for outcome in outcomes]
        settled = [_settled(row, result) for row, result in zip(some, results, strict=True)]
        store.settle_rows(tx, settled)
    return len(rows)


def _decision_id(row: Any) -> UUID:
    return uuid5(row.bulk_id, str(row.transfer_id))


def _assignment(row: Any, branch_id: int) -> contract.AssignBranch:
    return contract.AssignBranch(
        decision_id=_decision_id(row), transfer_id=row.transfer_id, branch_id=branch_id
    )


def _decision(row: Any, given: StartBulk) -> contract.DecideNode:
    return contract.DecideNode(
        decision_id=_decision_id(row),
        transfer_id=row.transfer_id,
        node_no=row.node_no,
        approve=given.approve,
        reason_code=given.reason_code,
        note=given.note,
    )


def _settled(row: Any, result: str) -> dict[str, Any]:
    return {"bulk_id": str(row.bulk_id), "transfer_id": row.transfer_id, "result": result}


def _work_off(database: db.Database, size: int) -> int:
    with database.transaction() as tx:
        return work_off(tx, size)


def give_up_row(database: db.Database, problem: str) -> None:
    """Set the next row of the bulk decisions aside, since deciding it fails again and again (BEY-05).

    It is listed with the refused ones.
    """
    with database.transaction() as tx:
        store.settle_rows(tx, [_settled(row, "internal") for row in store.next_rows(tx, 1)])


_bulk_pieces = background.Pieces("transfers", "bulks", BULK_ROWS, _work_off, give_up_row)


def _turn(machinery: Machinery) -> float | None:
    return 0 if _bulk_pieces.turn(machinery.database) else None


WORK_OFF = background.Loop("bulks", _turn, _bulk_wake, 5.0)
"""Works off bulk decisions in pieces; several services share the rows."""
