"""The heads of the other services' audit logs, kept where those services cannot reach (BEY-10).

The scheduler has no people and no log of its own. It owns time, and so it says how long each log
was at an instant: every head that it is told is kept, so a log that was shortened or written anew
no longer fits what stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db
from shared.audit import Head
from shared.messages.federation import FederationLogGrew
from shared.settings import bridge

_KEEP = sa.text("""
    INSERT INTO kept_heads (service, lane, rows, hash, kept_at)
    SELECT DISTINCT service, lane, rows, decode(hash, 'hex'), :now
    FROM json_to_recordset(CAST(:items AS json)) AS i(service text, lane int, rows bigint, hash text)
    -- all write in one order, so no two of them wait for each other
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING""")
_KEPT = sa.text("SELECT lane, rows, hash FROM kept_heads WHERE service = :service ORDER BY lane, rows")


def on_log_grew(service: str) -> Callable[[Connection, list[Any]], None]:
    """Return the handler that keeps what a service tells of its log."""

    def handler(tx: Connection, items: list[Any]) -> None:
        db.run(
            tx,
            _KEEP,
            [{"service": service, "lane": one.lane, "rows": one.rows, "hash": one.hash} for one in items],
            now=clock.now(),
        )

    return handler


def on_federation_log_grew(tx: Connection, items: list[FederationLogGrew]) -> None:
    """Keep what bridges tell of their logs; each peer's bridge is a service of its own."""
    for peer in sorted({one.peer for one in items}):
        on_log_grew(bridge(peer))(tx, [one for one in items if one.peer == peer])


def kept(tx: Connection, service: str) -> list[Head]:
    """Return every head of a service's log that was told."""
    return [Head(row.lane, row.rows, bytes(row.hash)) for row in tx.execute(_KEPT, {"service": service})]
