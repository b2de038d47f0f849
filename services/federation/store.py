"""The only SQL of a bridge."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.recordset import Int, columns, recordset


@dataclass
class Handover:
    """Where a transfer stands on our side, and how far both sides have counted."""

    subject: str
    side: str
    state: str
    heard: list[str]
    our_seq: Int
    our_head: str
    their_seq: Int
    their_head: str
    since: datetime


@dataclass(frozen=True)
class Said:
    """A message of ours, as it is written when it is decided."""

    subject: str
    seq: Int
    type: str
    sha256: str
    jws: str
    said_at: datetime
    expires_at: datetime | None


@dataclass
class Received:
    """A message of the peer, and what has become of it."""

    subject: str
    seq: Int
    type: str
    sha256: str
    jws: str
    said_at: datetime
    received_at: datetime
    state: str
    code: str


@dataclass(frozen=True)
class Receipt:
    """The first receipt that was given for a message."""

    subject: str
    seq: Int
    jws: str


@dataclass(frozen=True)
class Doubt:
    """A message that is authentic and impossible now."""

    subject: str
    seq: Int
    why: str
    found_at: datetime


class Place(NamedTuple):
    """A message by its place."""

    subject: str
    seq: int


class Known(NamedTuple):
    """A message that has come before: its hash, and its first receipt."""

    subject: str
    seq: int
    sha256: str
    receipt: str


@dataclass(frozen=True)
class _Side:
    subject: str
    side: str


_BEGIN = sa.text(f"""
    INSERT INTO handovers ({columns(Handover)})
    SELECT subject, side, 'none', '{{}}', 0, '', 0, '', :now FROM {recordset(_Side)}
    -- all write in one order, so no two of them wait for each other
    ORDER BY subject
    ON CONFLICT DO NOTHING""")
_LOCK = sa.text(f"""
    SELECT {columns(Handover)} FROM handovers
    WHERE subject = ANY(CAST(:subjects AS text[])) ORDER BY subject FOR UPDATE""")
_KEEP = sa.text(f"""
    UPDATE handovers h SET (state, heard, our_seq, our_head, their_seq, their_head, since) =
        (i.state, i.heard, i.our_seq, i.our_head, i.their_seq, i.their_head, i.since)
    FROM {recordset(Handover)} WHERE h.subject = i.subject""")
_SAY = sa.text(f"""
    INSERT INTO sent ({columns(Said)}, state, next_at)
    SELECT {columns(Said)}, 'waiting', said_at FROM {recordset(Said)}""")
_RECEIVE = sa.text(f"""
    INSERT INTO received ({columns(Received)}) SELECT {columns(Received)} FROM {recordset(Received)}
    ON CONFLICT (subject, seq) DO UPDATE SET (state, code) = (excluded.state, excluded.code)""")
_GIVE = sa.text(
    f"INSERT INTO receipts ({columns(Receipt)}) SELECT {columns(Receipt)} FROM {recordset(Receipt)}"
)
_DOUBT = sa.text(f"INSERT INTO quarantine ({columns(Doubt)}) SELECT {columns(Doubt)} FROM {recordset(Doubt)}")
_KNOWN = sa.text("""
    SELECT r.subject, r.seq, r.sha256, g.jws AS receipt
    FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, seq int)
    JOIN received r ON r.subject = i.subject AND r.seq = i.seq
    JOIN receipts g ON g.subject = r.subject AND g.seq = r.seq""")
_EARLY = sa.text(f"""
    SELECT {columns(Received, "r")}
    FROM handovers h JOIN received r ON r.subject = h.subject AND r.seq > h.their_seq
    WHERE h.subject = ANY(CAST(:subjects AS text[])) ORDER BY r.subject, r.seq""")


def begin(tx: Connection, sides: dict[str, str], now: datetime) -> None:
    """Have a row for each transfer, each with our part in it; those that are there stay as they are."""
    db.run(tx, _BEGIN, [_Side(subject, side) for subject, side in sides.items()], now=now)


def lock(tx: Connection, subjects: Collection[str]) -> dict[str, Handover]:
    """Lock transfers, in one order; return them by subject, without those that are not there."""
    rows = tx.execute(_LOCK, {"subjects": sorted(subjects)})
    return {row.subject: Handover(*row) for row in rows}


def keep(tx: Connection, changed: Sequence[Handover]) -> None:
    """Store where transfers stand."""
    if changed:
        db.run(tx, _KEEP, changed)


def say(tx: Connection, some: Sequence[Said]) -> None:
    """Store messages of ours; the courier takes them after the commit."""
    if some:
        db.run(tx, _SAY, some)


def receive(tx: Connection, some: Sequence[Received]) -> None:
    """Store messages of the peer, or what has become of those that were stored before."""
    if some:
        db.run(tx, _RECEIVE, some)


def give(tx: Connection, some: Sequence[Receipt]) -> None:
    """Store the first receipts of messages."""
    if some:
        db.run(tx, _GIVE, some)


def doubt(tx: Connection, some: Sequence[Doubt]) -> None:
    """Put messages into quarantine."""
    if some:
        db.run(tx, _DOUBT, some)


def known(tx: Connection, places: Collection[Place]) -> dict[Place, Known]:
    """Return those of some messages that have come before."""
    items = [place._asdict() for place in sorted(places)]
    return {Place(one.subject, one.seq): one for one in db.rows(Known, db.run(tx, _KNOWN, items))}


def early(tx: Connection, subjects: Collection[str]) -> dict[str, list[Received]]:
    """Return what has come of transfers before its turn, in order."""
    found: dict[str, list[Received]] = {}
    for row in tx.execute(_EARLY, {"subjects": sorted(subjects)}):
        found.setdefault(row.subject, []).append(Received(*row))
    return found
