"""The SQL of the deadline board: open nodes by organisation, and how subtrees decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db

_BOARD = sa.text("""
    SELECT c.org_id, c.name, b.*, coalesce(f.idle, 0) AS idle
    FROM org_directory c
    -- what waits anywhere in the subtree of each; an assignment has no deadline, so it is counted by its age
    CROSS JOIN LATERAL (
        SELECT count(o.transfer_id)::int AS waiting,
            (count(*) FILTER (
                WHERE o.expires_at > :now
                    AND o.expires_at <= CAST(:now AS timestamptz) + interval '3 days'))::int AS due_soon,
            (count(*) FILTER (
                WHERE o.state <> 'pending_assign'
                    AND coalesce(o.expires_at, o.opened_at + interval '10 days') <= :now))::int AS overdue,
            (count(*) FILTER (
                WHERE o.state = 'pending_assign'
                    AND o.opened_at <= CAST(:now AS timestamptz) - interval '10 days'))::int AS assigning,
            min(o.opened_at) AS oldest
        FROM org_directory d JOIN open_nodes o ON o.org_id = d.org_id
        WHERE d.path >= c.path AND d.path < rtrim(c.path, '.') || '/') AS b
    LEFT JOIN figures f ON f.org_id = c.org_id AND f.cohort = :cohort
    WHERE c.parent_id = :org AND NOT c.deleted AND (b.waiting > 0 OR coalesce(f.idle, 0) > 0)
    ORDER BY b.overdue DESC, b.waiting DESC, c.org_id LIMIT 500""")

_DECISIONS = sa.text("""
    SELECT org_id, code, n, seconds FROM decisions
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND year = :year""")


class Below(NamedTuple):
    """What waits below an organisation: nodes by their deadlines, and how many graduates are idle."""

    org_id: int
    name: str
    waiting: int
    due_soon: int
    overdue: int
    assigning: int
    oldest: datetime | None
    idle: int


def board(tx: Connection, org_id: int, cohort: int, now: datetime) -> list[Below]:
    """Return what waits below each direct subordinate, worst first."""
    return db.rows(Below, tx.execute(_BOARD, {"org": org_id, "cohort": cohort, "now": now}))


def decisions(
    tx: Connection, org_ids: Sequence[int], year: int
) -> tuple[dict[int, dict[str, int]], dict[int, float]]:
    """Return how often each subtree has approved, and rejected by reason, in a year (BEY-06).

    And how many seconds its decisions had waited in all.
    """
    found: dict[int, dict[str, int]] = {}
    seconds: dict[int, float] = {}
    for row in tx.execute(_DECISIONS, {"ids": list(org_ids), "year": year}):
        found.setdefault(row.org_id, {})[row.code] = row.n
        seconds[row.org_id] = seconds.get(row.org_id, 0.0) + row.seconds
    return found, seconds
