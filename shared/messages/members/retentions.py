"""The register of who stays (GRAD-26..33)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    After,
    Dated,
    Day,
    Id,
    Line,
    Note,
    PageSize,
    PersonId,
    PersonName,
    Phone,
    Prose,
    Sort,
    StayKind,
    maybe,
)


class RequestRetention(Dated, frozen=True, kw_only=True):
    """Ask to stay at school: `abroad` (GRAD-29) or `retained` (GRAD-26).

    `abroad`: during studies abroad, with place, time and a contact at home; `retained`: for up to
    six months. By the member, or by the administrators of the branch or its direct superior.
    """

    command_id: UUID
    member_id: PersonId
    kind: StayKind
    since: Day
    until: Day
    place: Line = ""
    contact_name: PersonName = ""
    contact_phone: Phone = ""
    reason: Prose = ""


class DecideRetention(msgspec.Struct, frozen=True, kw_only=True):
    """Approve or refuse, for a school's committee above the branch (GRAD-29, GRAD-33).

    `end` closes an approved one; `report` adds a report from abroad (GRAD-30).
    """

    retention_id: Id
    approve: bool = False
    end: bool = False
    report: Prose = ""
    note: Note = ""


class RetentionSaved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item on retentions."""

    retention_id: int | None = None
    state: Annotated[str, maybe(words.StayState)] = ""
    refusal: Refusal | None = None


class ListRetentions(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the register of those who stay, of the acting organisation and below (DOC-09).

    Narrowed by kind, by state and by how a name begins. `sort`: `until` puts first what ends first,
    `-until` what ends last; otherwise it is in the order of the entries. With `own`: for the
    caller's own.
    """

    kind: Annotated[str, maybe(words.StayKind)] = ""
    state: Annotated[str, maybe(words.StayState)] = ""
    name: Line = ""
    sort: Sort = ""
    own: bool = False
    after: After = 0
    limit: PageSize = 100


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the register: `requested`, `approved`, `refused`, `ended`."""

    retention_id: int
    member_id: int
    member: str
    branch_id: int
    kind: words.StayKind
    since: dt.date
    until: dt.date
    place: str
    contact_name: str
    contact_phone: str
    reason: str
    state: words.StayState
    note: str
    reports: list[str]


request_retentions = Command("members", "request_retentions", RequestRetention, RetentionSaved)

decide_retentions = Command("members", "decide_retentions", DecideRetention, RetentionSaved)

list_retentions = Query("members", "list_retentions", ListRetentions, list[Retention])
