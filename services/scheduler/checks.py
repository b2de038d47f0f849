"""The timers, read in pieces for the comparison with the open nodes. Only SQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.readings import Reading


class Timer(NamedTuple):
    """What the scheduler watches of a transfer's node."""

    transfer_id: int
    node_no: int
    revision: int
    remind_at: datetime | None
    remind_every: timedelta | None
    expires_at: datetime | None


TIMERS = Reading(
    Timer,
    "timers",
    "transfer_id",
    "SELECT transfer_id, node_no, revision, remind_at, remind_every, expires_at FROM timers"
    " WHERE {wanted} AND ended_on IS NULL ORDER BY transfer_id",
)
"""Without the ends, which are remembered in the same table and watched by nobody."""

_FORGET_ENDS = sa.text("""
    WITH ends AS (
        SELECT transfer_id FROM timers
        WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND ended_on IS NOT NULL
        ORDER BY transfer_id FOR UPDATE)
    DELETE FROM timers WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM ends))""")


def forget_ends(tx: Connection, transfer_ids: list[int]) -> int:
    """Forget that transfers have ended which are open; return how many.

    An end is final here, so that a node that is told late is not watched. It is wrong only after the
    database of transfers was put back to before it.
    """
    return tx.execute(_FORGET_ENDS, {"ids": transfer_ids}).rowcount
