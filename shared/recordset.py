"""Records that go into a statement and rows that come out of it, each with its columns in one class.

A statement takes a list as one JSON parameter (`db.run`). The names and types by which PostgreSQL reads
it are printed here from the class of the items, so that a column is named once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

Int = Annotated[int, "int"]
"""A number that is no bigint: a text in `Annotated` is the name of the type in SQL."""
Uuid = Annotated[str, "uuid"]
"""A UUID that has become a text already."""

_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "bigint",
    float: "float",
    str: "text",
    date: "date",
    datetime: "timestamptz",
    UUID: "uuid",
}


def _fields(kind: type) -> dict[str, Any]:
    """Return the fields of a class with their annotations, in order; constants are none."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def _type_of(hint: Any) -> str:
    """Return the type in SQL of what an annotation says."""
    origin = get_origin(hint)
    if origin is Annotated:
        said = [one for one in hint.__metadata__ if isinstance(one, str)]
        return said[0] if said else _type_of(hint.__origin__)
    if origin in (Union, UnionType):  # any column may be NULL, so only the other side of `| None` counts
        (some,) = (one for one in get_args(hint) if one is not NoneType)
        return _type_of(some)
    if origin is list:
        return f"{_type_of(get_args(hint)[0])}[]"
    return _TYPES[hint]


def recordset(kind: type, alias: str = "i", *, without: Collection[str] = (), items: str = "items") -> str:
    """Return the SQL that reads a parameter, a list of records of a class, as rows of a table `alias`."""
    hints = {name: hint for name, hint in _fields(kind).items() if name not in without}
    typed = ", ".join(f"{name} {_type_of(hint)}" for name, hint in hints.items())
    return f"json_to_recordset(CAST(:{items} AS json)) AS {alias}({typed})"


def columns(kind: type, of: str = "", *, without: Collection[str] = (), **instead: str) -> str:
    """Return the columns of a class as a list in SQL.

    Args:
        kind: The class.
        of: The table whose columns are meant, where that has to be said.
        without: Columns that are left out.
        instead: Expressions that stand in the place of some columns.

    """
    names = [name for name in _fields(kind) if name not in without]
    return ", ".join(instead.get(name, f"{of}.{name}" if of else name) for name in names)


def locked(items: str, table: str, on: str, by: str, *, of: str = "i.*", all_of_it: bool = False) -> str:
    """Return the select, in parentheses, of items each of which has locked its row of a table.

    The rows are locked in the order of their key: two lists that share some would otherwise each hold what
    the other waits for. What `on` says is true of the row as it is then, whoever changed it meanwhile.

    Args:
        items: What stands in FROM for the items.
        table: The table, with its name for `on` and `by`.
        on: Which row belongs to an item, and what has to be true of it.
        by: The key of the table.
        of: What is selected.
        all_of_it: The rows are to be deleted, or their keys changed.

    """
    lock = "UPDATE" if all_of_it else "NO KEY UPDATE"
    return f"(SELECT {of} FROM {items} JOIN {table} ON {on} ORDER BY {by} FOR {lock} OF {table.split()[-1]})"
