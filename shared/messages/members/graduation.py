"""Marks of branches and members (GRAD)."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query
from shared.messages.limits import (
    After,
    BranchReason,
    Dated,
    Day,
    Line,
    MemberMark,
    OrgId,
    PageSize,
    PersonId,
    Prose,
)


class MarkBranch(Dated, frozen=True, kw_only=True):
    """Say when a branch graduates, or why it has no such time (GRAD-02, GRAD-03, GRAD-07).

    Repeating it does no harm. Exactly one of `graduates_on` (any day of the month) and `reason`
    (`teachers`, `mixed`) is given.
    """

    command_id: UUID
    branch_id: OrgId
    graduates_on: Day | None = None
    reason: BranchReason = ""


class BranchMarked(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one branch: whether it is a graduates' organisation now (GRAD-12).

    `members`: how many were flagged by this.
    """

    branch_id: int
    graduate: bool = False
    members: int = 0
    refusal: Refusal | None = None


class MarkMember(Dated, frozen=True, kw_only=True):
    """Mark one member (GRAD-10, GRAD-11, GRAD-16, GRAD-21).

    Repeating it does no harm. `mark`: `own` (a time of graduation of the member's own, in a mixed
    branch), `delayed` (later than the branch, with a reason), `teacher`, or empty to take the mark
    back.
    """

    command_id: UUID
    member_id: PersonId
    mark: MemberMark
    graduates_on: Day | None = None
    reason: Prose = ""


class MemberMarked(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one member."""

    member_id: int
    refusal: Refusal | None = None


class ListBranchMarks(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the branches below the acting organisation with their times of graduation (GRAD-08, GRAD-32).

    `unmarked_only`: only those without one; `name`: a part of the branch's name.
    """

    unmarked_only: bool = False
    name: Line = ""
    after: After = 0
    limit: PageSize = 100


class BranchMark(msgspec.Struct, frozen=True, kw_only=True):
    """A branch and its mark; neither time nor reason: not marked yet.

    `graduate`: it is a graduates' organisation; `may_mark`: the acting organisation marks it
    (GRAD-09); `teachers`: a branch of teachers, which needs no mark (ORG-34).
    """

    branch_id: int
    name: str
    superior_id: int | None
    graduates_on: dt.date | None
    reason: BranchReason
    graduate: bool
    may_mark: bool = False
    teachers: bool = False


mark_branches = Command("members", "mark_branches", MarkBranch, BranchMarked)

mark_members = Command("members", "mark_members", MarkMember, MemberMarked)

list_branch_marks = Query("members", "list_branch_marks", ListBranchMarks, list[BranchMark])
