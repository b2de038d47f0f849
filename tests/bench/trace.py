"""Where the time goes between a request and the approver's list: the instants that the databases kept.

A message's row in the outbox says when it was written and when the broker had confirmed it, the row in
the inbox of whoever consumes it when its transaction began. Everything runs on one machine, so all instants
are of one clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import sqlalchemy as sa

from tests.installation import Installation

_TOLD = sa.text("""
    SELECT (i.item->>'transfer_id')::bigint AS transfer_id,
        min(extract(epoch FROM o.created_at)) AS written, min(extract(epoch FROM o.published_at)) AS told,
        min(replace(o.message_id::text, '-', '')) AS message_id
    FROM outbox o, json_array_elements(o.body::json) AS i(item)
    WHERE o.topic = :topic AND o.created_at >= to_timestamp(:since)
    GROUP BY 1""")
_HANDLED = sa.text("""
    SELECT message_id, extract(epoch FROM handled_at) AS at FROM inbox
    WHERE handled_at >= to_timestamp(:since)""")
HOPS = (
    "call until the request is written",
    "until the relay's confirm",
    "until members begins",
    "until the member is held",
    "until the relay's confirm (members)",
    "until transfers begins",
    "until the node is opened",
    "until the list shows it",
)


class Told(NamedTuple):
    """When a message of a transfer was written, confirmed, and taken by its consumer."""

    written: float
    told: float
    taken: float


def _told(of: Installation, teller: str, topic: str, consumer: str, since: float) -> dict[int, Told]:
    with of.engine(consumer).connect() as tx:
        taken = {row.message_id: float(row.at) for row in tx.execute(_HANDLED, {"since": since})}
    with of.engine(teller).connect() as tx:
        return {
            row.transfer_id: Told(float(row.written), float(row.told), taken[f"{teller}:{row.message_id}"])
            for row in tx.execute(_TOLD, {"topic": topic, "since": since})
            if row.told is not None and f"{teller}:{row.message_id}" in taken
        }


def hops(
    of: Installation, called: Mapping[int, float], seen: Mapping[int, float], since: float
) -> list[list[float]]:
    """Return of each transfer the milliseconds of each of `HOPS`, the quickest transfer first.

    Args:
        of: The installation.
        called: When each was called for, in seconds since the epoch.
        seen: When the approver's list showed it.
        since: An instant before all of them.

    """
    asked = _told(of, "transfers", "transfer_requested", "members", since)
    held = _told(of, "members", "member_reserved", "transfers", since)
    with of.engine("transfers").connect() as tx:
        rows = tx.execute(_TOLD, {"topic": "node_opened", "since": since})
        opened = {row.transfer_id: float(row.written) for row in rows}
    known = called.keys() & asked.keys() & held.keys() & opened.keys()
    found = []
    for one in sorted(known, key=lambda n: seen[n] - called[n]):
        at = [called[one], *asked[one], *held[one], opened[one], seen[one]]
        found.append([1000 * (after - before) for before, after in pairwise(at)])
    return found


def summed(found: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return of each hop the median of all, and the mean of the slowest hundredth."""
    slowest = found[-max(1, len(found) // 100) :]
    return {
        name: {
            "p50_ms": statistics.median(one[n] for one in found),
            "slowest_ms": statistics.mean(one[n] for one in slowest),
        }
        for n, name in enumerate(HOPS)
    }
