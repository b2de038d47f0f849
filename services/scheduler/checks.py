"""The timers, read in pieces for the comparison with the open nodes. Only SQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

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
    " WHERE {wanted} ORDER BY transfer_id",
)
