"""Comparing with the peer what each side has of a day's transfers, and mending what may be mended (BEY-16).

Only messages that are signed already are sent again without being asked for; all else is found, kept and
shown, and a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.engine import Connection

from services.federation import envelope, manifests, store
from services.federation.calling import Caller, NoAnswer
from services.federation.envelope import NotTaken, read_json, verified
from services.federation.handovers import Bridge
from services.federation.protocol import Side
from services.federation.schemas import Line, Lines, Manifest, Outcome
from services.federation.store import Missing
from shared import clock, db
from shared.db import Database
from shared.recordset import columns, recordset

SETTLE_SECONDS = 2.0
"""Between two looks at what differs: what is on its way has arrived by then."""


class Kind(StrEnum):
    """How a transfer differs between both sides."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    BEHIND_HERE = "behind_here"
    BEHIND_THERE = "behind_there"
    LOST_HERE = "lost_here"
    LOST_THERE = "lost_there"
    CHAIN = "chain"
    STATE = "state"
    ACTIVE_TWICE = "active_twice"
    ACTIVE_NOWHERE = "active_nowhere"


class Repair(NamedTuple):
    """What is proposed: whether it is done at once, and in words."""

    at_once: bool
    words: str


REPAIRS: dict[Kind, Repair] = {
    Kind.MISSING_HERE: Repair(False, "the peer sends its messages again; look whether a backup was put back"),
    Kind.MISSING_THERE: Repair(True, "our messages are sent again"),
    Kind.BEHIND_HERE: Repair(False, "the peer sends again what we have not got"),
    Kind.BEHIND_THERE: Repair(True, "our messages are sent again from the first that the peer has not got"),
    Kind.LOST_HERE: Repair(False, "the peer has heard more than we have said: a backup was put back here"),
    Kind.LOST_THERE: Repair(False, "we have heard more than the peer has said: a backup was put back there"),
    Kind.CHAIN: Repair(False, "one side has signed two messages under one number: compare the evidence"),
    Kind.STATE: Repair(False, "a message is in quarantine on one side, or a table was written by hand"),
    Kind.ACTIVE_TWICE: Repair(False, "both have the member: compare the evidence, one side corrects its own"),
    Kind.ACTIVE_NOWHERE: Repair(
        False, "none has the member: compare the evidence, one side corrects its own"
    ),
}


class Difference(NamedTuple):
    """A transfer that differs, with both lines; None where a side has none."""

    subject: str
    kind: Kind
    ours: Line | None
    theirs: Line | None


class Body(msgspec.Struct, frozen=True):
    """What the door answers."""

    manifest: Annotated[str, Meta(max_length=envelope.LONGEST)]


class Result(NamedTuple):
    """What a comparison of one day has found."""

    day: date
    transfers: int
    differences: list[Difference]


Said = TypeVar("Said", Manifest, Lines)


class Kept(Protocol):
    """A difference as it was kept: both lines as JSON, empty for none."""

    @property
    def subject(self) -> str:
        """Return the transfer."""

    @property
    def ours(self) -> str:
        """Return how it stands here."""

    @property
    def theirs(self) -> str:
        """Return how it stands there."""


def compare(bridge: Bridge, ours: Iterable[Line], theirs: Iterable[Line]) -> list[Difference]:
    """Return how two lists of lines of the same transfers differ, one difference for each transfer."""
    here, there = ({line.subject: line for line in some} for some in (ours, theirs))
    found = []
    for subject in sorted(here.keys() | there.keys()):
        kind = _kind(bridge.side(subject), here.get(subject), there.get(subject))
        if kind is not None:
            found.append(Difference(subject, kind, here.get(subject), there.get(subject)))
    return found


def _kind(side: Side, ours: Line | None, theirs: Line | None) -> Kind | None:
    if ours is None or theirs is None:
        return Kind.MISSING_HERE if ours is None else Kind.MISSING_THERE
    if ours == theirs:
        return None
    here, there = (ours.sender_seq, ours.receiver_seq), (theirs.sender_seq, theirs.receiver_seq)
    if side is Side.RECEIVER:
        here, there = here[::-1], there[::-1]
    # first what we say, then what the peer says; each by the one who said it and the one who heard
    if here[0] != there[0]:
        return Kind.BEHIND_THERE if here[0] > there[0] else Kind.LOST_HERE
    if here[1] != there[1]:
        return Kind.BEHIND_HERE if here[1] < there[1] else Kind.LOST_THERE
    heads = ours.sender_head, ours.receiver_head
    if heads != (theirs.sender_head, theirs.receiver_head):
        return Kind.CHAIN
    sender, receiver = (ours, theirs) if side is Side.SENDER else (theirs, ours)
    return _active(sender.outcome, receiver.outcome)


def _active(sender: Outcome, receiver: Outcome) -> Kind:
    """Return what it means for the member that both have said the same, and stand at different outcomes.

    While the record is on the way the sender may still hear of either end.
    """
    if receiver is Outcome.MOVED and sender in (Outcome.OPEN, Outcome.KEPT):
        return Kind.ACTIVE_TWICE
    return Kind.ACTIVE_NOWHERE if sender is Outcome.MOVED else Kind.STATE


@dataclass
class Reconciler:
    """Compares days with the peer of one bridge."""

    bridge: Bridge
    database: Database
    caller: Caller
    settle_seconds: float = SETTLE_SECONDS

    def day(self, day: date) -> Result:
        """Compare a day, keep what differs, send again what is missing there; return what was found.

        No transaction is open while the peer is asked.

        Raises:
            NoAnswer: The peer does not answer, or not with its signature.

        """
        differing = self._differing(day)
        found = self._look(day, differing)
        if found:
            time.sleep(self.settle_seconds)
            again = {(one.subject, one.kind) for one in self._look(day, differing)}
            found = [one for one in found if (one.subject, one.kind) in again]
        with self.database.transaction(tells=False) as tx:
            count = sum(bucket.count for bucket in manifests.buckets(tx, day))
            keep(tx, day, found, clock.now())
            note(tx, day, count, len(found), clock.now())
            store.miss(tx, list(_missing(self.bridge, found)), clock.now())
        return Result(day, count, found)

    def _differing(self, day: date) -> list[str]:
        theirs = self._ask(f"/bridge/v1/manifest/{day}", Manifest, day)
        with self.database.reading() as tx:
            ours = manifests.buckets(tx, day)
        differing = {(one.name, one.count, one.digest) for one in ours} ^ {
            (one.name, one.count, one.digest) for one in theirs.buckets
        }
        return sorted({name for name, _, _ in differing})

    def _look(self, day: date, names: Collection[str]) -> list[Difference]:
        found: list[Difference] = []
        for name in names:
            theirs = self._ask(f"/bridge/v1/manifest/{day}/{name}", Lines, day)
            with self.database.reading() as tx:
                found += compare(self.bridge, manifests.lines(tx, day, [name]), theirs.lines)
        return found

    def _ask(self, path: str, kind: type[Said], day: date) -> Said:
        body = self.caller.get(self.bridge, path)
        try:
            text = read_json(body, Body).manifest
            payload, key = verified(text, envelope.MANIFEST, self.bridge.keys.ring(), envelope.LONGEST)
            found = read_json(payload, kind)
        except (NotTaken, ValueError):
            raise NoAnswer("an answer without a manifest of the peer's") from None
        if (found.source, found.dest, found.day) != (self.bridge.peer, self.bridge.me, day):
            raise NoAnswer("a manifest of something else")
        if isinstance(found, Lines) and not path.endswith(f"/{found.bucket}"):
            raise NoAnswer("a manifest of something else")
        if not key.good_at(found.time) or abs(clock.now() - found.time) > envelope.FUTURE:
            raise NoAnswer("a manifest of another time")
        return found


def _missing(bridge: Bridge, found: Iterable[Difference]) -> Iterable[Missing]:
    """Return what is to be sent again."""
    for one in found:
        if REPAIRS[one.kind].at_once and one.ours is not None:
            yield _lacking(bridge, one.subject, one.ours, one.theirs)


def _lacking(bridge: Bridge, subject: str, ours: Line, theirs: Line | None) -> Missing:
    """Return which of our messages the peer lacks, by both lines."""
    sending = bridge.side(subject) is Side.SENDER
    said = ours.sender_seq if sending else ours.receiver_seq
    heard = 0
    if theirs is not None:
        heard = theirs.sender_seq if sending else theirs.receiver_seq
    return Missing(subject, heard + 1, said + 1)


def missing_of(bridge: Bridge, kept: Kept) -> Missing:
    """Return which of our messages the peer lacks, by a difference as it was kept."""
    ours, theirs = (
        msgspec.json.decode(text, type=Line) if text else None for text in (kept.ours, kept.theirs)
    )
    if ours is None:
        return Missing(kept.subject, 1, 1)
    return _lacking(bridge, kept.subject, ours, theirs)


# ---- what was found ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    subject: str
    kind: str
    ours: str
    theirs: str


_KEEP = sa.text(f"""
    INSERT INTO differences ({columns(_Row)}, day, found_at, seen_at)
    SELECT {columns(_Row)}, CAST(:day AS date), CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM {recordset(_Row)} ORDER BY subject, kind
    ON CONFLICT (subject, kind) DO UPDATE SET (ours, theirs, seen_at, found_at, gone_at, confirmed_at) = (
        excluded.ours, excluded.theirs, excluded.seen_at,
        -- one that was gone and is back is a new one
        CASE WHEN differences.gone_at IS NULL THEN differences.found_at ELSE excluded.found_at END, NULL,
        -- what a person has confirmed was these two lines and no others
        CASE WHEN differences.gone_at IS NULL AND (differences.ours, differences.theirs)
            = (excluded.ours, excluded.theirs) THEN differences.confirmed_at END)""")
_GONE = sa.text("""
    WITH unseen AS (SELECT subject, kind FROM differences
        WHERE day = CAST(:day AS date) AND gone_at IS NULL AND seen_at < CAST(:now AS timestamptz)
        ORDER BY subject, kind FOR UPDATE)
    UPDATE differences d SET gone_at = :now
    FROM unseen u WHERE d.subject = u.subject AND d.kind = u.kind""")
_NOTE = sa.text("""
    INSERT INTO reconciliations (day, compared_at, transfers, differing)
    VALUES (CAST(:day AS date), :now, :transfers, :differing)
    ON CONFLICT (day) DO UPDATE SET (compared_at, transfers, differing) =
        (excluded.compared_at, excluded.transfers, excluded.differing)""")
_DAYS = sa.text("""
    SELECT DISTINCT day FROM handovers
    WHERE day >= CAST(:since AS date) OR (day IS NOT NULL AND state = ANY(CAST(:open AS text[])))
    ORDER BY day""")


def keep(tx: Connection, day: date, found: Iterable[Difference], now: datetime) -> None:
    """Store the differences of a day; those of before that are not found any more are gone."""
    rows = [_Row(one.subject, one.kind, _json(one.ours), _json(one.theirs)) for one in found]
    if rows:
        db.run(tx, _KEEP, rows, day=day, now=now)
    tx.execute(_GONE, {"day": day, "now": now})


def note(tx: Connection, day: date, transfers: int, differing: int, now: datetime) -> None:
    """Store that a day was compared."""
    tx.execute(_NOTE, {"day": day, "transfers": transfers, "differing": differing, "now": now})


def days(tx: Connection, since: date) -> list[date]:
    """Return the days to compare: those since a day, and all that have a transfer that is open still."""
    return list(tx.scalars(_DAYS, {"since": since, "open": ["offered", "handover", "deciding", "awaited"]}))


def _json(line: Line | None) -> str:
    return msgspec.json.encode(line).decode() if line is not None else ""
