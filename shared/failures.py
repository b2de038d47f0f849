"""What a failure of the database means for the work at hand: try it again, isolate it, or give it up.

A class of exceptions says too little: psycopg2 files an index row that is too long under the same
class as a lost connection. So the SQLSTATE decides, from two lists. What stands in neither is
final: the same work would fail the same way for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import exc

Result = TypeVar("Result")

# In both sets a line is a cause.
# fmt: off
AWAY = frozenset({
    "57P01", "57P02", "57P03", "57P05",  # shut down by an operator, crashed, starting up, idle session ended
    "53000", "53100", "53300",  # no resources, disk full, too many connections
    "25006",  # read-only: a standby, or a primary on its way to become one
    "25P03",  # idle in a transaction for too long: the connection is gone
    "58000", "58030",  # the operating system, the disk
})
"""The database takes no work, whosever it is; the work itself is innocent.

Class 08, connections, belongs here, too.
"""

CONTENDED = frozenset({
    "40001", "40003", "40P01",  # serialization, unknown completion, deadlock
    "55P03", "57014", "25P04",  # lock not granted in time, statement cancelled in time, transaction too long
    "53200", "53400",  # out of memory, a configured limit: of this statement, mostly
})
# fmt: on
"""The work collided with other work, or took too long.

It may pass when tried again, or never: its neighbours must not wait for it.
"""

AT_ONCE = frozenset({"40001", "40P01"})
"""Of these one side of two was chosen to give way: trying again at once is what PostgreSQL asks for."""

_ROLLED_BACK_WITH_THE_CONNECTION = "8s2b"
"""SQLAlchemy's mark of an attempt to go on in a transaction whose connection is lost."""


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of an error; empty if it has none.

    It has none when the connection was lost or never made.
    """
    return str(getattr(getattr(error, "orig", error), "pgcode", None) or "")


def is_away(error: BaseException) -> bool:
    """Return whether the database is the trouble and not the work.

    No connection, none free, no room, or read-only.
    """
    if isinstance(error, exc.TimeoutError):  # of the pool: all connections are in use
        return True
    if isinstance(error, exc.PendingRollbackError):
        return error.code == _ROLLED_BACK_WITH_THE_CONNECTION
    if not isinstance(error, exc.DBAPIError):
        return False
    state = sqlstate(error)
    if state:
        return state in AWAY or state.startswith("08")
    return error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError)


def is_lost(error: BaseException) -> bool:
    """Return whether a connection that stood was lost: the next one may be a good one."""
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def is_contended(error: BaseException) -> bool:
    """Return whether the work collided with other work or took too long."""
    return isinstance(error, exc.DBAPIError) and sqlstate(error) in CONTENDED


def is_transient(error: BaseException) -> bool:
    """Return whether the same work may succeed when it is tried again as it is."""
    return is_away(error) or is_contended(error)


def words(error: BaseException) -> str:
    """Return the kind of an error and its first line, shortened.

    Where PostgreSQL could not read some data, the data is left out.
    """
    return f"{type(error).__name__}: {_first_line(getattr(error, 'orig', None) or error)}"[:300]


def _first_line(error: BaseException) -> str:
    first = str(error).strip().split("\n", 1)[0]
    if sqlstate(error).startswith("22"):
        # data exceptions quote the value: invalid input syntax for type date: "..."
        return first.split('"', 1)[0].rstrip(": ")
    return first


def forget_values(context: Any) -> None:
    """Take the values out of a database error before anybody logs it.

    A listener of SQLAlchemy's `handle_error`. PostgreSQL's DETAIL holds the row or the key, its
    LINE the statement, into which psycopg2 has already put the parameters.
    """
    error = context.original_exception
    if getattr(error, "pgcode", None) is None:
        return
    first = _first_line(error)
    error.args = (first,)
    wrapped = context.sqlalchemy_exception
    if wrapped is not None:
        wrapped.args = (f"({type(error).__module__}.{type(error).__name__}) {first}",)


def once_more(work: Callable[[], Result]) -> Result:
    """Do work; do it once more at once if it was the one to give way in a deadlock (`AT_ONCE`)."""
    try:
        return work()
    except Exception as error:
        if sqlstate(error) not in AT_ONCE:
            raise
        return work()
