"""What operators may do with a transfer as it stands, and what of its messages they are shown.

Pure: the protocol's own tables say what is possible, so nothing is offered that would be refused.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from services.federation import protocol
from services.federation.envelope import payload_of
from services.federation.protocol import Act, Receiver, Sender, Side, State, Type, Word
from services.federation.schemas import (
    DATA,
    Accepted,
    CalledOff,
    Envelope,
    Integrated,
    Offer,
    Progress,
    Receipt,
    Refused,
    SentBack,
)
from shared.messages.words import DifferenceKind, QuarantineDecision

IN_DOUBT = Sender.HANDOVER.value
"""The record is on the way, and only the peer can say whether it takes it."""
OPEN = tuple(str(state.value) for state in (*Sender, *Receiver) if state not in protocol.ENDS)
"""The states in which something is waited for."""


class Standing(NamedTuple):
    """Where a transfer stands on our side, and what of it was heard."""

    side: str
    state: str
    heard: Collection[str]

    def may(self, act: Act) -> bool:
        """Return whether an act may be done now."""
        kind: type[State] = Sender if self.side == Side.SENDER else Receiver
        return protocol.act(kind(self.state), act, frozenset(map(Word, self.heard))) is not None


def decisions(standing: Standing) -> list[QuarantineDecision]:
    """Return what may be decided of a message in quarantine; whether it applies now is seen by trying it."""
    ends = any(standing.may(act) for act in (Act.REFUSE, Act.SEND_BACK, Act.GIVE_UP))
    refuse = [QuarantineDecision.REFUSED] if ends else []
    return [QuarantineDecision.APPLIED, *refuse, QuarantineDecision.DISCARDED]


class Repair(StrEnum):
    """What a bridge can do for a difference.

    Say again what the peer lacks, ask for what we lack, correct our registry, read the peer's directory anew;
    or nothing can be done but by people, who confirm that they have.
    """

    SAY = "say"
    ASK = "ask"
    CORRECT = "correct"
    READ = "read"
    CONFIRM = "confirm"


def repair(kind: str, standing: Standing | None) -> Repair:
    """Return what is done for a difference once a person has said so (BEY-16)."""
    if kind in (DifferenceKind.MISSING_THERE, DifferenceKind.BEHIND_THERE):
        return Repair.SAY
    if kind in (DifferenceKind.MEMBER_TWICE, DifferenceKind.MEMBER_NOWHERE):
        return Repair.CORRECT
    if kind == DifferenceKind.DIRECTORY:
        return Repair.READ
    asks = kind in (DifferenceKind.BEHIND_HERE, DifferenceKind.LOST_THERE, DifferenceKind.STATE)
    return Repair.ASK if asks and standing is not None and standing.may(Act.ASK) else Repair.CONFIRM


def is_comparable(day: date, today: date, oldest: date) -> bool:
    """Return whether a day may be compared with the peer: not one to come, and none before there was any."""
    return oldest <= day <= today


# ---- what is shown of a message ------------------------------------------------------------------


class Shown(NamedTuple):
    """What a message says to people: at whose desk, whom to call, why; never what is sealed in it."""

    organisation: str = ""
    phone: str = ""
    reason: str = ""
    text: str = ""


def shown(jws: str) -> Shown:
    """Return what may be shown of a message; nothing of one that is not written as its type is.

    What was refused for its form is kept as evidence, so it is read here as carefully as at the door.
    """
    try:
        envelope = msgspec.json.decode(payload_of(jws), type=Envelope)
        data = msgspec.json.decode(envelope.data, type=DATA[Type(envelope.type)])
    except (ValueError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Shown()
    match data:
        case Offer():
            return Shown(data.from_org.name, data.from_org.phone, data.reason)
        case Progress():
            return Shown(data.organisation.name, data.organisation.phone)
        case Accepted() | Integrated():
            return Shown(data.branch.name, data.branch.phone)
        case CalledOff() | Refused() | SentBack():
            return Shown(reason=data.reason, text=data.text)
    return Shown()


class Receipted(NamedTuple):
    """What a receipt says: stored, held or refused, why, and when that was signed."""

    status: str = ""
    code: str = ""
    at: datetime | None = None


def receipted(jws: str | None) -> Receipted:
    """Return what a receipt says that was proved when it came, or is one's own; nothing for none."""
    if jws is None:
        return Receipted()
    found = msgspec.json.decode(payload_of(jws), type=Receipt)
    return Receipted(found.status.value, (found.code or "") and str(found.code), found.time)
