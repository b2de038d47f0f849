"""Which open transfers stand in the way when organisations are deleted (ORG-42, DEL-14) or move (MIG-09)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import directory
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import InTheWay, OpenBelow

# The same parties as in `store.refuse_changes`: source, target, and whoever is waited for. A transfer is
# `leaving` unless the organisation is its target: these do not keep a branch from being set aside.
_COUNT = sa.text("""
    SELECT i.org_id, count(*)::int AS transfers, (count(*) FILTER (WHERE party.leaving))::int AS leaving
    FROM unnest(CAST(:ids AS bigint[])) AS i(org_id)
    CROSS JOIN LATERAL (
        SELECT transfer_id, bool_and(leaving) AS leaving
        FROM (
            SELECT t.transfer_id, false AS leaving FROM transfers t
            WHERE t.target_org_id = i.org_id AND t.ended_at IS NULL
            UNION ALL
            SELECT t.transfer_id, true FROM transfers t
            WHERE t.source_branch_id = i.org_id AND t.ended_at IS NULL
            UNION ALL
            SELECT o.transfer_id, true FROM open_nodes o
            WHERE o.org_id = i.org_id) AS every
        GROUP BY transfer_id) AS party
    GROUP BY i.org_id ORDER BY i.org_id""")


_OPEN_BELOW = sa.text("""
    SELECT count(*)::int
    FROM (
        SELECT t.transfer_id
        FROM org_directory d JOIN transfers t ON t.source_branch_id = d.org_id
        WHERE d.path >= :path AND d.path < :path_end AND t.ended_at IS NULL
        UNION
        SELECT t.transfer_id
        FROM org_directory d JOIN transfers t ON t.target_org_id = d.org_id
        WHERE d.path >= :path AND d.path < :path_end AND t.ended_at IS NULL) AS every""")


def count_open_below(tx: Connection, request: contract.CountOpenBelow, actor: Actor | None) -> OpenBelow:
    """Return how many open transfers lead out of or into an organisation and what is below it (MIG-09)."""
    path = directory.require_above(tx, actor, request.org_id).path
    return OpenBelow(transfers=tx.scalar(_OPEN_BELOW, {"path": path, "path_end": path[:-1] + "/"}))


def count_in_the_way(tx: Connection, request: contract.CountInTheWay, actor: Actor | None) -> list[InTheWay]:
    """Return of how many open transfers organisations of the own subtree are parties.

    Organisations that are parties of none are left out, and so are those of others.
    """
    org = directory.require_above(tx, actor)
    found = directory.find(tx, request.org_ids)
    mine = [org_id for org_id, row in found.items() if directory.is_below(row, org)]
    return [InTheWay(**row._mapping) for row in tx.execute(_COUNT, {"ids": sorted(mine)})]
