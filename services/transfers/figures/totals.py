"""The SQL that keeps how many transfers lead out of each subtree, by reason and state (BEY-11, ADR 26).

Each statement that starts transfers or moves them on leaves lines in `transfer_lines`, in its own
transaction; the follower of the figures adds them to the sums of all above the source (`transfer_sums`). Sums
and lines are what there is, in every snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.figures import sums
from services.transfers.figures.sums import ABOVE, PATH
from services.transfers.transitions import seen_by
from shared import db

_ADD = """INSERT INTO transfer_sums AS t (org_id, reason, state, n)
        SELECT org_id, reason, state, n FROM {}
        WHERE n <> 0
        ORDER BY org_id, reason, state
        ON CONFLICT (org_id, reason, state) DO UPDATE SET n = t.n + excluded.n"""
_TO_ALL = f"""SELECT part.org_id::bigint AS org_id, l.reason, l.state, sum(l.n) AS n
        FROM {{}} AS l {PATH.format("l")}, {ABOVE.format("s.path")}
        GROUP BY 1, 2, 3"""
"""The sums of lines `l` by each organisation above the one that they name."""

_ANY = sa.text("SELECT EXISTS (SELECT 1 FROM transfer_lines)")
_FOLLOW = sa.text(f"""
    -- the lines of this round; those of a branch that is not known yet wait
    WITH taken AS (
        DELETE FROM transfer_lines l
        WHERE coalesce((SELECT true FROM org_directory d WHERE d.org_id = l.org_id), false)
        RETURNING org_id, reason, state, n),
    summed AS MATERIALIZED (
        SELECT org_id, reason, state, sum(n) AS n FROM taken GROUP BY org_id, reason, state),
    above AS ({_TO_ALL.format("summed")})
    {_ADD.format("above")}""")


def waits(tx: Connection) -> bool:
    """Return whether there are lines to follow."""
    return bool(db.prepared(tx, _ANY).scalar())


def follow(tx: Connection) -> None:
    """Add to the sums what is not in them; one transaction at a time does."""
    db.prepared(tx, _FOLLOW)


# ---- the tree ------------------------------------------------------------------------------------

_MOVE = sa.text(f"""
    WITH changed AS (
        SELECT part.org_id::bigint AS org_id, b.reason, b.state, :sign * b.n AS n
        FROM transfer_sums b, {ABOVE.format("CAST(:above AS text)")}
        WHERE b.org_id = :org AND part.org_id <> '')
    {_ADD.format("changed")}""")


def follow_orgs(tx: Connection, moved: Sequence[tuple[int, str]]) -> None:
    """Take the sums of organisations that have moved from those that were above them to those that are."""
    for step in sums.moves(tx, moved):
        tx.execute(_MOVE, step)


# ---- the proof -----------------------------------------------------------------------------------

_DIFFERS = f"""
    WITH counted AS MATERIALIZED (
        SELECT t.source_branch_id AS org_id, t.reason, t.state, count(*) AS n
        FROM transfers t WHERE {seen_by("source")} GROUP BY 1, 2, 3
        UNION ALL
        SELECT org_id, reason, state, -n FROM transfer_lines),
    differs AS MATERIALIZED (
        SELECT org_id, reason, state, sum(n) AS n
        FROM (
            {_TO_ALL.format("counted")}
            UNION ALL
            SELECT org_id, reason, state, -n FROM transfer_sums) AS one
        GROUP BY org_id, reason, state HAVING sum(n) <> 0)"""
_VERIFY = sa.text(f"""
    {_DIFFERS}
    SELECT 'out of organisation ' || org_id || ': ' || n || ' more ' || reason || ' ' || state || ' than kept'
    FROM differs ORDER BY org_id, reason, state LIMIT 100""")
_MEND = sa.text(f"{_DIFFERS} {_ADD.format('differs')}")
"""Add to the sums what they lack; in an empty table, all transfers."""


def differences(tx: Connection) -> list[str]:
    """Count every transfer and say what is kept otherwise, in words; it changes nothing."""
    return list(tx.scalars(_VERIFY))


def mend(tx: Connection) -> None:
    """Count every transfer, and put right what is kept otherwise; one transaction at a time does."""
    tx.execute(_MEND)
