"""Plans of prepared statements, and reading without a transaction (`shared.db`)."""

import pytest
import sqlalchemy as sa

from shared import db, failures, outbox
from tests.shared import with_outbox

ADD = sa.text("SELECT CAST(:a AS int) + CAST(:b AS int) AS sum")
PLANS = sa.text("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%AS sum'")


@pytest.fixture(scope="module")
def engine(scratch):
    """A database with an outbox."""
    return with_outbox(scratch)


def test_a_plan_is_kept_for_a_while(engine, monkeypatch):
    """A statement is planned once, and anew when its plan is old; the old one is given up."""
    with engine.connect() as tx:
        assert [db.prepared(tx, ADD, a=n, b=1).scalar() for n in range(3)] == [1, 2, 3]
        (first,) = tx.scalars(PLANS)

        monkeypatch.setattr(db, "PLAN_SECONDS", 0.0)
        assert db.prepared(tx, ADD, a=4, b=1).scalar() == 5
        (second,) = tx.scalars(PLANS)

    assert first != second


def test_a_plan_that_could_not_be_made_anew(engine, monkeypatch):
    """In a transaction that has failed nothing can be planned; the next makes the plan."""
    with engine.connect() as tx:
        db.prepared(tx, ADD, a=1, b=1)
        tx.commit()
        monkeypatch.setattr(db, "PLAN_SECONDS", 0.0)
        with pytest.raises(sa.exc.DataError):
            tx.execute(sa.text("SELECT 1 / 0"))
        with pytest.raises(sa.exc.InternalError):
            db.prepared(tx, ADD, a=1, b=1)
        tx.rollback()
        assert db.prepared(tx, ADD, a=2, b=3).scalar() == 5
        assert len(list(tx.scalars(PLANS))) == 1


def test_what_is_prepared_belongs_to_a_transaction(engine):
    """Planned before or not, it is committed or rolled back with all else."""
    tell = sa.text("INSERT INTO outbox (topic, body) VALUES (:a, '[]') RETURNING topic")
    with engine.connect() as tx:
        for topic, end in (("planned", tx.rollback), ("kept", tx.commit), ("left", tx.rollback)):
            assert db.prepared(tx, tell, a=topic).scalars().all() == [topic]
            end()
    with engine.begin() as tx:
        assert tx.scalars(sa.text("DELETE FROM outbox RETURNING topic")).all() == ["kept"]


def test_errors_of_what_is_prepared(engine):
    """They are those of SQLAlchemy, and say nothing of values."""
    with engine.connect() as tx:
        with pytest.raises(sa.exc.DataError) as error:
            db.prepared(tx, ADD, a="nobody's", b=1)
        assert "nobody" not in str(error.value) and failures.sqlstate(error.value) == "22P02"
        tx.rollback()
        assert db.prepared(tx, ADD, a=1, b=1).scalar() == 2


def test_connections_that_are_lost(engine):
    """Whoever finds one lost is told so, and all that were in the pool with it are given up."""
    with engine.connect() as first, engine.connect() as second:
        pids = [tx.scalar(sa.text("SELECT pg_backend_pid()")) for tx in (first, second)]
    engine_beside = db.connect(engine.url.render_as_string(hide_password=False))
    with engine_beside.connect() as beside:
        beside.execute(
            sa.text("SELECT pg_terminate_backend(pid, 5000) FROM unnest(:pids) AS pid"), {"pids": pids}
        )
    engine_beside.dispose()

    with engine.connect() as tx, pytest.raises(sa.exc.OperationalError) as error:
        db.executed(tx, "SELECT %s", (1,))
    assert failures.is_lost(error.value) and failures.is_away(error.value)
    with engine.connect() as first, engine.connect() as second:
        assert [db.prepared(tx, ADD, a=1, b=1).scalar() for tx in (first, second)] == [2, 2]


def test_reading_is_no_transaction(engine):
    """Each statement sees what is committed when it begins; the connection then serves transactions again."""
    database = db.Database(engine)
    began = sa.text("SELECT now(), pg_backend_pid()")
    with database.reading() as tx:
        first, second = tx.execute(began).one(), tx.execute(began).one()
    assert first[0] < second[0], "each has an instant of its own"

    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        assert tx.execute(began).one()[1] == first[1], "the connection that came back last is taken first"
        tx.execute(sa.text("INSERT INTO outbox (topic, body) VALUES ('x', '[]')"))
        _ = 1 / 0
    with database.reading() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM outbox")) == 0


def test_reading_tells_the_server_nothing_else(engine):
    """A look is one trip: nothing is sent to begin it, to end it, or when others get the connection."""
    database = db.Database(engine)
    last = sa.text("SELECT query FROM pg_stat_activity WHERE pid = :pid")
    with database.reading() as tx:
        pid = tx.scalar(sa.text("SELECT pg_backend_pid()"))
    with database.reading() as tx:
        assert tx.scalar(sa.text("SELECT 7")) == 7
    with (
        engine.connect() as held,
        engine.connect() as other,
    ):  # whoever has the connection now, and who has not
        assert held.connection.info is not other.connection.info
        assert other.scalar(last, {"pid": pid}) == "SELECT 7"


def test_rounds_of_the_relay_keep_their_distance(engine, monkeypatch):
    """Rounds that follow one another begin some milliseconds apart; one after a pause begins at once."""

    class Nobody:
        """A publisher who is never asked."""

        topology = None

    rested = []
    now = [100.0]
    monkeypatch.setattr(outbox.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(outbox.time, "sleep", rested.append)
    monkeypatch.setattr(outbox, "events", dict)
    relay = outbox.Relay("orgs", engine, Nobody())
    for passed in (0.0, 0.004, 1.0):
        now[0] += passed
        relay.turn()

    assert rested == [0.0, pytest.approx(outbox.BETWEEN_ROUNDS - 0.004), 0.0]
