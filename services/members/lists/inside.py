"""Who is in organisations: what stands in the way of their deletion (DEL-03)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import directory
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import Inside
from shared.messages.words import System

_COUNT = sa.text("""
    SELECT i.org_id,
        (SELECT count(*)::int FROM people p WHERE p.branch_id = i.org_id) AS members,
        (
            SELECT count(*)::int FROM registrations r
            WHERE r.org_id = i.org_id AND r.state = 'pending'
        ) AS registrations
    FROM unnest(CAST(:ids AS bigint[])) AS i(org_id)
    ORDER BY i.org_id""")


def count_inside(tx: Connection, request: contract.CountInside, actor: Actor | None) -> list[Inside]:
    """Return how many members and waiting applications organisations of the own subtree have.

    Others are left out.
    """
    org = directory.require_above(tx, actor)
    mine = [
        org_id
        for org_id, row in directory.find(tx, request.org_ids).items()
        if directory.is_below(row, org) and row.system == System.NATIONAL
    ]
    return [Inside(**row._mapping) for row in tx.execute(_COUNT, {"ids": sorted(mine)})]
