"""People: looking up, showing, editing, deleting, where they were (MEM, TRF-05, DEL, BEY-09)."""

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
    DeletionCause,
    Digits,
    IdNumber,
    Instant,
    Line,
    MemberMark,
    OrgId,
    PageSize,
    PersonId,
    PersonIds,
    PersonName,
    Phone,
    PostCode,
    Prose,
    ShortLine,
    maybe,
)
from shared.messages.members.posts import Post


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """Find one member by exact name and ID number, for a transfer-in (TRF-05, TRF-06)."""

    name: PersonName
    id_number: IdNumber


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The one match, with a ticket that lets the finder start a transfer within the hour."""

    member_id: int
    name: str
    branch_id: int
    ticket: str


class ListMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for members of a branch the acting organisation administers (MEM-28)."""

    branch_id: OrgId
    after: After = 0
    limit: PageSize = 100


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member as shown to those entitled; the ID number is masked (MEM-02, MEM-28, MEM-31, MEM-32).

    `sex`, `age` and `league_years` are derived (MEM-03); `post` is the post in the member's own
    branch; `missing` names the required fields that are not filled, none for a complete record
    (MEM-22); `to_contact`: has arrived and was not contacted yet (MEM-30); `party`: is a Party
    member who keeps membership (MEM-25); `found_on`: when work or study was found, of those who
    wait for a transfer onward (TYPE-16); `said_there`: of who is to come, what the other system's
    registry has said beside who it is, until the transfer ends (FED-08).
    """

    member_id: int
    name: str
    id_masked: str
    phone: str
    ethnic_group: str
    joined_on: dt.date | None
    branch_id: int | None
    graduate: bool
    transfer_id: int | None
    mark: MemberMark = ""
    graduates_on: dt.date | None = None
    identity_check: words.IdentityCheck = words.IdentityCheck.UNCHECKED
    sex: Annotated[str, maybe(words.Sex)] = ""
    age: int | None = None
    league_years: int | None = None
    development_number: str = ""
    post: PostCode = ""
    contact: str = ""
    emergency_contact: str = ""
    party: bool = False
    to_contact: bool = False
    found_on: dt.date | None = None
    said_there: str = ""
    missing: list[str] = []


class DescribePeople(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for people by id, at most 500.

    Anyone outside the caller's rights comes as a name of surname and stars.
    """

    person_ids: PersonIds


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one's own record (ROLE-01)."""


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of a membership: in which branch, from when to when (BEY-09)."""

    branch_id: int
    began_at: Instant
    ended_at: Instant | None
    transfer_id: int | None


class StayElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A stay in a branch of another system, by its full name, as the record from there told (FED-10).

    The last one may have no `until`: it ended when the person came here.
    """

    branch: str
    since: Day
    until: Day | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One's own record with the history of branches, newest first, and one's own posts.

    `hints`: what the person is asked to put right, as refusal codes: an irregular development
    number (MEM-13), an incomplete profile (MEM-23), a failed identity check (MEM-19). `system`: which one
    keeps the branch; of another the person is a member there, and what stands here is history (FED-12).
    `elsewhere`: stays in other systems, newest first.
    """

    member: Member
    stays: list[Stay]
    posts: list[Post] = []
    hints: list[str] = []
    system: words.System = words.System.NATIONAL
    elsewhere: list[StayElsewhere] = []


class GetProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a member's record with the history of branches and posts (MEM-28, BEY-09).

    For administrators of the branch or of what stands above it.
    """

    member_id: PersonId


class EditMember(Dated, frozen=True, kw_only=True):
    """Change a member's data; what is not given stays. Name and ID number never change (MEM-14, MEM-21).

    `found` says that work or study was found, on `found_on` or today, and the month for the
    transfer onward runs from then; false takes it back (TYPE-16).
    """

    command_id: UUID
    member_id: PersonId
    phone: Phone | None = None
    ethnic_group: ShortLine | None = None
    joined_on: Day | None = None
    development_number: Digits | None = None
    contact: Line | None = None
    emergency_contact: Line | None = None
    party: bool | None = None
    contacted: bool | None = None
    found: bool | None = None
    found_on: Day | None = None


class DeleteMember(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a wrongly entered member, with the reason (DEL-05, DEL-07, MEM-19).

    The person may be entered anew.
    """

    command_id: UUID
    member_id: PersonId
    reason: Prose


class RequestDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Report a wrongly entered member to the leading bodies above (DEL-06, DEL-10, DOC-11).

    By the branch or its direct superior. `cause`: `wrong_name`, `wrong_id`, `overwritten` (one
    person's record over another's) or `other`; a member who merely belongs elsewhere (`elsewhere`)
    is transferred instead (DEL-09). A second request replaces the first.
    """

    command_id: UUID
    member_id: PersonId
    cause: DeletionCause
    explanation: Prose


class MemberSaved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one edit or deletion."""

    member_id: int
    refusal: Refusal | None = None


class WhereWas(Dated, frozen=True, kw_only=True):
    """Ask in which branch people were at the end of a day in China (BEY-09)."""

    person_ids: PersonIds
    on: Day


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """A person's branch on a day; None: none yet, or not for the caller to see."""

    person_id: int
    branch_id: int | None


look_up = Query("members", "look_up", LookUp, Found)

list_members = Query("members", "list_members", ListMembers, list[Member])

describe_people = Query("members", "describe_people", DescribePeople, list[Member])

get_profile = Query("members", "get_profile", GetProfile, Profile)

who_am_i = Query("members", "who_am_i", WhoAmI, Profile, restricted=True)

edit_members = Command("members", "edit_members", EditMember, MemberSaved)

request_deletions = Command("members", "request_deletions", RequestDeletion, MemberSaved)

delete_members = Command("members", "delete_members", DeleteMember, MemberSaved)

where_was = Query("members", "where_was", WhereWas, list[Whereabouts])
