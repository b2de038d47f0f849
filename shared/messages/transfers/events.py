"""What the transfers service tells and answers."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages import Event
from shared.messages.limits import (
    Instant,
    LogHash,
    Number,
    OrgId,
    PersonId,
    Seconds,
    SmallNumber,
    TransferId,
    Version,
    Word,
)


class TransferRequested(Event, frozen=True, kw_only=True):
    """A transfer is recorded and asks for its member (TRF-01, TRF-02).

    `reason_kind` has to fit the member: `graduate`, `abroad` with an approved request (GRAD-15,
    TYPE-14), `ordinary`, `outward` for delayed graduates and teachers who leave a school,
    `drop_out` (GRAD-17, TYPE-21), or `any`. Of a `batch_id` all `batch_size` members are held or
    none (BATCH-05).
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    transfer_id: TransferId
    member_id: PersonId
    source_branch_id: OrgId
    target_org_id: OrgId
    reason_kind: Word = "any"
    batch_id: UUID | None = None
    batch_size: Number = 0


class NodeOpened(Event, frozen=True, kw_only=True):
    """A node waits for its organisation; the scheduler is to watch the instants (DL-01, DL-02).

    Told again with a higher `revision` where another policy was applied to open nodes (BEY-07).
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    transfer_id: TransferId
    node_no: SmallNumber
    remind_at: Instant | None
    remind_every: Seconds | None
    expires_at: Instant | None
    revision: SmallNumber = 0


class NodeApproved(Event, frozen=True, kw_only=True):
    """A node was approved, by a person or by the clock (TRF-16..20, DL-03). `node_no` is the next one."""

    publisher: ClassVar[str] = "transfers"

    transfer_id: TransferId
    node_no: SmallNumber
    state: Word


class BranchAssigned(Event, frozen=True, kw_only=True):
    """The member is to be moved to this branch now (ASG-01, TRF-16, TRF-18)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: TransferId
    member_id: PersonId
    branch_id: OrgId
    at: Instant


class OrgInUse(Event, frozen=True, kw_only=True):
    """An organisation was deleted, set aside or changed in kind while it is a party of open transfers.

    The change is taken back (ORG-42, DEL-14).
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId


class TransferCompleted(Event, frozen=True, kw_only=True):
    """The member has arrived (TRF-35)."""

    publisher: ClassVar[str] = "transfers"

    transfer_id: TransferId
    member_id: PersonId
    branch_id: OrgId


class TransferRejected(Event, frozen=True, kw_only=True):
    """An approver ended the transfer (TRF-25): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: TransferId
    member_id: PersonId


class TransferReturned(Event, frozen=True, kw_only=True):
    """The clock ended the transfer (DL-05, DL-06): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: TransferId
    member_id: PersonId


class TransferWithdrawn(Event, frozen=True, kw_only=True):
    """The initiator or the member ended the transfer (TRF-28): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: TransferId
    member_id: PersonId


class TransfersLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of transfers has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    lane: Number
    rows: Version
    hash: LogHash
