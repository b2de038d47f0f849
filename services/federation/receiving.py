"""What becomes of messages that have come: stored in order, applied once, each with its receipt (FED-11).

A receipt says that a message is stored, never that anything was done. The first one is kept, and every
repetition gets it again, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from services.federation import envelope, store
from services.federation.envelope import NotTaken, Opened, opened, opened_before, sha256, sign
from services.federation.handovers import Bridge, Turn, branches_of
from services.federation.protocol import Type
from services.federation.schemas import Envelope, Fault, Receipt, Taken
from services.federation.store import Asked, Place, Received

MOST_HELD = 20
"""Messages of one transfer that wait for what is missing."""


class Answer(NamedTuple):
    """A receipt, and in one word what it says: `stored`, `held`, `repeated`, or why it is refused."""

    receipt: str
    result: str


class Item(NamedTuple):
    """A text that has come, and what it is."""

    text: str
    sha256: str
    found: Opened | NotTaken

    @property
    def numbered(self) -> Envelope | None:
        """Return the envelope of what takes a number."""
        return self.found.envelope if isinstance(self.found, Opened) else self.found.numbered

    @property
    def authentic(self) -> bool:
        """Return whether the peer has signed it."""
        return isinstance(self.found, Opened) or self.found.authentic


def read(bridge: Bridge, texts: Sequence[str], now: datetime) -> list[Item]:
    """Return what texts are; nothing is stored."""
    ring = bridge.keys.ring()
    items = []
    for text in texts:
        found: Opened | NotTaken
        try:
            found = opened(text, ring, bridge.peer, bridge.me, now)
        except NotTaken as error:
            found = error.with_traceback(None)
        items.append(Item(text, sha256(text), found))
    return items


def take(tx: Connection, bridge: Bridge, items: Sequence[Item], now: datetime) -> list[Answer]:
    """Store messages and apply those whose turn has come; return a receipt for each, in the same order.

    The receipts are good once the caller's transaction is committed.

    Raises:
        NoKey: There is no key to sign with; nothing is stored.

    """
    key = bridge.keys.ring().signing(now)
    numbered = [one for item in items if (one := item.numbered) is not None]
    sides = {one.subject: bridge.side(one.subject).value for one in numbered}
    turn = Turn(bridge, key, now, store.begin(tx, sides, now) if sides else {})
    work = _Taking(turn, tx, items)
    answers = [work.take(item) for item in items]
    work.write()
    return answers


def _asked(turn: Turn, items: Sequence[Item]) -> list[Asked]:
    """Return what may be here already: what has come, and what waits behind it."""
    seqs: dict[str, list[int]] = {}
    for item in items:
        if (one := item.numbered) is not None:
            seqs.setdefault(one.subject, []).append(one.seq)
    return [Asked(subject, some, turn.handovers[subject].their_seq) for subject, some in seqs.items()]


class _Taking:
    """The messages of one request, taken one after the other, in memory until `write`."""

    def __init__(self, turn: Turn, tx: Connection, items: Sequence[Item]) -> None:
        self.turn, self.tx = turn, tx
        self.known: dict[Place, tuple[str, str]] = {}
        self.early: dict[str, dict[int, Received]] = {}
        for one, receipt in store.before(tx, _asked(turn, items)) if turn.handovers else ():
            self.known[Place(one.subject, one.seq)] = one.sha256, receipt
            if one.seq > turn.handovers[one.subject].their_seq:
                self.early.setdefault(one.subject, {})[one.seq] = one
        fresh = [item.found for item in items if isinstance(item.found, Opened)]
        self.opened: dict[Place, Opened] = {}
        # of what came early and may have its turn now, too
        held = [one for some in self.early.values() for one in some.values() if one.state == "held"]
        before = [opened_before(one.jws) for one in held if one.type in (Type.INTEGRATED, Type.OFFER)]
        turn.branches = branches_of(tx, turn.bridge, [*before, *fresh])
        self.received: dict[Place, Received] = {}
        self.given: list[store.Receipt] = []

    def take(self, item: Item) -> Answer:
        """Take one message; return its receipt."""
        about = item.numbered
        if about is None:
            assert isinstance(item.found, NotTaken)
            return self._receipt(item, item.found.envelope, Taken.REFUSED, item.found.fault)
        place = Place(about.subject, about.seq)
        handover = self.turn.handovers[about.subject]
        before = self.known.get(place)
        if before is not None and before[0] == item.sha256:
            return Answer(before[1], "repeated")
        if before is not None or about.seq <= handover.their_seq:
            return self._receipt(item, about, Taken.REFUSED, Fault.ID_REUSED)
        waiting = self.early.setdefault(about.subject, {})
        if about.seq > handover.their_seq + 1 and len(waiting) >= MOST_HELD:
            return self._receipt(item, about, Taken.REFUSED, Fault.TOO_MANY_HELD)
        fault = None
        if isinstance(item.found, NotTaken):
            fault = item.found.fault
        else:
            self.opened[place] = item.found
        waiting[about.seq] = Received(
            subject=about.subject,
            seq=about.seq,
            type=about.type,
            sha256=item.sha256,
            jws=item.text,
            said_at=about.time,
            received_at=self.turn.now,
            state="refused" if fault else "held",
            code=fault or "",
        )
        self.received[place] = waiting[about.seq]
        self._go_on(about.subject)
        status = Taken.HELD if about.seq in waiting else Taken.STORED
        answer = self._receipt(item, about, Taken.REFUSED if fault else status, fault)
        self.known[place] = item.sha256, answer.receipt
        self.given.append(store.Receipt(about.subject, about.seq, answer.receipt))
        return answer

    def write(self) -> None:
        """Write what was taken, and what it has changed."""
        self.turn.write(self.tx, list(self.received.values()), self.given)

    def _go_on(self, subject: str) -> None:
        """Apply what has its turn now."""
        handover, waiting = self.turn.handovers[subject], self.early[subject]
        while (row := waiting.pop(handover.their_seq + 1, None)) is not None:
            place, before = Place(subject, row.seq), handover.their_head
            handover.their_seq, handover.their_head = row.seq, row.sha256
            if row.state == "refused":
                continue
            # what came with an earlier request was opened then
            found = self.opened.get(place) or opened_before(row.jws)
            if found.envelope.prev == before:
                row.state = self.turn.hear(found)
            else:
                self.turn.doubt(subject, row.seq, "prev does not fit")
                row.state = "quarantined"
            self.received[place] = row

    def _receipt(
        self, item: Item, about: Envelope | None, status: Taken, fault: Fault | None = None
    ) -> Answer:
        bridge = self.turn.bridge
        handover = self.turn.handovers.get(about.subject) if about else None
        made = Receipt(
            source=bridge.me,
            dest=bridge.peer,
            of=about.id if about else "",
            sha256=item.sha256,
            status=status,
            code=fault,
            expected_seq=handover.their_seq + 1 if handover else 0,
            time=self.turn.now,
        )
        text = sign(self.turn.key, envelope.RECEIPT, msgspec.json.encode(made))
        return Answer(text, (fault or status).value)
