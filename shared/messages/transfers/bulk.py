"""Bulk decisions (BEY-05)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Instant,
    Note,
    Number,
    OrgId,
    RejectionCode,
    maybe,
)
from shared.messages.transfers.work import Filter


class CountMatching(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how many open nodes a filter takes in; a bulk decision has to name this number."""

    filter: Filter


class Exceptional(msgspec.Struct, frozen=True, kw_only=True):
    """One of the transfers that a filter takes in at which the rules have found something."""

    transfer_id: int
    member_id: int
    checks: list[words.Check]


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """How many open nodes a filter takes in.

    `exceptions` are those at which the rules have found something, the first 100 of the `excepted` ones
    in the order of their arrival. `by_reason`: how many have which reason.
    """

    count: int
    exceptions: list[Exceptional] = []
    excepted: int = 0
    by_reason: dict[str, int] = {}


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

    `problems`: the refused ones by transfer; `people`: whose transfers those are. `do`: approve, reject or
    assign, with the `state` and, of an assignment, the `branch_id`.
    """

    bulk_id: UUID
    total: int = 0
    done: int = 0
    waiting: int = 0
    started_at: Instant | None = None
    problems: dict[int, Refusal] = {}
    people: dict[int, int] = {}
    do: str = ""
    state: Annotated[str, maybe(words.TransferState)] = ""
    branch_id: int | None = None
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
