"""What the transfers service tells and answers."""
from __future__ import annotations

import datetime as dt
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Event, Query


class TransferRequested(Event, frozen=True, kw_only=True):
    """A transfer is recorded and asks for its member (TRF-01, TRF-02).

    `reason_kind`: `graduate` or `ordinary`, which has to fit the member (GRAD-15, GRAD-17), or `any`.
    """

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    transfer_id: int
    member_id: int
    source_branch_id: int
    target_org_id: int
    reason_kind: str = "any"


class NodeOpened(Event, frozen=True, kw_only=True):
    """A node waits for its organisation; the instants are what the scheduler shall watch (DL-01, DL-02)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    transfer_id: int
    node_no: int
    remind_at: dt.datetime | None
    remind_every: float | None
    expires_at: dt.datetime | None


class NodeApproved(Event, frozen=True, kw_only=True):
    """A node was approved, by a person or by the clock (TRF-16..20, DL-03). `node_no` is the next one."""

    publisher: ClassVar[str] = "transfers"

    transfer_id: int
    node_no: int
    state: str


class BranchAssigned(Event, frozen=True, kw_only=True):
    """The member is to be moved to this branch now (ASG-01, TRF-16, TRF-18)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: int
    member_id: int
    branch_id: int
    at: dt.datetime


class OrgInUse(Event, frozen=True, kw_only=True):
    """An organisation was deleted, set aside or changed in kind while it is a party of open transfers; the change is taken back (ORG-42, DEL-14)."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: int


class TransferCompleted(Event, frozen=True, kw_only=True):
    """The member has arrived (TRF-35)."""

    publisher: ClassVar[str] = "transfers"

    transfer_id: int
    member_id: int
    branch_id: int


class TransferRejected(Event, frozen=True, kw_only=True):
    """An approver ended the transfer (TRF-25): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: int
    member_id: int


class TransferReturned(Event, frozen=True, kw_only=True):
    """The clock ended the transfer (DL-05, DL-06): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: int
    member_id: int


class TransferWithdrawn(Event, frozen=True, kw_only=True):
    """The initiator or the member ended the transfer (TRF-28): let the member go, forget the clock."""

    publisher: ClassVar[str] = "transfers"
    consumers: ClassVar[tuple[str, ...]] = ("members", "scheduler")

    transfer_id: int
    member_id: int


class RequestTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Start one transfer (TRF-01, TRF-10).

    `initiator` is `source`, `target` or `member`. The source branch is what the caller believes; members checks it.
    A start by the target needs the `ticket` of a look-up (TRF-05). `target_org_id` is None for special units only (SPU-02).
    """

    command_id: UUID
    initiator: str
    member_id: int
    source_branch_id: int
    target_org_id: int | None
    reason: str
    place_name: str = ""
    place_address: str = ""
    contact: str = ""
    remark: str = ""
    ticket: str = ""


class DecideNode(msgspec.Struct, frozen=True, kw_only=True):
    """Approve or reject the open node `node_no` of a transfer (TRF-24); a stale number is refused."""

    decision_id: UUID
    transfer_id: int
    node_no: int
    approve: bool
    reason_code: str = ""
    note: str = ""


class WithdrawTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """End an open transfer from the initiator's side (TRF-28)."""

    decision_id: UUID
    transfer_id: int


class AssignBranch(msgspec.Struct, frozen=True, kw_only=True):
    """Put the member of an approved transfer into a branch (ASG-01, ASG-02)."""

    decision_id: UUID
    transfer_id: int
    branch_id: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item: the transfer and its state after the change, or why nothing changed.

    `repeated` says that this id was answered before and nothing was done again.
    """

    transfer_id: int | None = None
    state: str = ""
    node_no: int = 0
    repeated: bool = False
    refusal: Refusal | None = None


class ListWork(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the open nodes that the acting organisation may decide, oldest first (MSG-01, TRF-31).

    `state` filters; `after` is the `cursor` of the last item of the page before.
    """

    state: str = ""
    after: str = ""
    limit: int = 50


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as shown to its parties (TRF-22); people and names are joined by the gateway."""

    transfer_id: int
    member_id: int
    initiator: str
    source_branch_id: int
    target_org_id: int
    target_branch_id: int | None
    reason: str
    place_name: str
    place_address: str
    contact: str
    remark: str
    state: str
    node_no: int
    waiting_org_id: int | None
    waiting_superior_id: int | None
    node_opened_at: dt.datetime | None
    remind_at: dt.datetime | None
    expires_at: dt.datetime | None
    on_expiry: str | None
    created_at: dt.datetime
    ended_at: dt.datetime | None
    end_code: str
    end_note: str
    policy: str
    cursor: str = ""


class WorkPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of work with the counts by state of everything that waits for the acting organisation."""

    items: list[Transfer]
    counts: dict[str, int]


class GetTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one transfer, as the member or as a party's administrator (TRF-33)."""

    transfer_id: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail (TRF-34, BEY-02)."""

    seq: int
    event: str
    state: str
    at: dt.datetime
    person_id: int | None
    org_id: int | None
    note: str


class NodeAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the transfer's own path, past, open or to come (TRF-34)."""

    node_no: int
    state: str
    org_id: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer with its path and its trail."""

    transfer: Transfer
    path: list[NodeAhead]
    steps: list[Step]
    may_withdraw: bool


class MyTransfers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the caller's own transfers, newest first (TRF-33)."""


class ListStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for transfers out of or into the acting organisation and its branches, newest first (TRF-29, TRF-32)."""

    side: str = "source"
    open_only: bool = False
    after: int = 0
    limit: int = 50


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for numbers of transfers by state and reason in the subtree of the acting organisation."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many transfers of one reason are in one state."""

    reason: str
    state: str
    transfers: int


request_transfers = Command("transfers", "request_transfers", RequestTransfer, Outcome)
decide_nodes = Command("transfers", "decide_nodes", DecideNode, Outcome)
withdraw_transfers = Command("transfers", "withdraw_transfers", WithdrawTransfer, Outcome)
assign_branches = Command("transfers", "assign_branches", AssignBranch, Outcome)
list_work = Query("transfers", "list_work", ListWork, WorkPage)
get_transfer = Query("transfers", "get_transfer", GetTransfer, Progress)
my_transfers = Query("transfers", "my_transfers", MyTransfers, list[Transfer])
list_started = Query("transfers", "list_started", ListStarted, list[Transfer])
count_transfers = Query("transfers", "count_transfers", Counts, list[Count])
