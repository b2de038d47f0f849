"""Transactions that begin with their first statement (`shared.driver`)."""

import io

import pytest
import sqlalchemy as sa

from shared import db, failures
from tests.shared import with_outbox

TELL = sa.text("INSERT INTO outbox (topic, body) VALUES (:topic, '[]')")
TOLD = sa.text("SELECT topic FROM outbox ORDER BY id")
SENT = sa.text("SELECT query, state FROM pg_stat_activity WHERE pid = :pid")
LOCK = sa.text("SHOW lock_timeout")


class Broken(Exception):
    """What ends a transaction here."""


@pytest.fixture(scope="module")
def database(scratch):
    """A database with an outbox."""
    return with_outbox(scratch)


@pytest.fixture
def engine(database):
    """The same, empty."""
    with database.begin() as tx:
        tx.execute(sa.text("TRUNCATE outbox"))
    return database


def told(engine):
    with engine.connect() as tx:
        return tx.scalars(TOLD).all()


def pid_of(tx):
    return tx.connection.dbapi_connection.info.backend_pid


def test_it_begins_with_its_first_statement(engine):
    """BEGIN, the limits and the first statement are one trip; a transaction without statements is none."""
    with db.Database(engine).reading() as beside:

        def last():
            return beside.execute(SENT, {"pid": pid}).one()

        with db.begin(engine, "lock_timeout = '1s'") as tx:
            pid = pid_of(tx)
            tx.execute(TELL, {"topic": "first"})
            assert last().query.startswith("BEGIN; SET LOCAL lock_timeout = '1s'; INSERT INTO outbox")
            assert last().state == "idle in transaction"
        assert last() == ("COMMIT", "idle")
        with db.begin(engine) as tx:
            tx.scalar(LOCK)
        with db.begin(engine) as tx:
            assert pid_of(tx) == pid
        with db.begin(engine) as tx:
            assert last() == ("COMMIT", "idle")
            tx.execute(sa.text("SELECT 7"))
            assert last().query == "BEGIN; SELECT 7"
        assert beside.scalars(TOLD).all() == ["first"]


def test_settings_hold_for_the_transaction(engine):
    """The next one on the same connection has those of the connection."""
    with db.begin(engine, "lock_timeout = '1s'") as tx:
        pid = pid_of(tx)
        assert tx.scalar(LOCK) == "1s"
    with db.begin(engine) as tx:
        assert (pid_of(tx), tx.scalar(LOCK)) == (pid, "10s")
    with engine.begin() as tx:
        assert (pid_of(tx), tx.scalar(LOCK)) == (pid, "10s")


def test_what_failed_leaves_nothing(engine):
    """An error of the first statement, of a later one, or of whoever works with it: all is rolled back."""
    for statement in ("SELECT 1 / 0", "SELECT 1"):
        with pytest.raises((sa.exc.DataError, Broken)), db.begin(engine) as tx:
            tx.execute(sa.text(statement))
            tx.execute(TELL, {"topic": "lost"})
            raise Broken
    assert told(engine) == []


def test_what_cannot_be_sent_begins_nothing(engine):
    """A statement that the driver itself refuses is not the first: the next one begins the transaction."""
    with pytest.raises(Broken), db.begin(engine) as tx:
        with pytest.raises(sa.exc.ProgrammingError):
            tx.execute(TELL, {"topic": object()})
        tx.execute(TELL, {"topic": "lost"})
        raise Broken
    assert told(engine) == []


def test_many_rows_are_one_transaction(engine):
    """What is run for each of several rows begins it, too, and so does a copy."""
    with pytest.raises(Broken), db.begin(engine) as tx:
        tx.execute(TELL, [{"topic": "lost"}, {"topic": "lost"}])
        raise Broken
    with pytest.raises(Broken), db.begin(engine) as tx:
        tx.connection.cursor().copy_expert("COPY outbox (topic, body) FROM STDIN", io.StringIO("lost\t[]\n"))
        raise Broken
    with db.begin(engine) as tx:
        tx.execute(TELL, [{"topic": "a"}, {"topic": "b"}])
    assert told(engine) == ["a", "b"]


def test_a_commit_that_is_refused(engine):
    """What PostgreSQL finds only at the commit is an error of the transaction."""
    with engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    with pytest.raises(sa.exc.IntegrityError), db.begin(engine) as tx:
        tx.execute(sa.text("INSERT INTO late VALUES (1), (1)"))
    with engine.begin() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM late")) == 0
        tx.execute(sa.text("DROP TABLE late"))


def test_savepoints_within(engine):
    """A part may be given up; what was before it stays."""
    with db.begin(engine) as tx:
        with tx.begin_nested():
            tx.execute(TELL, {"topic": "kept"})
        with pytest.raises(Broken), tx.begin_nested():
            tx.execute(TELL, {"topic": "lost"})
            raise Broken
    assert told(engine) == ["kept"]


def test_a_connection_that_is_closed(engine):
    """Its first statement says so, as an error of SQLAlchemy; the next transaction has another one."""
    for whole in (db.begin(engine), db.Database(engine).reading()):
        with pytest.raises(sa.exc.InterfaceError) as error, whole as tx:
            tx.connection.dbapi_connection.close()
            tx.execute(TOLD)
        assert failures.is_lost(error.value)
    with db.begin(engine) as tx:
        assert tx.scalars(TOLD).all() == []
