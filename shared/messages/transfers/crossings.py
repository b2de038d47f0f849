"""What transfers tells the bridge of a transfer that leads to another system or comes from one (FED-10).

The bridge says to the other system what its own tables make of it. What has ended or is repeated there
changes nothing, so each may be told again.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages import Event
from shared.messages.limits import Instant, Line, Note, OrgId, OrgName, PersonId, TransferId, Word


class RemoteOpened(Event, frozen=True, kw_only=True):
    """A member's transfer waits for another system, which is to be made an offer (FED-10).

    The clock here ends it at `answer_by`, None for never (DL-08). `target_name` is the target as it was
    typed, empty where it was chosen; the organisation is the top of its system then (FED-06). Who the member
    is stands nowhere but in what members seals; nor do the remark and the telephone that the starter gave.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "federation")

    transfer_id: TransferId
    member_id: PersonId
    peer: Word
    source_branch_id: OrgId
    target_org_id: OrgId
    target_name: OrgName
    reason: Word
    place_name: Line
    place_address: Line
    started_at: Instant
    answer_by: Instant | None


class HandoverOpened(Event, frozen=True, kw_only=True):
    """The other system takes the member: the record is to be sealed and sent, and nothing here ends it now.

    Only the other system does, by what it says of the record (FED-11).
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    transfer_id: TransferId
    member_id: PersonId
    peer: Word


class ArrivalAnswered(Event, frozen=True, kw_only=True):
    """What a `PeerRequested` has come to: the transfer it started, or why it started none (FED-08).

    A request that is told again is answered by the same transfer.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("federation", "members")

    command_id: UUID
    member_id: PersonId
    peer: Word
    transfer_id: TransferId | None
    code: Word


class ArrivalWaits(Event, frozen=True, kw_only=True):
    """Somebody from another system waits for an organisation here, which decides or assigns (FED-08, FED-13).

    The clock here ends it at `until`, None for never.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    peer: Word
    org_id: OrgId
    since: Instant
    until: Instant | None


class ArrivalAccepted(Event, frozen=True, kw_only=True):
    """All have agreed to somebody from another system; the record is awaited for this branch (FED-08)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    member_id: PersonId
    peer: Word
    branch_id: OrgId


class ArrivalCompleted(Event, frozen=True, kw_only=True):
    """Somebody from another system is a member here now, in this branch (FED-10)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    member_id: PersonId
    peer: Word
    branch_id: OrgId
    at: Instant


class CrossingEnded(Event, frozen=True, kw_only=True):
    """A transfer to or from another system has ended here, and nobody has moved (FED-10).

    By the line of the trail `cause`: withdrawn, rejected, returned by the clock, not begun at all, or with a
    record that could not be taken. What the other system has ended itself is not told. `arrival`: it was
    of somebody who was to come from there.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    member_id: PersonId
    peer: Word
    cause: Word
    code: Word
    note: Note
    arrival: bool = False
