"""Bulk decisions: written down with the rows that match, worked off in the background (BEY-05)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.engine import Connection

from services.transfers import domain, handlers, waiting
from services.transfers.bulk import rules, store
from services.transfers.log import log
from services.transfers.saga import State
from shared import audit, background, clock, db, directory
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Bulk, StartBulk
from shared.messages.words import Check

BULK_ROWS = 200
"""Rows of one transaction, so that people's own requests go between."""


EXCEPTIONS = 100
"""How many of those with findings are named."""


def _wanted(org_id: int, filter: contract.Filter) -> waiting.Wanted:
    """Return a filter as the statements take it; one that is none is refused, whatever else is wrong."""
    refusal = rules.check_filter(filter)
    if refusal is not None:
        raise Refused.of(refusal)
    return waiting.wanted(org_id, filter)


def count_matching(tx: Connection, request: contract.CountMatching, actor: Actor | None) -> contract.Matching:
    """Return how many open nodes a filter takes in, and at which the rules found something (BEY-05)."""
    org_id = directory.require_administrator(tx, actor)
    asked = _wanted(org_id, request.filter)
    by_reason = waiting.by_reason(tx, asked)
    found = waiting.exceptions(tx, asked, EXCEPTIONS)
    return contract.Matching(
        count=sum(by_reason.values()),
        exceptions=[
            contract.Exceptional(
                transfer_id=one.transfer_id,
                member_id=one.member_id,
                checks=[Check(check) for check in one.checks],
            )
            for one in found
        ],
        excepted=found[0].n if found else 0,
        by_reason=by_reason,
    )


def start_bulks(tx: Connection, asked: list[Asked[StartBulk]]) -> list[Bulk]:
    """Write bulk decisions down for the worker, with the rows that match now (BEY-05).

    Each row is checked once more when its turn comes.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    senders = store.senders(tx, [one.item.bulk_id for one in asked])
    orgs = _parties(tx, asked)
    answers = []
    for one in asked:
        first = senders.get(one.item.bulk_id)
        # A repeated command is answered as before: by now its filter matches fewer nodes, or none.
        repeated = first is not None and first[0] == one.actor.org_id
        refusal = domain.check_acting(one.actor in acting)
        if refusal is None:
            refusal = _check(tx, one, orgs, first)
        if refusal is None and not repeated:
            _start(tx, one)
            senders[one.item.bulk_id] = _sender(one)
        answers.append(_started(one.item, repeated, refusal))
    # The worker may look before this commits, and then finds nothing; it looks again after its usual rest.
    WORK_OFF.wake.set()
    return answers


def _parties(tx: Connection, asked: Sequence[Asked[StartBulk]]) -> dict[int, domain.OrgFacts]:
    """Return the branches that are to be assigned to, and those who assign."""
    assigning = [one for one in asked if one.item.filter.state == State.ASSIGN]
    return handlers.facts_of(
        tx, (org_id for one in assigning for org_id in (one.item.branch_id, one.actor.org_id))
    )


def _sender(one: Asked[StartBulk]) -> tuple[int, int]:
    return one.actor.acting_org, one.actor.person_id


def _check(
    tx: Connection,
    one: Asked[StartBulk],
    orgs: Mapping[int, domain.OrgFacts],
    first: tuple[int, int] | None,
) -> Refusal | None:
    """Return why a bulk decision is not started with the rows that match now.

    `first` is who has sent one of this id before. For the own organisation the rows are counted no more.
    """
    item, org_id = one.item, one.actor.acting_org
    refusal = None
    if first is None or first[0] != org_id:
        wanted = _wanted(org_id, item.filter)
        refusal = rules.check_start(item, orgs.get(item.branch_id or 0), orgs.get(org_id))
        if refusal is None:
            count = sum(waiting.by_reason(tx, wanted).values())
            refusal = rules.check_count(count, item.expected)
    if refusal is None and first is not None:
        refusal = domain.check_repeated([first], _sender(one))
    return refusal


def _started(item: StartBulk, repeated: bool, refusal: Refusal | None) -> Bulk:
    """Return the answer to the start of a bulk decision; its progress is asked for with `get_bulk`."""
    if refusal is not None:
        return Bulk(bulk_id=item.bulk_id, refusal=refusal)
    return Bulk(
        bulk_id=item.bulk_id,
        total=item.expected,
        waiting=item.expected,
        started_at=clock.now(),
        repeated=repeated,
    )


def _start(tx: Connection, one: Asked[StartBulk]) -> None:
    """Write down a bulk decision that nothing speaks against, and its line of the log."""
    item = one.item
    store.start_bulk(
        tx,
        item.bulk_id,
        one.actor.person_id,
        msgspec.json.encode(item).decode(),
        _wanted(one.actor.acting_org, item.filter),
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


def get_bulk(tx: Connection, request: contract.GetBulk, actor: Actor | None) -> list[Bulk]:
    """Return how far the newest bulk decisions of the acting organisation are, or one of them (BEY-05)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    jobs, problems = store.bulks(tx, org_id, request.bulk_id)
    refusal = rules.check_found(request.bulk_id is None or bool(jobs))
    if refusal is not None:
        raise Refused.of(refusal)
    return [_bulk(job, problems.get(job.bulk_id, [])) for job in jobs]


def _bulk(job: store.Job, problems: Sequence[store.Problem]) -> Bulk:
    given = msgspec.json.decode(job.decision, type=StartBulk)
    do = "approve" if given.approve else "reject"
    return Bulk(
        bulk_id=job.bulk_id,
        total=job.total,
        done=job.done,
        waiting=job.waiting,
        started_at=job.started_at,
        problems={row.transfer_id: Refusal(row.result) for row in problems},
        people={row.transfer_id: row.member_id for row in problems},
        do=do if given.branch_id is None else "assign",
        state=given.filter.state,
        branch_id=given.branch_id,
    )


def stop_bulks(tx: Connection, asked: list[Asked[contract.StopBulk]]) -> list[Bulk]:
    """Stop bulk decisions of the acting organisation; what is done stays done."""
    acting = directory.administering(tx, (one.actor for one in asked))
    answers = []
    for one in asked:
        refusal = domain.check_acting(one.actor in acting)
        jobs = _stop(tx, one) if refusal is None else []
        refusal = refusal or rules.check_found(bool(jobs))
        if refusal is None:
            answers.append(_bulk(jobs[0], []))
        else:
            answers.append(Bulk(bulk_id=one.item.bulk_id, refusal=refusal))
    return answers


def _stop(tx: Connection, one: Asked[contract.StopBulk]) -> Sequence[store.Job]:
    """Stop a bulk decision, with a line of the log if any row still waited; return it as it is now."""
    bulk_id = one.item.bulk_id
    stopped = store.stop_bulk(tx, bulk_id, one.actor.acting_org)
    if stopped:
        entry = audit.Entry(
            kind="bulk.stopped",
            place_id=one.actor.org_id,
            ref=f"bulk {bulk_id}",
            after={"rows": stopped},
            **audit.by(one),
        )
        log.append(tx, [entry])
    jobs, _ = store.bulks(tx, one.actor.acting_org, bulk_id)
    return jobs


def work_off(tx: Connection, limit: int = BULK_ROWS) -> int:
    """Decide the next rows of bulk decisions as their starters; return how many.

    This goes by the same use cases as single decisions. The id of each decision comes from the bulk's and
    the transfer's, so a row that was decided before a crash is only answered again.
    """
    rows = store.next_rows(tx, limit)
    by_job: dict[UUID, list[store.Row]] = {}
    for row in rows:
        by_job.setdefault(row.bulk_id, []).append(row)
    for some in by_job.values():
        results = [outcome.refusal.code if outcome.refusal else "" for outcome in _decide(tx, some)]
        settled = [_settled(row, result) for row, result in zip(some, results, strict=True)]
        store.settle_rows(tx, settled)
    return len(rows)


def _decide(tx: Connection, rows: Sequence[store.Row]) -> list[contract.Outcome]:
    """Decide rows of one bulk decision as its starter."""
    given = msgspec.json.decode(rows[0].decision, type=StartBulk)
    actor = Actor(rows[0].person_id, rows[0].org_id)
    if given.branch_id is not None:
        assignments = [Asked(_assignment(row, given.branch_id), actor) for row in rows]
        return handlers.assign_branches(tx, assignments)
    return handlers.decide_nodes(tx, [Asked(_decision(row, given), actor) for row in rows])


def _decision_id(row: store.Row) -> UUID:
    return uuid5(row.bulk_id, str(row.transfer_id))


def _assignment(row: store.Row, branch_id: int) -> contract.AssignBranch:
    return contract.AssignBranch(
        decision_id=_decision_id(row), transfer_id=row.transfer_id, branch_id=branch_id
    )


def _decision(row: store.Row, given: StartBulk) -> contract.DecideNode:
    return contract.DecideNode(
        decision_id=_decision_id(row),
        transfer_id=row.transfer_id,
        node_no=row.node_no,
        approve=given.approve,
        reason_code=given.reason_code,
        note=given.note,
    )


def _settled(row: store.Row, result: str) -> store.Settled:
    return store.Settled(row.bulk_id, row.transfer_id, result)


def _work_off(database: db.Database, size: int) -> int:
    with database.transaction(tells=False) as tx:
        done = work_off(tx, size)
    if done:
        database.after_commit()
    return done


def give_up_row(database: db.Database, problem: str) -> None:
    """Set the next row of the bulk decisions aside, since deciding it fails again and again (BEY-05).

    It is listed with the refused ones.
    """
    with database.transaction() as tx:
        store.settle_rows(tx, [_settled(row, "internal") for row in store.next_rows(tx, 1)])


_bulk_pieces = background.Pieces("transfers", "bulks", BULK_ROWS, _work_off, give_up_row)


def _turn(machinery: Machinery) -> float | None:
    return 0 if _bulk_pieces.turn(machinery.database) else None


WORK_OFF = background.Loop("bulks", _turn, 5.0)
"""Works off bulk decisions in pieces; several services share the rows."""
