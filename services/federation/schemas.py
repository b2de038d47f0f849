"""What stands in the messages of a bridge: the envelope, the data of each type, the receipt.

Names in the envelope are those of CloudEvents 1.0. Fields that a later minor version adds are ignored, and
stay in the archive; names and identity numbers of people stand only in what is sealed (FED-10).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from services.federation.protocol import Receiver, Sender, State, Type, Word
from shared.messages.limits import LINE, OPAQUE, WORD, Dated, Day, Instant, Number, OrgName, Phone, Prose

DATASCHEMA = "urn:tuanqiao:bridge:1.0"
"""The version that is spoken here: a higher minor number is understood, another major number is not."""

System = Annotated[
    str, Meta(min_length=2, max_length=16, pattern=WORD, description="a system: national, BJ, GD or FJ")
]
Subject = Annotated[
    str,
    Meta(
        min_length=4,
        max_length=64,
        pattern=OPAQUE,
        description="the transfer: the system that its member leaves, a colon, its number there",
    ),
]
MessageId = Annotated[
    str, Meta(max_length=120, pattern=OPAQUE, description="source, subject and seq, with / between them")
]
Seq = Annotated[int, Meta(ge=1, le=2**31 - 1, description="from 1, without a gap, per subject and direction")]
Hash = Annotated[
    str, Meta(max_length=64, pattern=WORD, description="SHA-256 of a JWS, hexadecimal; empty for none")
]
Schema = Annotated[str, Meta(max_length=60, pattern=OPAQUE, description="urn:tuanqiao:bridge:major.minor")]
Kind = Annotated[str, Meta(max_length=40, pattern=WORD, description="the type of the message")]
Sealed = Annotated[
    str,
    Meta(
        min_length=20,
        max_length=24_000,
        pattern=OPAQUE,
        description="a compact JWE that only the other system's registry opens",
    ),
]
OrgCode = Annotated[
    str, Meta(max_length=60, pattern=LINE, description="the organisation's code in its own system, or empty")
]
ReasonCode = Annotated[
    str,
    Meta(max_length=40, pattern=OPAQUE, description="of the list of reasons; another is shown by its text"),
]


class Envelope(Dated, frozen=True, kw_only=True, omit_defaults=True):
    """What is signed: who says what to whom, about which transfer, after which message."""

    specversion: Literal["1.0"]
    id: MessageId
    source: System
    dest: System
    type: Kind
    time: Instant
    subject: Subject
    seq: Seq
    prev: Hash
    expires: Instant | None = None
    dataschema: Schema
    data: msgspec.Raw


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as its own system names it."""

    code: OrgCode = ""
    name: OrgName
    phone: Phone = ""


class Offer(Dated, frozen=True, kw_only=True):
    """A member is to come: who, in a seal; from where, to where, why, and until when (FED-10).

    A target without a code was typed by its full name (FED-06).
    """

    person: Sealed
    from_org: Organisation
    to_org: Organisation
    reason: ReasonCode
    reason_text: Prose
    started_at: Instant
    answer_by: Instant


class CalledOff(msgspec.Struct, frozen=True, kw_only=True):
    """The sender has ended the transfer before it handed anything over (FED-09, FED-10)."""

    reason: ReasonCode
    text: Prose = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The member's record; from here on only the receiver ends the transfer."""

    record: Sealed


class Progress(Dated, frozen=True, kw_only=True):
    """At whose desk the transfer lies: shown to those who wait, with the number to call (FED-13)."""

    organisation: Organisation
    since: Instant
    until: Instant | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """All have agreed there; the record is awaited for this branch."""

    branch: Organisation


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The member is not taken; a record that crosses this is sent back."""

    reason: ReasonCode
    text: Prose = ""


class Integrated(Dated, frozen=True, kw_only=True):
    """The member is the receiver's since this instant, in this branch."""

    branch: Organisation
    at: Instant


class SentBack(msgspec.Struct, frozen=True, kw_only=True):
    """The record has come and is not taken: the member stays the sender's."""

    reason: ReasonCode
    text: Prose = ""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Where does it stand? About the record it is asked by the sender, after it has sent one.

    `heard_seq` is the last number up to which the asker has heard everything.
    """

    about: Literal["transfer", "record"]
    heard_seq: Number


class Standing(StrEnum):
    """What a `status` says: the state of the side that answers."""

    NONE = "none"
    OFFERED = "offered"
    HANDOVER = "handover"
    MOVED = "moved"
    KEPT = "kept"
    DECIDING = "deciding"
    AWAITED = "awaited"
    TAKEN = "taken"
    REFUSED = "refused"
    BACK = "back"
    NEVER_SEEN = "never_seen"


class Status(Dated, frozen=True, kw_only=True):
    """The answer to a query. `never_seen` binds: that record is refused for ever."""

    state: Standing
    since: Instant
    heard_seq: Number


Data = Offer | CalledOff | Record | Progress | Accepted | Refused | Integrated | SentBack | Query | Status
DATA: dict[Type, type[msgspec.Struct]] = {
    Type.OFFER: Offer,
    Type.CALLED_OFF: CalledOff,
    Type.RECORD: Record,
    Type.PROGRESS: Progress,
    Type.ACCEPTED: Accepted,
    Type.REFUSED: Refused,
    Type.INTEGRATED: Integrated,
    Type.SENT_BACK: SentBack,
    Type.QUERY: Query,
    Type.STATUS: Status,
}


def word_of(kind: Type, data: msgspec.Struct) -> Word:
    """Return what a message says to the tables of the protocol."""
    if isinstance(data, Query) and data.about == "record":
        return Word.QUERY_RECORD
    if isinstance(data, Status) and data.state is Standing.NEVER_SEEN:
        return Word.NEVER_SEEN
    return Word(kind.value)


class Taken(StrEnum):
    """What a receipt says: stored, stored until what is missing has come, or not stored."""

    STORED = "stored"
    HELD = "held"
    REFUSED = "refused"


class Fault(StrEnum):
    """Why the door of a bridge refuses a message."""

    NOT_AUTHENTIC = "not_authentic"
    MALFORMED = "malformed"
    ID_REUSED = "id_reused"
    CLOCK = "clock"
    GAP = "gap"
    TOO_MANY_HELD = "too_many_held"
    EXPIRED = "expired"
    VERSION = "version"
    WRONG_FIELD = "wrong_field"
    TOO_LONG = "too_long"


class Refusal(NamedTuple):
    """What follows from a fault: whether to try again, whether the number counts, and what it means."""

    again: bool
    counts: bool
    means: str


# A table is read by its columns.
# fmt: off
FAULTS: dict[Fault, Refusal] = {
    Fault.NOT_AUTHENTIC:  Refusal(True,  False, "header, signature, key, source or dest is not as agreed"),
    Fault.MALFORMED:      Refusal(False, False, "no JWS, or what is signed is no envelope"),
    Fault.ID_REUSED:      Refusal(False, False, "another message of this subject has this number"),
    Fault.CLOCK:          Refusal(True,  False, "more than 10 minutes in the receiver's future"),
    Fault.GAP:            Refusal(True,  False, "this receiver keeps nothing early: from expected_seq again"),
    Fault.TOO_MANY_HELD:  Refusal(True,  False, "20 early messages wait already for what is missing"),
    Fault.EXPIRED:        Refusal(False, True,  "came after its `expires`"),
    Fault.VERSION:        Refusal(False, True,  "another major version, or a type that is not known"),
    Fault.WRONG_FIELD:    Refusal(False, True,  "a field is missing, of another type, or outside its limits"),
    Fault.TOO_LONG:       Refusal(False, True,  "a text or list is longer than its limit"),
}
# fmt: on
"""An authentic message whose number counts is never asked for again: what comes after it is not held up."""


class Receipt(Dated, frozen=True, kw_only=True):
    """What the door signs for each message, after the commit that stored it.

    `of` is its id, empty where none could be read; `expected_seq` the next number that is missing.
    """

    source: System
    dest: System
    of: MessageId
    sha256: Hash
    status: Taken
    code: Fault | None = None
    expected_seq: Number
    time: Instant


class Token(Dated, frozen=True, kw_only=True):
    """What a GET shows in `Authorization: Bearer`: signed, for one path, for a minute."""

    source: System
    dest: System
    path: Annotated[str, Meta(max_length=200, pattern=OPAQUE, description="the path that is asked for")]
    time: Instant


# ---- manifests -----------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How a transfer stands, in words that are the same for both sides."""

    OPEN = "open"
    ON_THE_WAY = "on_the_way"
    MOVED = "moved"
    KEPT = "kept"


OUTCOMES: dict[State, Outcome] = {
    Sender.NONE: Outcome.OPEN,
    Sender.OFFERED: Outcome.OPEN,
    Sender.HANDOVER: Outcome.ON_THE_WAY,
    Sender.MOVED: Outcome.MOVED,
    Sender.KEPT: Outcome.KEPT,
    Receiver.NONE: Outcome.OPEN,
    Receiver.DECIDING: Outcome.OPEN,
    Receiver.AWAITED: Outcome.OPEN,
    Receiver.TAKEN: Outcome.MOVED,
    Receiver.REFUSED: Outcome.KEPT,
    Receiver.BACK: Outcome.KEPT,
}
"""The outcome of each state; a receiver that has got the record and awaits no more is `on_the_way`, too."""

BucketName = Annotated[
    str, Meta(max_length=2, pattern=WORD, description="the first two digits of the SHA-256 of the subjects")
]
FullHash = Annotated[str, Meta(max_length=64, pattern=WORD, description="SHA-256, hexadecimal")]


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The transfers of a day whose subjects' hashes begin alike: how many, and the hash of their lines."""

    name: BucketName
    count: Number
    digest: FullHash


class Manifest(Dated, frozen=True, kw_only=True):
    """What a side has of the transfers whose offers were signed on a day in China, by buckets."""

    source: System
    dest: System
    day: Day
    time: Instant
    buckets: Annotated[list[Bucket], Meta(max_length=256)]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer in a manifest: the same words on both sides, when both have heard everything."""

    subject: Subject
    outcome: Outcome
    sender_seq: Number
    sender_head: Hash
    receiver_seq: Number
    receiver_head: Hash


class Lines(Dated, frozen=True, kw_only=True):
    """The lines of one bucket, in the order of their subjects."""

    source: System
    dest: System
    day: Day
    bucket: BucketName
    time: Instant
    lines: Annotated[list[Line], Meta(max_length=2000)]


# ---- where members are ---------------------------------------------------------------------------


class Home(StrEnum):
    """Where the registry of a side has the member of a transfer, in words that both sides use alike."""

    SENDER = "sender"
    RECEIVER = "receiver"
    ELSEWHERE = "elsewhere"
    MOVING = "moving"
    NOBODY = "nobody"


class HomeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer that has ended, and where its member is: nobody is named but by the transfer."""

    subject: Subject
    home: Home


class Homes(Dated, frozen=True, kw_only=True):
    """A page of a day's transfers that have ended, by the bytes of their subjects; `more` follow the last."""

    source: System
    dest: System
    day: Day
    after: Annotated[str, Meta(max_length=64, description="the subject that was asked after, or empty")]
    time: Instant
    lines: Annotated[list[HomeLine], Meta(max_length=2000)]
    more: bool
