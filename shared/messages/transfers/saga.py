"""Starting, deciding, withdrawing, assigning (TRF, ASG)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, words
from shared.messages.limits import (
    Digits,
    Initiator,
    Instant,
    Line,
    Note,
    Opaque,
    OrgId,
    OrgName,
    PersonId,
    ReasonCode,
    RejectionCode,
    Remark,
    SmallNumber,
    TransferId,
    maybe,
)


class RequestTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Start one transfer (TRF-01, TRF-10).

    `initiator` is `source`, `target` or `member`. The source branch is what the caller believes;
    members checks it. A start by the target needs the `ticket` of a look-up (TRF-05).
    `target_org_id` is None for special units only (SPU-02). `place_division` is the GB/T 2260 code
    of the place (TRF-13), needed where an employed member goes to a township (TYPE-10); `drop_out`:
    the member leaves a school without graduating and gives a graduate's reason (TYPE-21);
    `confirmed` sends what the rules find unusual (BEY-01). `target_system` answers whether the new
    organisation belongs to one of the three provinces (FED-03, FED-04); the organisation that is chosen
    answers it itself, so it may be empty. What is not found there is named in `target_name`, exactly
    as that system calls it (FED-06).
    """

    command_id: UUID
    initiator: Initiator
    member_id: PersonId
    source_branch_id: OrgId
    target_org_id: OrgId | None
    reason: ReasonCode
    place_name: Line = ""
    place_address: Line = ""
    contact: Line = ""
    remark: Remark = ""
    ticket: Opaque = ""
    place_division: Digits = ""
    confirmed: bool = False
    drop_out: bool = False
    target_system: Annotated[str, maybe(words.System)] = ""
    target_name: OrgName = ""


class DecideNode(msgspec.Struct, frozen=True, kw_only=True):
    """Approve or reject the open node `node_no` of a transfer (TRF-24); a stale number is refused."""

    decision_id: UUID
    transfer_id: TransferId
    node_no: SmallNumber
    approve: bool
    reason_code: RejectionCode = ""
    note: Note = ""


class WithdrawTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """End an open transfer from the initiator's side (TRF-28)."""

    decision_id: UUID
    transfer_id: TransferId


class AssignBranch(msgspec.Struct, frozen=True, kw_only=True):
    """Put the member of an approved transfer into a branch (ASG-01, ASG-02)."""

    decision_id: UUID
    transfer_id: TransferId
    branch_id: OrgId


class OpenTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """The open transfer of a member, as told to whoever may start one (BEY-03).

    Who started it, when, where it stands, who can act, until when.
    """

    transfer_id: int
    initiator: words.Initiator
    initiator_org_id: int | None
    created_at: Instant
    state: words.TransferState
    waiting_org_id: int | None
    waiting_superior_id: int | None
    expires_at: Instant | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item: the transfer and its state after the change, or why nothing changed.

    `repeated` says that this id was answered before and nothing was done again. `open`: what stands
    in the way of a second start (BEY-03).
    """

    transfer_id: int | None = None
    state: Annotated[str, maybe(words.TransferState)] = ""
    node_no: int = 0
    repeated: bool = False
    refusal: Refusal | None = None
    open: OpenTransfer | None = None


request_transfers = Command("transfers", "request_transfers", RequestTransfer, Outcome)

decide_nodes = Command("transfers", "decide_nodes", DecideNode, Outcome)

withdraw_transfers = Command("transfers", "withdraw_transfers", WithdrawTransfer, Outcome)

assign_branches = Command("transfers", "assign_branches", AssignBranch, Outcome)
