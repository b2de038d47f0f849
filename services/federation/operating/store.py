"""The SQL of what operators of a bridge ask and do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation.operating.rules import IN_DOUBT, OPEN
from services.federation.protocol import Receiver
from services.federation.store import Place
from shared import db
from shared.messages.transfers import RemoteOpened
from shared.recordset import recordset

_STATES = ", ".join(f"'{state}'" for state in OPEN)
_OWN = """
    SELECT h.subject, h.side, h.state, h.heard, h.since, h.day, h.our_seq, h.their_seq,
        coalesce(d.transfer_id, a.transfer_id) AS transfer_id,
        coalesce(d.org_id, a.target_org_id) AS org_id, coalesce(d.person_id, a.member_id) AS person_id
    FROM handovers h
    LEFT JOIN departures d ON d.subject = h.subject
    LEFT JOIN arrivals a ON a.subject = h.subject"""
"""Transfers with what is ours of each: its number, its organisation and its member here."""

# ---- whose transfers they are --------------------------------------------------------------------


@dataclass(frozen=True)
class _Departure:
    subject: str
    transfer_id: int
    person_id: int
    org_id: int


_DEPART = sa.text(f"""
    INSERT INTO departures (subject, transfer_id, person_id, org_id)
    SELECT DISTINCT ON (subject) subject, transfer_id, person_id, org_id FROM {recordset(_Departure)}
    -- all write in one order, so no two of them wait for each other
    ORDER BY subject
    ON CONFLICT DO NOTHING""")


def depart(tx: Connection, some: dict[str, RemoteOpened]) -> None:
    """Keep whose transfers lead to the peer, by their subjects."""
    rows = [
        _Departure(subject, one.transfer_id, one.member_id, one.source_branch_id)
        for subject, one in some.items()
    ]
    if rows:
        db.run(tx, _DEPART, rows)


# ---- the state of a bridge -----------------------------------------------------------------------


class LineState(NamedTuple):
    """What is known of the line to the peer."""

    up_since: datetime | None
    down_since: datetime | None
    failures: int
    probe_at: datetime | None
    answered_at: datetime | None
    paused_at: datetime | None
    paused_by: int | None
    paused_reason: str | None
    skew_ms: int | None


class Counts(NamedTuple):
    """How many messages of ours and of the peer's are not done with, and what else is open."""

    waiting: int
    parked: int
    held: int
    quarantined: int
    differences: int
    in_doubt: int
    in_doubt_since: datetime | None


class Traffic(NamedTuple):
    """Messages of a time, and how they fared."""

    sent: int
    tries: int
    refused: int
    received: int
    not_taken: int


class Oldest(NamedTuple):
    """The oldest message that the peer has not receipted."""

    subject: str
    seq: int
    type: str
    said_at: datetime


class OpenCount(NamedTuple):
    """Transfers in one open state."""

    state: str
    number: int
    oldest: datetime


class Reconciled(NamedTuple):
    """A day that was compared."""

    day: date
    compared_at: datetime
    transfers: int
    differing: int


class Wanted(NamedTuple):
    """A day that is to be compared."""

    day: date
    asked_at: datetime
    tries: int


class Reading(NamedTuple):
    """A reading of the peer's directory."""

    begun_at: datetime
    ended_at: datetime | None
    version: str | None


_LINE = sa.text(f"SELECT {', '.join(LineState._fields)} FROM line")
_COUNTS = sa.text(f"""
    SELECT (SELECT count(*) FROM sent WHERE state = 'waiting') AS waiting,
        (SELECT count(*) FROM sent WHERE state = 'parked') AS parked,
        (SELECT count(*) FROM received WHERE state = 'held') AS held,
        (SELECT count(*) FROM quarantine WHERE decision IS NULL) AS quarantined,
        (SELECT count(*) FROM differences WHERE gone_at IS NULL AND confirmed_at IS NULL) AS differences,
        d.in_doubt, d.in_doubt_since
    FROM (SELECT count(*) AS in_doubt, min(since) AS in_doubt_since FROM handovers
        WHERE state = '{IN_DOUBT}') d""")
_TRAFFIC = sa.text("""
    SELECT s.sent, s.tries, s.refused, r.received, r.not_taken
    FROM (SELECT count(*) AS sent, coalesce(sum(attempts), 0) AS tries,
            count(*) FILTER (WHERE state = 'parked' AND receipt IS NOT NULL) AS refused
        FROM sent WHERE settled_at >= :since) s,
        (SELECT count(*) AS received, count(*) FILTER (WHERE code <> '' OR state = 'quarantined') AS not_taken
        FROM received WHERE received_at >= :since) r""")
_OLDEST = sa.text("""
    SELECT subject, seq, type, said_at FROM sent WHERE state = 'waiting'
    ORDER BY said_at, subject, seq LIMIT 1""")
_OPEN = sa.text(f"""
    SELECT state, count(*) AS number, min(since) AS oldest FROM handovers
    WHERE state IN ({_STATES}) GROUP BY state ORDER BY state""")
_RECONCILED = sa.text("""
    SELECT day, compared_at, transfers, differing FROM reconciliations ORDER BY day DESC LIMIT :limit""")
_COMPARED = sa.text("SELECT max(compared_at) FROM reconciliations")
_WANTED = sa.text("SELECT day, asked_at, tries FROM wanted_days ORDER BY day DESC")
_READING = sa.text("SELECT begun_at, ended_at, version FROM readings ORDER BY reading DESC LIMIT 1")
_NEWEST = sa.text("SELECT jws FROM received ORDER BY received_at DESC LIMIT 1")
_HOLD = sa.text("SELECT pg_advisory_xact_lock(hashtext('operators of a bridge'))")


def hold(tx: Connection) -> None:
    """Let one transaction at a time do what operators ask for."""
    tx.execute(_HOLD)


def line(tx: Connection) -> LineState:
    """Return what is known of the line to the peer; nothing of one that was never used."""
    found = db.row(LineState, tx.execute(_LINE))
    return found or LineState(None, None, 0, None, None, None, None, None, None)


def counts(tx: Connection) -> Counts:
    """Return what is not done with."""
    return Counts(*tx.execute(_COUNTS).one())


def traffic(tx: Connection, since: datetime) -> Traffic:
    """Return how messages have fared since an instant."""
    return Traffic(*tx.execute(_TRAFFIC, {"since": since}).one())


def oldest(tx: Connection) -> Oldest | None:
    """Return the oldest message that is to be sent still, None for none."""
    return db.row(Oldest, tx.execute(_OLDEST))


def open_counts(tx: Connection) -> list[OpenCount]:
    """Return how many transfers stand in each state in which something is waited for."""
    return db.rows(OpenCount, tx.execute(_OPEN))


def reconciled(tx: Connection, limit: int) -> list[Reconciled]:
    """Return the newest days that were compared."""
    return db.rows(Reconciled, tx.execute(_RECONCILED, {"limit": limit}))


def compared_at(tx: Connection) -> datetime | None:
    """Return when any day was compared last."""
    found: datetime | None = tx.scalar(_COMPARED)
    return found


def wanted(tx: Connection) -> list[Wanted]:
    """Return the days that are to be compared."""
    return db.rows(Wanted, tx.execute(_WANTED))


def reading(tx: Connection) -> Reading | None:
    """Return the last reading of the peer's directory."""
    return db.row(Reading, tx.execute(_READING))


def newest(tx: Connection) -> str | None:
    """Return the message of the peer that has come last."""
    found: str | None = tx.scalar(_NEWEST)
    return found


# ---- transfers that lead across ------------------------------------------------------------------


class Own(NamedTuple):
    """A transfer, and what is ours of it."""

    subject: str
    side: str
    state: str
    heard: list[str]
    since: datetime
    day: date | None
    our_seq: int
    their_seq: int
    transfer_id: int | None
    org_id: int | None
    person_id: int | None


class Listed(NamedTuple):
    """An open transfer as it stands in the list."""

    subject: str
    side: str
    state: str
    heard: list[str]
    since: datetime
    transfer_id: int | None
    org_id: int | None
    rank: int
    last_said_at: datetime | None
    last_heard_at: datetime | None
    waiting: int
    parked: int
    quarantined: int


class Message(NamedTuple):
    """One message of a transfer; `receipt` is ours for one of the peer's, and the other way round."""

    ours: bool
    seq: int
    type: str
    jws: str
    sha256: str
    said_at: datetime
    at: datetime | None
    expires_at: datetime | None
    state: str
    code: str
    attempts: int
    next_at: datetime | None
    receipt: str | None


_RANK = f"CASE t.state WHEN '{IN_DOUBT}' THEN 0 WHEN '{Receiver.AWAITED.value}' THEN 1 ELSE 2 END"
_LIST = sa.text(f"""
    SELECT {", ".join(f"l.{name}" for name in Listed._fields[:8])},
        s.last_said_at, r.last_heard_at, s.waiting, s.parked, r.quarantined
    FROM (SELECT t.*, {_RANK} AS rank FROM ({_OWN} WHERE h.state IN ({_STATES})) t
        LEFT JOIN org_directory o ON o.org_id = t.org_id
        WHERE (NOT :in_doubt OR t.state = '{IN_DOUBT}')
            AND (CAST(:path AS text) IS NULL OR (o.path >= :path AND o.path < :path_end))
            AND ({_RANK}, t.since, t.subject) > (:rank, CAST(:since AS timestamptz), CAST(:subject AS text))
        ORDER BY rank, t.since, t.subject LIMIT :limit) l
    CROSS JOIN LATERAL (SELECT max(said_at) AS last_said_at,
            count(*) FILTER (WHERE state = 'waiting') AS waiting,
            count(*) FILTER (WHERE state = 'parked') AS parked
        FROM sent WHERE subject = l.subject) s
    CROSS JOIN LATERAL (SELECT max(received_at) AS last_heard_at,
            count(*) FILTER (WHERE state = 'quarantined') AS quarantined
        FROM received WHERE subject = l.subject) r
    ORDER BY l.rank, l.since, l.subject""")
_FIND = sa.text(f"""
    {_OWN} WHERE h.subject = ANY(CAST(:subjects AS text[])) ORDER BY h.subject""")
_BY_NUMBER = sa.text("""
    SELECT subject FROM departures WHERE transfer_id = :transfer
    UNION ALL SELECT subject FROM arrivals WHERE transfer_id = :transfer""")
_MESSAGES = sa.text("""
    SELECT * FROM (
        SELECT true AS ours, seq, type, jws, sha256, said_at,
            CASE WHEN receipt IS NOT NULL THEN settled_at END AS at, expires_at, state,
            coalesce(receipt_code, '') AS code, attempts,
            CASE WHEN state = 'waiting' THEN next_at END AS next_at, receipt
        FROM sent WHERE subject = :subject
        UNION ALL
        SELECT false, r.seq, r.type, r.jws, r.sha256, r.said_at, r.received_at, NULL, r.state, r.code, 0,
            NULL, g.jws
        FROM received r LEFT JOIN receipts g ON g.subject = r.subject AND g.seq = r.seq
        WHERE r.subject = :subject) m
    -- by our clock, so what answers something never stands before it
    ORDER BY CASE WHEN ours THEN said_at ELSE at END, ours, seq""")


def open_ones(
    tx: Connection, path: str | None, in_doubt: bool, after: tuple[int, datetime, str], limit: int
) -> list[Listed]:
    """Return transfers that are open, those in doubt first, then the oldest first, after a place in the list.

    With `path`: only those whose organisation here is that one or lies below it.
    """
    rank, since, subject = after
    values = {
        "path": path,
        "path_end": path and path[:-1] + "/",
        "in_doubt": in_doubt,
        "limit": limit,
        "rank": rank,
        "since": since,
        "subject": subject,
    }
    return db.rows(Listed, tx.execute(_LIST, values))


def find(tx: Connection, subjects: Collection[str]) -> dict[str, Own]:
    """Return transfers by their subjects, those that are here."""
    rows = db.rows(Own, tx.execute(_FIND, {"subjects": sorted(subjects)}))
    return {row.subject: row for row in rows}


def subject_of(tx: Connection, transfer_id: int) -> str | None:
    """Return how messages name a transfer of ours, None for one that does not lead to this peer."""
    found: str | None = tx.scalar(_BY_NUMBER, {"transfer": transfer_id})
    return found


def messages(tx: Connection, subject: str) -> list[Message]:
    """Return all messages of a transfer, in the order in which they were said or came."""
    return db.rows(Message, tx.execute(_MESSAGES, {"subject": subject}))


# ---- quarantine and differences ------------------------------------------------------------------


class Doubted(NamedTuple):
    """A message that is or was in quarantine, and how its transfer stands."""

    subject: str
    seq: int
    type: str
    why: str
    found_at: datetime
    decision: str | None
    reason: str | None
    decided_by: int | None
    decided_at: datetime | None
    side: str
    state: str
    heard: list[str]
    transfer_id: int | None


class Differing(NamedTuple):
    """A difference as it is kept."""

    subject: str
    kind: str
    day: date
    ours: str
    theirs: str
    found_at: datetime
    seen_at: datetime
    gone_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: int | None
    reason: str | None
    transfer_id: int | None


_DOUBTED = """
    SELECT q.subject, q.seq, r.type, q.why, q.found_at, q.decision, q.reason, q.decided_by, q.decided_at,
        t.side, t.state, t.heard, t.transfer_id
    FROM quarantine q
    JOIN received r ON r.subject = q.subject AND r.seq = q.seq
    JOIN ({own}) t ON t.subject = q.subject"""
_AFTER = "(CAST(:at AS timestamptz), CAST(:subject AS text), :seq)"
_UNDECIDED = sa.text(f"""
    {_DOUBTED.format(own=_OWN)} WHERE q.decision IS NULL AND (q.found_at, q.subject, q.seq) > {_AFTER}
    ORDER BY q.found_at, q.subject, q.seq LIMIT :limit""")
_DECIDED = sa.text(f"""
    {_DOUBTED.format(own=_OWN)} WHERE q.decision IS NOT NULL AND (q.decided_at, q.subject, q.seq) < {_AFTER}
    ORDER BY q.decided_at DESC, q.subject DESC, q.seq DESC LIMIT :limit""")
_STANDING = "d.gone_at IS NULL AND d.confirmed_at IS NULL"
_DIFFERENCES = sa.text(f"""
    SELECT {", ".join(f"d.{name}" for name in Differing._fields[:-1])},
        coalesce(e.transfer_id, a.transfer_id) AS transfer_id
    FROM differences d
    LEFT JOIN departures e ON e.subject = d.subject
    LEFT JOIN arrivals a ON a.subject = d.subject
    WHERE (:all OR ({_STANDING}))
        AND (d.day, d.subject, d.kind) > (CAST(:day AS date), CAST(:subject AS text), CAST(:kind AS text))
    ORDER BY d.day, d.subject, d.kind LIMIT :limit""")


class Named(NamedTuple):
    """A difference by what it is of, and its kind."""

    subject: str
    kind: str


@dataclass(frozen=True)
class Confirmed:
    """A difference that a person has confirmed."""

    subject: str
    kind: str
    person_id: int | None
    reason: str


_STANDING_ONES = sa.text(f"""
    SELECT {", ".join(f"d.{name}" for name in Differing._fields[:-1])}, NULL::bigint AS transfer_id
    FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, kind text)
    JOIN differences d ON d.subject = i.subject AND d.kind = i.kind
    WHERE {_STANDING} ORDER BY d.subject, d.kind FOR UPDATE OF d""")
_CONFIRM = sa.text(f"""
    UPDATE differences d SET (confirmed_at, confirmed_by, reason) = (:now, i.person_id, i.reason)
    FROM {recordset(Confirmed)} WHERE d.subject = i.subject AND d.kind = i.kind""")


_IN_QUARANTINE = sa.text("""
    SELECT q.subject, q.seq FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, seq int)
    JOIN quarantine q ON q.subject = i.subject AND q.seq = i.seq AND q.decision IS NULL""")


def in_quarantine(tx: Connection, places: Collection[Place]) -> set[Place]:
    """Return those of some messages that wait in quarantine for a person."""
    found = db.run(tx, _IN_QUARANTINE, [place._asdict() for place in sorted(places)])
    return {Place(row.subject, row.seq) for row in found}


def undecided(tx: Connection, after: tuple[datetime, str, int], limit: int) -> list[Doubted]:
    """Return what waits in quarantine for a person, the oldest first."""
    return db.rows(Doubted, tx.execute(_UNDECIDED, {**_place(after), "limit": limit}))


def decided(tx: Connection, before: tuple[datetime, str, int], limit: int) -> list[Doubted]:
    """Return what was decided of quarantine, the newest first."""
    return db.rows(Doubted, tx.execute(_DECIDED, {**_place(before), "limit": limit}))


def _place(place: tuple[datetime, str, int]) -> dict[str, object]:
    return dict(zip(("at", "subject", "seq"), place, strict=True))


def differences(tx: Connection, every: bool, after: tuple[date, str, str], limit: int) -> list[Differing]:
    """Return differences after one, the oldest day first; not `every`: those that stand, unconfirmed."""
    values = dict(zip(("day", "subject", "kind"), after, strict=True))
    return db.rows(Differing, tx.execute(_DIFFERENCES, {**values, "all": every, "limit": limit}))


def standing_ones(tx: Connection, some: Collection[Named]) -> dict[Named, Differing]:
    """Hold differences that stand and that nobody has confirmed; return them by their names."""
    rows = db.rows(Differing, db.run(tx, _STANDING_ONES, [one._asdict() for one in sorted(some)]))
    return {Named(row.subject, row.kind): row for row in rows}


def confirm(tx: Connection, some: Sequence[Confirmed], now: datetime) -> None:
    """Store that persons have seen to differences, which the caller holds."""
    if some:
        db.run(tx, _CONFIRM, some, now=now)


# ---- days to be compared -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Day:
    day: date


_WANT = sa.text(f"""
    INSERT INTO wanted_days (day, asked_at, next_at)
    SELECT DISTINCT day, CAST(:now AS timestamptz), CAST(:now AS timestamptz) FROM {recordset(_Day)}
    ORDER BY day
    ON CONFLICT (day) DO UPDATE SET next_at = least(wanted_days.next_at, excluded.next_at)""")
_TAKE = sa.text("""
    WITH due AS (SELECT day FROM wanted_days WHERE next_at <= :now
        ORDER BY day LIMIT 1 FOR UPDATE SKIP LOCKED)
    UPDATE wanted_days w SET (next_at, tries) = (CAST(:until AS timestamptz), w.tries + 1)
    FROM due d WHERE w.day = d.day RETURNING w.day, w.asked_at, w.tries""")
_DONE = sa.text("DELETE FROM wanted_days WHERE day = CAST(:day AS date) AND next_at = :until")
_LATER = sa.text("""
    UPDATE wanted_days SET next_at = CAST(:at AS timestamptz)
    WHERE day = CAST(:day AS date) AND next_at = :until""")
_NEXT = sa.text("SELECT min(next_at) FROM wanted_days")
_NIGHT = sa.text("""
    UPDATE line SET night = CAST(:today AS date) WHERE night IS DISTINCT FROM CAST(:today AS date)""")
_DRAW = sa.text("INSERT INTO line DEFAULT VALUES ON CONFLICT DO NOTHING")


def want(tx: Connection, days: Collection[date], now: datetime) -> None:
    """Have days compared with the peer, now; one that is wanted already is wanted once."""
    if days:
        db.run(tx, _WANT, [_Day(day) for day in sorted(days)], now=now)


def take_day(tx: Connection, now: datetime, until: datetime) -> Wanted | None:
    """Take a day to compare, the oldest that is due; nobody else does until then. None: none is due."""
    return db.row(Wanted, tx.execute(_TAKE, {"now": now, "until": until}))


def day_done(tx: Connection, day: date, until: datetime) -> None:
    """Forget a day that was compared, unless it was asked for again meanwhile."""
    tx.execute(_DONE, {"day": day, "until": until})


def day_later(tx: Connection, day: date, until: datetime, at: datetime) -> None:
    """Try a day again later that could not be compared, unless it was asked for again meanwhile."""
    tx.execute(_LATER, {"day": day, "until": until, "at": at})


def next_day(tx: Connection) -> datetime | None:
    """Return when the next day is to be compared."""
    found: datetime | None = tx.scalar(_NEXT)
    return found


def begin_night(tx: Connection, today: date) -> bool:
    """Return whether nobody has asked for tonight's comparison yet; it counts as asked for then."""
    tx.execute(_DRAW)
    return bool(tx.execute(_NIGHT, {"today": today}).rowcount)
