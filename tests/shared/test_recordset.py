"""Columns are named once: what is printed from a class, and rows that become one (`shared.recordset`)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from shared import db
from shared.recordset import Int, Uuid, columns, recordset


class Struct(msgspec.Struct):
    """A record with a constant, which is no column."""

    topic: ClassVar[str] = "none"

    n: Int
    at: datetime
    note: str | None = None


class Row(TypedDict):
    """A record that is a dict."""

    key: Uuid
    names: list[str]


class More(Row):
    """A record with columns of another before its own."""

    last: date


class Tuple(NamedTuple):
    """A row."""

    b: str
    a: int


@pytest.fixture(scope="module")
def engine(scratch):
    """An empty database."""
    return scratch(sa.MetaData())


@pytest.mark.parametrize(
    ("hint", "printed"),
    [
        (int, "bigint"),
        (Int, "int"),
        (Int | None, "int"),
        (bool, "boolean"),
        (float, "float"),
        (str, "text"),
        (str | None, "text"),
        (Annotated[str, msgspec.Meta(max_length=5)], "text"),
        (Annotated[str, "timestamptz"], "timestamptz"),
        (date, "date"),
        (datetime, "timestamptz"),
        (UUID, "uuid"),
        (Uuid, "uuid"),
        (list[int], "bigint[]"),
        (list[str] | None, "text[]"),
    ],
)
def test_types(hint, printed):
    """Each annotation is printed as the type of a column; whether it may be None makes no difference."""
    kind = msgspec.defstruct("Kind", [("one", hint)])

    assert recordset(kind) == f"json_to_recordset(CAST(:items AS json)) AS i(one {printed})"


def test_a_type_without_a_name_in_sql():
    """A field that no column can hold is found when the statement is made, not when it is run."""
    kind = msgspec.defstruct("Kind", [("one", object)])

    with pytest.raises(KeyError):
        recordset(kind)


@pytest.mark.parametrize(
    ("made", "printed"),
    [
        (recordset(Struct, "g"), "AS g(n int, at timestamptz, note text)"),
        (recordset(More), "AS i(key uuid, names text[], last date)"),
        (recordset(Tuple, without=("b",)), "AS i(a bigint)"),
        (columns(Struct), "n, at, note"),
        (columns(More, "i"), "i.key, i.names, i.last"),
        (columns(Tuple, "i", a="now()"), "i.b, now()"),
        (columns(More, without=("key", "last")), "names"),
    ],
)
def test_lists_of_columns(made, printed):
    """Structs, tuples and dicts with types print their columns in order, those of a base first."""
    assert made.removeprefix("json_to_recordset(CAST(:items AS json)) ") == printed


def test_rows(engine):
    """Rows become what they are by the names of their columns, in whatever order those come."""
    with engine.connect() as tx:
        made = db.rows(
            Tuple, tx.execute(sa.text("SELECT 1 AS a, 'x' AS b, 2 AS c UNION ALL SELECT 3, 'y', 4"))
        )
        none = db.row(Tuple, tx.execute(sa.text("SELECT 'x' AS b, 1 AS a WHERE false")))
        with pytest.raises(sa.exc.NoSuchColumnError):
            db.rows(Tuple, tx.execute(sa.text("SELECT 1 AS a")))

    assert made == [Tuple("x", 1), Tuple("y", 3)]
    assert none is None


def test_records_there_and_back(engine):
    """What goes in as a record comes out as the same values, None as NULL."""
    statement = sa.text(f"SELECT n, at, note FROM {recordset(Struct)} ORDER BY n")
    at = datetime.fromisoformat("2026-07-01T12:00:00+00:00")

    with engine.connect() as tx:
        found = db.run(tx, statement, [Struct(1, at), Struct(2, at, "x")]).all()

    assert [tuple(row) for row in found] == [(1, at, None), (2, at, "x")]
