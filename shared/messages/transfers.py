"""What the transfers service tells and answers."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Event, Query
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    Advised,
    After,
    Cursor,
    Dated,
    Days,
    Digits,
    Id,
    Initiator,
    Instant,
    Line,
    LogHash,
    Note,
    Number,
    Opaque,
    OrgId,
    OrgIds,
    PageSize,
    PersonId,
    PersonIds,
    Plan,
    Remark,
    Seconds,
    ShortLine,
    Side,
    SmallNumber,
    TransferId,
    Url,
    Version,
    Word,
    YearOrNewest,
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


class RequestTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Start one transfer (TRF-01, TRF-10).

    `initiator` is `source`, `target` or `member`. The source branch is what the caller believes;
    members checks it. A start by the target needs the `ticket` of a look-up (TRF-05).
    `target_org_id` is None for special units only (SPU-02). `place_division` is the GB/T 2260 code
    of the place (TRF-13), needed where an employed member goes to a township (TYPE-10); `drop_out`:
    the member leaves a school without graduating and gives a graduate's reason (TYPE-21);
    `confirmed` sends what the rules find unusual (BEY-01).
    """

    command_id: UUID
    initiator: Initiator
    member_id: PersonId
    source_branch_id: OrgId
    target_org_id: OrgId | None
    reason: Word
    place_name: Line = ""
    place_address: Line = ""
    contact: Line = ""
    remark: Remark = ""
    ticket: Opaque = ""
    place_division: Digits = ""
    confirmed: bool = False
    drop_out: bool = False


class MoveBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Move up to 30 members from one branch to another, without approval (BATCH-01..07).

    Both lie below the acting committee. All or none; with `skip` those who cannot be moved are left
    out and the others move (BATCH-05).
    """

    command_id: UUID
    source_branch_id: OrgId
    member_ids: PersonIds
    target_branch_id: OrgId
    reason: Word = "ordinary"
    place_name: Line = ""
    place_address: Line = ""
    remark: Remark = ""
    skip: bool = False
    place_division: Digits = ""


class BatchAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a batch move: its transfers in the order of the members.

    How each ends is asked with `get_batch`.
    """

    batch_id: UUID
    transfer_ids: list[int] = []
    repeated: bool = False
    refusal: Refusal | None = None
    refused: dict[int, Refusal] = {}
    """By member: who stands in the way, or with `skip` was left out."""


class GetBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how the members of a batch move have fared, as the acting committee."""

    batch_id: UUID


class DecideNode(msgspec.Struct, frozen=True, kw_only=True):
    """Approve or reject the open node `node_no` of a transfer (TRF-24); a stale number is refused."""

    decision_id: UUID
    transfer_id: TransferId
    node_no: SmallNumber
    approve: bool
    reason_code: Word = ""
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
    initiator: str
    initiator_org_id: int | None
    created_at: Instant
    state: str
    waiting_org_id: int | None
    waiting_superior_id: int | None
    expires_at: Instant | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item: the transfer and its state after the change, or why nothing changed.

    `repeated` says that this id was answered before and nothing was done again. `open`: what stands
    in the way of a second start (BEY-03).
    """

    transfer_id: int | None = None
    state: str = ""
    node_no: int = 0
    repeated: bool = False
    refusal: Refusal | None = None
    open: OpenTransfer | None = None


class ListWork(Dated, frozen=True, kw_only=True):
    """Ask for the open nodes that the acting organisation may decide, oldest first (MSG-01, TRF-31).

    `state`, `reason` and the times of opening filter; `after` is the `cursor` of the last item of
    the page before.
    """

    state: Word = ""
    reason: Word = ""
    since: Instant | None = None
    until: Instant | None = None
    after: Cursor = ""
    limit: PageSize = 50


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
    node_opened_at: Instant | None
    remind_at: Instant | None
    expires_at: Instant | None
    on_expiry: str | None
    created_at: Instant
    ended_at: Instant | None
    end_code: str
    end_note: str
    policy: str
    place_division: str = ""
    concern: str = ""
    reason_kind: str = "any"
    urged_at: Instant | None = None
    looked_by: int | None = None
    looked_until: Instant | None = None
    cursor: str = ""


class WorkPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of work with the counts by state of everything that waits for the acting organisation.

    `old`: how many of these were reminded of (DL-02, MSG-07).
    """

    items: list[Transfer]
    counts: dict[str, int]
    old: int = 0


class GetTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one transfer, as the member or as a party's administrator (TRF-33)."""

    transfer_id: TransferId


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail (TRF-34, BEY-02)."""

    seq: int
    event: str
    state: str
    at: Instant
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
    """Ask for transfers out of or into the acting organisation and its branches (TRF-29, TRF-32).

    Newest first.
    """

    side: Side = "source"
    open_only: bool = False
    after: After = 0
    limit: PageSize = 50


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for numbers of transfers by state and reason in the subtree of the acting organisation."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many transfers of one reason are in one state."""

    reason: str
    state: str
    transfers: int


class Filter(Dated, frozen=True, kw_only=True):
    """Open nodes of one kind that the acting organisation may decide (BEY-05).

    Optionally of one reason, source or age, or without warnings.
    """

    state: Word
    reason: Word = ""
    source_branch_id: OrgId | None = None
    opened_before: Instant | None = None
    due_before: Instant | None = None
    unquestioned: bool = False


class CountMatching(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how many open nodes a filter takes in; a bulk decision has to name this number."""

    filter: Filter


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """How many open nodes a filter takes in."""

    count: int


class StartBulk(msgspec.Struct, frozen=True, kw_only=True):
    """Decide every open node that a filter takes in, or assign all to one branch, in the background (BEY-05).

    `expected` is the number that the caller has seen; if another number matches now, nothing is
    started.
    """

    bulk_id: UUID
    filter: Filter
    expected: Number
    approve: bool = True
    reason_code: Word = ""
    note: Note = ""
    branch_id: OrgId | None = None


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk decision: how many rows it has, and how many are done or wait.

    `problems`: the refused ones by transfer.
    """

    bulk_id: UUID
    total: int = 0
    done: int = 0
    waiting: int = 0
    started_at: Instant | None = None
    problems: dict[int, Refusal] = {}
    repeated: bool = False
    refusal: Refusal | None = None


class GetBulk(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far the bulk decisions of the acting organisation are, newest first, or one of them."""

    bulk_id: UUID | None = None


class StopBulk(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a bulk decision: what waits is left as it is, what is done stays done."""

    bulk_id: UUID


class UrgeTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Remind whoever has to decide (催办), from the third day of a node, once in three days (BEY-21)."""

    decision_id: UUID
    transfer_id: TransferId


class UrgeBelow(msgspec.Struct, frozen=True, kw_only=True):
    """Remind all organisations whose nodes are overdue or fall due within `days` (BEY-18).

    Those below the acting organisation, or below one of its subordinates.
    """

    decision_id: UUID
    org_id: OrgId
    days: Days = 3


class Urged(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes were reminded; those reminded within the last three days are left out."""

    nodes: int = 0
    refusal: Refusal | None = None


class LookAt(msgspec.Struct, frozen=True, kw_only=True):
    """Say that one is looking at an open node, for ten minutes, or that one has stopped (BEY-23).

    The first decision still counts.
    """

    transfer_id: TransferId
    done: bool = False


class RestartTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Start an ended transfer again with its own values (BEY-04)."""

    command_id: UUID
    transfer_id: TransferId


class Escalate(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the lowest common superior of both sides to look at a rejection, as the member (BEY-06)."""

    decision_id: UUID
    transfer_id: TransferId
    note: Note = ""


class AnswerEscalation(msgspec.Struct, frozen=True, kw_only=True):
    """Advise, as that superior: `receive` (the receiver should accept a new start) or `uphold`."""

    decision_id: UUID
    transfer_id: TransferId
    answer: Advised
    note: Note = ""


class ListEscalations(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for what members have escalated to the acting organisation, newest first."""

    open_only: bool = True


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """An escalated rejection with both sides, and the answer."""

    transfer_id: int
    org_id: int
    member_id: int
    source_branch_id: int
    target_org_id: int
    reason: str
    end_code: str
    end_note: str
    note: str
    asked_at: Instant
    answer: str
    answer_note: str
    answered_at: Instant | None


class ListMessages(Dated, frozen=True, kw_only=True):
    """Ask for messages about transfers (MSG-02, MSG-06).

    With an acting organisation: about its own starts; without one: about the caller's own. `kind`
    filters by event; `after` is the `cursor` of the last one of the page before.
    """

    kind: Word = ""
    unread_only: bool = False
    since: Instant | None = None
    until: Instant | None = None
    after: Cursor = ""
    limit: PageSize = 50


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a transfer, as told to those whom it concerns.

    It is a line of the transfer's own trail.
    """

    transfer_id: int
    seq: int
    kind: str
    at: Instant
    member_id: int
    org_id: int | None
    note: str
    end_code: str
    state: str
    read: bool
    cursor: str


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """A page of messages, and how many are unread; from 1,000 on it is not counted further (MSG-01)."""

    items: list[Message]
    unread: int


class MarkRead(Dated, frozen=True, kw_only=True):
    """Mark messages read: all up to an instant, or one."""

    until: Instant | None = None
    transfer_id: TransferId | None = None
    seq: SmallNumber = 0


class GetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for SX, XS and stages of an organisation and its direct subordinates (STAT-10..15).

    The organisation is the acting one or lies below it. `cohort` is the year of graduation; 0: the
    newest that there is.
    """

    org_id: OrgId | None = None
    cohort: YearOrNewest = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one organisation's subtree; no rate without a denominator (STAT-14).

    `services/transfers/figures/rules.py` says what each counts.
    """

    org_id: int
    name: str
    kind: str
    study: int
    study_in: int
    studied: int
    society: int
    society_in: int
    settled: int
    excluded: int
    idle: int
    open: int
    ended: int
    completed: int
    sx: float | None
    xs: float | None


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the season (DL-14, DL-15).

    What share is to have started or completed by a day, and what share has (`reached`).
    """

    by: dt.date
    what: str
    reasons: str
    share: float
    reached: float | None
    rule: str


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one week, by its Monday, to transfers out of a subtree."""

    week: dt.date
    started: int
    completed: int
    rejected: int
    returned: int
    withdrawn: int


class FigureSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an organisation and its direct subordinates, with the stages of the season in force."""

    cohort: int
    cohorts: list[int]
    org: Figures
    children: list[Figures]
    stages: list[Stage]
    policy: str
    phase: str
    weeks: list[Week] = []


class ListBehind(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the graduates behind one figure of an organisation at or below the acting one (BEY-11)."""

    figure: Word
    org_id: OrgId | None = None
    cohort: YearOrNewest = 0
    after: After = 0
    limit: PageSize = 100


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A graduate behind a figure; names are joined by the gateway.

    `responsible`: school, receiver or new_school; `late`: past the stage of the season (OPS-06).
    """

    member_id: int
    branch_id: int
    stage: str
    rate: str
    transfer_id: int | None
    state: str | None
    reason: str | None
    target_org_id: int | None
    responsible: str = ""
    late: bool = False


class GetBoard(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the deadline board, with a row per direct subordinate (BEY-18).

    What waits in its subtree, what falls due within three days, what is overdue.
    """

    org_id: OrgId | None = None


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One subordinate of the board.

    `oldest`: when its oldest node was opened; of this year's decisions `rejected` by reason, and
    the `days` they took on average. `overturned`: of the rejections, those that the common superior
    has found unreasonable (TRF-27).
    """

    org_id: int
    name: str
    waiting: int
    due_soon: int
    overdue: int
    assigning: int
    oldest: Instant | None
    idle: int
    decided: int
    rejected: dict[str, int]
    days: float | None = None
    overturned: int = 0


class GetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which season policy holds (BEY-07).

    With `compare`, the name of another: also what that would change, and for leading bodies what it
    would do to the open nodes.
    """

    compare: ShortLine = ""


class PolicyNode(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock does at one kind of node; days, None for never."""

    state: str
    remind_after: float | None
    expire_after: float | None
    on_expiry: str


class PolicyPhase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the year, `MM-DD` to `MM-DD`, and whether deadlines fire in it."""

    name: str
    begins: str
    ends: str
    clock: bool
    withdraw_until: str


class PolicyEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What another policy would do to the open nodes of one kind in one province."""

    province: str
    state: str
    open: int
    moved: int
    earlier: int
    overdue: int
    soon: int
    other_action: int


class PolicyHeld(msgspec.Struct, frozen=True, kw_only=True):
    """Since when which policy holds, or will hold."""

    since: Instant
    key: str


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that holds, its nodes and phases, its history, and how another compares."""

    key: str
    source: str
    withdraw_until: str
    nodes: list[PolicyNode]
    phases: list[PolicyPhase]
    history: list[PolicyHeld]
    known: list[str]
    changes: list[str] = []
    effects: list[PolicyEffect] = []


class Advise(msgspec.Struct, frozen=True, kw_only=True):
    """Ask where a member should go, from plain answers (BEY-01).

    `plan`: study, study_here, work, abroad_study, abroad_duty, abroad_private, none, army, staff.
    `employer_has_org`: for work and abroad_duty. `division_code`: of the place of work, or of the
    household or residence.
    """

    plan: Plan
    source_branch_id: OrgId
    employer_has_org: bool = False
    division_code: Digits = ""
    text: Line = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation that fits; `mode` says whether the policy allows it or warns."""

    org_id: int
    name: str
    place: str
    mode: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The adviser's answer: a reason, the fields to fill, organisations, and the rules that say so.

    `search`: whether the organisation may have to be searched for; `zh`, `en`: a hint in both
    languages.
    """

    reason: str
    fields: list[str]
    proposals: list[Proposal]
    search: bool
    rules: list[str]
    zh: str
    en: str


class SetWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Register an address that is told of every change of the acting organisation's transfers (BEY-15).

    With `webhook_id`: switch one off (BEY-19).
    """

    command_id: UUID
    url: Url = ""
    webhook_id: Id | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registered address; `secret` is shown once, when it is made, and signs what is sent."""

    webhook_id: int = 0
    url: str = ""
    active: bool = False
    secret: str = ""
    waiting: int = 0
    delivered: int = 0
    failed: int = 0
    problem: str = ""
    refusal: Refusal | None = None


class ListWebhooks(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the acting organisation's webhooks with what was delivered, waits, or was given up."""


request_transfers = Command("transfers", "request_transfers", RequestTransfer, Outcome)
move_batches = Command("transfers", "move_batches", MoveBatch, BatchAsked)
get_batch = Query("transfers", "get_batch", GetBatch, list[Transfer])
decide_nodes = Command("transfers", "decide_nodes", DecideNode, Outcome)
withdraw_transfers = Command("transfers", "withdraw_transfers", WithdrawTransfer, Outcome)
assign_branches = Command("transfers", "assign_branches", AssignBranch, Outcome)
start_bulks = Command("transfers", "start_bulks", StartBulk, Bulk)
stop_bulks = Command("transfers", "stop_bulks", StopBulk, Bulk)
urge_transfers = Command("transfers", "urge_transfers", UrgeTransfer, Outcome)
urge_below = Command("transfers", "urge_below", UrgeBelow, Urged)
look_at_nodes = Command("transfers", "look_at_nodes", LookAt, Outcome)
restart_transfers = Command("transfers", "restart_transfers", RestartTransfer, Outcome)
escalate_transfers = Command("transfers", "escalate_transfers", Escalate, Outcome)
answer_escalations = Command("transfers", "answer_escalations", AnswerEscalation, Outcome)
mark_messages = Command("transfers", "mark_messages", MarkRead, Outcome)
set_webhooks = Command("transfers", "set_webhooks", SetWebhook, Webhook)
count_matching = Query("transfers", "count_matching", CountMatching, Matching)
get_bulk = Query("transfers", "get_bulk", GetBulk, list[Bulk])
list_escalations = Query("transfers", "list_escalations", ListEscalations, list[Escalation])
list_messages = Query("transfers", "list_messages", ListMessages, Inbox)
get_figures = Query("transfers", "get_figures", GetFigures, FigureSheet)
list_behind = Query("transfers", "list_behind", ListBehind, list[Behind])
get_board = Query("transfers", "get_board", GetBoard, list[BoardRow])
get_policy = Query("transfers", "get_policy", GetPolicy, PolicyView)
advise = Query("transfers", "advise", Advise, Advice)
list_webhooks = Query("transfers", "list_webhooks", ListWebhooks, list[Webhook])


class CountInTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which open transfers stand in the way of deleting organisations (ORG-42, DEL-14).

    At most 500, all of one's own subtree.
    """

    org_ids: OrgIds


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """How many open transfers an organisation is a party of.

    `leaving` of them only lead out of it, which a branch that is set aside may have (DEL-04).
    """

    org_id: int
    transfers: int
    leaving: int


count_in_the_way = Query("transfers", "count_in_the_way", CountInTheWay, list[InTheWay])
list_work = Query("transfers", "list_work", ListWork, WorkPage)
get_transfer = Query("transfers", "get_transfer", GetTransfer, Progress)
my_transfers = Query("transfers", "my_transfers", MyTransfers, list[Transfer])
list_started = Query("transfers", "list_started", ListStarted, list[Transfer])
count_transfers = Query("transfers", "count_transfers", Counts, list[Count])
list_audit = Query("transfers", "list_audit", ListAudit, list[AuditLine])
