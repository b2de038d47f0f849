"""Days are compared with the peer in the background: each night, and when somebody asks."""

from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from services.federation import door, reconcile
from services.federation.calling import Address, Caller, NoAnswer
from services.federation.door import Allowance
from services.federation.operating import days, store
from services.federation.operating.days import Comparing, recent
from services.federation.protocol import Act
from services.federation.reconcile import Reconciler, Result
from shared import clock, db
from tests.federation.factories import DAY, sent_states, served
from tests.federation.operating.factories import OURS

pytestmark = pytest.mark.usefixtures("today")
EVENING = datetime(2026, 7, 1, 23, 0, tzinfo=clock.CHINA)


class Fixed:
    """A peer that answers at once, or not at all."""

    def __init__(self) -> None:
        self.days: list[date] = []
        self.away = False

    def day(self, day: date) -> Result:
        self.days.append(day)
        if self.away:
            raise NoAnswer("HTTP 503")
        return Result(day, 0, [])


@pytest.fixture
def peer() -> Fixed:
    return Fixed()


@pytest.fixture
def comparing(here, peer) -> Comparing:
    return Comparing(db.Database(here.engine), peer)


@pytest.fixture
def at(monkeypatch):
    """Set the clock."""

    def change(instant: datetime) -> datetime:
        monkeypatch.setattr(clock, "now", lambda: instant)
        return instant

    return change


def wanted(here) -> list[date]:
    with here.engine.begin() as tx:
        return [one.day for one in store.wanted(tx)]


@pytest.mark.rule("BEY-16")
def test_every_night(here, peer, comparing, at):
    """BEY-16: Once a night, from two o'clock in China on: the last thirty days and what is open of before."""
    here.now = EVENING
    here.act(OURS, Act.OFFER)
    at(EVENING + timedelta(hours=2))
    assert comparing.turn() == days.LOOK_AGAIN_SECONDS and peer.days == []

    at(EVENING + timedelta(hours=3))
    assert comparing.turn() == 0 and peer.days == [EVENING.date()]
    assert comparing.turn() > 0 and comparing.turn() > 0 and peer.days == [EVENING.date()], "once"

    at(EVENING + 60 * DAY + timedelta(hours=3))
    assert comparing.turn() == 0 and peer.days == 2 * [EVENING.date()], "it is open still"
    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE handovers SET state = 'kept'"))
    at(EVENING + 61 * DAY + timedelta(hours=3))
    assert comparing.turn() > 0 and len(peer.days) == 2


def test_a_peer_that_does_not_answer_is_asked_again(here, peer, comparing, at):
    """After growing pauses of at most an hour; the day stays wanted, and others are compared meanwhile."""
    now, day = at(EVENING), EVENING.date()
    with here.engine.begin() as tx:
        store.want(tx, [day], now)
    peer.away = True
    for tries, pause in enumerate((60, 120, 240, 480, 960, 1920, 3600, 3600), start=1):
        assert comparing.turn() > 0 and len(peer.days) == tries
        assert comparing.turn() > 0 and len(peer.days) == tries, "not before its time"
        now = at(now + timedelta(seconds=pause))
    assert wanted(here) == [day]
    peer.away = False
    assert comparing.turn() == 0 and wanted(here) == []


def test_what_is_asked_for_again_meanwhile_is_compared_again(here, peer, comparing, at):
    """Whoever asks while a day is being compared wants to know how it is afterwards."""
    now, day = at(EVENING), EVENING.date()
    with here.engine.begin() as tx:
        store.want(tx, [day], now)
    plain = peer.day

    def asked_again(one: date) -> Result:
        peer.day = plain
        with here.engine.begin() as tx:
            store.want(tx, [day], clock.now())
        return plain(one)

    peer.day = asked_again
    assert comparing.turn() == 0 and wanted(here) == [day]
    assert comparing.turn() == 0 and wanted(here) == [] and peer.days == [day, day]


def test_two_processes_do_not_compare_one_day(here, at):
    """Who has taken a day has it for ten minutes; if it was killed, another takes it then."""
    now = at(EVENING)
    with here.engine.begin() as tx:
        store.want(tx, [EVENING.date()], now)
        first = store.take_day(tx, now, now + days.LEASE)
        assert first is not None and store.take_day(tx, now, now + days.LEASE) is None
        again = store.take_day(tx, now + days.LEASE, now + 2 * days.LEASE)
    assert again is not None and again.tries == 2


@pytest.mark.rule("BEY-16")
def test_on_a_real_peer(here, there):
    """A difference that was planted is found by the loop, kept, and gone once it is mended."""
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    sent_states(here, "receipted")
    today = clock.day_of(here.now)
    with served(door.app(there.bridge, db.Database(there.engine), Allowance(1e6, 1e6))) as url:
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(url)), 0.0)
        comparing = Comparing(db.Database(here.engine), reconciler)
        for state, found in (("refused", 1), ("deciding", 0)):
            with there.engine.begin() as tx:
                tx.execute(sa.text("UPDATE handovers SET state = :state"), {"state": state})
            with here.engine.begin() as tx:
                assert recent(tx, today) == [today] == reconcile.days(tx, today)
                store.want(tx, [today], clock.now())
            while comparing.turn() == 0:
                pass
            with here.engine.begin() as tx:
                assert store.counts(tx).differences == found
                assert [(one.day, one.differing) for one in store.reconciled(tx, 9)] == [(today, found)]
