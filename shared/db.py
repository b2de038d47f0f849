"""A service's own database: engine, transactions, and the two ways SQL is run.

Statements are set-based: they take a list of structs as ONE JSON parameter and read it with
`json_to_recordset`, so that the function for one is the function for many and PostgreSQL, not
Python, touches the rows.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.result import SimpleResultMetaData

from shared import driver, failures, patience

log = logging.getLogger("tuanqiao.db")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


SESSION = (
    "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
    " -c timezone=UTC -c jit=off -c max_parallel_workers_per_gather=0"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c plan_cache_mode=force_generic_plan"
)
"""What each connection asks of PostgreSQL: bounded waits, and a planner kept to loops over an index.

Every join here starts from a short list and ends in an index. On fast-growing tables the
statistics are always old, and the planner would read a whole table for forty rows, or compare each
of five hundred items with each open node. To start a second process takes longer than such a loop.
"""


def metadata() -> sa.MetaData:
    """Return the empty catalogue of a service's tables, with every constraint named by rule."""
    return sa.MetaData(naming_convention=NAMING)


def address(url: str) -> sa.URL:
    """Return a database address that names the driver we use.

    SQLAlchemy 2.1 would pick another by default.
    """
    made = sa.make_url(url)
    if made.drivername in ("postgresql", "postgres"):
        return made.set(drivername="postgresql+psycopg2")
    return made


def connect(url: str, pool_size: int = 12) -> Engine:
    """Return an engine with bounded waits: nothing in the system waits for PostgreSQL without limit.

    Values never stand in its errors.
    """
    engine = sa.create_engine(
        address(url),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=5,
        pool_use_lifo=True,
        pool_recycle=1800,
        pool_pre_ping=False,
        connect_args={
            "connection_factory": driver.Connection,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": SESSION,
        },
    )
    sa.event.listen(engine, "handle_error", failures.forget_values)
    sa.event.listen(engine, "checkout", _as_new)
    return engine


_NOTES = "notes"


def _as_new(connection: Any, record: Any, proxy: Any) -> None:
    """Let a connection that comes from the pool know nothing of whoever had it before."""
    connection.patience = patience.LONGEST
    connection.as_new()
    record.info.pop(_NOTES, None)


def note(tx: Connection, name: str, what: Any) -> None:
    """Let whoever has this connection later in the same transaction know something, by a name."""
    tx.info.setdefault(_NOTES, {})[name] = what


def noted(tx: Connection, name: str) -> Any:
    """Return what was noted in this transaction under a name, None if nothing was."""
    return tx.info.get(_NOTES, {}).get(name)


Kind = TypeVar("Kind")


def give_settings(engine: Engine, settings: object) -> None:
    """Let every transaction on an engine know the settings of the service that it belongs to."""
    engine.update_execution_options(settings=settings)


def settings_of(tx: Connection | Engine, kind: type[Kind]) -> Kind:
    """Return the settings that the engine of a transaction was given.

    An engine that was given none is no service's but a tool's or a test's: it has the defaults.

    Raises:
        TypeError: The engine is another service's: its settings are of another kind.

    """
    # the engine's, not those that the connection was opened with
    given = tx.engine.get_execution_options().get("settings")
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise TypeError(f"asked for {kind.__module__}, but this engine was given {type(given).__module__}")
    return given


class Limits(NamedTuple):
    """The longest that one statement may take, and wait for a lock, in seconds."""

    statement: float
    lock: float

    def settings(self) -> tuple[str, str]:
        """Return them as assignments of PostgreSQL's settings."""
        return f"statement_timeout = '{self.statement}s'", f"lock_timeout = '{self.lock}s'"


@contextmanager
def begin(engine: Engine, *settings: str) -> Iterator[Connection]:
    """Yield a connection in a transaction; commit, or roll back and raise.

    It begins with its first statement, in one trip.

    Args:
        engine: Of `connect`.
        *settings: Assignments of PostgreSQL's settings that hold for the transaction.

    """
    with engine.connect() as tx:
        _driver_of(tx).begin(*settings)
        with tx.begin():
            yield tx


class Database:
    """Transactions on one service's database; `after_commit` is called after every one that committed."""

    def __init__(self, engine: Engine, after_commit: Callable[[], None] = lambda: None) -> None:
        self.engine = engine
        self.after_commit = after_commit

    @contextmanager
    def transaction(
        self, tells: bool = True, limits: Limits | None = None, seconds: float = patience.LONGEST
    ) -> Iterator[Connection]:
        """Yield a connection in a transaction; commit, or roll back and raise.

        If it `tells`, the relay is woken after the commit. With `limits`, no statement of it takes
        longer than they say. For a server that has fallen silent a statement waits a little longer
        than that, without `limits` at most `seconds`.
        """
        settings = () if limits is None else limits.settings()
        with begin(self.engine, *settings) as tx:
            _driver_of(tx).patience = seconds if limits is None else limits.statement + patience.MARGIN
            yield tx
        if tells:
            self.after_commit()

    @contextmanager
    def reading(self, seconds: float = patience.CONNECT_SECONDS) -> Iterator[Connection]:
        """Yield a connection for reading, of a server that answers within so many seconds.

        There is no transaction around what is read: each statement sees what is committed when it begins, as
        it would within one, and saves the two trips of its beginning and end.
        """
        with self.engine.connect() as tx:
            _driver_of(tx).without_transaction()
            _driver_of(tx).patience = seconds
            yield tx


def _driver_of(tx: Connection) -> driver.Connection:
    return cast(driver.Connection, tx.connection.dbapi_connection)


_TYPES = {"items": "json", "now": "timestamptz", "stamp": "text"}
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
"""`:name` is a parameter, `::name` a cast, and 12:30 a time."""
PLAN_SECONDS = 60.0
"""How long a connection keeps the plan of a prepared statement.

A plan is made for the tables as they are. One of the first minute, or of an empty queue at night, may read
all of a table that has grown since, and PostgreSQL makes it anew only when somebody has analysed the table.
"""


class _Statement(NamedTuple):
    """How a statement is prepared and executed, but for the name that a connection gives it."""

    number: int
    prepare: str
    values: str
    names: list[str]


class _Plan(NamedTuple):
    """What a connection calls a statement that it has prepared, and when it was."""

    name: str
    made: float


_statements: dict[str, _Statement] = {}


def _statement(text: str) -> _Statement:
    """Return how a statement is prepared; its parameters are in order."""
    if text not in _statements:
        names = list(dict.fromkeys(_PARAMETER.findall(text)))
        body = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text)
        types = _listed(_TYPES.get(one, "unknown") for one in names)
        _statements[text] = _Statement(
            len(_statements),
            # psycopg2 reads a single one as a placeholder
            f"{types} AS {body}".replace("%", "%%"),
            _listed("%s" for _ in names),
            names,
        )
    return _statements[text]


def _planned(tx: Connection, statement: _Statement) -> str:
    """Return the name under which a connection has a plan of a statement that is new enough, or make one."""
    plans: dict[int, _Plan] = tx.info.setdefault("plans", {})  # `info` lives as long as the connection itself
    old = plans.get(statement.number)
    if old is not None and time.monotonic() - old.made < PLAN_SECONDS:
        return old.name
    # under a name of its own: whatever interrupts this, none is taken for what it is not
    count = tx.info["plans made"] = tx.info.get("plans made", 0) + 1
    name = f"s{statement.number}_{count}"
    tx.exec_driver_sql(f"PREPARE {name}{statement.prepare}")
    plans[statement.number] = _Plan(name, time.monotonic())
    if old is not None:
        tx.exec_driver_sql(f"DEALLOCATE {old.name}")
    return name


def _listed(some: Iterable[str]) -> str:
    listed = ", ".join(some)
    return f" ({listed})" if listed else ""


class Fetched(sa.engine.IteratorResult[*tuple[Any, ...]]):
    """What a prepared statement has returned.

    Attributes:
        fetched: Its rows, as the driver gives them.
        rowcount: How many rows it has returned or changed.

    """

    def __init__(self, names: tuple[str, ...], fetched: Sequence[Any], rowcount: int) -> None:
        super().__init__(_shape(names), iter(fetched))
        self.fetched = fetched
        self.rowcount = rowcount


@cache
def _shape(names: tuple[str, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData(names)


def prepared(tx: Connection, statement: sa.TextClause, **values: Any) -> Fetched:
    """Run a statement that each connection prepares once in a while (`PLAN_SECONDS`).

    A parameter whose type does not follow from its place in the statement needs a cast there. The statement
    names its columns: those of a `*` may be others after a migration, and PostgreSQL then refuses it.
    """
    known = _statement(statement.text)
    name = _planned(tx, known)
    return executed(tx, f"EXECUTE {name}{known.values}", tuple(values[one] for one in known.names))


def executed(tx: Connection, text: str, values: tuple[Any, ...]) -> Fetched:
    """Let the driver itself run a statement and fetch all its rows.

    SQLAlchemy would find out each time again what columns there are and which types they may have: half of
    what a short statement costs Python. Errors are handled as everywhere.
    """
    if not tx.in_transaction():
        tx.begin()
    cursor = tx.connection.cursor()
    try:
        cursor.execute(text, values)
        names = tuple(column[0] for column in cursor.description or ())
        return Fetched(names, cursor.fetchall() if names else [], cursor.rowcount)
    except BaseException as error:
        # there is no public name for it: it wraps the error, asks `handle_error`, and gives up what is lost
        tx._handle_dbapi_exception(error, text, values, cursor, None)
    finally:
        cursor.close()


Result = sa.CursorResult[*tuple[Any, ...]] | Fetched


def run(
    tx: Connection, statement: sa.TextClause, items: Iterable[Any] | None = None, **values: Any
) -> Result:
    """Run a statement; `items` (structs or dicts) become its one JSON parameter `:items`.

    Statements over items with no other parameters than an instant are prepared:
    parsing and planning one of our larger transitions costs PostgreSQL more than running it for ten
    rows.
    """
    if items is not None:
        values["items"] = msgspec.json.encode(list(items)).decode()
    if items is None or not values.keys() <= _TYPES.keys():
        return tx.execute(statement, values)
    return prepared(tx, statement, **values)


Named = TypeVar("Named", bound=NamedTuple)


def rows(kind: type[Named], result: Result) -> list[Named]:
    """Return the rows of a result as what they are; columns that `kind` does not name are left out."""
    if tuple(result.keys()) != kind._fields:
        return [kind._make(row) for row in result.columns(*kind._fields)]
    # as the driver gives them, since there are no types here that SQLAlchemy would have to convert
    found = result.fetched if isinstance(result, Fetched) else result.cursor.fetchall()
    result.close()
    return [kind._make(row) for row in found]


def row(kind: type[Named], result: Result) -> Named | None:
    """Return the only row of a result, None where there is none."""
    found = rows(kind, result)
    return found[0] if found else None


QUIET = {
    "log_min_messages": "fatal",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Settings with which PostgreSQL's own log holds no values.

No errors of statements: some quote the value, and the services log them without it. No DETAIL,
which shows rows and keys, and no statements, which show everything.
"""


def create_database(url: str) -> None:
    """Create the database named by `url` if the server does not have it.

    Personal data is kept out of the server's log of it.
    """
    wanted = address(url)
    engine = sa.create_engine(wanted.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as server:
        exists = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
        if not server.scalar(exists, {"name": wanted.database}):
            server.execute(sa.text(f'CREATE DATABASE "{wanted.database}" ENCODING UTF8 TEMPLATE template0'))
        for name, value in QUIET.items():
            try:
                server.execute(sa.text(f'ALTER DATABASE "{wanted.database}" SET {name} = {value}'))
            except sa.exc.DBAPIError:
                # not for a login without that right: deploy/postgres/init.sh has done it there
                log.info("%s of %s is left to its administrator", name, wanted.database)
    engine.dispose()


def drop_database(url: str) -> None:
    """Drop the database named by `url`, connections and all."""
    wanted = address(url)
    engine = sa.create_engine(wanted.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as server:
        server.execute(sa.text(f'DROP DATABASE IF EXISTS "{wanted.database}" WITH (FORCE)'))
    engine.dispose()
