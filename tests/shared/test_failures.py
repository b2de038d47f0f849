"""What a failure of PostgreSQL means, provoked on a real one."""

import logging
import os
import threading
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared import db, failures
from tests.conftest import server_url

NAME, NUMBER = "欧阳小明", "420106199901011234"


@pytest.fixture(scope="module")
def engine(scratch):
    made = scratch(sa.MetaData())
    with made.begin() as tx:
        tx.execute(
            sa.text(
                "CREATE TABLE people (person_id bigint PRIMARY KEY, name text NOT NULL UNIQUE,"
                " phone text NOT NULL, born date)"
            )
        )
    return made


def raised(engine: sa.Engine, statement: str, **values) -> Exception:
    with pytest.raises(Exception) as caught, engine.begin() as tx:
        tx.execute(sa.text(statement), values)
    return caught.value


def raises(engine: sa.Engine, state: str) -> Exception:
    return raised(engine, f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")


@pytest.mark.parametrize("state", sorted(failures.AWAY | {"08000", "08003", "08006", "08P01"}))
def test_the_database_is_away(engine, state):
    """These say that the database takes no work, whosever it is: everything waits and is tried again."""
    error = raises(engine, state)
    assert failures.is_away(error) and failures.is_transient(error) and not failures.is_contended(error)


@pytest.mark.parametrize("state", sorted(failures.CONTENDED))
def test_the_work_collided(engine, state):
    """These say that this work collided or took too long: it is isolated, its neighbours go on."""
    error = raises(engine, state)
    assert failures.is_contended(error) and failures.is_transient(error) and not failures.is_away(error)


@pytest.mark.parametrize(
    "state",
    [
        "54000",
        "54001",
        "22P02",
        "22001",
        "22003",
        "23502",
        "23505",
        "40002",
        "42P01",
        "42501",
        "0A000",
        "P0001",
        "XX000",
        "57P04",
    ],
)
def test_final(engine, state):
    """Everything else fails for good, whatever class the driver files it under.

    `54000` is an OperationalError, like a lost connection.
    """
    error = raises(engine, state)
    assert not failures.is_transient(error)


def test_real_ones(engine):
    """A lost connection, none to be had, one refused; a row too long for its index, a time-out, a lock."""
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.begin() as tx:
        with engine.connect() as other:
            other.execute(
                sa.text("SELECT pg_terminate_backend(:pid)"),
                {"pid": tx.scalar(sa.text("SELECT pg_backend_pid()"))},
            )
        tx.execute(sa.text("SELECT 1"))
    assert failures.is_away(caught.value)
    small = sa.create_engine(engine.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with small.connect(), pytest.raises(sa.exc.TimeoutError) as full:
        small.connect()
    small.dispose()
    assert failures.is_away(full.value)
    nowhere = sa.create_engine(sa.make_url(server_url("postgres")).set(port=1))
    with pytest.raises(sa.exc.OperationalError) as refused:
        nowhere.connect()
    assert failures.is_away(refused.value)

    # More than an entry of an index can hold; random words, since repeated ones would be compressed.
    too_long = (
        "INSERT INTO people SELECT 1, string_agg(md5(CAST(n AS text)), ''), '1'"
        " FROM generate_series(1, 300) AS n"
    )
    assert isinstance(raised(engine, too_long), sa.exc.OperationalError)
    assert not failures.is_transient(raised(engine, too_long))
    assert failures.is_contended(raised(engine, "SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)"))
    with engine.begin() as tx:
        tx.execute(sa.text("LOCK people"))
        assert failures.is_contended(raised(engine, "SET LOCAL lock_timeout = 50; LOCK people"))


def test_a_deadlock(engine):
    """Of two that wait for each other one gives way; it is tried again at once."""
    with engine.begin() as tx:
        tx.execute(sa.text("INSERT INTO people VALUES (1, 'a', '1'), (2, 'b', '2')"))
    errors: list[Exception] = []
    first = threading.Barrier(2)

    def work(one: int, other: int) -> None:
        try:
            with engine.begin() as tx:
                tx.execute(sa.text("UPDATE people SET phone = 'x' WHERE person_id = :id"), {"id": one})
                first.wait(5)
                tx.execute(sa.text("UPDATE people SET phone = 'x' WHERE person_id = :id"), {"id": other})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (error,) = errors
    assert failures.is_contended(error) and failures.sqlstate(error) in failures.AT_ONCE


@pytest.mark.parametrize(
    "statement",
    [
        # DETAIL: Failing row contains (...)
        "INSERT INTO people VALUES (7, :name, NULL)",
        # DETAIL: Key (name)=(...) already exists
        "INSERT INTO people VALUES (8, :name, :number), (9, :name, :number)",
        # invalid input syntax for type date: "..."
        "INSERT INTO people VALUES (7, :name, '1', CAST(:number || :name AS date))",
        "SELECT CAST(:name AS json), CAST(:number AS int)",
        # LINE 1: with the parameters in it
        "INSERT INTO people VALUES (7, :name, :number) RETURNING nonsense",
    ],
    ids=["not null", "unique", "date", "json", "no such column"],
)
def test_no_values_in_logs(engine, caplog, statement):
    """Names and numbers of people reach no log with an error of the database.

    Not by DETAIL, not by the statement, and not by the value that cannot be read.
    """
    with caplog.at_level("DEBUG"):
        try:
            with engine.begin() as tx:
                tx.execute(sa.text(statement), {"name": NAME, "number": NUMBER})
        except sa.exc.SQLAlchemyError as error:
            logging.getLogger("tuanqiao.test").exception("failed: %s", error)
            logging.getLogger("tuanqiao.test").error("%r %r %s", error, error.orig, failures.words(error))
        else:
            pytest.fail("no error")
    assert "failed: " in caplog.text and "Traceback" in caplog.text
    assert NAME not in caplog.text and NUMBER not in caplog.text


def test_no_values_in_the_log_of_postgresql(engine):
    """PostgreSQL's own log of a service's database shows neither rows nor keys nor statements.

    The settings are compared; where the log can be read, it is read.
    """
    with engine.connect() as tx:
        assert {name: tx.scalar(sa.text(f"SHOW {name}")) for name in db.QUIET} == db.QUIET
    marker = uuid.uuid4().hex
    raised(engine, f"INSERT INTO people VALUES (11, :name, NULL) /* {marker} */", name=NAME + marker)
    raised(engine, f"SELECT CAST(:name AS date) /* {marker} */", name=NAME + marker)
    files = [path for path in Path("/var/log/postgresql").glob("*.log") if os.access(path, os.R_OK)]
    for path in files:
        assert marker not in path.read_text("utf-8", "replace"), path
