"""Seeing what is sent to PostgreSQL, by whichever way."""

import contextlib

import sqlalchemy as sa

from shared import db


@contextlib.contextmanager
def seen(engine, look):
    """Call `look(connection, statement, parameters)` before each statement on an engine."""

    def before(connection, cursor, statement, parameters, context, executemany):
        if not executemany:
            look(connection, statement, parameters)

    def executed(tx, text, values):
        if tx.engine is engine:
            look(tx, text, values)
        return past(tx, text, values)

    past = db.executed
    sa.event.listen(engine, "before_cursor_execute", before)
    db.executed = executed
    try:
        yield
    finally:
        db.executed = past
        sa.event.remove(engine, "before_cursor_execute", before)
