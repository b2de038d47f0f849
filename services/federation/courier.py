"""The courier of a bridge: carries what waits to the peer and brings its receipts (FED-11, FED-13).

A message is taken with a lease, carried without any transaction, and settled by the peer's signed receipt
alone. While the peer is away one message is tried, with growing pauses, and not all of them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from services.federation import envelope, store
from services.federation.calling import ANSWER_SECONDS, LONGEST_PAUSE, Address, Caller, NoAnswer, retry_after
from services.federation.envelope import LIVES, NotTaken, message_id, read_json, verified
from services.federation.handovers import Bridge
from services.federation.schemas import FAULTS, Receipt, Taken
from services.federation.store import Again, Claimed, Line, Missing, Settled
from shared import clock, metrics
from shared.db import Database
from shared.messages.limits import Dated, Instant

log = logging.getLogger("tuanqiao.federation")

MOST_MESSAGES = 100
MOST_BYTES = 500 * 1024
"""Of the messages in a request; the peer takes 512 KiB."""
LEASE = timedelta(seconds=120)
"""Longer than any request, so that what a killed courier had taken is soon taken by another."""
LOOK_AGAIN_SECONDS = 5.0
ABOUT = "/bridge/v1/about"


class Receipts(msgspec.Struct, frozen=True):
    """The body of an answer."""

    receipts: Annotated[list[str], Meta(max_length=MOST_MESSAGES)]


class About(Dated, frozen=True):
    """What the peer says of itself; of it the clock."""

    time: Instant


def pause(tries: int, dice: random.Random) -> float:
    """Return how long to wait after so many tries, in seconds: any part of 1 s, 2 s, 4 s, at most an hour."""
    return dice.uniform(0.0, min(LONGEST_PAUSE, 2.0 ** min(max(tries, 1) - 1, 12)))


@dataclass
class Courier:
    """The courier of one bridge; several may run at once.

    Attributes:
        bridge: Our end.
        database: Its own.
        address: The peer's door.
        dice: For the pauses.
        patience: How long an answer may take, in seconds; less than `LEASE`.
        receipted: Given the transfers whose offer the peer has in writing, in the transaction that stores it.

    """

    bridge: Bridge
    database: Database
    address: Address
    dice: random.Random = field(default_factory=random.Random)
    patience: float = ANSWER_SECONDS
    receipted: Callable[[Connection, Sequence[str], datetime], None] | None = None

    def __post_init__(self) -> None:
        """Open no connection yet."""
        self._caller = Caller(self.address, self.patience)
        for result in (*Taken, *FAULTS, NO_RECEIPT):
            metrics.BRIDGE_SENT.labels(self.bridge.peer, str(result))

    def turn(self, machinery: object = None) -> float | None:
        """Carry what waits, a bundle of it; return the seconds until the next turn, 0 where more is due."""
        now, lease = clock.now(), uuid4()
        with self.database.transaction(tells=False) as tx:
            line = store.look(tx, now, LIVES)
            if line.paused_at is not None:
                return LOOK_AGAIN_SECONDS
            if line.probe_at is not None and line.probe_at > now:
                return min(LOOK_AGAIN_SECONDS, (line.probe_at - now).total_seconds())
            most = MOST_MESSAGES if line.down_since is None else 1
            some = store.claim(tx, lease, now, now + LEASE, most, MOST_BYTES)
            if not some:
                return _until(store.next_due(tx, now), now)
        # from here to the answer no transaction is open, and no lock held
        try:
            receipts = self._carry(some)
        except NoAnswer as error:
            wait = max(error.wait, pause(line.failures + 1, self.dice))
            now = clock.now()
            with self.database.transaction(tells=False) as tx:
                store.release(tx, lease)
                store.away(tx, now, now + timedelta(seconds=wait))
            self._say(line, error)
            return min(LOOK_AGAIN_SECONDS, wait)
        self._say(line)
        now = clock.now()
        due = self._settle(some, receipts, now)
        return 0.0 if due == now else _until(due, now)

    def look(self) -> bool:
        """Ask the peer what it is, so that one learns that it is away, or back, also where nothing waits.

        Return whether it answers (FED-13).
        """
        with self.database.transaction(tells=False) as tx:
            line = store.line(tx)
        if line.paused_at is not None:
            return line.down_since is None
        try:
            ahead = self._ask_time() - clock.now()
        except NoAnswer as error:
            self._say(line, error)
            if line.down_since is None:
                with self.database.transaction(tells=False) as tx:
                    store.away(tx, clock.now(), clock.now())
            return False
        self._say(line)
        with self.database.transaction() as tx:
            store.back(tx, _skew(ahead.total_seconds()), clock.now())
        return True

    def _say(self, before: Line, error: NoAnswer | None = None) -> None:
        """Log that the peer has gone away, or is back, once each."""
        if error is not None and before.down_since is None:
            log.warning("%s does not answer: %s", self.bridge.peer, error)
        if error is None and before.down_since is not None:
            log.info("%s answers again, since %s it has not", self.bridge.peer, before.down_since)

    def _ask_time(self) -> datetime:
        """Return the peer's clock, as it says itself."""
        body = self._caller.get(self.bridge, ABOUT)
        try:
            return read_json(body, About).time
        except ValueError:
            raise NoAnswer("an answer that does not say what it is") from None

    def _carry(self, some: Sequence[Claimed]) -> dict[str, tuple[str, Receipt]]:
        """Post messages; return the receipts that the peer has signed, by the hash of their message.

        Raises:
            NoAnswer: There is not one.

        """
        body = msgspec.json.encode({"messages": [one.jws for one in some]})
        status, headers, answer = self._caller.request(
            "POST", "/bridge/v1/messages", body, {"Content-Type": "application/json"}
        )
        if status != 200:
            raise NoAnswer(f"HTTP {status}", retry_after(headers))
        found = {}
        try:
            texts = read_json(answer, Receipts).receipts
        except ValueError:
            raise NoAnswer("an answer that holds no receipts") from None
        ring = self.bridge.keys.ring()
        for text in texts:
            try:
                payload, key = verified(text, envelope.RECEIPT, ring)
                one = read_json(payload, Receipt)
            except (NotTaken, ValueError):
                continue
            if (one.source, one.dest) == (self.bridge.peer, self.bridge.me) and key.good_at(one.time):
                found[one.sha256] = text, one
        if not found:
            raise NoAnswer("an answer without a receipt of the peer's")
        return found

    def _settle(
        self, some: Sequence[Claimed], receipts: dict[str, tuple[str, Receipt]], now: datetime
    ) -> datetime | None:
        """Store what the receipts say; return when the next message is due."""
        settled, later, missing = [], [], []
        for one in some:
            text, said = receipts.get(one.sha256, ("", None))
            named = said and said.of in ("", message_id(self.bridge.me, one.subject, one.seq))
            result = str(said.code or said.status) if said and named else NO_RECEIPT
            metrics.BRIDGE_SENT.labels(self.bridge.peer, result).inc()
            if said is not None and named and said.status is not Taken.REFUSED:
                settled.append(Settled(one.subject, one.seq, "receipted", text, ""))
            elif said is not None and named and said.code and not FAULTS[said.code].again:
                settled.append(Settled(one.subject, one.seq, "parked", text, result))
                log.error("%s refuses a message for good: %s", self.bridge.peer, result)
            else:
                at = now + timedelta(seconds=pause(one.attempts + 1, self.dice))
                later.append(Again(one.subject, one.seq, at, result))
            if said is not None and named and 0 < said.expected_seq < one.seq:
                missing.append(Missing(one.subject, said.expected_seq, one.seq))
        ahead = [(said.time - now).total_seconds() for _, said in receipts.values()]
        offers = self._offers(settled) if self.receipted is not None else []
        with self.database.transaction(tells=bool(offers)) as tx:
            # first, so that what has just come with the others is not taken for missing
            store.miss(tx, missing, now)
            store.settle(tx, settled, now)
            if self.receipted is not None:
                self.receipted(tx, offers, now)
            store.again(tx, later)
            # repetitions get a receipt of before, so the latest says most
            return store.back(tx, _skew(max(ahead)), now)

    def _offers(self, settled: Sequence[Settled]) -> list[str]:
        """Return the transfers of ours whose first message the peer has now: that is the offer."""
        ours = f"{self.bridge.me}:"
        first = (one for one in settled if one.seq == 1 and one.state == "receipted")
        return [one.subject for one in first if one.subject.startswith(ours)]


NO_RECEIPT = "no_receipt"
MOST_SKEW = 2**31 - 1


def _skew(seconds: float) -> int:
    """Return how far a clock is ahead, in milliseconds that a column holds."""
    return max(-MOST_SKEW, min(MOST_SKEW, round(1000 * seconds)))


def _until(due: datetime | None, now: datetime) -> float:
    """Return how long to sleep when nothing is due."""
    wait = LOOK_AGAIN_SECONDS if due is None else (due - now).total_seconds()
    return min(LOOK_AGAIN_SECONDS, max(0.05, wait))
