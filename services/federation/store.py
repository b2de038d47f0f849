"""The only SQL of a bridge."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
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
    day: date | None


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


class Before(NamedTuple):
    """A message of the peer that is here, and its first receipt."""

    message: Received
    receipt: str


@dataclass(frozen=True)
class _Place:
    subject: str
    seq: Int


@dataclass(frozen=True)
class Asked:
    """Messages of a transfer that are looked for: some by their numbers, and all after another."""

    subject: str
    seqs: list[Int]
    after: Int


@dataclass(frozen=True)
class _Side:
    subject: str
    side: str


_BEGIN = sa.text(f"""
    INSERT INTO handovers AS h ({columns(Handover)})
    SELECT subject, side, 'none', '{{}}', 0, '', 0, '', :now, NULL FROM {recordset(_Side)}
    -- all write in one order, so no two of them wait for each other
    ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET subject = h.subject  -- that locks it, and shows it as it is then
    RETURNING {columns(Handover, "h")}""")
_NEVER_BEGIN = sa.text(f"""
    INSERT INTO handovers ({columns(Handover)})
    SELECT subject, side, :state, '{{}}', 0, '', 0, '', :now, NULL FROM {recordset(_Side)}
    ORDER BY subject
    ON CONFLICT DO NOTHING""")
_LOCK = sa.text(f"""
    SELECT {columns(Handover)} FROM handovers
    WHERE subject = ANY(CAST(:subjects AS text[])) ORDER BY subject FOR UPDATE""")
_WRITE = sa.text(f"""
    WITH kept AS (
        UPDATE handovers h SET (state, heard, our_seq, our_head, their_seq, their_head, since, day) =
            (i.state, i.heard, i.our_seq, i.our_head, i.their_seq, i.their_head, i.since, i.day)
        FROM {recordset(Handover)} WHERE h.subject = i.subject),
    ours AS MATERIALIZED (SELECT * FROM {recordset(Said, items="said")}),
    -- expired unsent, but now something waits behind it, and the peer wants every number
    all_the_same AS (
        UPDATE sent s SET (state, next_at) = ('waiting', i.said_at) FROM ours i
        WHERE i.seq > 1 AND s.subject = i.subject AND s.state = 'parked' AND s.receipt IS NULL),
    said AS (
        INSERT INTO sent ({columns(Said)}, state, next_at)
        SELECT {columns(Said)}, 'waiting', said_at FROM ours),
    given AS (
        INSERT INTO receipts ({columns(Receipt)})
        SELECT {columns(Receipt)} FROM {recordset(Receipt, items="receipts")}),
    doubted AS (
        INSERT INTO quarantine ({columns(Doubt)})
        SELECT {columns(Doubt)} FROM {recordset(Doubt, items="doubts")})
    INSERT INTO received ({columns(Received)})
    SELECT {columns(Received)} FROM {recordset(Received, items="received")}
    ON CONFLICT (subject, seq) DO UPDATE SET (state, code) = (excluded.state, excluded.code)""")
_BEFORE = sa.text(f"""
    SELECT {columns(Received, "r")}, coalesce(g.jws, '') AS receipt
    FROM {recordset(Asked)}
    JOIN received r ON r.subject = i.subject AND (r.seq > i.after OR r.seq = ANY(i.seqs))
    LEFT JOIN receipts g ON g.subject = r.subject AND g.seq = r.seq
    ORDER BY r.subject, r.seq""")


def begin(tx: Connection, sides: dict[str, str], now: datetime) -> dict[str, Handover]:
    """Have a row for each transfer, each with our part in it, and lock them all, in one order; return them.

    Those that are there stay as they are.
    """
    rows = db.run(tx, _BEGIN, [_Side(subject, side) for subject, side in sides.items()], now=now)
    return {row.subject: Handover(*row) for row in rows}


def never_begin(tx: Connection, subjects: Collection[str], side: str, state: str, now: datetime) -> None:
    """Have transfers that are not begun end without a word; those that are stay as they are."""
    rows = [msgspec.to_builtins(_Side(subject, side)) for subject in subjects]
    tx.execute(_NEVER_BEGIN, {"items": msgspec.json.encode(rows).decode(), "state": state, "now": now})


def lock(tx: Connection, subjects: Collection[str]) -> dict[str, Handover]:
    """Lock transfers, in one order; return them by subject, without those that are not there."""
    rows = db.prepared(tx, _LOCK, subjects=sorted(subjects))
    return {row.subject: Handover(*row) for row in rows}


def write(
    tx: Connection,
    handovers: Sequence[Handover],
    said: Sequence[Said] = (),
    received: Sequence[Received] = (),
    receipts: Sequence[Receipt] = (),
    doubts: Sequence[Doubt] = (),
) -> None:
    """Store where transfers stand, and what goes with it: all that a transaction has changed, at once.

    Args:
        tx: The transaction that has locked them.
        handovers: Where they stand.
        said: Messages of ours; the courier takes them after the commit. What has expired unsent before them
            goes out with them: the peer refuses it, and takes its number.
        received: Messages of the peer, or what has become of those that were stored before.
        receipts: The first receipts of messages.
        doubts: Messages that go into quarantine.

    """
    lists = {"items": handovers, "said": said, "received": received, "receipts": receipts, "doubts": doubts}
    db.prepared(tx, _WRITE, **{name: msgspec.json.encode(some).decode() for name, some in lists.items()})


def before(tx: Connection, asked: Collection[Asked]) -> list[Before]:
    """Return those of some messages of the peer that are here, in the order of their transfers."""
    rows = db.run(tx, _BEFORE, asked)
    return [Before(Received(*fields), receipt) for *fields, receipt in rows]


# ---- what waits to be sent -----------------------------------------------------------------------


class Line(NamedTuple):
    """Whether the peer answers: since when not, after how many tries, when the next is made; paused since."""

    down_since: datetime | None
    failures: int
    probe_at: datetime | None
    paused_at: datetime | None


class Claimed(NamedTuple):
    """A message of ours that is being sent."""

    subject: str
    seq: int
    jws: str
    sha256: str
    attempts: int


@dataclass(frozen=True)
class Settled:
    """A message of ours that is not sent any more: the peer has it, or a person has to look."""

    subject: str
    seq: Int
    state: str
    receipt: str | None
    code: str


@dataclass(frozen=True)
class Again:
    """A message of ours that is sent again later."""

    subject: str
    seq: Int
    next_at: datetime
    code: str


@dataclass(frozen=True)
class Missing:
    """Messages of ours that the peer had and has no more, from a number to before another."""

    subject: str
    first: Int
    before: Int


_LINE = sa.text("SELECT down_since, failures, probe_at, paused_at FROM line")
_READ_ANEW = sa.text("UPDATE line SET reading_at = CAST(:now AS timestamptz)")
_DRAW = sa.text("INSERT INTO line DEFAULT VALUES ON CONFLICT DO NOTHING")
_LOOK = sa.text("""
    -- what is refused as expired takes its number, so it goes out all the same where another waits behind it
    WITH late AS (SELECT subject, seq FROM sent s
        WHERE state = 'waiting' AND said_at <= :said AND expires_at <= :now
            AND (leased_until IS NULL OR leased_until <= :now)
            AND NOT EXISTS (SELECT FROM sent later
                WHERE later.subject = s.subject AND later.seq > s.seq AND later.state = 'waiting'
                    AND (later.expires_at IS NULL OR later.expires_at > :now))
        ORDER BY subject, seq FOR UPDATE SKIP LOCKED),
    parked AS (UPDATE sent s SET (state, receipt_code, settled_at) = ('parked', 'expired', :now)
        FROM late l WHERE s.subject = l.subject AND s.seq = l.seq)
    SELECT down_since, failures, probe_at, paused_at FROM line""")
_DUE = """coalesce(
    (SELECT :now FROM sent WHERE state = 'waiting'
        AND next_at <= :now AND (leased_until IS NULL OR leased_until <= :now) LIMIT 1),
    (SELECT min(greatest(next_at, leased_until)) FROM sent WHERE state = 'waiting'))"""
"""When the next message is to be sent; of a long line only the first that is due is looked at."""
_QUICKLY = "set_config('synchronous_commit', 'off', true)"
"""Of a commit that does not wait for the disk: what a server that falls forgets of it is only sent again."""
_CLAIM = sa.text(f"""
    -- oldest first, and no more than a request may hold; the search for the oldest goes along the index and
    -- marks there what waits no more, so that no search looks at that again
    WITH due AS (SELECT subject, seq, said_at, octet_length(jws) AS size FROM sent
        WHERE state = 'waiting' AND next_at <= :now AND (leased_until IS NULL OR leased_until <= :now)
            AND said_at >= (SELECT said_at FROM sent
                WHERE state = 'waiting' ORDER BY said_at, subject, seq LIMIT 1)
        ORDER BY said_at, subject, seq LIMIT :limit FOR UPDATE SKIP LOCKED),
    fitting AS (SELECT subject, seq,
            sum(size + 3) OVER (ORDER BY said_at, subject, seq) AS bytes FROM due),
    taken AS (UPDATE sent s SET lease = CAST(:lease AS uuid), leased_until = :until
        FROM fitting f WHERE s.subject = f.subject AND s.seq = f.seq AND f.bytes <= :bytes
        RETURNING s.subject, s.seq, s.jws, s.sha256, s.attempts, s.said_at)
    SELECT subject, seq, jws, sha256, attempts, {_QUICKLY} FROM taken ORDER BY said_at, subject, seq""")
_SETTLE = sa.text(f"""
    UPDATE sent s SET (state, receipt, receipt_code, settled_at, lease, leased_until, attempts) =
        (i.state, i.receipt, i.code, :now, NULL, NULL, s.attempts + 1)
    -- LIKE keeps the planner from the index of what waits, which is full of what does so no more
    FROM {recordset(Settled)} WHERE s.subject = i.subject AND s.seq = i.seq AND s.state LIKE 'waiting'""")
_AGAIN = sa.text(f"""
    UPDATE sent s SET (next_at, receipt_code, lease, leased_until, attempts) =
        (i.next_at, i.code, NULL, NULL, s.attempts + 1)
    FROM {recordset(Again)} WHERE s.subject = i.subject AND s.seq = i.seq AND s.state LIKE 'waiting'""")
_RELEASE = sa.text("""
    UPDATE sent SET lease = NULL, leased_until = NULL
    WHERE lease = CAST(:lease AS uuid) AND state = 'waiting'""")
_MISSING = sa.text(f"""
    WITH held AS (SELECT s.subject, s.seq FROM {recordset(Missing)}
        JOIN sent s ON s.subject = i.subject AND s.seq >= i.first AND s.seq < i.before
            AND s.state = 'receipted'
        ORDER BY s.subject, s.seq FOR UPDATE OF s)
    UPDATE sent s SET (state, next_at) = ('waiting', :now)
    FROM held h WHERE s.subject = h.subject AND s.seq = h.seq""")
_AWAY = sa.text("""
    UPDATE line SET (up_since, down_since, failures, probe_at) =
        (NULL, coalesce(down_since, :now), failures + 1, CAST(:probe AS timestamptz))""")
_BACK = sa.text(f"""
    UPDATE line SET (up_since, down_since, failures, probe_at, skew_ms, answered_at) =
        (coalesce(up_since, :now), NULL, 0, NULL, :skew, :now)
    RETURNING {_DUE}, {_QUICKLY}""")
_NEXT = sa.text(f"SELECT {_DUE}")
_SEND_AGAIN = sa.text(f"""
    WITH wanted AS (SELECT DISTINCT s.subject, s.seq FROM {recordset(_Place)}
        JOIN sent s ON s.subject = i.subject AND i.seq IN (0, s.seq) AND s.state <> 'waiting'),
    held AS (SELECT s.subject, s.seq FROM wanted w JOIN sent s ON s.subject = w.subject AND s.seq = w.seq
        ORDER BY s.subject, s.seq FOR UPDATE OF s)
    UPDATE sent s SET (state, next_at, attempts) = ('waiting', :now, 0)
    FROM held h WHERE s.subject = h.subject AND s.seq = h.seq AND s.state <> 'waiting'
    RETURNING s.subject, s.seq""")
_PAUSE = sa.text("""
    UPDATE line SET (paused_at, paused_by, paused_reason) = (CAST(:at AS timestamptz), :person, :reason)
    WHERE (paused_at IS NULL) <> (CAST(:at AS timestamptz) IS NULL)""")


def line(tx: Connection) -> Line:
    """Return whether the peer answers, as far as is known."""
    return db.row(Line, tx.execute(_LINE)) or _drawn(tx)


def look(tx: Connection, now: datetime, lives: timedelta) -> Line:
    """Return whether the peer answers; leave to a person what has expired and holds nothing up (FED-11).

    What has expired was said at least as long ago as a message lives.
    """
    return db.row(Line, db.prepared(tx, _LOOK, now=now, said=now - lives)) or _drawn(tx)


def _drawn(tx: Connection) -> Line:
    """Return the line as it is at the beginning."""
    tx.execute(_DRAW)
    return Line(None, 0, None, None)


def claim(
    tx: Connection, lease: UUID, now: datetime, until: datetime, limit: int, size: int
) -> list[Claimed]:
    """Take up to `limit` messages of up to `size` bytes to send, oldest first; nobody else does until then.

    A lease that has passed is anybody's.
    """
    found = db.prepared(tx, _CLAIM, lease=str(lease), now=now, until=until, limit=limit, bytes=size)
    return db.rows(Claimed, found)


def settle(tx: Connection, some: Sequence[Settled], now: datetime) -> None:
    """Store that messages are not sent any more."""
    if some:
        db.run(tx, _SETTLE, some, now=now)


def again(tx: Connection, some: Sequence[Again]) -> None:
    """Store when messages are sent again."""
    if some:
        db.run(tx, _AGAIN, some)


def release(tx: Connection, lease: UUID) -> None:
    """Give back what was taken and is not settled; it counts as not tried."""
    tx.execute(_RELEASE, {"lease": str(lease)})


def miss(tx: Connection, some: Sequence[Missing], now: datetime) -> None:
    """Send again what the peer had and says that it is missing: the same bytes, so no harm is done."""
    if some:
        db.run(tx, _MISSING, some, now=now)


def away(tx: Connection, now: datetime, probe_at: datetime) -> None:
    """Store that the peer does not answer, and when it is tried again."""
    tx.execute(_AWAY, {"now": now, "probe": probe_at})


def back(tx: Connection, skew_ms: int, now: datetime) -> datetime | None:
    """Store that the peer answers, and how far its clock is ahead; return when the next message is due."""
    found: datetime | None = db.prepared(tx, _BACK, skew=skew_ms, now=now).scalar()
    return found


def next_due(tx: Connection, now: datetime) -> datetime | None:
    """Return when the next message is due that waits: now, or later."""
    found: datetime | None = db.prepared(tx, _NEXT, now=now).scalar()
    return found


def send_again(tx: Connection, places: Collection[Place], now: datetime) -> set[Place]:
    """Have messages sent again that are parked or receipted, as a person asks; return which there are.

    The number 0 means every message of a transfer.
    """
    found = db.run(tx, _SEND_AGAIN, [place._asdict() for place in sorted(places)], now=now)
    return {Place(row.subject, row.seq) for row in found}


def read_anew(tx: Connection, now: datetime) -> None:
    """Have the peer's directory read anew, soon."""
    tx.execute(_DRAW)
    tx.execute(_READ_ANEW, {"now": now})


def pause(tx: Connection, at: datetime | None, person_id: int | None = None, reason: str = "") -> bool:
    """Let nothing go out since an instant; None: let it go again. Return whether that is new."""
    tx.execute(_DRAW)
    values = {"at": at, "person": person_id, "reason": reason}
    return bool(tx.execute(_PAUSE, values).rowcount)
