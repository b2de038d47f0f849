"""Questions that a bridge asks by itself: for what is missing, and for members who are on the way (FED-13).

Whoever is asked answers where the transfer stands, and sends again what the asker has not heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation.handovers import Bridge, Deed, perform
from services.federation.protocol import Act
from services.federation.schemas import Query
from shared import db

GAP_LIVES = timedelta(seconds=60)
"""How long an early message waits before the peer is asked for what is missing."""
DOUBT_LIVES = timedelta(hours=1)
"""How long a member is on the way before the peer is asked for the record."""
ASK_AGAIN = timedelta(minutes=10)
"""The shortest time between two questions of ours for one transfer."""
MOST = 100


class _Asked(NamedTuple):
    subject: str
    act: str
    heard_seq: int


_WHOM = sa.text(f"""
    WITH gaps AS (SELECT DISTINCT subject FROM received WHERE state = 'held' AND received_at <= :gap),
    whom AS (SELECT subject, '{Act.ASK_RECORD}' AS act FROM handovers
            WHERE state = 'handover' AND since <= :doubt
        UNION ALL SELECT h.subject, '{Act.ASK}' FROM gaps g JOIN handovers h ON h.subject = g.subject
            WHERE h.state IN ('offered', 'handover', 'deciding', 'awaited'))
    -- of both questions for one transfer that for the record
    SELECT DISTINCT ON (s.subject) s.subject, s.act, h.their_seq AS heard_seq
    FROM whom s JOIN handovers h ON h.subject = s.subject
    WHERE NOT EXISTS (SELECT FROM sent q
        WHERE q.subject = s.subject AND q.type = 'query' AND (q.said_at > :again OR q.state = 'waiting'))
    ORDER BY s.subject, s.act DESC LIMIT {MOST}""")


def ask(tx: Connection, bridge: Bridge, now: datetime) -> int:
    """Ask for what has been missing for a minute, and for members on the way for an hour.

    Each transfer is asked about at most once in ten minutes, and not while a question waits to be sent.

    Returns:
        How many questions were asked; at most `MOST`.

    Raises:
        NoKey: There is no key to sign with.

    """
    found = db.rows(
        _Asked,
        tx.execute(_WHOM, {"gap": now - GAP_LIVES, "doubt": now - DOUBT_LIVES, "again": now - ASK_AGAIN}),
    )
    deeds = [
        Deed(
            one.subject,
            Act(one.act),
            Query(about="record" if one.act == Act.ASK_RECORD else "transfer", heard_seq=one.heard_seq),
        )
        for one in found
    ]
    return sum(perform(tx, bridge, deeds, now)) if deeds else 0
