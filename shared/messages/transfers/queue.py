"""The queue of approvals: saved views, phrases used before, assignment by a rule (TRF-27, ASG-02, BEY-05)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Note,
    Number,
    OrgId,
    ShortLine,
    maybe,
)
from shared.messages.transfers.work import Filter


class SaveView(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a filter under a name, for oneself in the acting organisation; at most 20.

    One of the same name is replaced. Names of people and single transfers are not kept with it.
    """

    view_id: UUID
    name: ShortLine
    filter: Filter
    sort: Annotated[str, maybe(words.WorkOrder)] = ""


class DropView(msgspec.Struct, frozen=True, kw_only=True):
    """Forget a view of one's own; one that is gone stays gone."""

    view_id: UUID


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that a person has kept for an organisation."""

    view_id: UUID
    name: str = ""
    filter: Filter = Filter()
    sort: Annotated[str, maybe(words.WorkOrder)] = ""
    repeated: bool = False
    refusal: Refusal | None = None


class KeepPhrase(msgspec.Struct, frozen=True, kw_only=True):
    """Remember a note of a rejection for the next time, the last ten of a person (TRF-27).

    With numbers as long as a telephone's it is of one person, and not remembered.
    """

    text: Note


class DropPhrase(msgspec.Struct, frozen=True, kw_only=True):
    """Forget a phrase of one's own."""

    text: Note


class Phrase(msgspec.Struct, frozen=True, kw_only=True):
    """A phrase, and whether it is remembered."""

    text: str = ""
    kept: bool = False
    refusal: Refusal | None = None


class ListHabits(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one's own views of the acting organisation, and one's own phrases."""


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """Views by name, phrases newest first."""

    views: list[View]
    phrases: list[str]


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A branch that takes members, and how many it has."""

    branch_id: OrgId
    members: Number = 0


class PlanAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """Ask who would go into which branch by a rule; nothing is done (ASG-01, ASG-02).

    Of those who wait for assignment by the acting organisation and match the filter, the first 500.
    `seats`: the branches to choose from with the members that they have; empty: all that take assignments
    below the acting organisation, at most 500.
    """

    rule: Annotated[str, maybe(words.AssignRule)]
    filter: Filter = Filter()
    seats: Annotated[list[Seat], msgspec.Meta(max_length=500)] = []


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody for whom the rule finds a branch, or why not."""

    transfer_id: int
    member_id: int
    remark: str
    branch_id: int | None = None
    why: Annotated[str, maybe(words.Unplaced)] = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A branch that takes assignments, and how many the plan puts into it."""

    branch_id: int
    name: str
    members: int
    placed: int


class AssignmentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Who would go where; `waiting` of them all, of which `rows` has the first 500."""

    rows: list[Placed]
    places: list[Place]
    waiting: int


save_views = Command("transfers", "save_views", SaveView, View)

drop_views = Command("transfers", "drop_views", DropView, View)

keep_phrases = Command("transfers", "keep_phrases", KeepPhrase, Phrase)

drop_phrases = Command("transfers", "drop_phrases", DropPhrase, Phrase)

list_habits = Query("transfers", "list_habits", ListHabits, Habits)

plan_assignment = Query("transfers", "plan_assignment", PlanAssignment, AssignmentPlan)
