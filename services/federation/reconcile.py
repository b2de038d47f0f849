"""Comparing with the peer what each side has of a day's transfers, and mending what may be mended (BEY-16).

Only messages that are signed already are sent again without being asked for; all else is found, kept and
shown, and a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import msgspec
import sqlalchemy as sa
from msgspec import Meta
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from services.federation import envelope, homes, manifests, store
from services.federation.calling import Caller, NoAnswer
from services.federation.differences import (
    OF_REGISTRIES,
    REPAIRS,
    Difference,
    Kept,
    Kind,
    keep,
    note,
    of_directory,
)
from services.federation.envelope import NotTaken, read_json, verified
from services.federation.handovers import Bridge
from services.federation.protocol import Side
from services.federation.schemas import Home, HomeLine, Homes, Line, Lines, Manifest, Outcome
from services.federation.store import Missing
from shared import clock
from shared.db import Database

SETTLE_SECONDS = 2.0
"""Between two looks at what differs: what is on its way has arrived by then."""
AGAIN_SECONDS = 12.0
"""Longer than a registry's answer may be shown (docs/federation.md)."""
LOOK_UP_SECONDS = 60.0
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Between two questions to whoever has asked for a moment."""
TRIES = 4
"""How often one question is asked whose answer is broken off."""


class Body(msgspec.Struct, frozen=True):
    """What the door answers."""

    manifest: Annotated[str, Meta(max_length=envelope.LONGEST)]


class Result(NamedTuple):
    """What a comparison of one day has found."""

    day: date
    transfers: int
    differences: list[Difference]


Said = TypeVar("Said", Manifest, Lines, Homes)


class KeptLines(Protocol):
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


def compare_homes(bridge: Bridge, ours: Iterable[HomeLine], theirs: Iterable[HomeLine]) -> dict[str, Kind]:
    """Return which members both registries have, or none, by their transfers.

    Whoever is elsewhere for one of them, or on the move again, is no case for both alone.
    """
    there = {line.subject: line.home for line in theirs}
    found = {}
    for line in ours:
        home = there.get(line.subject)
        if home is None or line.home in _NOT_COMPARED or home in _NOT_COMPARED:
            continue
        mine, other = (Home.SENDER, Home.RECEIVER)
        if bridge.side(line.subject) is Side.RECEIVER:
            mine, other = other, mine
        having = (line.home is mine) + (home is other)
        if having != 1:
            found[line.subject] = Kind.MEMBER_TWICE if having else Kind.MEMBER_NOWHERE
    return found


_NOT_COMPARED = (Home.ELSEWHERE, Home.MOVING)
_IN_A_MOMENT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass
class Reconciler:
    """Compares days with the peer of one bridge.

    Attributes:
        bridge: Our end.
        database: Its own.
        caller: Asks the peer.
        settle_seconds: Between two looks at what differs.
        again_seconds: Between two questions to the registries about a day.
        patience: How long our own registry, and the peer's, may take to look up a day, in seconds.

    """

    bridge: Bridge
    database: Database
    caller: Caller
    settle_seconds: float = SETTLE_SECONDS
    patience: float = LOOK_UP_SECONDS
    again_seconds: float = AGAIN_SECONDS

    def day(self, day: date) -> Result:
        """Compare a day, keep what differs, send again what is missing there; return what was found.

        First what the bridges have said and heard; then, of transfers that are alike in that, what the
        registries say. No transaction is open while the peer is asked.

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
            found += of_directory(tx, day)
            keep(tx, day, found, set(Kind) - OF_REGISTRIES, clock.now())
            store.miss(tx, list(_missing(self.bridge, found)), clock.now())
        members = self._members(day, {one.subject for one in found})
        with self.database.transaction(tells=False) as tx:
            if members is not None:
                keep(tx, day, members, OF_REGISTRIES, clock.now())
            found += members or []
            note(tx, day, count, len(found), clock.now())
        return Result(day, count, found)

    def _members(self, day: date, left_out: Collection[str]) -> list[Difference] | None:
        """Return whose members both registries have, or none, seen twice; None: the peer does not say."""
        first = self._homes(day)
        if first is None:
            return None
        suspects = compare_homes(self.bridge, *first)
        for subject in left_out:
            suspects.pop(subject, None)
        if not suspects:
            return []
        # what each says by then is newer than what it has said: who moved between both answers is out
        time.sleep(self.again_seconds)
        second = self._homes(day) or ([], [])
        again = compare_homes(self.bridge, *second)
        found = {subject: kind for subject, kind in suspects.items() if again.get(subject) is kind}
        homes_of = [{line.subject: line.home for line in some} for some in second]
        names = sorted({manifests.bucket_of(subject) for subject in found})
        with self.database.reading() as tx:
            lines = {line.subject: line for line in manifests.lines(tx, day, names)}
        return [
            Difference(
                subject,
                found[subject],
                *(Kept(**asdict(lines[subject]), home=some[subject]) for some in homes_of),
            )
            for subject in sorted(found)
        ]

    def _homes(self, day: date) -> tuple[list[HomeLine], list[HomeLine]] | None:
        """Return where both registries have a day's members, looked up now; None: the peer does not say."""
        asked = clock.now()
        self._until(lambda: self._is_looked_up(day, asked), "our registry does not say where members are")
        with self.database.reading() as tx:
            ours = homes.lines(tx, day)
        if not ours:
            return [], []
        theirs: list[HomeLine] = []
        try:
            while True:
                after = theirs[-1].subject if theirs else ""
                page = self._page(day, after)
                if page.after != after or (page.lines and page.lines[-1].subject <= after):
                    raise NoAnswer("a manifest of something else")  # else it might have no end
                theirs += page.lines
                if not page.more or not page.lines:
                    return ours, theirs
        except NoAnswer as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _is_looked_up(self, day: date, since: datetime) -> bool:
        with self.database.transaction() as tx:
            return homes.look_up(tx, self.bridge, day, since, clock.now())

    def _page(self, day: date, after: str) -> Homes:
        """Return a page of the peer's."""
        return self._ask(f"/bridge/v1/homes/{day}", Homes, day, f"after={quote(after)}" if after else "")

    def _until(self, done: Callable[[], bool], why: str) -> None:
        ends = time.monotonic() + self.patience
        while not done():
            if time.monotonic() > ends:
                raise NoAnswer(why)
            time.sleep(SHORTEST_WAIT)

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

    def _get(self, path: str, asked: str) -> bytes:
        """Return what the peer answers, which may ask for a moment first, or break off."""
        ends = time.monotonic() + self.patience
        broken_off = 0
        while True:
            try:
                return self.caller.get(self.bridge, path, asked)
            except NoAnswer as error:
                broken_off += error.broken_off
                again = error.status in _IN_A_MOMENT or (error.broken_off and broken_off < TRIES)
                if not again or time.monotonic() > ends:
                    raise
                time.sleep(min(LONGEST_WAIT, max(SHORTEST_WAIT, error.wait)))

    def _ask(self, path: str, kind: type[Said], day: date, asked: str = "") -> Said:
        body = self._get(path, asked)
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


def missing_of(bridge: Bridge, kept: KeptLines) -> Missing:
    """Return which of our messages the peer lacks, by a difference as it was kept."""
    ours, theirs = (
        msgspec.json.decode(text, type=Kept) if text else None for text in (kept.ours, kept.theirs)
    )
    if ours is None:
        return Missing(kept.subject, 1, 1)
    return _lacking(bridge, kept.subject, ours, theirs)


_DAYS = sa.text("""
    SELECT DISTINCT day FROM handovers
    WHERE day >= CAST(:since AS date) OR (day IS NOT NULL AND state = ANY(CAST(:open AS text[])))
    ORDER BY day""")


def days(tx: Connection, since: date) -> list[date]:
    """Return the days to compare: those since a day, and all that have a transfer that is open still."""
    return list(tx.scalars(_DAYS, {"since": since, "open": ["offered", "handover", "deciding", "awaited"]}))
