"""A connection of psycopg2's whose transactions begin with their first statement, in the same trip.

psycopg2 itself sends BEGIN alone and waits for the answer; another trip sets the limits of the
transaction. For short transactions that is a third of all waits for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg2 import extensions

from shared import patience


class Connection(patience.Patient):
    """A connection that does so for whoever takes it from the pool and asks for it; else it is psycopg2's.

    That it is closed is found by the first statement, as an error like all others.
    """

    first = ""
    """What is sent before the next statement."""

    def begin(self, *settings: str) -> None:
        """Let the next statement begin a transaction; `settings` are assignments that hold for all of it."""
        self.without_transaction()
        self.first = "BEGIN; " + "".join(f"SET LOCAL {one}; " for one in settings)

    def without_transaction(self) -> None:
        """Let psycopg2 send no BEGIN of its own; the server is told nothing."""
        if not self.closed:
            self.autocommit = True

    def as_new(self) -> None:
        """Be psycopg2's own again; no transaction is under way."""
        self.first = ""
        if self.autocommit and not self.closed:
            self.autocommit = False

    def commit(self) -> None:
        """Commit what has begun; nothing is sent where nothing has."""
        self._end("COMMIT", super().commit)

    def rollback(self) -> None:
        """Roll back what has begun; nothing is sent where nothing has."""
        self._end("ROLLBACK", super().rollback)

    def _end(self, how: str, own: Callable[[], None]) -> None:
        self.first = ""
        if not self.autocommit or self.closed:
            own()
        elif self.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE:
            with self.cursor() as cursor:
                cursor.execute(how)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor that knows of it."""
        return super().cursor(*args, **{"cursor_factory": Cursor, **kwargs})


class Cursor(extensions.cursor):  # type: ignore[misc]
    """Sends with a statement what is to be sent before it."""

    connection: Connection

    def execute(self, query: Any, values: Any = None) -> None:
        """Run a statement."""
        first = self.connection.first
        if not first:
            super().execute(query, values)
            return
        try:
            super().execute(first + (query.decode() if isinstance(query, bytes) else query), values)
        finally:
            # what could not even be sent has begun nothing
            if self.connection.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE:
                self.connection.first = ""

    def executemany(self, query: Any, values: Any) -> None:
        """Run a statement for each of some values."""
        self._begin()
        super().executemany(query, values)

    def copy_expert(self, *args: Any, **kwargs: Any) -> None:
        """Copy to or from a table."""
        self._begin()
        super().copy_expert(*args, **kwargs)

    def _begin(self) -> None:
        if self.connection.first:
            self.execute("")
