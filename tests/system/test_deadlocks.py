"""Lists that share rows, in opposite orders, at once: they wait for each other and never die of it.

Each pair of statements of transfers, of the scheduler and of members runs in two transactions that are taken
back, so that the rows are there for the next pair.
"""

import threading
import uuid
from datetime import timedelta
from itertools import combinations_with_replacement

import pytest
import sqlalchemy as sa

from services.members import models as members_models
from services.members import store as members_store
from services.members.graduation import store as graduation
from services.members.identity import store as identity_store
from services.members.records import store as records
from services.scheduler import handlers as scheduler
from services.scheduler import models as scheduler_models
from services.scheduler import store as timers
from services.transfers import handlers, store, trail, transitions
from services.transfers.policies import store as policies_store
from services.transfers.remarks import store as remarks
from services.transfers.saga import Trigger
from services.transfers.transitions import Item
from shared import clock, inbox
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.transfers import NodeOpened, TransferWithdrawn
from tests.transfers.conftest import engine as transfers  # noqa: F401  (a fixture)
from tests.transfers.factories import CLASS, OTHER, SCHOOL, TARGET, request, start

MANY = 300
LATER = timedelta(days=20)


def items(ids, **values) -> list[Item]:
    return [Item(n=n, transfer_id=one, **values) for n, one in enumerate(ids)]


def move(trigger, **values):
    return lambda tx, ids: transitions.move(tx, trigger, items(ids, **values))


def decide_both(tx, ids):
    """Approve some and reject the others, in one list, as people do."""
    store.hold_nodes(tx, ids)
    half = len(ids) // 2
    move(Trigger.APPROVE, node_no=1, org_id=TARGET)(tx, ids[:half])
    move(Trigger.REJECT, node_no=1, org_id=TARGET, code="not_here")(tx, ids[half:])


def urge(tx, ids):
    now = clock.now()
    done = remarks.urge(tx, items(ids, org_id=SCHOOL), now, trail.stamp_of(now))
    assert len(done) == MANY


def look(tx, ids):
    rows = [
        remarks.Look(n=n, transfer_id=one, person_id=1, org_id=TARGET, done=False)
        for n, one in enumerate(ids)
    ]
    assert len(remarks.look(tx, rows, clock.now())) == MANY


def urge_below(tx, ids):
    now = clock.now()
    row = remarks.UrgedBelow(n=0, person_id=1, org_id=1, decision_id=uuid.uuid4(), top_id=1, days=99)
    assert len(remarks.urge_below(tx, [row], now, trail.stamp_of(now))) == MANY


def apply_policy(tx, ids):
    policy = policies_store.active(tx, clock.now())
    assert policies_store.apply_to_open(tx, policy, clock.now()).done == MANY


def expire(tx, ids):
    due = [DeadlineExpired(transfer_id=one, node_no=1, due_at=clock.now()) for one in ids]
    handlers.on_deadline_expired(tx, due)


def remind(tx, ids):
    handlers.on_reminder_due(tx, [ReminderDue(transfer_id=one, node_no=1, due_at=clock.now()) for one in ids])


def reroute(tx, ids):
    store.reroute(tx, [store.Moving(one, SCHOOL) for one in (TARGET, CLASS, OTHER)])


TRANSFERS = {
    "approve": move(Trigger.APPROVE, node_no=1, org_id=TARGET),
    "withdraw": move(Trigger.WITHDRAW, org_id=SCHOOL),
    "decide": decide_both,
    "urge": urge,
    "urge below": urge_below,
    "look": look,
    "expire": expire,
    "remind": remind,
    "policy": apply_policy,
    "reroute": reroute,
}


def collide(engine, one, other, ids, times=1) -> None:
    """Run two statements over the same rows at once, one of them backwards; both are taken back."""
    problems = []

    def work(statement, ids, gate):
        with engine.connect() as tx:
            tx.execute(sa.text("SET LOCAL deadlock_timeout = 20"))
            gate.wait(20)
            try:
                statement(tx, ids)
            except Exception as error:
                problems.append(error)
            tx.rollback()

    for _ in range(times):
        gate = threading.Barrier(2)
        threads = [
            threading.Thread(target=work, args=(statement, some, gate))
            for statement, some in ((one, ids), (other, ids[::-1]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []


@pytest.fixture(scope="module")
def opened(transfers):
    with transfers.begin() as tx:
        ids = start(tx, *(request() for _ in range(MANY)))
    return sorted(ids, key=lambda one: one % 7)


@pytest.mark.parametrize("one, other", list(combinations_with_replacement(TRANSFERS, 2)))
def test_transfers(transfers, opened, one, other):
    clock.advance(LATER)
    collide(transfers, TRANSFERS[one], TRANSFERS[other], opened)


def node(transfer_id) -> NodeOpened:
    at = clock.now() + LATER
    return NodeOpened(
        transfer_id=transfer_id, node_no=2, remind_at=None, remind_every=None, expires_at=at, revision=0
    )


SCHEDULER = {
    "open": lambda tx, ids: scheduler.on_node_opened(tx, [node(one) for one in ids]),
    "end": lambda tx, ids: scheduler.on_ended(
        tx, [TransferWithdrawn(transfer_id=one, member_id=1) for one in ids]
    ),
    "fire": lambda tx, ids: timers.fire(tx, clock.now() + 2 * LATER, MANY),
    "forget": lambda tx, ids: timers.forget(tx, clock.today() + LATER, MANY),
    "take": lambda tx, ids: tx.execute(inbox._TAKE, {"ids": [f"probe:{one}" for one in ids]}),
}


@pytest.fixture(scope="module")
def watched(scratch):
    made = scratch(scheduler_models.metadata)
    ids = sorted(range(MANY), key=lambda one: one % 7)
    with made.begin() as tx:
        scheduler.on_node_opened(tx, [node(one) for one in ids])
    return made, ids


@pytest.mark.parametrize("one, other", list(combinations_with_replacement(SCHEDULER, 2)))
def test_scheduler(watched, one, other):
    engine, ids = watched
    collide(engine, SCHEDULER[one], SCHEDULER[other], ids)


def held(ids) -> list[dict[str, object]]:
    return [
        {"transfer_id": one, "member_id": one, "source_branch_id": 3, "target_org_id": 4, "branch_id": 5,
         "at": clock.now(), "reason_kind": "any"}
        for one in ids
    ]  # fmt: skip


def mark(tx, ids):
    rows = [
        graduation.MemberMark(
            member_id=one, branch_id=3, mark="", graduates_on=None, reason="", graduate=False
        )
        for one in ids
    ]
    assert len(graduation.mark_members(tx, rows, clock.now())) == MANY


def edit(tx, ids):
    empty = dict.fromkeys(records.Edit.__annotations__)
    records.edit(tx, [{**empty, "person_id": one} for one in ids])


def delete(tx, ids):
    rows = [records.Deletion(person_id=one, reason="test", deleted_by=1, deleted_for=1) for one in ids]
    records.delete(tx, rows, clock.now())


def convert(tx, ids):
    assert graduation.convert(tx, clock.today(), clock.now(), 10) in ({}, {3: MANY})


MEMBERS = {
    "reserve": lambda tx, ids: members_store.reserve(tx, held(ids)),
    "release": lambda tx, ids: members_store.release(tx, held(ids)),
    "move": lambda tx, ids: members_store.move(tx, held(ids)),
    "mark": mark,
    "edit": edit,
    "delete": delete,
    "convert": convert,
    "hold": lambda tx, ids: members_store.hold_people(tx, ids),
    "check": lambda tx, ids: identity_store.set_checks(
        tx, [identity_store.Checked(person_id=one, result=None) for one in ids], clock.now()
    ),
}


@pytest.fixture(scope="module")
def people(scratch):
    made = scratch(members_models.metadata)
    with made.begin() as tx:
        tx.execute(
            sa.text("""
            INSERT INTO people (person_id, name, id_sealed, id_index, branch_id, reserved_by)
            OVERRIDING SYSTEM VALUE
            SELECT n, 'A', '', int8send(n), 3, CASE WHEN n % 2 = 0 THEN n END
            FROM generate_series(1, :many) AS n"""),
            {"many": MANY},
        )
        mark = graduation.NewMark(branch_id=3, graduates_on=clock.today(), reason="", marked_by=1)
        graduation.mark_branches(tx, [mark], clock.now())
    return made, sorted(range(1, MANY + 1), key=lambda one: one % 7)


@pytest.mark.parametrize("one, other", list(combinations_with_replacement(MEMBERS, 2)))
def test_members(people, one, other):
    engine, ids = people
    collide(engine, MEMBERS[one], MEMBERS[other], ids)
