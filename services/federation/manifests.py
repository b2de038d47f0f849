"""What we tell the peer of the transfers of a day, for both sides to compare (BEY-16).

A day is that on which the offer was signed, so a transfer stands in the same day's manifest on both sides,
whenever it ends. Buckets are compared first, by the hash of their lines; lines only where these differ.
"""

from __future__ import annotations

from datetime import date
from hashlib import sha256

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation import envelope
from services.federation.handovers import Bridge
from services.federation.protocol import Receiver, Side, Word
from services.federation.schemas import OUTCOMES, Bucket, Line, Lines, Manifest, Outcome
from shared import clock

MOST_LINES = 2000

_OUTCOME = " ".join(
    f"WHEN side = '{Side.RECEIVER if isinstance(state, Receiver) else Side.SENDER}'"
    f" AND state = '{state.value}' THEN '{outcome}'"
    for state, outcome in OUTCOMES.items()
)
_BUCKET = "left(encode(sha256(convert_to(subject, 'UTF8')), 'hex'), 2)"
_LINES = f"""
    SELECT subject, {_BUCKET} AS bucket,
        CASE WHEN state = '{Receiver.AWAITED.value}' AND '{Word.RECORD}' = ANY(heard)
            THEN '{Outcome.ON_THE_WAY}' {_OUTCOME} END AS outcome,
        CASE side WHEN '{Side.SENDER}' THEN our_seq ELSE their_seq END AS sender_seq,
        CASE side WHEN '{Side.SENDER}' THEN our_head ELSE their_head END AS sender_head,
        CASE side WHEN '{Side.SENDER}' THEN their_seq ELSE our_seq END AS receiver_seq,
        CASE side WHEN '{Side.SENDER}' THEN their_head ELSE our_head END AS receiver_head
    FROM handovers WHERE day = CAST(:day AS date)"""
_BUCKETS = sa.text(rf"""
    SELECT bucket AS name, count(*) AS total, encode(sha256(convert_to(string_agg(concat_ws(' ', subject,
        outcome, sender_seq, sender_head, receiver_seq, receiver_head), E'\n'
        ORDER BY subject COLLATE "C"), 'UTF8')), 'hex') AS digest
    FROM ({_LINES}) AS lines GROUP BY bucket ORDER BY bucket""")
_OF_BUCKETS = sa.text(f"""
    SELECT subject, outcome, sender_seq, sender_head, receiver_seq, receiver_head FROM ({_LINES}) AS lines
    WHERE bucket = ANY(CAST(:buckets AS text[])) ORDER BY bucket, subject COLLATE "C" """)


def bucket_of(subject: str) -> str:
    """Return the name of the bucket that holds a transfer."""
    return sha256(subject.encode()).hexdigest()[:2]


def buckets(tx: Connection, day: date) -> list[Bucket]:
    """Return the transfers of a day by buckets, those that are empty left out."""
    return [
        Bucket(name=row.name, count=row.total, digest=row.digest)
        for row in tx.execute(_BUCKETS, {"day": day})
    ]


def lines(tx: Connection, day: date, names: list[str]) -> list[Line]:
    """Return the lines of some buckets of a day."""
    return [
        Line(
            subject=row.subject,
            outcome=Outcome(row.outcome),
            sender_seq=row.sender_seq,
            sender_head=row.sender_head,
            receiver_seq=row.receiver_seq,
            receiver_head=row.receiver_head,
        )
        for row in tx.execute(_OF_BUCKETS, {"day": day, "buckets": names})
    ]


def manifest(tx: Connection, bridge: Bridge, day: date) -> str:
    """Return the signed manifest of a day."""
    now = clock.now()
    made = Manifest(source=bridge.me, dest=bridge.peer, day=day, time=now, buckets=buckets(tx, day))
    return signed(bridge, made)


def signed_lines(tx: Connection, bridge: Bridge, day: date, bucket: str) -> str:
    """Return the signed lines of one bucket."""
    some = lines(tx, day, [bucket])[:MOST_LINES]
    made = Lines(source=bridge.me, dest=bridge.peer, day=day, bucket=bucket, time=clock.now(), lines=some)
    return signed(bridge, made)


def signed(bridge: Bridge, made: msgspec.Struct) -> str:
    """Return what is told of a day, signed now."""
    key = bridge.keys.ring().signing(clock.now())
    return envelope.sign(key, envelope.MANIFEST, msgspec.json.encode(made))
