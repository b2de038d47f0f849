"""Background loops: whatever a turn raises, the loop goes on, says so, and sets hostile items aside."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import eventlet
import psycopg2
import pytest
import sqlalchemy as sa

from services.members import settings as members_settings
from shared import background, clock, db, metrics, outbox
from shared.bus.publisher import PublishFailed, PublishRefused
from shared.bus.topology import Topology
from shared.settings import SERVICES
from tests.installation import ROOT
from tests.shared import with_outbox


def service(name: str = "probe", **values) -> SimpleNamespace:
    return SimpleNamespace(name=name, stopping=False, on_stop=[], **values)


@contextmanager
def running(some, loop):
    """Run a loop in a thread; at the end it has to be alive, and to stop when asked."""
    thread = threading.Thread(target=background.run, args=(some, loop), daemon=True)
    thread.start()
    yield
    alive = thread.is_alive()
    some.stopping = True
    for wake in some.on_stop:
        wake()
    thread.join(10)
    assert alive, "the loop ended by itself"
    assert not thread.is_alive(), "the loop does not stop"


def wait(condition, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def count(name: str, loop: str) -> float:
    return metrics.BACKGROUND_FAILURES.labels(name, loop)._value.get()


ERRORS = [
    ValueError("a surprise"),
    RecursionError("nested"),
    MemoryError(),
    KeyError(1),
    StopIteration(),
    AssertionError(),
    eventlet.Timeout(None),
    type("Local", (BaseException,), {"__module__": "no.such.module"})("cannot be imported"),
    background.Away("no answer"),
    sa.exc.OperationalError("x", {}, psycopg2.OperationalError("no connection")),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_loop_goes_on(error):
    """Whatever a turn raises is counted, even what is no `Exception`; the next turn comes after a pause.

    Success clears the gauge.
    """
    turns: list[float] = []

    def turn(machinery):
        turns.append(time.monotonic())
        if len(turns) <= 2:
            raise error
        return

    name = f"goes_on_{type(error).__name__}"
    with running(service(), background.Loop(name, turn, 0.05)):
        wait(lambda: len(turns) > 3)
    assert count("probe", name) == 2
    assert metrics.BACKGROUND_FAILING.labels("probe", name)._value.get() == 0
    assert turns[1] - turns[0] > 0.15
    assert turns[2] - turns[1] > 0.35, "each pause is longer"


def loops():
    return [
        (name, loop) for name in SERVICES for loop in import_module(f"services.{name}.service").Service.loops
    ]


class Faulty(db.Database):
    """A database whose transactions raise an error that nobody expects, as long as `fails`."""

    fails = True
    done = 0

    @contextmanager
    def transaction(self, *args, **values):
        if self.fails:
            raise RuntimeError("injected")
        with super().transaction(*args, **values) as tx:
            yield tx
        self.done += 1


@pytest.mark.parametrize("name, loop", loops(), ids=lambda one: one if isinstance(one, str) else one.name)
def test_every_loop_of_every_service_goes_on(scratch, name, loop):
    """Each real loop of each service survives an exception injected into its turns.

    The failure is counted, the loop pauses, and the work goes on afterwards.
    """
    database = Faulty(scratch(import_module(f"services.{name}.models").metadata))
    if name == "members":
        db.give_settings(database.engine, members_settings.Settings(identity_url="http://127.0.0.1:1/check"))
    before = count(name, loop.name)

    with running(service(name, database=database), loop):
        wait(lambda: count(name, loop.name) - before >= 2)
        assert metrics.BACKGROUND_FAILING.labels(name, loop.name)._value.get() >= 2
        database.fails = False
        wait(lambda: database.done and not metrics.BACKGROUND_FAILING.labels(name, loop.name)._value.get())


def test_every_service_has_its_loops():
    """The table above holds what the services run: none of it is empty by accident.

    No service makes threads of its own beside it.
    """
    found = {loop.name for _, loop in loops()}
    assert {"migrations", "audit", "graduation", "imports", "identity"} <= found
    assert {"figures", "bulks", "notices", "timers"} <= found
    for name in SERVICES:  # the metrics go by the name, so no service has two loops of one name
        names = [one.name for one in import_module(f"services.{name}.service").Service.loops]
        assert len(set(names)) == len(names), name
    for folder in ("services", "shared"):
        code = {file: file.read_text("utf-8") for file in (ROOT / folder).rglob("*.py")}
        assert [str(file) for file, text in code.items() if "while not machinery.stopping" in text] == []


# ---- the head of a line --------------------------------------------------------------------------


def test_a_hostile_item_is_set_aside():
    """Two of a hundred items always raise, one at the very front: they are given up after their tries.

    All others are done once.
    """
    line, done, given_up, raised = list(range(100)), [], [], []

    def work(database, size):
        some = line[:size]
        if {0, 41} & set(some):
            raised.append(len(some))
            raise ValueError("hostile")
        done.extend(some)
        del line[:size]
        return len(some)

    def give_up(database, problem):
        given_up.append((line.pop(0), problem))

    pieces = background.Pieces("probe", "line", 64, work, give_up)

    def turn(machinery):
        return 0 if pieces.turn(None) else None  # at once while there is work, else after the pause

    with running(service(), background.Loop("line", turn, 0.05)):
        wait(lambda: not line, 20)
    assert given_up == [(0, "ValueError: hostile"), (41, "ValueError: hostile")]
    assert sorted(done) == [one for one in range(100) if one not in (0, 41)]
    # A piece that fails is made smaller until the item is alone; only then its tries are counted.
    assert raised.count(1) == 2 * background.TRIES


def test_a_row_of_hostile_items_is_short():
    """Ten thousand bad items in a row get one try each after the first.

    So the good one behind them waits for seconds, not for days.
    """
    line, done = list(range(10_001)), []

    def work(database, size):
        if line and line[0] < 10_000:
            raise ValueError("hostile")
        done.extend(line)
        line.clear()
        return len(done)

    pieces = background.Pieces("probe", "row", 200, work, lambda database, problem: line.pop(0))

    def turn(machinery):
        return 0 if line and pieces.turn(None) else None

    with running(service(), background.Loop("row", turn, 0.05)):
        wait(lambda: not line, 30)
    assert done == [10_000]


def test_a_database_that_is_away_costs_nobody_a_try():
    """While the database is away nothing is set aside, however long that takes."""

    def work(database, size):
        raise sa.exc.OperationalError("x", {}, psycopg2.OperationalError("no connection"))

    pieces = background.Pieces("probe", "away", 8, work, lambda database, problem: pytest.fail("given up"))
    for _ in range(50):
        with pytest.raises(sa.exc.OperationalError):
            pieces.turn(None)
    assert pieces.size == 8


# ---- the relay -----------------------------------------------------------------------------------


class Broker:
    """Takes what it is given, but for some topics."""

    topology = Topology()

    def __init__(self, refuses: str = "", error: Exception | None = None) -> None:
        self.refuses, self.error, self.taken = refuses, error, []

    def publish(self, messages):
        if self.error is not None:
            raise self.error
        for message in messages:
            if message.topic == self.refuses:
                raise PublishRefused(f"no queue for {message.topic}")
        self.taken += [message.topic for message in messages]

    def close(self):
        pass


@pytest.fixture
def engine(scratch):
    made = with_outbox(scratch)
    with made.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO outbox (topic, body)"
                " SELECT CASE WHEN n = 7 THEN 'nobody_listens' ELSE 'fine' END, '[]'"
                " FROM generate_series(1, 450) AS n"
            )
        )
    return made


def test_the_relay_passes_a_message_that_is_refused(engine, monkeypatch):
    """A message that the broker refuses rests, unpublished and visible; the 449 others get through.

    It is tried again later.
    """
    monkeypatch.setattr(outbox, "REST_SECONDS", 0.5)
    relay = outbox.Relay("probe", engine, Broker("nobody_listens"))
    with running(service(), relay.loop):
        wait(lambda: len(relay.publisher.taken) == 449)
        with engine.connect() as tx:
            assert tx.execute(sa.text("SELECT topic FROM outbox WHERE published_at IS NULL")).all() == [
                ("nobody_listens",)
            ]
        relay.publisher.refuses = ""
        time.sleep(0.6)
        relay.wake()
        wait(lambda: len(relay.publisher.taken) == 450)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a surprise"), PublishFailed("no confirm"), RecursionError()],
    ids=lambda error: type(error).__name__,
)
def test_the_relay_goes_on(engine, error):
    """An error of any kind costs the relay a pause; the rows are published afterwards."""
    relay = outbox.Relay("probe", engine, Broker(error=error))
    before = count("probe", "relay")
    with running(service(), relay.loop):
        wait(lambda: count("probe", "relay") - before >= 2)
        relay.publisher.error = None
        wait(lambda: len(relay.publisher.taken) == 450)


def test_a_sleeping_loop_notices_that_the_clock_was_set(monkeypatch):
    """Who sleeps until an instant by a clock that is a day behind looks again soon after it is set right."""
    turns, ahead = [], [timedelta(days=-1)]
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + ahead[0])
    with running(
        service(), background.Loop("sleeper", lambda _: turns.append(clock.now()), 60, by_clock=True)
    ):
        wait(lambda: turns)
        time.sleep(1.5 * background.LOOK_AT_CLOCK)
        assert len(turns) == 1
        ahead[0] = timedelta(0)
        wait(lambda: len(turns) == 2, 2 * background.LOOK_AT_CLOCK)
