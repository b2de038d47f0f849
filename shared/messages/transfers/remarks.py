"""Urging, looking, starting again, escalation (BEY-06, TRF-26)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Advised,
    Days,
    Instant,
    Note,
    OrgId,
    TransferId,
    maybe,
)
from shared.messages.transfers.saga import Outcome


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
    """Ask for what members have escalated to the acting organisation, newest first.

    Or with `oldest_first` the other way round. `reason`: only transfers of it.
    """

    open_only: bool = True
    reason: Annotated[str, maybe(words.Reason)] = ""
    oldest_first: bool = False


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """An escalated rejection with both sides, and the answer, empty until there is one."""

    transfer_id: int
    org_id: int
    member_id: int
    source_branch_id: int
    target_org_id: int
    reason: words.Reason
    end_code: str
    end_note: str
    note: str
    asked_at: Instant
    answer: Annotated[str, maybe(words.Advised)]
    answer_note: str
    answered_at: Instant | None


urge_transfers = Command("transfers", "urge_transfers", UrgeTransfer, Outcome)

urge_below = Command("transfers", "urge_below", UrgeBelow, Urged)

look_at_nodes = Command("transfers", "look_at_nodes", LookAt, Outcome)

restart_transfers = Command("transfers", "restart_transfers", RestartTransfer, Outcome)

escalate_transfers = Command("transfers", "escalate_transfers", Escalate, Outcome)

answer_escalations = Command("transfers", "answer_escalations", AnswerEscalation, Outcome)

list_escalations = Query("transfers", "list_escalations", ListEscalations, list[Escalation])
