"""No statistics make a statement read all that is open: what a list costs goes by its own length.

PostgreSQL takes statistics when it likes. Those of a quiet night say that nothing is open, and hold
through the morning that opens a million nodes. Each statement is explained in the middle of the work
it is for, and none may read many more rows of a table than it was asked about.
"""

import json
import os
import uuid
from collections import Counter

import msgspec
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from services.transfers import handlers, store, waiting
from services.transfers.bulk import handlers as bulk
from services.transfers.figures import handlers as figures
from services.transfers.figures import store as figures_store
from services.transfers.figures import sums, totals
from services.transfers.notices import handlers as notices
from services.transfers.policies import store as policies_store
from services.transfers.queue import handlers as queue
from services.transfers.remarks import handlers as remarks
from shared import clock, db
from shared.bus.service import Asked
from shared.messages import transfers as contract
from shared.messages.members import MemberMoved, MemberReserved, ReservationRefused
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.words import WorkOrder
from tests import statements
from tests.transfers.factories import BRANCH, OTHER, ROOT, SCHOOL, TARGET, admin, request

OPEN = int(os.environ.get("OPEN_NODES", 3_000))
"""Nodes that are open beside those of the list."""
ITEMS = 100
WATCHED = ("open_nodes", "open_transfers", "transfers", "outbox")
MORNING = sa.text("""
    WITH made AS (
        INSERT INTO transfers (
            command_id, member_id, initiator, initiator_person_id, source_branch_id, source_province,
            target_org_id, target_province, reason, reason_kind, place_name, place_address, contact,
            remark, place_division, policy, path, state, node_no, created_at, audit_seq, audit_head)
        SELECT gen_random_uuid(), 10000000 + i, 'source', 102, 3, '42', 7, '33', 'further_study', 'study',
            '', '', '', '', '', policy.key, 'source:branch', 'pending_in', 1, now(), 1, ''
        FROM generate_series(1, CAST(:n AS int)) AS i, (SELECT key FROM policies LIMIT 1) AS policy
        RETURNING transfer_id, member_id),
    held AS (INSERT INTO open_transfers (member_id, transfer_id) SELECT member_id, transfer_id FROM made)
    INSERT INTO open_nodes (transfer_id, node_no, state, province, org_id, opened_at, expires_at)
    SELECT transfer_id, 1, 'pending_in', '33', 7, now(), now() + interval '10 days' FROM made""")
PATIENT = sa.text("SET LOCAL statement_timeout = 0")
"""Half a million rows are written in one statement here; what is measured keeps the limit of the service."""
QUIET = ("open_nodes", "open_transfers", "changes", "outbox")
"""Tables that a quiet night leaves empty."""


def _scans(plan):
    """Yield the table and the rows of each scan in a plan, all its turns together."""
    if "Relation Name" in plan:
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield plan["Relation Name"], read * plan["Actual Loops"]
    # Rows that a join throws away were not read from a table, but compared all the same.
    if "Rows Removed by Join Filter" in plan:
        yield "compared", plan["Rows Removed by Join Filter"] * plan["Actual Loops"]
    for part in plan.get("Plans", []):
        yield from _scans(part)


def reads(engine, note):
    """Explain each statement before it runs; `note` is told the rows by table, the statement and its plan."""

    def look(connection, statement, parameters):
        words = statement.split(None, 1)[0].upper().strip("-")
        if words not in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "EXECUTE"):
            return
        with connection.connection.cursor() as beside:
            beside.execute("SAVEPOINT look")
            beside.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, parameters)
            plan = beside.fetchone()[0][0]["Plan"]
            beside.execute("ROLLBACK TO SAVEPOINT look")
        read = Counter()
        for table, rows in _scans(plan):
            read[table] += rows
        note(read, statement, plan)

    return statements.seen(engine, look)


def explained(engine, found):
    """Explain each statement before it runs, and note in `found` those that read too much."""
    most = {"compared": 2 * ITEMS * ITEMS}

    def note(read, statement, plan):
        much = {
            one: rows
            for one, rows in read.items()
            if rows > most.get(one, 12 * ITEMS) and one in (*WATCHED, "compared")
        }
        if much:
            found.append((much, statement[:60], json.dumps(plan)[:300]))

    return reads(engine, note)


def _work(tx, ids):
    """Do with a list what a morning does with it: decide, remind, assign, move, and look at the rest."""
    decisions = [
        Asked(
            contract.DecideNode(decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=True),
            admin(TARGET),
        )
        for one in ids
    ]
    assert all(one.refusal is None for one in handlers.decide_nodes(tx, decisions))
    other = [Asked(replace(one.item, decision_id=uuid.uuid4()), one.actor) for one in decisions[:20]]
    assert all(one.refusal is not None for one in handlers.decide_nodes(tx, other))
    handlers.on_reminder_due(tx, [ReminderDue(transfer_id=one, node_no=2, due_at=clock.now()) for one in ids])
    page = handlers.list_work(tx, contract.ListWork(limit=50), admin(TARGET))
    assert len(page.items) == 50
    remarks.look_at_nodes(tx, [Asked(contract.LookAt(transfer_id=one), admin(TARGET)) for one in ids])
    urged = [contract.UrgeTransfer(decision_id=uuid.uuid4(), transfer_id=one) for one in ids]
    remarks.urge_transfers(tx, [Asked(one, admin(SCHOOL)) for one in urged])
    assigned = [
        Asked(
            contract.AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=BRANCH), admin(TARGET)
        )
        for one in ids
    ]
    assert all(one.refusal is None for one in handlers.assign_branches(tx, assigned))
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=one, member_id=1, branch_id=BRANCH) for one in ids])
    store.many(tx, ids)


def _started(tx, n=ITEMS):
    """Start transfers and have their members held; return their ids."""
    made = handlers.request_transfers(tx, [request() for _ in range(n)])
    ids = [one.transfer_id for one in made]
    handlers.on_member_reserved(tx, [MemberReserved(transfer_id=one, member_id=1) for one in ids])
    return ids


def _ends(tx, rejected, withdrawn, expired, refused):
    """End transfers in every other way."""
    handlers.decide_nodes(
        tx,
        [
            Asked(
                contract.DecideNode(
                    decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=False, note="一"
                ),
                admin(TARGET),
            )
            for one in rejected
        ],
    )
    handlers.withdraw_transfers(
        tx,
        [
            Asked(contract.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one), admin(SCHOOL))
            for one in withdrawn
        ],
    )
    handlers.on_deadline_expired(
        tx, [DeadlineExpired(transfer_id=one, node_no=1, due_at=clock.now()) for one in expired]
    )
    handlers.on_reservation_refused(
        tx, [ReservationRefused(transfer_id=one, member_id=1, code="member_elsewhere") for one in refused]
    )


@pytest.fixture(params=["empty", "analysed empty", "analysed full"])
def morning(request, engine):
    """An engine whose connections begin their day with the statistics of some night."""
    with engine.begin() as tx:
        _work(tx, _started(tx, 60))  # so that every statement is known
        for table in QUIET:
            tx.execute(sa.text(f"DELETE FROM {table}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        if request.param == "analysed empty":
            for table in QUIET:
                tx.execute(sa.text(f"ANALYZE {table}"))
    engine.dispose()
    with engine.begin() as tx:
        tx.execute(PATIENT)
        tx.execute(MORNING, {"n": OPEN})
        sums.follow(tx, clock.now())
    if request.param == "analysed full":
        with engine.begin() as tx:
            tx.execute(PATIENT)
            tx.execute(sa.text("ANALYZE"))
    return engine


def test_a_list_costs_what_it_is_long(morning):
    """Deciding, reminding, assigning, moving, ending and reading look up what they are asked about."""
    found = []
    with morning.connect() as tx, tx.begin() as undo:
        with explained(morning, found):
            _work(tx, _started(tx))
            ids = _started(tx)
            _ends(tx, ids[:30], ids[30:60], ids[60:], [])
            made = handlers.request_transfers(tx, [request() for _ in range(ITEMS)])
            _ends(tx, [], [], [], [one.transfer_id for one in made])
            store.in_the_way(tx, range(1000, 1000 + ITEMS))
            bulk.count_matching(
                tx, contract.CountMatching(filter=contract.Filter(state="pending_in")), admin(TARGET)
            )
            for wanted in (
                contract.Filter(reason="further_study", unquestioned=True, due="soon"),
                contract.Filter(name="王", questioned=True, without=ids),
            ):
                for sort in WorkOrder:
                    fields = {**msgspec.structs.asdict(wanted), "sort": sort, "limit": 50}
                    handlers.list_work(tx, contract.ListWork(**fields), admin(TARGET))
                queue.count_work(tx, contract.CountWork(filter=wanted), admin(TARGET))
            queue.plan_assignment(tx, contract.PlanAssignment(rule="round_robin"), admin(TARGET))
            figures.get_board(tx, contract.GetBoard(), admin(ROOT))
            sums.follow(tx, clock.now())
            db.prepared(tx, sums._OLDEST, ids=[OTHER, ROOT])
            figures.get_board(tx, contract.GetBoard(), admin(ROOT))
            assert waiting.work_counts(tx, OTHER)[0] == {"pending_in": OPEN}
            handlers.count_transfers(tx, contract.Counts(), admin(ROOT))
            totals.follow(tx)
            handlers.count_transfers(tx, contract.Counts(), admin(ROOT))
            figures_store.fold(tx, policies_store.active(tx, clock.now()), clock.now())
        undo.rollback()
    assert not found, found


MESSAGES = sa.text("""
    WITH lines AS (
        INSERT INTO audit (transfer_id, seq, event, state, at, person_id, note, hash)
        SELECT :transfer, 100 + i, 'urged', 'pending_in', now() - i * interval '1 minute', 7, '', ''
        FROM generate_series(1, CAST(:n AS int)) AS i
        RETURNING transfer_id, seq, at)
    INSERT INTO org_messages (org_id, at, transfer_id, seq, event, person_id)
    SELECT :org, at, transfer_id, seq, 'urged', 7 FROM lines""")


def test_messages_of_an_office_are_found_by_their_time(engine):
    """MSG-01: a page reads a page, and what is unread is counted without what lies before the mark."""
    n, page, reader = 20_000, 20, admin(SCHOOL)
    whole = contract.ListMessages(limit=page)
    with engine.connect() as tx:
        (one,) = _started(tx, 1)
        tx.execute(MESSAGES, {"transfer": one, "org": SCHOOL, "n": n})
        notices.mark_messages(tx, [Asked(contract.MarkRead(until=clock.now()), reader)])
        read = Counter()
        with reads(engine, lambda rows, statement, plan: read.update(rows)):
            inbox = notices.list_messages(tx, whole, reader)
    assert (len(inbox.items), inbox.unread) == (page, 0)
    assert read["org_messages"] == page
    assert max(read.values()) <= page
