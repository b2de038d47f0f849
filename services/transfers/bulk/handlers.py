"""Bulk decisions: written down with the rows that match, worked off in the background (BEY-05)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from uuid import uuid5

import msgspec
from sqlalchemy.engine import Connection

from services.transfers import domain, handlers
from services.transfers.bulk import store
from services.transfers.log import log
from services.transfers.saga import NODES, State
from shared import audit, background, clock, db, directory
from shared.bus.service import Asked
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
    return contract.Matching(
        count=store.count_matching(tx, directory.require_administrator(tx, actor), _wanted(request.filter))
    )


def start_bulks(tx: Connection, asked: list[Asked[StartBulk]]) -> list[Bulk]:
    """Write bulk decisions down for the worker, with the rows that match now (BEY-05); each is checked once more when its turn comes."""
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        item = one.item
        earlier, _ = store.bulks(tx, one.actor.org_id or 0, item.bulk_id)
        refusal = (
            Refusal("not_administrator")
            if one.actor not in acting
            else None
            if earlier
            else _check_bulk(tx, item, one.actor.acting_org)
        )
        if refusal is None and store.bulk_of_another(
            tx, item.bulk_id, one.actor.acting_org, one.actor.person_id
        ):
            refusal = Refusal("command_taken")
        if refusal is None and not earlier:
            store.start_bulk(
                tx,
                item.bulk_id,
                one.actor.acting_org,
                one.actor.person_id,
                msgspec.json.encode(item).decode(),
                _wanted(item.filter),
                clock.now(),
            )
            log.append(
                tx,
                [
                    audit.Entry(
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
                ],
            )
        answers.append(
            Bulk(bulk_id=item.bulk_id, refusal=refusal)
            if refusal
            else Bulk(
                bulk_id=item.bulk_id,
                total=item.expected,
                waiting=item.expected,
                started_at=clock.now(),
                repeated=bool(earlier),
            )
        )
    _bulk_wake.set()
    return answers


def _check_bulk(tx: Connection, item: StartBulk, org_id: int) -> Refusal | None:
    if item.filter.state == State.ASSIGN:
        orgs = handlers.facts_of(tx, [item.branch_id, org_id])
        wrong = (
            None
            if domain.is_assignable(orgs.get(item.branch_id or 0), orgs.get(org_id))
            else Refusal("branch_not_below")
        )
    else:
        wrong = domain.check_decision(item.approve, item.reason_code, item.note)
        if wrong is None and item.approve and domain.lacks_letter(item.filter.state, item.note):
            wrong = Refusal("letter_missing")
    wanted = _wanted(item.filter)
    if wrong is not None:
        return wrong
    count = store.count_matching(tx, org_id, wanted)
    if count == 0:
        return Refusal("nothing_matches")
    if count > BULK_MAX:
        return Refusal("too_many_match", {"count": str(count), "limit": str(BULK_MAX)})
    return Refusal("count_changed", {"count": str(count)}) if count != item.expected else None


def get_bulk(tx: Connection, request: contract.GetBulk, actor: Actor | None) -> list[Bulk]:
    """Return how far the newest bulk decisions of the acting organisation are, or one of them (BEY-05)."""
    jobs, problems = store.bulks(
        tx, directory.require_administrator(tx, actor, observers=True), request.bulk_id
    )
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
            log.append(
                tx,
                [
                    audit.Entry(
                        kind="bulk.stopped",
                        place_id=one.actor.org_id,
                        ref=f"bulk {one.item.bulk_id}",
                        after={"rows": stopped},
                        **audit.by(one),
                    )
                ],
            )
        jobs, _ = store.bulks(tx, one.actor.acting_org, one.item.bulk_id)
        answers.append(
            _bulk(jobs[0], {}) if jobs else Bulk(bulk_id=one.item.bulk_id, refusal=Refusal("unknown_bulk"))
        )
    return answers


def work_off(tx: Connection, limit: int = BULK_ROWS) -> int:
    """Decide the next rows of bulk decisions as their starters, by the same use cases as single ones; return how many.

    The id of each decision comes from the bulk's and the transfer's, so a row that was decided before a crash is only answered again.
    """
    rows = store.next_rows(tx, limit)
    by_job: dict[Any, list[Any]] = {}
    for row in rows:
        by_job.setdefault(row.bulk_id, []).append(row)
    for some in by_job.values():
        given = msgspec.json.decode(some[0].decision, type=StartBulk)
        actor = Actor(some[0].person_id, some[0].org_id)
        ids = {row.transfer_id: uuid5(row.bulk_id, str(row.transfer_id)) for row in some}
        if given.branch_id is not None:
            outcomes = handlers.assign_branches(
                tx,
                [
                    Asked(
                        contract.AssignBranch(
                            decision_id=ids[row.transfer_id],
                            transfer_id=row.transfer_id,
                            branch_id=given.branch_id,
                        ),
                        actor,
                    )
                    for row in some
                ],
            )
        else:
            outcomes = handlers.decide_nodes(
                tx,
                [
                    Asked(
                        contract.DecideNode(
                            decision_id=ids[row.transfer_id],
                            transfer_id=row.transfer_id,
                            node_no=row.node_no,
                            approve=given.approve,
                            reason_code=given.reason_code,
                            note=given.note,
                        ),
                        actor,
                    )
                    for row in some
                ],
            )
        store.settle_rows(
            tx,
            [
                {
                    "bulk_id": str(row.bulk_id),
                    "transfer_id": row.transfer_id,
                    "result": outcome.refusal.code if outcome.refusal else "",
                }
                for row, outcome in zip(some, outcomes, strict=True)
            ],
        )
    return len(rows)


def _work_off(database: db.Database, size: int) -> int:
    with database.transaction() as tx:
        return work_off(tx, size)


def give_up_row(database: db.Database, problem: str) -> None:
    """Set the next row of the bulk decisions aside, since deciding it fails again and again; it is listed with the refused ones (BEY-05)."""
    with database.transaction() as tx:
        store.settle_rows(
            tx,
            [
                {"bulk_id": str(row.bulk_id), "transfer_id": row.transfer_id, "result": "internal"}
                for row in store.next_rows(tx, 1)
            ],
        )


_bulk_pieces = background.Pieces("transfers", "bulks", BULK_ROWS, _work_off, give_up_row)

WORK_OFF = background.Loop(
    "bulks", lambda machinery: 0 if _bulk_pieces.turn(machinery.database) else None, _bulk_wake, 5.0
)
"""Works off bulk decisions in pieces; several services share the rows."""
