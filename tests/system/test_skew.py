"""Clocks that differ: no deadline is lost, none passes early by any of them, none late once they agree."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa

from services.scheduler import handlers as scheduler
from services.scheduler import models as scheduler_models
from services.scheduler import store as timers
from services.transfers import handlers as transfers
from services.transfers import models as transfers_models
from services.transfers import store
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.settings import Settings
from shared import clock, db, directory
from shared.messages.orgs import AdministratorChanged, OrgChanged
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.transfers import NodeOpened, TransferReturned
from tests.transfers.factories import ORGS, ROOT, TARGET, decide, request, start, state

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
TEN_DAYS = timedelta(days=10)
MOMENT = timedelta(milliseconds=1)
REMINDERS = sa.text("SELECT reminders FROM open_nodes WHERE transfer_id = :one")
SKEWS = (0.05, 0.2, 5.0, 300.0, 86_400.0)
HANDLERS = {
    event.topic(): (event, handler)
    for event, handler in (
        (NodeOpened, scheduler.on_node_opened),
        (TransferReturned, scheduler.on_ended),
        (DeadlineExpired, transfers.on_deadline_expired),
        (ReminderDue, transfers.on_reminder_due),
    )
}


@pytest.fixture(scope="module")
def engines(scratch, keys):
    made = {"transfers": scratch(transfers_models.metadata), "scheduler": scratch(scheduler_models.metadata)}
    db.give_settings(made["transfers"], Settings(keys=keys))
    with made["transfers"].begin() as tx:
        store.save_path_steps(tx)
        policies_store.hold(tx, reader.read("national"), NOW - timedelta(days=400))
        directory.on_org_changed(tx, [_org(*row) for row in ORGS])
        directory.on_administrator_changed(
            tx,
            [AdministratorChanged(org_id=o[0], person_id=100 + o[0], active=True, version=1) for o in ORGS],
        )
    return made


def _org(org_id, parent, path, kind, purpose) -> OrgChanged:
    return OrgChanged(
        org_id=org_id,
        parent_id=parent,
        path=path,
        kind=kind,
        purpose=purpose,
        province="42",
        system="national",
        provincial_id=ROOT,
        vault_id=None,
        name=str(org_id),
        version=1,
        deleted=False,
    )


class World:
    """A scheduler and transfers, each with a clock of its own that is `ahead` of the true time `at`."""

    def __init__(self, tx, monkeypatch):
        self.at, self.here, self.tx = NOW, "transfers", tx
        self.ahead = {"transfers": timedelta(0), "scheduler": timedelta(0)}
        self.seen = dict.fromkeys(tx, 0)
        monkeypatch.setattr(clock, "now", lambda: self.at + self.ahead[self.here])

    def true(self, instant, service) -> datetime:
        """Return the true time at which the clock of a service shows an instant."""
        return instant - self.ahead[service]

    def turn(self, at):
        """Let it be a time; every loop turns, and what is told arrives."""
        self.at = at
        for service, other in (("transfers", "scheduler"), ("scheduler", "transfers")):
            self.here = service
            if service == "scheduler":
                timers.fire(self.tx[service], clock.now(), 100)
            told = self.told(service)
            self.here = other
            for handler, items in told:
                handler(self.tx[other], items)
        transfers.handle_early(self.tx["transfers"])

    def told(self, service):
        """Return what a service has told since it was asked last, with its handlers."""
        rows = self.tx[service].execute(
            sa.text("SELECT id, topic, body FROM outbox WHERE id > :seen ORDER BY id"),
            {"seen": self.seen[service]},
        )
        told = []
        for row in rows.all():
            self.seen[service] = row.id
            if row.topic in HANDLERS:
                event, handler = HANDLERS[row.topic]
                told.append((handler, msgspec.json.decode(row.body, type=list[event])))
        return told

    def start(self):
        """Start a transfer; return it with the instant of its deadline by the clock of transfers."""
        (one,) = start(self.tx["transfers"], request())
        self.turn(self.at)
        return one, store.one(self.tx["transfers"], one).expires_at

    def returned(self, one) -> bool:
        return state(self.tx["transfers"], one) == "returned"

    def left(self) -> tuple[int, int]:
        """Return how many timers and how many kept events there are."""
        watched = self.tx["scheduler"].scalar(sa.text("SELECT count(*) FROM timers WHERE ended_on IS NULL"))
        return watched, self.tx["transfers"].scalar(sa.text("SELECT count(*) FROM early"))


@pytest.fixture
def world(engines, monkeypatch):
    with engines["transfers"].connect() as one, engines["scheduler"].connect() as other:
        yield World({"transfers": one, "scheduler": other}, monkeypatch)
        one.rollback()
        other.rollback()


@pytest.mark.rule("DL-01", "DL-19")
@pytest.mark.parametrize("service", ["transfers", "scheduler"])
@pytest.mark.parametrize("skew", [sign * skew for skew in SKEWS for sign in (1, -1)])
def test_a_deadline_passes_by_the_later_clock(world, service, skew):
    """DL-01: with clocks that stay apart it passes when the later has come, neither before nor never."""
    world.ahead[service] = timedelta(seconds=skew)
    one, expires_at = world.start()
    first, last = sorted(world.true(expires_at, service) for service in world.ahead)
    for at in (first - MOMENT, first, first + (last - first) / 2, last - MOMENT):
        world.turn(at)
        assert not world.returned(one)
    world.turn(last)
    world.turn(last + timedelta(seconds=0.5))
    assert world.returned(one)
    world.turn(last + TEN_DAYS)
    assert world.left() == (0, 0)


@pytest.mark.rule("DL-01")
@pytest.mark.parametrize("service", ["transfers", "scheduler"])
@pytest.mark.parametrize("skew", [sign * skew for skew in SKEWS for sign in (1, -1)])
def test_a_deadline_passes_when_the_clocks_agree_again(world, service, skew):
    """DL-01: a clock is set right while the deadline is under way; it passes when it has come by both."""
    one, expires_at = world.start()
    world.ahead[service] = timedelta(seconds=skew)
    first = min(world.true(expires_at, service) for service in world.ahead)
    world.turn(first)
    assert not world.returned(one)
    world.ahead[service] = timedelta(0)
    world.turn(expires_at - MOMENT)
    assert not world.returned(one)
    world.turn(expires_at)
    world.turn(expires_at + timedelta(seconds=0.5))
    assert world.returned(one) and world.left() == (0, 0)


@pytest.mark.rule("DL-19", "BEY-07")
def test_a_kept_deadline_ends_nothing_else(world):
    """DL-19: neither a node that was decided meanwhile, nor one whose deadline was put off; that comes."""
    world.ahead["scheduler"] = timedelta(hours=1)
    decided, expires_at = world.start()
    put_off, _ = world.start()
    world.turn(expires_at - timedelta(minutes=30))
    assert world.left() == (0, 2)
    decide(world.tx["transfers"], decided, TARGET)
    later = expires_at + timedelta(days=3)
    world.tx["transfers"].execute(
        sa.text("UPDATE open_nodes SET expires_at = :later, revision = 1 WHERE transfer_id = :one"),
        {"later": later, "one": put_off},
    )
    for at in (expires_at, later - MOMENT):
        world.turn(at)
        assert (state(world.tx["transfers"], decided), world.returned(put_off)) == ("pending_assign", False)
    world.turn(later)
    assert world.returned(put_off)


@pytest.mark.rule("DL-02")
def test_a_reminder_waits_for_the_later_clock(world):
    """DL-02: a reminder from a clock that is ahead counts when it is due by the clock of transfers."""
    world.ahead["scheduler"] = timedelta(hours=1)
    one, _ = world.start()
    remind_at = store.one(world.tx["transfers"], one).remind_at
    found = []
    for at in (remind_at - timedelta(minutes=30), remind_at - MOMENT, remind_at, remind_at + MOMENT):
        world.turn(at)
        found.append(world.tx["transfers"].scalar(REMINDERS, {"one": one}))
    assert found == [0, 0, 1, 1]


@pytest.mark.rule("DL-19")
def test_the_clock_does_not_wait_for_a_decision(engines, monkeypatch):
    """DL-19: a node that somebody is deciding is passed over; the decision wins, or the clock comes again."""
    with engines["transfers"].begin() as tx:
        monkeypatch.setattr(clock, "now", lambda: NOW)
        decided, undecided = start(tx, request(), request())
    due = [DeadlineExpired(transfer_id=one, node_no=1, due_at=NOW) for one in (decided, undecided)]
    reminder = [ReminderDue(transfer_id=one, node_no=1, due_at=NOW) for one in (decided, undecided)]
    monkeypatch.setattr(clock, "now", lambda: NOW + TEN_DAYS)
    with engines["transfers"].connect() as office:
        decide(office, decided, TARGET)
        decide(office, undecided, TARGET)
        with engines["transfers"].begin() as tx:
            tx.execute(sa.text("SET LOCAL lock_timeout = 1000"))
            transfers.on_reminder_due(tx, reminder)
            transfers.on_deadline_expired(tx, due)
            assert [state(tx, one) for one in (decided, undecided)] == ["pending_in"] * 2
        office.rollback()  # and comes again with one of the two
        decide(office, decided, TARGET)
        office.commit()
    monkeypatch.setattr(clock, "now", lambda: NOW + TEN_DAYS + timedelta(seconds=1))
    with engines["transfers"].begin() as tx:
        transfers.handle_early(tx)
        assert [state(tx, one) for one in (decided, undecided)] == ["pending_assign", "returned"]
        assert tx.scalar(sa.text("SELECT count(*) FROM early")) == 0


def test_what_was_told_early_lets_its_loop_sleep_until_then(engines, monkeypatch):
    """With nothing kept it looks seldom, just after something was kept soon, then when that is due.

    The relay is woken only where something was handled.
    """
    told = []
    machinery = SimpleNamespace(database=db.Database(engines["transfers"], lambda: told.append(1)))

    def turn(at, told_lately=False) -> float:
        monkeypatch.setattr(clock, "now", lambda: at)
        if not told_lately:
            monkeypatch.setattr(transfers, "_look_soon_until", 0.0)
        return transfers.early_turn(machinery)

    assert turn(NOW) == transfers.LOOK_AGAIN_SECONDS
    with engines["transfers"].begin() as tx:
        (one,) = start(tx, request())
        due_at = NOW + timedelta(seconds=3)
        transfers.on_reminder_due(tx, [ReminderDue(transfer_id=one, node_no=1, due_at=due_at)])
        assert turn(NOW, told_lately=True) == transfers.LOOK_SOON_SECONDS, "not committed yet"
    assert turn(NOW, told_lately=True) == transfers.LOOK_SOON_SECONDS
    assert turn(NOW) == 3 and not told
    assert turn(due_at) == transfers.LOOK_AGAIN_SECONDS and told == [1]
    with engines["transfers"].begin() as tx:
        assert tx.scalar(REMINDERS, {"one": one}) == 1
