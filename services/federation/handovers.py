"""What one transaction does to transfers: acts of ours, messages that were heard, and what is said.

A message is signed here, once, in the transaction of what causes it; whatever is tried later sends these
bytes. What has changed goes to `tell` of the bridge, in the same transaction (FED-11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from services.federation import envelope, protocol, store
from services.federation.envelope import LIVES, Opened, message_id, sha256, sign
from services.federation.keys import Folder, Key
from services.federation.protocol import MUST_ARRIVE, Act, Heard, Receiver, Sender, Side, State, Word
from services.federation.schemas import (
    DATASCHEMA,
    Integrated,
    Offer,
    Query,
    Refused,
    SentBack,
    Standing,
    Status,
)
from services.federation.store import Doubt, Handover, Missing, Receipt, Received, Said
from shared import clock
from shared.messages.words import BridgeReason

NATIONAL = "national"
"""Our own system, as messages name it."""


UNKNOWN_BRANCH = "unknown branch "
"""Why a message waits in quarantine that names a branch of the peer which is not mirrored here yet."""
NEVER_SEEN = Refused(reason=BridgeReason.NEVER_SEEN)
"""Why a hand-over has ended whose record the peer has signed never to have seen."""


class Told(NamedTuple):
    """What has changed in a transfer, for the rest of the system: what was heard, and where it stands now."""

    subject: str
    side: Side
    word: Word
    state: State
    data: msgspec.Struct
    seq: int = 0
    branch_id: int | None = None


def _nobody(tx: Connection, told: Sequence[Any]) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Bridge:
    """One end of a bridge.

    Attributes:
        peer: The system that it leads to.
        keys: Of both sides.
        tell: Given what was heard, in its transaction.
        me: The own system.
        branches: Finds the peer's organisations among ours by their codes there; None: nobody asks.

    """

    peer: str
    keys: Folder
    tell: Callable[[Connection, Sequence[Told]], None] = _nobody
    me: str = NATIONAL
    branches: Callable[[Connection, Sequence[str]], dict[str, int]] | None = None

    def side(self, subject: str) -> Side:
        """Return our part in a transfer."""
        return Side.SENDER if subject.partition(":")[0] == self.me else Side.RECEIVER


class Deed(NamedTuple):
    """An act that is to be done, with the data of the message that tells of it.

    `data` is None for acts that say nothing.
    """

    subject: str
    act: Act
    data: msgspec.Struct | None


@dataclass
class Turn:
    """The changes of one transaction, in memory until `write`."""

    bridge: Bridge
    key: Key
    now: datetime
    handovers: dict[str, Handover]
    said: list[Said] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    branches: dict[str, int] = field(default_factory=dict)

    def act(self, deed: Deed) -> bool:
        """Do an act; return whether it may be done now."""
        handover = self.handovers.get(deed.subject)
        if handover is None:
            return False
        step = protocol.act(state_of(handover), deed.act, heard_of(handover))
        if step is None:
            return False
        self._go(handover, step.to)
        if deed.act is Act.RELEASE:
            # nothing is said to the peer, who has bound itself; but the member is ours again
            side = self.bridge.side(handover.subject)
            self.told.append(Told(handover.subject, side, Word.NEVER_SEEN, step.to, NEVER_SEEN))
        if deed.act is Act.OFFER:
            handover.day = clock.day_of(self.now)
        if step.says is not None:
            if deed.data is None:
                raise ValueError(f"{deed.act} says {step.says}")
            self._say(handover, step.says, deed.data)
        return True

    def hear(self, found: Opened) -> str:
        """Apply a message whose turn has come; return what has become of it."""
        handover = self.handovers[found.envelope.subject]
        if found.word is Word.OFFER:
            # in quarantine, too: the peer counts it among those of that day from then on
            handover.day = clock.day_of(found.envelope.time)
        step = protocol.hear(state_of(handover), found.word, heard_of(handover))
        if step is None:
            self.doubt(found.envelope.subject, found.envelope.seq, f"{found.word} at {handover.state}")
            return "quarantined"
        if not isinstance(step, Heard):
            return "late"
        branch = branch_code(found)
        if self.bridge.branches and branch is not None and branch not in self.branches:
            # after the next reading of the directory a person may have it applied again
            self.doubt(found.envelope.subject, found.envelope.seq, UNKNOWN_BRANCH + branch)
            return "quarantined"
        if found.word in protocol.REMEMBERED and found.word not in handover.heard:
            handover.heard.append(found.word)
        self._go(handover, step.to)
        if isinstance(found.data, Query) and found.data.heard_seq < handover.our_seq:
            self.missing.append(Missing(handover.subject, found.data.heard_seq + 1, handover.our_seq + 1))
        if step.says is not None:
            self._say(handover, step.says, self._answer(handover, step.says))
        self.told.append(
            Told(
                handover.subject,
                self.bridge.side(handover.subject),
                found.word,
                step.to,
                found.data,
                found.envelope.seq,
                None if branch is None else self.branches.get(branch),
            )
        )
        return "applied"

    def doubt(self, subject: str, seq: int, why: str) -> None:
        """Put a message into quarantine."""
        self.doubts.append(Doubt(subject, seq, why, self.now))

    def write(
        self, tx: Connection, received: Sequence[Received] = (), receipts: Sequence[Receipt] = ()
    ) -> None:
        """Write everything, with what was received and the receipts for it, and tell."""
        if self.handovers:
            store.write(tx, list(self.handovers.values()), self.said, received, receipts, self.doubts)
        store.miss(tx, self.missing, self.now)
        if self.told:
            self.bridge.tell(tx, self.told)

    def _go(self, handover: Handover, to: State) -> None:
        if to.value != handover.state:
            handover.state, handover.since = to.value, self.now

    def _answer(self, handover: Handover, word: Word) -> msgspec.Struct:
        """Return what is said to a message without anybody being asked."""
        if word is Word.SENT_BACK:
            return SentBack(reason=BridgeReason.TOO_LATE)
        state = Standing.NEVER_SEEN if word is Word.NEVER_SEEN else Standing(handover.state)
        return Status(state=state, since=handover.since, heard_seq=handover.their_seq)

    def _say(self, handover: Handover, word: Word, data: msgspec.Struct) -> None:
        kind, seq = word.type, handover.our_seq + 1
        expires = None if kind in MUST_ARRIVE else self.now + LIVES
        made = {
            "specversion": "1.0",
            "id": message_id(self.bridge.me, handover.subject, seq),
            "source": self.bridge.me,
            "dest": self.bridge.peer,
            "type": kind.value,
            "time": self.now,
            "subject": handover.subject,
            "seq": seq,
            "prev": handover.our_head,
            **({"expires": expires} if expires else {}),
            "dataschema": DATASCHEMA,
            "data": data,
        }
        jws = sign(self.key, envelope.MESSAGE, msgspec.json.encode(made))
        handover.our_seq, handover.our_head = seq, sha256(jws)
        self.said.append(Said(handover.subject, seq, kind.value, handover.our_head, jws, self.now, expires))


def branch_code(found: Opened) -> str | None:
    """Return the code of the peer's branch that a message names and that has to be known here.

    That is the one that has taken our member, and the one that somebody leaves who is offered.
    """
    if isinstance(found.data, Integrated):
        return found.data.branch.code
    return found.data.from_org.code if isinstance(found.data, Offer) else None


def branches_of(tx: Connection, bridge: Bridge, some: Iterable[Opened]) -> dict[str, int]:
    """Return our numbers of the branches that messages name, those that are known."""
    codes = sorted({code for one in some if (code := branch_code(one)) is not None})
    return bridge.branches(tx, codes) if bridge.branches and codes else {}


def perform(tx: Connection, bridge: Bridge, deeds: Iterable[Deed], now: datetime) -> list[bool]:
    """Do acts in the caller's transaction, each with its message; return which of them could be done.

    What comes too late for an act is no error: the other side, or another act, was first (DL-19).

    Raises:
        NoKey: There is no key to sign with; nothing is done.

    """
    deeds = list(deeds)
    turn = Turn(bridge, bridge.keys.ring().signing(now), now, _locked(tx, bridge, deeds, now))
    done = [turn.act(one) for one in deeds]
    turn.write(tx)
    return done


def _locked(tx: Connection, bridge: Bridge, deeds: Sequence[Deed], now: datetime) -> dict[str, Handover]:
    """Lock the transfers of acts; those that an offer begins are there afterwards."""
    begun = {one.subject: bridge.side(one.subject).value for one in deeds if one.act is Act.OFFER}
    handovers = store.begin(tx, begun, now) if begun else {}
    others = {one.subject for one in deeds} - begun.keys()
    return handovers | store.lock(tx, others) if others else handovers


def question(handover: Handover, about_record: bool) -> Deed:
    """Return the act that asks the peer where a transfer stands, or for the record's fate (FED-13)."""
    data = Query(about="record" if about_record else "transfer", heard_seq=handover.their_seq)
    return Deed(handover.subject, Act.ASK_RECORD if about_record else Act.ASK, data)


def refusal(handover: Handover, reason: BridgeReason, text: str) -> Deed:
    """Return the act by which a transfer ends on the receiver's side, as it stands now."""
    for act in (Act.REFUSE, Act.SEND_BACK, Act.GIVE_UP):
        if protocol.act(state_of(handover), act, heard_of(handover)) is not None:
            break
    made = SentBack if act is Act.SEND_BACK else Refused
    return Deed(handover.subject, act, made(reason=reason, text=text))


def state_of(handover: Handover) -> State:
    """Return the state of a transfer on our side."""
    return (Sender if handover.side == Side.SENDER else Receiver)(handover.state)


def heard_of(handover: Handover) -> frozenset[Word]:
    """Return what of a transfer was heard and has to be known."""
    return frozenset(map(Word, handover.heard))
