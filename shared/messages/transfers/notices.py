"""Messages and addresses that are told (MSG, BEY-15, BEY-19)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Cursor,
    Dated,
    Id,
    Instant,
    PageSize,
    SmallNumber,
    TransferId,
    Url,
    maybe,
)
from shared.messages.transfers.saga import Outcome


class ListMessages(Dated, frozen=True, kw_only=True):
    """Ask for messages about transfers (MSG-02, MSG-06).

    With an acting organisation: about its own starts; without one: about the caller's own. `kind`
    filters by event; `after` is the `cursor` of the last one of the page before.
    """

    kind: Annotated[str, maybe(words.TrailEvent)] = ""
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
    kind: words.TrailEvent
    at: Instant
    member_id: int
    org_id: int | None
    note: str
    end_code: str
    state: words.TransferState
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


mark_messages = Command("transfers", "mark_messages", MarkRead, Outcome)

set_webhooks = Command("transfers", "set_webhooks", SetWebhook, Webhook)

list_messages = Query("transfers", "list_messages", ListMessages, Inbox)

list_webhooks = Query("transfers", "list_webhooks", ListWebhooks, list[Webhook])
