"""Durable timers on a real database: the latest node counts, each instant fires once, whoever looks first."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from services.scheduler import handlers, models, store
from shared import clock, db
from shared.messages.transfers import BranchAssigned, NodeOpened, TransferWithdrawn

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def engine(scratch):
    return scratch(models.metadata)


@pytest.fixture
def tx(engine):
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


def opened(transfer_id, node_no=1, remind=None, every=None, expires=None, revision=0) -> NodeOpened:
    return NodeOpened(
        transfer_id=transfer_id,
        node_no=node_no,
        revision=revision,
        remind_at=NOW + remind if remind else None,
        remind_every=every.total_seconds() if every else None,
        expires_at=NOW + expires if expires else None,
    )


def told(tx) -> list[tuple[str, int, int]]:
    return [
        (row.topic, item["transfer_id"], item["node_no"])
        for row in tx.execute(sa.text("SELECT topic, body FROM outbox ORDER BY id"))
        for item in json.loads(row.body)
    ]


@pytest.mark.rule("DL-01")
def test_deadline_fires_once(tx):
    """DL-01: nothing before its instant, one message at it, none after."""
    handlers.on_node_opened(tx, [opened(1, expires=DAY)])

    assert store.fire(tx, NOW + DAY - timedelta(seconds=1), 100) == (0, 0)
    assert store.next_due(tx) == NOW + DAY
    assert store.fire(tx, NOW + DAY, 100) == (1, 0)
    assert store.fire(tx, NOW + 9 * DAY, 100) == (0, 0)
    assert told(tx) == [("deadline_expired", 1, 1)] and store.next_due(tx) is None


@pytest.mark.rule("DL-02")
def test_reminders_repeat_until_the_deadline(tx):
    """DL-02: reminders come at their pace; those missed while nobody was there are not made up for."""
    handlers.on_node_opened(tx, [opened(1, remind=10 * DAY, every=10 * DAY, expires=45 * DAY)])

    assert [store.fire(tx, NOW + n * DAY, 100) for n in (9, 10, 11, 20)] == [(0, 0), (0, 1), (0, 0), (0, 1)]
    assert store.fire(tx, NOW + 44 * DAY, 100) == (0, 1)
    assert store.next_due(tx) == NOW + 45 * DAY
    assert store.fire(tx, NOW + 60 * DAY, 100) == (1, 0)


@pytest.mark.rule("DL-01")
def test_latest_node_counts(tx):
    """A node that opens replaces the earlier one, also when messages come in the wrong order or twice."""
    handlers.on_node_opened(tx, [opened(1, 2, expires=5 * DAY), opened(1, 1, expires=DAY)])
    handlers.on_node_opened(tx, [opened(1, 1, expires=DAY)])

    assert store.fire(tx, NOW + 2 * DAY, 100) == (0, 0)
    assert store.fire(tx, NOW + 5 * DAY, 100) == (1, 0)
    assert told(tx) == [("deadline_expired", 1, 2)]


@pytest.mark.rule("BEY-07")
def test_a_changed_deadline_is_taken_over(tx):
    """BEY-07: another deadline of the same node, told with a higher revision, replaces the earlier one.

    Be it later or sooner; a late message with a lower revision does not.
    """
    handlers.on_node_opened(tx, [opened(1, expires=5 * DAY), opened(2, expires=5 * DAY)])
    handlers.on_node_opened(
        tx, [opened(1, expires=8 * DAY, revision=1), opened(2, expires=3 * DAY, revision=1)]
    )
    handlers.on_node_opened(tx, [opened(1, expires=DAY), opened(2, expires=DAY, revision=0)])

    assert [store.fire(tx, NOW + n * DAY, 100) for n in (2, 3, 7, 8)] == [(0, 0), (1, 0), (0, 0), (1, 0)]
    assert told(tx) == [("deadline_expired", 2, 1), ("deadline_expired", 1, 1)]


def test_ended_transfers_are_forgotten(tx):
    """Who waits for nobody any more is not woken; the others stay."""
    handlers.on_node_opened(tx, [opened(n, expires=DAY) for n in (1, 2, 3)])
    handlers.on_ended(tx, [BranchAssigned(transfer_id=2, member_id=9, branch_id=9, at=NOW)])

    assert store.fire(tx, NOW + DAY, 100) == (2, 0)
    assert told(tx) == [("deadline_expired", 1, 1), ("deadline_expired", 3, 1)]


@pytest.mark.parametrize("late", [1, 2])
def test_an_end_that_overtakes_a_node_stays_the_end(tx, late):
    """A node that was opened before the end and is told after it, by whatever way, is not watched."""
    handlers.on_node_opened(tx, [opened(7, 1, remind=DAY, every=DAY, expires=9 * DAY)] if late == 2 else [])
    handlers.on_ended(tx, [TransferWithdrawn(transfer_id=7, member_id=9)] * 2)
    handlers.on_node_opened(tx, [opened(7, late, remind=DAY, every=DAY, revision=3), opened(8, expires=DAY)])

    assert [store.fire(tx, NOW + n * DAY, 100) for n in (1, 2, 9)] == [(1, 0), (0, 0), (0, 0)]
    assert told(tx) == [("deadline_expired", 8, 1)] and store.next_due(tx) is None


def test_old_ends_are_forgotten_in_pieces(tx):
    """An end is remembered so long that nothing opened before it can still be told; timers always stay."""
    for n in range(5):
        store.end(tx, [TransferWithdrawn(transfer_id=n, member_id=9)], NOW + n * DAY)
    handlers.on_node_opened(tx, [opened(9, expires=DAY)])
    day = date(2026, 7, 1)

    assert [store.forget(tx, day + 3 * DAY, 2) for _ in range(3)] == [2, 1, 0]
    assert list(tx.scalars(sa.text("SELECT transfer_id FROM timers ORDER BY 1"))) == [3, 4, 9]


def test_a_turn_forgets_old_ends_once_a_day(engine):
    """The loop works off every old end when a day begins, piece by piece, and then sleeps."""
    machinery = SimpleNamespace(database=db.Database(engine))
    long_ago = clock.now() - handlers.ENDS_KEPT - 2 * DAY
    with engine.begin() as tx:
        ended = [TransferWithdrawn(transfer_id=n, member_id=9) for n in range(handlers.FIRE_LIMIT + 1)]
        store.end(tx, ended, long_ago)
        store.end(tx, [TransferWithdrawn(transfer_id=10**6, member_id=9)], clock.now())

    assert [handlers.fire_turn(machinery) > 0 for _ in range(2)] == [False, True]
    with engine.begin() as tx:
        assert list(tx.scalars(sa.text("SELECT transfer_id FROM timers"))) == [10**6]
        store.end(tx, ended[:3], long_ago)
    assert handlers.fire_turn(machinery) > 0
    with engine.begin() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM timers")) == 4
        tx.execute(sa.text("TRUNCATE timers, outbox, days"))


def test_a_reminder_says_the_instant_that_was_asked_for(tx):
    """Who is told of a reminder can see by the own clock whether its instant has come there, too."""
    handlers.on_node_opened(tx, [opened(1, remind=DAY, every=DAY)])
    store.fire(tx, NOW + 3.5 * DAY, 100)

    (body,) = tx.scalars(sa.text("SELECT body FROM outbox"))
    assert datetime.fromisoformat(json.loads(body)[0]["due_at"]) == NOW + DAY


@pytest.mark.rule("BEY-08", "DL-19")
def test_many_schedulers_share_a_backlog(engine):
    """BEY-08: 3,000 timers due at one instant, four schedulers at once: each timer fires once.

    Oldest first within a piece.
    """
    count = 3000
    with engine.begin() as tx:
        handlers.on_node_opened(tx, [opened(n, expires=timedelta(seconds=n + 1)) for n in range(count)])
    fired = []

    def work() -> None:
        while True:
            with engine.begin() as tx:
                expired, _ = store.fire(tx, NOW + DAY, 100)
                fired.append(expired)
                if not expired and store.next_due(tx) is None:
                    return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with engine.begin() as tx:
        ids = [transfer_id for _, transfer_id, _ in told(tx)]
        tx.execute(sa.text("TRUNCATE outbox"))
    assert sum(fired) == count and sorted(ids) == list(range(count))


def test_looking_for_due_timers_uses_the_index(tx):
    """However many timers are pending, the look at the clock reads the index of instants only."""
    handlers.on_node_opened(tx, [opened(n, expires=DAY) for n in range(500)])
    plan = "\n".join(tx.scalars(sa.text("EXPLAIN SELECT min(due_at) FROM timers WHERE due_at IS NOT NULL")))

    assert "ix_timers_due_at" in plan


@pytest.mark.rule("GRAD-12")
def test_each_day_is_told_once(tx):
    """GRAD-12: a day is told by one of all schedulers, once; the next day again."""
    for day in (date(2026, 7, 1), date(2026, 7, 1), date(2026, 7, 2)):
        store.begin_day(tx, day)

    bodies = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = 'day_began' ORDER BY id"))
    assert [item["day"] for body in bodies for item in json.loads(body)] == ["2026-07-01", "2026-07-02"]


def test_a_timer_that_is_not_committed_yet_is_not_slept_through(engine):
    """Whoever sets a timer wakes the loop before the commit; the loop then looks again when it is due."""
    machinery = SimpleNamespace(database=db.Database(engine))
    while handlers.fire_turn(machinery) < handlers.LOOK_AGAIN_SECONDS:
        pass  # what other tests have told
    now = clock.now()
    with engine.connect() as other:
        handlers.on_node_opened(other, [opened(5, expires=now + timedelta(seconds=2) - NOW)])
        assert 1 < handlers.fire_turn(machinery) <= 2
        handlers.on_node_opened(other, [opened(6, expires=now - NOW)])
        assert 0 < handlers.fire_turn(machinery) <= 1
        other.rollback()
    assert handlers.fire_turn(machinery) == handlers.LOOK_AGAIN_SECONDS
