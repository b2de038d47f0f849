"""The SQL of the deadline board: what waits below an organisation, and how subtrees decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.figures import sums
from services.transfers.figures.rules import MEASURES
from shared import db

_BOTH = ", ".join(f"(coalesce(b.{name}, 0) + coalesce(n.{name}, 0))::int AS {name}" for name in MEASURES)
# A path is the ids from the root down, so that of a subtree says which subordinate it lies below.
_BOARD = sa.text(f"""
    WITH {sums.CLOCK},
    -- what has come, gone or grown late below each since the sums were made
    fresh AS MATERIALIZED (
        SELECT split_part(substr(s.path, length(top.path) + 1), '.', 1) AS org_id, {sums.SUMS}
        FROM org_directory top, ({sums.FRESH}) AS f {sums.PATH.format("f")}
        WHERE top.org_id = :org AND s.path > top.path AND s.path < rtrim(top.path, '.') || '/'
        GROUP BY 1)
    SELECT * FROM (
        SELECT c.org_id, c.name, {_BOTH}, b.oldest,
            coalesce((SELECT idle FROM figures f WHERE f.org_id = c.org_id AND cohort = :cohort), 0) AS idle
        FROM org_directory c
        LEFT JOIN LATERAL (SELECT * FROM open_below o WHERE o.org_id = c.org_id OFFSET 0) AS b ON true
        LEFT JOIN fresh n ON n.org_id = c.org_id::text
        WHERE c.parent_id = :org AND NOT c.deleted) AS below
    WHERE waiting > 0 OR idle > 0
    ORDER BY overdue DESC, waiting DESC, org_id LIMIT 500""")

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
    return db.rows(Below, db.prepared(tx, _BOARD, org=org_id, cohort=cohort, now=now))


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
