"""The hand-over between two systems on one page: states, who may send what when, what is heard how.

Pure data and three pure functions. `tests/federation/model.py` explores these tables themselves, with
loss, repetition, any order and late clocks; `docs/federation.md` is printed from them (`make saga`).
The sender decides until it hands over, the receiver from then on: so a member is never active in two
systems and never lost between them (FED-10, FED-11, BEY-16).
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import NamedTuple


class Side(StrEnum):
    """Which part a system has in one transfer: its member goes, or somebody comes."""

    SENDER = "sender"
    RECEIVER = "receiver"


class Sender(Enum):
    """Where a transfer stands in the system that the member leaves."""

    NONE = "none"
    OFFERED = "offered"
    HANDOVER = "handover"
    MOVED = "moved"
    KEPT = "kept"


class Receiver(Enum):
    """Where a transfer stands in the system that the member goes to."""

    NONE = "none"
    DECIDING = "deciding"
    AWAITED = "awaited"
    TAKEN = "taken"
    REFUSED = "refused"
    BACK = "back"


class Type(StrEnum):
    """The types of messages; there are no others in version 1."""

    OFFER = "offer"
    CALLED_OFF = "called_off"
    RECORD = "record"
    PROGRESS = "progress"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    INTEGRATED = "integrated"
    SENT_BACK = "sent_back"
    QUERY = "query"
    STATUS = "status"


class Word(StrEnum):
    """What a message says to the other side's tables: its type, and for two types what they are about."""

    OFFER = "offer"
    CALLED_OFF = "called_off"
    RECORD = "record"
    PROGRESS = "progress"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    INTEGRATED = "integrated"
    SENT_BACK = "sent_back"
    QUERY = "query"
    QUERY_RECORD = "query_record"
    STATUS = "status"
    NEVER_SEEN = "never_seen"

    @property
    def type(self) -> Type:
        """Return the type of the message that says it."""
        return _TYPES.get(self) or Type(self.value)


class Act(StrEnum):
    """What a system does of its own accord: by its people, its clock or its registry."""

    OFFER = "offer"
    CALL_OFF = "call_off"
    HAND_OVER = "hand_over"
    RELEASE = "release"
    TELL = "tell"
    ACCEPT = "accept"
    REFUSE = "refuse"
    GIVE_UP = "give_up"
    TAKE = "take"
    SEND_BACK = "send_back"
    ASK = "ask"
    ASK_RECORD = "ask_record"


State = Sender | Receiver
"""Plain enumerations: `none` of the one side is not `none` of the other."""


class Sent(NamedTuple):
    """An act: the state it leads to, what it says; what must have been heard before it, what must not."""

    to: State
    says: Word | None
    needs: Word | None = None
    unless: Word | None = None


class Heard(NamedTuple):
    """What hearing a message leads to, and what is said in answer, unless something was heard before."""

    to: State
    says: Word | None = None
    unless: Word | None = None


class Late(NamedTuple):
    """A message that comes when all is decided, or again: nothing changes, and that is right."""


S, R, W, A, T = Sender, Receiver, Word, Act, Type
LATE = Late()
_TYPES = {W.QUERY_RECORD: T.QUERY, W.NEVER_SEEN: T.STATUS}

# A table is read by its columns.
# fmt: off
SPEAKS: dict[Type, tuple[Side, ...]] = {
    # who may send it
    T.OFFER:      (Side.SENDER,),
    T.CALLED_OFF: (Side.SENDER,),
    T.RECORD:     (Side.SENDER,),
    T.PROGRESS:   (Side.RECEIVER,),
    T.ACCEPTED:   (Side.RECEIVER,),
    T.REFUSED:    (Side.RECEIVER,),
    T.INTEGRATED: (Side.RECEIVER,),
    T.SENT_BACK:  (Side.RECEIVER,),
    T.QUERY:      (Side.SENDER, Side.RECEIVER),
    T.STATUS:     (Side.SENDER, Side.RECEIVER),
}

SENDS: dict[tuple[State, Act], Sent] = {
    (S.NONE,     A.OFFER):            Sent(S.OFFERED,  W.OFFER),
    (S.OFFERED,  A.CALL_OFF):         Sent(S.KEPT,     W.CALLED_OFF),
    (S.OFFERED,  A.HAND_OVER):        Sent(S.HANDOVER, W.RECORD, needs=W.ACCEPTED),
    (S.OFFERED,  A.ASK):              Sent(S.OFFERED,  W.QUERY),
    (S.HANDOVER, A.ASK):              Sent(S.HANDOVER, W.QUERY),
    (S.HANDOVER, A.ASK_RECORD):       Sent(S.HANDOVER, W.QUERY_RECORD),
    (S.HANDOVER, A.RELEASE):          Sent(S.KEPT,     None, needs=W.NEVER_SEEN),
    (R.DECIDING, A.TELL):             Sent(R.DECIDING, W.PROGRESS),
    (R.DECIDING, A.ACCEPT):           Sent(R.AWAITED,  W.ACCEPTED),
    (R.DECIDING, A.REFUSE):           Sent(R.REFUSED,  W.REFUSED),
    (R.DECIDING, A.ASK):              Sent(R.DECIDING, W.QUERY),
    (R.AWAITED,  A.ASK):              Sent(R.AWAITED,  W.QUERY),
    (R.AWAITED,  A.GIVE_UP):          Sent(R.REFUSED,  W.REFUSED, unless=W.RECORD),
    (R.AWAITED,  A.TAKE):             Sent(R.TAKEN,    W.INTEGRATED, needs=W.RECORD),
    (R.AWAITED,  A.SEND_BACK):        Sent(R.BACK,     W.SENT_BACK, needs=W.RECORD),
}

HEARS: dict[tuple[State, Word], Heard | Late] = {
    (S.OFFERED,  W.PROGRESS):         Heard(S.OFFERED),
    (S.OFFERED,  W.ACCEPTED):         Heard(S.OFFERED),
    (S.OFFERED,  W.REFUSED):          Heard(S.KEPT),
    (S.OFFERED,  W.QUERY):            Heard(S.OFFERED,  W.STATUS),
    (S.OFFERED,  W.STATUS):           Heard(S.OFFERED),
    (S.HANDOVER, W.PROGRESS):         LATE,
    (S.HANDOVER, W.ACCEPTED):         LATE,
    (S.HANDOVER, W.REFUSED):          Heard(S.KEPT),
    (S.HANDOVER, W.INTEGRATED):       Heard(S.MOVED),
    (S.HANDOVER, W.SENT_BACK):        Heard(S.KEPT),
    (S.HANDOVER, W.QUERY):            Heard(S.HANDOVER, W.STATUS),
    (S.HANDOVER, W.STATUS):           Heard(S.HANDOVER),
    (S.HANDOVER, W.NEVER_SEEN):       Heard(S.HANDOVER),
    (S.MOVED,    W.PROGRESS):         LATE,
    (S.MOVED,    W.ACCEPTED):         LATE,
    (S.MOVED,    W.INTEGRATED):       LATE,
    (S.MOVED,    W.QUERY):            Heard(S.MOVED,    W.STATUS),
    (S.MOVED,    W.STATUS):           LATE,
    (S.KEPT,     W.PROGRESS):         LATE,
    (S.KEPT,     W.ACCEPTED):         LATE,
    (S.KEPT,     W.REFUSED):          LATE,
    (S.KEPT,     W.SENT_BACK):        LATE,
    (S.KEPT,     W.QUERY):            Heard(S.KEPT,     W.STATUS),
    (S.KEPT,     W.STATUS):           LATE,
    (S.KEPT,     W.NEVER_SEEN):       LATE,
    # the offer may have been refused by the door, and its number counts all the same
    (R.NONE,     W.OFFER):            Heard(R.DECIDING),
    (R.NONE,     W.CALLED_OFF):       Heard(R.REFUSED),
    (R.NONE,     W.QUERY):            Heard(R.NONE,     W.STATUS),
    (R.DECIDING, W.OFFER):            LATE,
    (R.DECIDING, W.CALLED_OFF):       Heard(R.REFUSED),
    (R.DECIDING, W.QUERY):            Heard(R.DECIDING, W.STATUS),
    (R.DECIDING, W.STATUS):           Heard(R.DECIDING),
    (R.AWAITED,  W.OFFER):            LATE,
    (R.AWAITED,  W.CALLED_OFF):       Heard(R.REFUSED),
    (R.AWAITED,  W.RECORD):           Heard(R.AWAITED),
    (R.AWAITED,  W.QUERY):            Heard(R.AWAITED,  W.STATUS),
    # it binds: whoever says so refuses that record for ever
    (R.AWAITED,  W.QUERY_RECORD):     Heard(R.REFUSED,  W.NEVER_SEEN, unless=W.RECORD),
    (R.AWAITED,  W.STATUS):           Heard(R.AWAITED),
    (R.TAKEN,    W.OFFER):            LATE,
    (R.TAKEN,    W.RECORD):           LATE,
    (R.TAKEN,    W.QUERY):            Heard(R.TAKEN,    W.STATUS),
    (R.TAKEN,    W.QUERY_RECORD):     Heard(R.TAKEN,    W.STATUS),
    (R.TAKEN,    W.STATUS):           LATE,
    (R.REFUSED,  W.OFFER):            LATE,
    (R.REFUSED,  W.CALLED_OFF):       LATE,
    (R.REFUSED,  W.RECORD):           Heard(R.BACK,     W.SENT_BACK),
    (R.REFUSED,  W.QUERY):            Heard(R.REFUSED,  W.STATUS),
    (R.REFUSED,  W.QUERY_RECORD):     Heard(R.REFUSED,  W.NEVER_SEEN),
    (R.REFUSED,  W.STATUS):           LATE,
    (R.BACK,     W.OFFER):            LATE,
    (R.BACK,     W.RECORD):           LATE,
    (R.BACK,     W.QUERY):            Heard(R.BACK,     W.STATUS),
    (R.BACK,     W.QUERY_RECORD):     Heard(R.BACK,     W.STATUS),
    (R.BACK,     W.STATUS):           LATE,
}
"""A pair that is not here cannot come from an honest peer: the message goes to quarantine."""
# fmt: on

REMEMBERED = (W.ACCEPTED, W.NEVER_SEEN, W.RECORD)
"""What a side has heard of a transfer and has to know later, beside the state."""
MUST_ARRIVE = (T.RECORD, T.INTEGRATED, T.SENT_BACK)
"""Messages that never expire: with these alone every hand-over ends, whatever else is lost for good."""
ALONE = (A.OFFER, A.ACCEPT)
"""Acts for which no other transfer of the same person may be open in that system (TRF-02, FED-14)."""
HERE = (S.NONE, S.OFFERED, S.KEPT)
"""States in which the person is the sender's active member; `handover` is between the two."""
THERE = (R.TAKEN,)
"""States in which the person is the receiver's active member."""
ENDS = (S.NONE, S.MOVED, S.KEPT, R.NONE, R.TAKEN, R.REFUSED, R.BACK)
"""States in which nothing is waited for."""


def act(state: State, what: Act, heard: frozenset[Word]) -> Sent | None:
    """Return what an act does in a state, None where it may not be done.

    `heard` is what of `REMEMBERED` was heard before.
    """
    step = SENDS.get((state, what))
    if step is None or (step.needs and step.needs not in heard) or (step.unless and step.unless in heard):
        return None
    return step


def hear(state: State, word: Word, heard: frozenset[Word]) -> Heard | Late | None:
    """Return what hearing a word does in a state, None for what no honest peer says then.

    A question for a record that has come is answered as any question for the state.
    """
    step = HEARS.get((state, word))
    if isinstance(step, Heard) and step.unless and step.unless in heard:
        return Heard(state, Word.STATUS)
    return step


def may_speak(side: Side, kind: Type) -> bool:
    """Return whether a side of a transfer sends messages of a type at all."""
    return side in SPEAKS[kind]
