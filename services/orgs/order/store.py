"""The SQL of the order of organisations below a superior."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db

_SIBLINGS = sa.text("""
    SELECT parent_id, org_id, display_order FROM orgs
    WHERE parent_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted
    ORDER BY parent_id, display_order, org_id""")
_SET = sa.text("""
    UPDATE orgs o SET display_order = i.display_order
    FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, display_order bigint)
    WHERE o.org_id = i.org_id""")


def siblings(tx: Connection, parent_ids: Iterable[int]) -> dict[int | None, list[sa.Row[Any]]]:
    """Return the direct subordinates of organisations in their order."""
    found: dict[int | None, list[sa.Row[Any]]] = {}
    for row in tx.execute(_SIBLINGS, {"ids": sorted(set(parent_ids))}):
        found.setdefault(row.parent_id, []).append(row)
    return found


def set_order(tx: Connection, rows: Sequence[dict[str, int]]) -> None:
    """Store places in the order; nobody is told, since nobody else keeps them."""
    if rows:
        db.run(tx, _SET, rows)
