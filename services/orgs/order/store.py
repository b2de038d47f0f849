"""The SQL of the order of organisations below a superior."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.recordset import locked, recordset


class Sibling(NamedTuple):
    """A direct subordinate and its place in the order."""

    parent_id: int
    org_id: int
    display_order: int


class Place(TypedDict):
    """The place in the order that an organisation takes."""

    org_id: int
    display_order: int


_SIBLINGS = sa.text("""
    SELECT parent_id, org_id, display_order FROM orgs
    WHERE parent_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted
    ORDER BY parent_id, display_order, org_id""")
_SET = sa.text(f"""
    UPDATE orgs o SET display_order = i.display_order
    FROM {locked(recordset(Place), "orgs o", "o.org_id = i.org_id", "o.org_id")} AS i
    WHERE o.org_id = i.org_id""")


def siblings(tx: Connection, parent_ids: Iterable[int]) -> dict[int | None, list[Sibling]]:
    """Return the direct subordinates of organisations in their order."""
    found: dict[int | None, list[Sibling]] = {}
    for row in db.rows(Sibling, tx.execute(_SIBLINGS, {"ids": sorted(set(parent_ids))})):
        found.setdefault(row.parent_id, []).append(row)
    return found


def set_order(tx: Connection, rows: Sequence[Place]) -> None:
    """Store places in the order; nobody is told, since nobody else keeps them."""
    if rows:
        db.run(tx, _SET, rows)
