"""What the bridge tells of what another system has said, each proved by that system's signature (FED-10).

`peer` is the system that has said it; a transfer that does not lead to that system or come from it is not
touched. What comes late or again changes nothing.
"""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from shared.messages import Event
from shared.messages.limits import (
    LINE,
    OPAQUE,
    Dated,
    Instant,
    Line,
    LogHash,
    Note,
    Number,
    OrgId,
    OrgName,
    PersonId,
    Phone,
    Remark,
    SmallNumber,
    TransferId,
    Version,
    Word,
)

Subject = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=OPAQUE,
        description="a transfer as messages of a bridge name it: the system that its member leaves, a colon,"
        " its number there",
    ),
]
Jwe = Annotated[
    str,
    Meta(max_length=24_000, pattern=OPAQUE, description="a compact JWE, which only a registry opens"),
]


class ArrivalOffered(Event, frozen=True, kw_only=True):
    """Another system offers somebody; members is to open who it is (FED-08, FED-14).

    It is answered by `ArrivalKnown` or `ArrivalUnfit`. `source_branch_id`: the branch that the person
    leaves, in our mirror of that system.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    subject: Subject
    peer: Word
    source_branch_id: OrgId
    person: Jwe


class ArrivalDropped(Event, frozen=True, kw_only=True):
    """Somebody whom members lets come does not: the other system has called it off before a transfer began.

    So the person can be offered again. A transfer that has begun says itself how it ends.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    subject: Subject
    peer: Word


class RecordCame(Event, frozen=True, kw_only=True):
    """Another system has handed a member over: members is to open the record (FED-10).

    It is answered, to transfers, by `RecordTaken` or `RecordRefused`.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    subject: Subject
    peer: Word
    transfer_id: TransferId
    record: Jwe


class HomeWanted(Event, frozen=True, kw_only=True):
    """Both systems compare where the member of a transfer is; members is to look (BEY-16).

    It is answered by `HomeTold`, which names the instant that was `asked_at`.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    subject: Subject
    peer: Word
    person_id: PersonId
    asked_at: Instant


class HomeCorrected(Event, frozen=True, kw_only=True):
    """The registry is to follow what both systems have signed: the person is in this branch (BEY-16)."""

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    subject: Subject
    peer: Word
    person_id: PersonId
    branch_id: OrgId


class PeerRequested(Event, frozen=True, kw_only=True):
    """Somebody from another system is to come; members has the person, in a branch of that system (FED-08).

    It is answered by `ArrivalAnswered`. `command_id` follows from the other system's number.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    command_id: UUID
    peer: Word
    member_id: PersonId
    source_branch_id: OrgId
    target_org_id: OrgId
    reason: Word
    place_name: Line = ""
    place_address: Line = ""
    contact: Line = ""
    remark: Remark = ""


class PeerCalledOff(Event, frozen=True, kw_only=True):
    """The system that somebody was to come from has ended it, before it handed anything over (FED-10).

    Told once the transfer is known, so after `ArrivalAnswered`.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    code: Word
    note: Note = ""


class ArrivalGivenUp(Event, frozen=True, kw_only=True):
    """An operator does not wait any longer for what another system was to hand over (FED-11).

    A record that comes all the same is sent back.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    person_id: PersonId
    note: Note


class RemoteReceipted(Event, frozen=True, kw_only=True):
    """The other system has the offer in writing: from now on nobody withdraws it (FED-09)."""

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    at: Instant


class RemoteProgress(Event, frozen=True, kw_only=True):
    """At whose desk the transfer lies in the other system, with the number to call (FED-13).

    `seq` is the number of the message that said so.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    seq: SmallNumber
    organisation: OrgName
    phone: Phone = ""
    since: Instant
    until: Instant | None = None


class RemoteAccepted(Event, frozen=True, kw_only=True):
    """The other system takes the member: the hand-over begins (FED-10)."""

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word


class RemoteRefused(Event, frozen=True, kw_only=True):
    """The other system does not take the member, and sends back any record that crosses this (FED-10).

    So does one that has signed that it has never seen the record. `code` says why in our words where we have
    some; `note` is what came with it.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    code: Word
    note: Note = ""


class RemoteIntegrated(Event, frozen=True, kw_only=True):
    """The member is the other system's, in this branch of our mirror of it (FED-10)."""

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    branch_id: OrgId


class RemoteSentBack(Event, frozen=True, kw_only=True):
    """The other system could not take the record: the member stays here (FED-10)."""

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    peer: Word
    code: Word
    note: Note = ""


PeerCode = Annotated[
    str, Meta(max_length=60, pattern=LINE, description="an organisation's code in its own system")
]


class PeerOrg(Dated, frozen=True, kw_only=True):
    """An organisation as its own system describes it.

    `parent_code`: of its superior there, empty right below the province. `changed`: when that system
    changed it last, where it says so. `gone`: it is no more.
    """

    code: PeerCode
    parent_code: PeerCode = ""
    kind: Word
    full_name: OrgName
    short_name: OrgName = ""
    phone: Phone = ""
    changed: Instant | None = None
    gone: bool = False


class FederationLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of a peer's bridge has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    peer: Word
    lane: Number
    rows: Version
    hash: LogHash


class DirectoryRead(Event, frozen=True, kw_only=True):
    """A page of a peer's directory was read (FED-04, FED-06); pages may come twice and in any order.

    `reading`: from 1; of several the highest number is the newest. `page`: from 0; `last`: there are no
    more. `whole`: the reading is of the whole directory, so that what it has not is gone there. Who finds
    that the directory has changed while it was paged begins another reading.
    """

    publisher: ClassVar[str] = "federation"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    peer: Word
    reading: Version
    page: Number = 0
    last: bool = False
    whole: bool = False
    orgs: Annotated[list[PeerOrg], Meta(max_length=500, description="organisations of the page")]
