"""What the members service tells and answers."""
from __future__ import annotations

import datetime as dt
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Event, Query


class MemberReserved(Event, frozen=True, kw_only=True):
    """The member is held for this transfer and for no other (TRF-02)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: int
    member_id: int


class ReservationRefused(Event, frozen=True, kw_only=True):
    """The member cannot be held: `code` is a refusal code (MEM-01, TRF-02)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: int
    member_id: int
    code: str


class MemberMoved(Event, frozen=True, kw_only=True):
    """The member is now in the branch, once and for all of this transfer (TRF-35)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: int
    member_id: int
    branch_id: int


class BranchGraduated(Event, frozen=True, kw_only=True):
    """The branch became a graduates' organisation, or is one no more (GRAD-12, GRAD-14); the highest version holds."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    branch_id: int
    graduate: bool
    version: int


class CadreChanged(Event, frozen=True, kw_only=True):
    """A person's post in an organisation as it is now, empty for none (CADRE-04, ADM-02); the highest version holds.

    `has_phone`: whether the person's own profile has a mobile number (ORG-21, ORG-22).
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: int
    person_id: int
    post: str
    has_phone: bool
    version: int


class AdministratorRegistered(Event, frozen=True, kw_only=True):
    """A person has used an organisation's registration code and shall administer it (ADM-04, ADM-09)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: int
    person_id: int


class DeletionRefused(Event, frozen=True, kw_only=True):
    """The organisation was deleted while members were in it; it comes back (DEL-03)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: int


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in with ID number and password (ACC-02); `address` is the caller's, for the lockout."""

    id_number: str
    password: str
    address: str = ""


class Renew(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a fresh token of a living session."""

    session: str


class SignOut(msgspec.Struct, frozen=True, kw_only=True):
    """End a session (ACC-16)."""

    session: str


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the own password (ACC-05); of all sessions of the person only `session` goes on, none if it is not given."""

    old_password: str
    new_password: str
    session: str = ""


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a forgotten password with a code that an administrator has handed out (ACC-08); `address` is the caller's, for the lockout."""

    id_number: str
    code: str
    new_password: str
    address: str = ""


class IssueResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a code that resets a member's password (ACC-06, ACC-07); a new code replaces the earlier one."""

    command_id: UUID
    member_id: int


class ResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to hand over in person: single-use, shown only in this answer (ACC-09)."""

    member_id: int
    code: str = ""
    expires_at: dt.datetime | None = None
    refusal: Refusal | None = None


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A session: `token` proves the person to every service until `expires_at`, `session` renews it."""

    person_id: int
    name: str
    token: str
    session: str
    expires_at: dt.datetime
    must_change_password: bool


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """Find one member by exact name and ID number, for a transfer-in (TRF-05, TRF-06)."""

    name: str
    id_number: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The one match, with a ticket that lets the finder start a transfer within the hour."""

    member_id: int
    name: str
    branch_id: int
    ticket: str


class ListMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for members of a branch the acting organisation administers (MEM-28)."""

    branch_id: int
    after: int = 0
    limit: int = 100


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member as shown to those entitled; the ID number is masked (MEM-32)."""

    member_id: int
    name: str
    id_masked: str
    phone: str
    ethnic_group: str
    joined_on: dt.date | None
    branch_id: int | None
    graduate: bool
    transfer_id: int | None
    mark: str = ""
    graduates_on: dt.date | None = None
    identity_check: str = "unchecked"


class DescribePeople(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for people by id, at most 500; who is outside the caller's right comes as a name of surname and stars."""

    person_ids: list[int]


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the own record (ROLE-01)."""


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of a membership: in which branch, from when to when (BEY-09)."""

    branch_id: int
    began_at: dt.datetime
    ended_at: dt.datetime | None
    transfer_id: int | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The own record with the history of branches, newest first."""

    member: Member
    stays: list[Stay]


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a roster, to be entered into a branch (IMP-05, IMP-08)."""

    command_id: UUID
    branch_id: int
    name: str
    id_number: str
    ethnic_group: str = ""
    phone: str = ""
    joined_on: dt.date | None = None
    development_number: str = ""
    post: str = ""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: the new member, or why not in the words of the catalogue."""

    member_id: int | None = None
    reason: str | None = None
    refusal: Refusal | None = None


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an uploaded roster (IMP-05). All rows of a file share `import_id`; with `number` it is the row's key, so a list may be sent again.

    `problem` is a fault found in reading; such a row fails without being tried.
    """

    import_id: UUID
    number: int
    branch_name: str
    name: str
    id_number: str
    ethnic_group: str = ""
    phone: str = ""
    joined_on: dt.date | None = None
    development_number: str = ""
    post: str = ""
    problem: str = ""


class ImportTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: it is kept and will be tried."""

    number: int
    refusal: Refusal | None = None


class GetImport(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far an import is; `failed_after` asks for up to 500 failed rows after that number as well (IMP-06, IMP-07)."""

    import_id: UUID
    failed_after: int | None = None


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: rows in all, entered, failed; the rest waits."""

    rows: int
    entered: int
    failed: int
    failures: list[ImportRow] = []


class MarkBranch(msgspec.Struct, frozen=True, kw_only=True):
    """Say when a branch graduates, or why it has no such time (GRAD-02, GRAD-03, GRAD-07); repeated without harm.

    Exactly one of `graduates_on` (any day of the month) and `reason` (`teachers`, `mixed`) is given.
    """

    command_id: UUID
    branch_id: int
    graduates_on: dt.date | None = None
    reason: str = ""


class BranchMarked(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one branch: whether it is a graduates' organisation now, and how many members were flagged by this (GRAD-12)."""

    branch_id: int
    graduate: bool = False
    members: int = 0
    refusal: Refusal | None = None


class MarkMember(msgspec.Struct, frozen=True, kw_only=True):
    """Mark one member (GRAD-10, GRAD-11, GRAD-16, GRAD-21); repeated without harm.

    `mark`: `own` (a time of graduation of the member's own, in a mixed branch), `delayed` (later than the branch, with a reason),
    `teacher`, or empty to take the mark back.
    """

    command_id: UUID
    member_id: int
    mark: str
    graduates_on: dt.date | None = None
    reason: str = ""


class MemberMarked(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one member."""

    member_id: int
    refusal: Refusal | None = None


class EditMember(msgspec.Struct, frozen=True, kw_only=True):
    """Change a member's data; what is not given stays. Name and ID number never change (MEM-14, MEM-21)."""

    command_id: UUID
    member_id: int
    phone: str | None = None
    ethnic_group: str | None = None
    joined_on: dt.date | None = None
    development_number: str | None = None
    post: str | None = None


class DeleteMember(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a wrongly entered member, with the reason; the person may be entered anew (DEL-05, DEL-07, MEM-19)."""

    command_id: UUID
    member_id: int
    reason: str


class MemberSaved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one edit or deletion."""

    member_id: int
    refusal: Refusal | None = None


class WhereWas(msgspec.Struct, frozen=True, kw_only=True):
    """Ask in which branch people were at the end of a day in China (BEY-09)."""

    person_ids: list[int]
    on: dt.date


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """A person's branch on a day; None: none yet, or not for the caller to see."""

    person_id: int
    branch_id: int | None


class ListBranchMarks(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the branches below the acting organisation with their times of graduation, or only those without (GRAD-08, GRAD-32)."""

    unmarked_only: bool = False
    after: int = 0
    limit: int = 100


class BranchMark(msgspec.Struct, frozen=True, kw_only=True):
    """A branch and its mark; neither time nor reason: not marked yet. `graduate`: it is a graduates' organisation."""

    branch_id: int
    name: str
    superior_id: int | None
    graduates_on: dt.date | None
    reason: str
    graduate: bool


sign_in = Query("members", "sign_in", SignIn, Signed)
renew = Query("members", "renew", Renew, Signed)
sign_out = Query("members", "sign_out", SignOut, bool)
change_password = Query("members", "change_password", ChangePassword, bool)
look_up = Query("members", "look_up", LookUp, Found)
list_members = Query("members", "list_members", ListMembers, list[Member])
describe_people = Query("members", "describe_people", DescribePeople, list[Member])
who_am_i = Query("members", "who_am_i", WhoAmI, Profile)
admit = Command("members", "admit", Admission, Admitted)
mark_branches = Command("members", "mark_branches", MarkBranch, BranchMarked)
mark_members = Command("members", "mark_members", MarkMember, MemberMarked)
list_branch_marks = Query("members", "list_branch_marks", ListBranchMarks, list[BranchMark])
edit_members = Command("members", "edit_members", EditMember, MemberSaved)
delete_members = Command("members", "delete_members", DeleteMember, MemberSaved)
where_was = Query("members", "where_was", WhereWas, list[Whereabouts])
import_rows = Command("members", "import_rows", ImportRow, ImportTaken)
get_import = Query("members", "get_import", GetImport, ImportProgress)
reset_password = Query("members", "reset_password", ResetPassword, bool)
issue_reset_codes = Command("members", "issue_reset_codes", IssueResetCode, ResetCode)
