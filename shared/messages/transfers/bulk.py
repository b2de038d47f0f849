"""Bulk decisions (BEY-05)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Dated,
    Instant,
    Note,
    Number,
    OrgId,
    RejectionCode,
    maybe,
)


class Filter(Dated, frozen=True, kw_only=True):
    """Open nodes of one kind that the acting organisation may decide (BEY-05).

    Optionally of one reason, source or age, or without warnings.
    """

    state: Annotated[str, maybe(words.TransferState)]
    reason: Annotated[str, maybe(words.Reason)] = ""
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
    reason_code: RejectionCode = ""
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


start_bulks = Command("transfers", "start_bulks", StartBulk, Bulk)

stop_bulks = Command("transfers", "stop_bulks", StopBulk, Bulk)

count_matching = Query("transfers", "count_matching", CountMatching, Matching)

get_bulk = Query("transfers", "get_bulk", GetBulk, list[Bulk])
