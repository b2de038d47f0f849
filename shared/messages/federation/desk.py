"""What operators of a bridge ask and do (FED-11, FED-13, BEY-16).

Each call names the `peer`, and goes to the bridge that leads there. Commands are for administrators of the
root organisation alone; what is asked says for whom it is. Nothing that is answered is the open text of a
seal: a bridge cannot open any.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.federation.events import Subject
from shared.messages.limits import (
    Cursor,
    Dated,
    Day,
    Instant,
    Note,
    PageSize,
    TransferId,
    Word,
)

SubjectOrNone = Annotated[Subject, Meta(description="a transfer as messages name it, or empty")]
Seq = Annotated[
    int, Meta(ge=1, le=2**31 - 1, description="the number of a message, from 1 in each direction")
]
SeqOrAll = Annotated[int, Meta(ge=0, le=2**31 - 1, description="the number of a message of ours; 0: all")]

# ---- the state of a bridge -----------------------------------------------------------------------


class GetBridge(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how a bridge is; for administrators of the root organisation."""

    peer: Word


class BridgeQueues(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that are not done with: of ours, and of the peer's.

    `waiting` are to be sent, `parked` wait for a person. `held` came early and wait for those before them,
    `quarantined` wait for a person.
    """

    waiting: int
    parked: int
    held: int
    quarantined: int


class BridgeTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What the last 24 hours brought.

    `sent`: messages that the peer has receipted or refused for good, after `tries` tries in all; `refused`
    of them it refused. `received`: messages of the peer's, `not_taken` of them refused or set aside here.
    """

    sent: int
    tries: int
    refused: int
    received: int
    not_taken: int


class BridgeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key by its id: `own`, or the peer's. `days_left` is 0 for one that has ended or is revoked.

    `in_use`: what is signed now is signed with it.
    """

    kid: str
    own: bool
    alg: str
    valid_from: Instant
    valid_until: Instant
    revoked: bool
    in_use: bool
    days_left: int


class OldestMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest message of ours that the peer has not receipted, and for how many seconds."""

    subject: str
    seq: int
    type: words.BridgeMessage
    said_at: Instant
    age: float


class ReconciledDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that was compared with the peer: its transfers here, and how many of them differed.

    It is clean with none `differing`.
    """

    day: dt.date
    compared_at: Instant
    transfers: int
    differing: int


class WantedReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """A day that is to be compared, since when, and after how many tries that failed."""

    day: dt.date
    asked_at: Instant
    tries: int


class OpenHandovers(msgspec.Struct, frozen=True, kw_only=True):
    """Transfers that stand at one state here, how many, and since when the oldest does."""

    state: words.HandoverState
    count: int
    oldest: Instant


class DirectoryReading(msgspec.Struct, frozen=True, kw_only=True):
    """The last reading of the peer's directory; `ended_at` None: it is not whole."""

    begun_at: Instant
    ended_at: Instant | None
    version: str


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """How a bridge is.

    `up`: the peer answered the last time it was called; None: it was never called. It has been so since
    `up_since` or `down_since`. `paused_by` is a person, None for the command line. `skew_ms`: how far the
    peer's clock is ahead. `peer_version` is that of its last message, empty for none. `in_doubt`: members
    whose record is on the way to the peer, since `in_doubt_since` the oldest. `differences` are those that
    nobody has confirmed.
    """

    peer: str
    up: bool | None
    up_since: Instant | None
    down_since: Instant | None
    failures: int
    probe_at: Instant | None
    answered_at: Instant | None
    paused_at: Instant | None
    paused_by: int | None
    paused_reason: str
    skew_ms: int | None
    oldest: OldestMessage | None
    queues: BridgeQueues
    day: BridgeTraffic
    version: str
    peer_version: str
    algorithms: list[str]
    keys: list[BridgeKey]
    reconciled: list[ReconciledDay]
    wanted: list[WantedReconciliation]
    open: list[OpenHandovers]
    in_doubt: int
    in_doubt_since: Instant | None
    differences: int
    reading: DirectoryReading | None


get_bridge = Query("federation", "get_bridge", GetBridge, Bridge)

# ---- transfers that lead across ------------------------------------------------------------------


class ListHandovers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which transfers are open, those in doubt first, then the oldest first (FED-11, FED-13).

    For administrators of the root organisation; those of a provincial body see transfers whose side here
    lies below it. `in_doubt`: only those.
    """

    peer: Word
    in_doubt: bool = False
    after: Cursor = ""
    limit: PageSize = 100


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that is open.

    `transfer_id` is our number of it, None while it has none; `org_id` the organisation on our side.
    `in_doubt`: the record is on the way, and the peer has not said whether it takes it. `waiting`, `parked`
    and `quarantined` are counts of its messages. `release` and `give_up`: whether an operator may do that
    now.
    """

    subject: str
    transfer_id: int | None
    org_id: int | None
    outgoing: bool
    state: words.HandoverState
    since: Instant
    in_doubt: bool
    last_said_at: Instant | None
    last_heard_at: Instant | None
    waiting: int
    parked: int
    quarantined: int
    release: bool
    give_up: bool
    cursor: str


list_handovers = Query("federation", "list_handovers", ListHandovers, list[Handover])


class GetMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the messages of one transfer, by its `subject` or by our number; one of the two.

    For those who see it in `list_handovers`; it may have ended.
    """

    peer: Word
    subject: SubjectOrNone = ""
    transfer_id: TransferId | None = None


class MessageLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message, without what is sealed in it.

    `ours`: said here. `at`: when it came here, or when ours was receipted; None: not yet. `code`: why it was
    refused, parked or set aside, empty if it was not. `receipt`: what the first receipt says, with
    `receipt_at` when it was signed. `send_again`: whether an operator may. `text`: what its sender has
    written for people.
    """

    ours: bool
    seq: int
    type: words.BridgeMessage
    said_at: Instant
    at: Instant | None
    expires_at: Instant | None
    sha256: str
    state: words.MessageState
    code: str
    attempts: int
    next_at: Instant | None
    receipt: str
    receipt_code: str
    receipt_at: Instant | None
    organisation: str
    phone: str
    reason: str
    text: str
    send_again: bool


class TransferMessages(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer with all its messages, in the order in which they were said."""

    subject: str
    transfer_id: int | None
    org_id: int | None
    outgoing: bool
    state: words.HandoverState
    since: Instant
    release: bool
    give_up: bool
    messages: list[MessageLine]


get_messages = Query("federation", "get_messages", GetMessages, TransferMessages)


class GetEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the evidence of one transfer, by its `subject` or by our number; one of the two (BEY-16).

    For administrators of the root organisation.
    """

    peer: Word
    subject: SubjectOrNone = ""
    transfer_id: TransferId | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A zip: every message with its first receipt, public keys, and a script that verifies them alone."""

    name: str
    zip: bytes
    sha256: str


get_evidence = Query("federation", "get_evidence", GetEvidence, Evidence)


class ListBridgeAudit(ListAudit, frozen=True, kw_only=True):
    """Ask for lines of the audit log of one bridge, newest first."""

    peer: Word


list_bridge_audit = Query("federation", "list_bridge_audit", ListBridgeAudit, list[AuditLine])

# ---- what waits for a person ---------------------------------------------------------------------


class ListQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for messages that were authentic and impossible when they came, the oldest first.

    For administrators of the root organisation. With `decided` those that somebody has decided, the newest
    first.
    """

    peer: Word
    decided: bool = False
    after: Cursor = ""
    limit: PageSize = 100


class QuarantinedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in quarantine: why, and what may be done with it now.

    `state`: where its transfer stands here. `decisions`: those that are possible.
    """

    subject: str
    seq: int
    type: words.BridgeMessage
    why: str
    found_at: Instant
    transfer_id: int | None
    state: words.HandoverState
    decisions: list[words.QuarantineDecision]
    decision: words.QuarantineDecision | None
    reason: str
    decided_by: int | None
    decided_at: Instant | None
    cursor: str


list_quarantine = Query("federation", "list_quarantine", ListQuarantine, list[QuarantinedMessage])


class ListDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for what differs from the peer, the oldest day first (BEY-16).

    For administrators of the root organisation. Without `all` only what is found still and nobody has
    confirmed; with it everything, what is gone last.
    """

    peer: Word
    all: bool = False
    after: Cursor = ""
    limit: PageSize = 100


class ManifestLine(msgspec.Struct, frozen=True, kw_only=True):
    """How a transfer stands on one side, as its manifest says.

    `home`: with whom the registry of that side has the member, None where that is not what differs.
    """

    outcome: str
    sender_seq: int
    sender_head: str
    receiver_seq: int
    receiver_head: str
    home: words.MemberHome | None = None


class BridgeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that differs, with both lines; None: that side has none.

    The words of `kind` say what is proposed. `automatic`: our messages have been sent again already.
    `confirmed_by`: who has confirmed it, None for nobody or for the command line.
    """

    subject: str
    transfer_id: int | None
    kind: words.DifferenceKind
    day: dt.date
    ours: ManifestLine | None
    theirs: ManifestLine | None
    found_at: Instant
    seen_at: Instant
    gone_at: Instant | None
    automatic: bool
    confirmed_at: Instant | None
    confirmed_by: int | None
    reason: str
    cursor: str


list_differences = Query("federation", "list_differences", ListDifferences, list[BridgeDifference])

# ---- what operators do ---------------------------------------------------------------------------


class Operated(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item: how many messages, days or transfers it has changed, or why none."""

    count: int = 0
    refusal: Refusal | None = None


class PauseBridge(msgspec.Struct, frozen=True, kw_only=True):
    """Let nothing go out to the peer from now on; what comes is taken (FED-11)."""

    command_id: UUID
    peer: Word
    reason: Note


class ResumeBridge(msgspec.Struct, frozen=True, kw_only=True):
    """Let everything go out again."""

    command_id: UUID
    peer: Word
    reason: Note = ""


class SendAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Send messages of ours again that are parked or receipted: the same bytes (FED-11)."""

    command_id: UUID
    peer: Word
    subject: Subject
    seq: SeqOrAll = 0
    reason: Note = ""


class DecideQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Decide what becomes of a message in quarantine: `applied`, `refused` or `discarded`, with the reason.

    With `refused` the peer is told the reason.
    """

    command_id: UUID
    peer: Word
    subject: Subject
    seq: Seq
    decision: Word
    reason: Note


class ReconcileNow(Dated, frozen=True, kw_only=True):
    """Compare a day with the peer, soon; None: the last 30 days, and what is open (BEY-16)."""

    command_id: UUID
    peer: Word
    day: Day | None = None


class RepairDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Do what is proposed for a difference, or confirm that it was seen to, with the reason (BEY-16)."""

    command_id: UUID
    peer: Word
    subject: Subject
    kind: Word
    reason: Note


class ReleaseMember(msgspec.Struct, frozen=True, kw_only=True):
    """End the doubt about a member whose record the peer has signed never to have seen (FED-11)."""

    command_id: UUID
    peer: Word
    subject: Subject
    reason: Note


class GiveUpArrival(msgspec.Struct, frozen=True, kw_only=True):
    """Do not wait any longer for a record; one that comes all the same is sent back (FED-11)."""

    command_id: UUID
    peer: Word
    subject: Subject
    reason: Note


pause_bridges = Command("federation", "pause_bridges", PauseBridge, Operated)

resume_bridges = Command("federation", "resume_bridges", ResumeBridge, Operated)

send_again = Command("federation", "send_again", SendAgain, Operated)

decide_quarantine = Command("federation", "decide_quarantine", DecideQuarantine, Operated)

reconcile_now = Command("federation", "reconcile_now", ReconcileNow, Operated)

repair_differences = Command("federation", "repair_differences", RepairDifference, Operated)

release_members = Command("federation", "release_members", ReleaseMember, Operated)

give_up_arrivals = Command("federation", "give_up_arrivals", GiveUpArrival, Operated)
