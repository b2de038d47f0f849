"""Batch moves (BATCH)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query
from shared.messages.limits import (
    Digits,
    Line,
    OrgId,
    PersonIds,
    ReasonCode,
    Remark,
)
from shared.messages.transfers.work import Transfer


class MoveBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Move up to 30 members from one branch to another, without approval (BATCH-01..07).

    Both lie below the acting committee. All or none; with `skip` those who cannot be moved are left
    out and the others move (BATCH-05).
    """

    command_id: UUID
    source_branch_id: OrgId
    member_ids: PersonIds
    target_branch_id: OrgId
    reason: ReasonCode = "ordinary"
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


move_batches = Command("transfers", "move_batches", MoveBatch, BatchAsked)

get_batch = Query("transfers", "get_batch", GetBatch, list[Transfer])
