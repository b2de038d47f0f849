"""What the members service tells and answers."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Act, Command, Event, Query
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    Address,
    After,
    BranchReason,
    CodeText,
    Dated,
    Day,
    Days,
    DeletionCause,
    Device,
    Digits,
    Domain,
    Id,
    IdNumber,
    Instant,
    Line,
    LogHash,
    MemberMark,
    Note,
    Number,
    Opaque,
    OrgId,
    OrgIds,
    OrgName,
    PageSize,
    Password,
    PersonId,
    PersonIds,
    PersonName,
    Phone,
    PostCode,
    Prose,
    ShortLine,
    StayKind,
    TransferId,
    Uuids,
    Version,
    Word,
    Year,
)


class MemberReserved(Event, frozen=True, kw_only=True):
    """The member is held for this transfer and for no other (TRF-02)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId


class ReservationRefused(Event, frozen=True, kw_only=True):
    """The member cannot be held: `code` is a refusal code (MEM-01, TRF-02)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    code: Word


class MemberMoved(Event, frozen=True, kw_only=True):
    """The member is now in the branch; for one transfer this happens once (TRF-35)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    branch_id: OrgId


class BranchGraduated(Event, frozen=True, kw_only=True):
    """The branch became a graduates' organisation, or is no longer one (GRAD-12, GRAD-14).

    The highest version holds.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    branch_id: OrgId
    graduate: bool
    version: Version


class GraduateChanged(Event, frozen=True, kw_only=True):
    """A member became a graduate of a branch in a year, or no longer counts as one (GRAD-12, GRAD-16).

    The highest version holds. A member who leaves as a graduate stays in the cohort, so nothing is
    told when a transfer completes (STAT-13).
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    member_id: PersonId
    cohort: Year
    branch_id: OrgId
    counts: bool
    at: Instant
    version: Version


class CadreChanged(Event, frozen=True, kw_only=True):
    """A person's post in an organisation as it is now, empty for none (CADRE-04, ADM-02).

    The highest version holds. `has_phone`: whether the person's own profile has a mobile number
    (ORG-21, ORG-22).
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId
    person_id: PersonId
    post: Word
    has_phone: bool
    version: Version


class AdministratorRegistered(Event, frozen=True, kw_only=True):
    """A person has used an organisation's registration code and is to administer it (ADM-04, ADM-09)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId
    person_id: PersonId


class DeletionRefused(Event, frozen=True, kw_only=True):
    """The organisation was deleted while members were in it; it comes back (DEL-03)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId


class SessionEnded(Event, frozen=True, kw_only=True):
    """A session was ended: its tokens no longer count, anywhere.

    After `until` they would have lapsed by themselves.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs", "transfers")

    session_id: UUID
    until: Instant


class MembersLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of members has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    lane: Number
    rows: Version
    hash: LogHash


class GetCaptcha(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a picture of characters to read (ACC-02, ACC-08).

    `address` is the caller's: only so many are drawn for one, and where much has failed from one, a
    captcha is asked for whatever the setting.
    """

    address: Address = ""


class GetSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, whether the installation waits for its first administrator (ADM-10)."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """`open` while nobody administers anything; `has_tree` once organisations were loaded."""

    open: bool
    has_tree: bool


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """Become the first administrator with the token that the installation made with its keys (ADM-10).

    `org_id` 0 is the root.
    """

    token: CodeText
    name: PersonName
    id_number: IdNumber
    phone: Phone = ""
    password: Password
    org_id: After = 0
    address: Address = ""


class Captcha(msgspec.Struct, frozen=True, kw_only=True):
    """A picture whose characters are to be sent along, once, within five minutes.

    There is no picture where none is asked for. `initial_tail` says what opens a new account: that
    many last characters of the ID number, or a code where it is 0 (ACC-04, BEY-22).
    """

    captcha_id: str = ""
    png: bytes = b""
    initial_tail: int = 8


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in with ID number, password and captcha (ACC-02).

    `address` and `device` are the caller's, for the lockout and the history.
    """

    id_number: IdNumber
    password: Password
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""
    device: Device = ""


class Renew(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a fresh token of a living session."""

    session: Opaque


class SignOut(msgspec.Struct, frozen=True, kw_only=True):
    """End a session (ACC-16)."""

    session: Opaque


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace one's own password (ACC-05).

    Of all sessions of the person only `session` goes on; none does if it is not given.
    """

    old_password: Password
    new_password: Password
    session: Opaque = ""


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a forgotten password with a code that an administrator has handed out (ACC-08).

    `address` is the caller's, for the lockout.
    """

    id_number: IdNumber
    code: CodeText
    new_password: Password
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class ListSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one's own living sessions and the sign-ins of the last 180 days, newest first.

    `session` marks the one that asks.
    """

    session: Opaque = ""


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One living session of the person."""

    session_id: UUID
    began_at: Instant
    expires_at: Instant
    address: str
    device: str
    this: bool


class SignInTried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to sign in with the person's ID number."""

    at: Instant
    address: str
    device: str
    succeeded: bool


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The own sessions and sign-ins."""

    sessions: list[SessionInfo]
    sign_ins: list[SignInTried]


class EndSessions(msgspec.Struct, frozen=True, kw_only=True):
    """End some of one's own sessions, or all but `session` if none is named.

    Their tokens stop counting at once.
    """

    session: Opaque = ""

    session_ids: Uuids = []


class IssueResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a code that resets a member's password (ACC-06, ACC-07).

    A new code replaces the earlier one.
    """

    command_id: UUID
    member_id: PersonId


class ResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to hand over in person: single-use, shown only in this answer (ACC-09)."""

    member_id: int
    code: str = ""
    expires_at: Instant | None = None
    refusal: Refusal | None = None


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A session: `token` proves the person to every service until `expires_at`, `session` renews it."""

    person_id: int
    name: str
    token: str
    session: str
    expires_at: Instant
    must_change_password: bool


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
    wait for a transfer onward (TYPE-16).
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
    mark: str = ""
    graduates_on: dt.date | None = None
    identity_check: str = "unchecked"
    sex: str = ""
    age: int | None = None
    league_years: int | None = None
    development_number: str = ""
    post: str = ""
    contact: str = ""
    emergency_contact: str = ""
    party: bool = False
    to_contact: bool = False
    found_on: dt.date | None = None
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


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One's own record with the history of branches, newest first, and one's own posts.

    `hints`: what the person is asked to put right, as refusal codes: an irregular development
    number (MEM-13), an incomplete profile (MEM-23), a failed identity check (MEM-19).
    """

    member: Member
    stays: list[Stay]
    posts: list[Post] = []
    hints: list[str] = []


class GetProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a member's record with the history of branches and posts (MEM-28, BEY-09).

    For administrators of the branch or of what stands above it.
    """

    member_id: PersonId


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post that a person holds in an organisation (CADRE-02, CADRE-05)."""

    org_id: int
    person_id: int
    post: str
    name: str = ""
    complete: bool = False
    began_at: Instant | None = None


class Admission(Dated, frozen=True, kw_only=True):
    """One row of a roster, to be entered into a branch (IMP-05, IMP-08)."""

    command_id: UUID
    branch_id: OrgId
    name: PersonName
    id_number: IdNumber
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: the new member, or why not in the words of the catalogue."""

    member_id: int | None = None
    reason: str | None = None
    refusal: Refusal | None = None


class ImportRow(Dated, frozen=True, kw_only=True):
    """One row of an uploaded roster (IMP-05).

    All rows of a file share `import_id`; with `number` it is the row's key, so a list may be sent
    again.

    An empty `branch_name`: a cadre of the importing organisation itself (IMP-11). `problem` is a
    fault found in reading; such a row fails without being tried.
    """

    import_id: UUID
    number: Number
    branch_name: OrgName
    name: PersonName
    id_number: IdNumber
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""
    problem: Prose = ""


class ImportTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: it is kept and will be tried."""

    number: int
    refusal: Refusal | None = None


class GetImport(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far an import is (IMP-06, IMP-07).

    `failed_after` asks for up to 500 failed rows after that number as well.
    """

    import_id: UUID
    failed_after: Number | None = None


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: rows in all, entered, failed; the rest waits."""

    rows: int
    entered: int
    failed: int
    failures: list[ImportRow] = []


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


class ListBranchMarks(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the branches below the acting organisation with their times of graduation (GRAD-08, GRAD-32).

    `unmarked_only`: only those without one.
    """

    unmarked_only: bool = False
    after: After = 0
    limit: PageSize = 100


class BranchMark(msgspec.Struct, frozen=True, kw_only=True):
    """A branch and its mark; neither time nor reason: not marked yet.

    `graduate`: it is a graduates' organisation; `may_mark`: the acting organisation marks it
    (GRAD-09).
    """

    branch_id: int
    name: str
    superior_id: int | None
    graduates_on: dt.date | None
    reason: str
    graduate: bool
    may_mark: bool = False


class SetPost(msgspec.Struct, frozen=True, kw_only=True):
    """Give a person a post in an organisation, change it, or take it away (empty).

    CADRE-01, CADRE-03, CADRE-04, ADM-02, ADM-03. The person is named by `person_id`, or by `name`
    and `id_number`; anyone not registered yet gets an account (ORG-17).
    """

    command_id: UUID
    org_id: OrgId
    post: PostCode
    person_id: PersonId | None = None
    name: PersonName = ""
    id_number: IdNumber = ""
    phone: Phone = ""
    ethnic_group: ShortLine = ""


class PostSet(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of `set_posts`."""

    person_id: int | None = None
    refusal: Refusal | None = None


class ListCadres(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the cadres of an organisation with their completeness (CADRE-07)."""

    org_id: OrgId


class IssueRegistrationCode(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a code with which one person becomes the organisation's administrator (ADM-04, ADM-09..13).

    An unspent code is replaced.
    """

    command_id: UUID
    org_id: OrgId


class RegistrationCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to hand over: single-use, shown only in this answer.

    `expires_at` None: without limit (ADM-13).
    """

    org_id: int
    name: str = ""
    code: str = ""
    expires_at: Instant | None = None
    refusal: Refusal | None = None


class RegisterAdministrator(msgspec.Struct, frozen=True, kw_only=True):
    """Become an organisation's administrator with its code (ADM-04, ADM-15).

    As a new person, with all fields, or signed in, with the code alone. `post` is the post held
    there; `address` is the caller's, for the lockout.
    """

    code: CodeText
    post: PostCode = "secretary"
    name: PersonName = ""
    id_number: IdNumber = ""
    phone: Phone = ""
    password: Password = ""
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """Who is registered, and for which organisation."""

    person_id: int
    org_id: int
    org_name: str


class Register(Dated, frozen=True, kw_only=True):
    """Register oneself with an organisation, for its administrator to accept (REG-01..03, REG-08).

    As a member of a branch, or as a cadre of another organisation.
    """

    org_id: OrgId
    name: PersonName
    id_number: IdNumber
    password: Password
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class DecideRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """Accept or reject a registration (REG-07).

    With `withdraw` the applicants take back their own (REG-05).
    """

    registration_id: Id
    accept: bool = False
    withdraw: bool = False
    note: Note = ""


class RegistrationDecided(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one decision on a registration."""

    registration_id: int
    state: str = ""
    refusal: Refusal | None = None


class ListRegistrations(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the pending registrations of the acting organisation (REG-07).

    With `own`: for the caller's own, whatever their state.
    """

    own: bool = False


class RegistrationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One registration: `pending`, `accepted`, `rejected`, `withdrawn`, `expired`."""

    registration_id: int
    org_id: int
    person_id: int
    name: str
    id_masked: str
    phone: str
    joined_on: dt.date | None
    post: str
    state: str
    note: str
    asked_at: Instant
    expires_at: Instant


class SearchMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Find members of one's own organisation and below (SRCH-03, SRCH-05, SRCH-06).

    By name, ID number or development number. `below` names an organisation in one's own subtree, to
    narrow a name that many have (SRCH-04).
    """

    text: Line
    below: OrgId | None = None


class FoundMembers(msgspec.Struct, frozen=True, kw_only=True):
    """The first 50; `more` says that there are others, so that an organisation should be named (SRCH-04)."""

    items: list[Member]
    more: bool


class RevealIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for unmasked ID numbers of members, at most 50, with the reason (MEM-32, BEY-10).

    The view is put into the access log.
    """

    person_ids: PersonIds
    reason: Prose


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """A member's ID number in full."""

    member_id: int
    name: str
    id_number: str


class ExportMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the members of the acting organisation and below, in order of their ids, for an export.

    Each page is put into the access log. `full` asks for unmasked ID numbers and needs a `reason`.
    """

    full: bool = False
    reason: Prose = ""
    after: After = 0
    limit: PageSize = 500


class ExportedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an export; `id_number` is masked unless asked for in full."""

    member: Member
    id_number: str
    branch: str


class NoteExport(msgspec.Struct, frozen=True, kw_only=True):
    """Put into the access log that a list of people is taken along as a file (BEY-10).

    The gateway says so before it writes one.
    """

    what: Line


class GetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a list to work off, for the acting organisation and below.

    `kind` is one of:

    - `small_branches` (ORG-07), `holding_members` (ORG-05), `empty_graduate` (ORG-38, DEL-13)
    - `over_age` (MEM-26), `incomplete` (MEM-22), `to_contact` (MEM-30), `late_entries` (MEM-24)
    - `irregular_numbers` (MEM-13), `identity_failed` (MEM-19, DOC-05)
    - `deletion_requests` (DEL-06, DOC-05)
    - `graduates_left`: those who have not completed, with an `open` transfer, `retained`, `abroad`
      or `none` (GRAD-28)
    - `retained` (GRAD-27), `retained_apart`: retained, but not in the mobile branch (GRAD-26)
    - `abroad` (DOC-09)
    - `onward`: work or study was found; `note` is the day until which to transfer (TYPE-16)
    - `parked`: over a month in a township's hand-over branch, nothing found yet (TYPE-27)
    - `county_stay` (ORG-29)
    """

    kind: Word
    after: After = 0
    limit: PageSize = 100


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: an organisation, a member of it where members are listed, and what is to be known.

    `key` continues the list.
    """

    key: int
    org_id: int
    org: str
    member_id: int | None = None
    member: str = ""
    id_masked: str = ""
    note: str = ""


class GetEntryProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far data are entered (STAT-02..09, SCH-08).

    For an organisation and each of its direct subordinates, with all below it. `domain` limits the
    count to one domain (ORG-26); `schools_only` to subordinates of the school domain (SCH-08).
    """

    org_id: OrgId
    domain: Domain = ""
    schools_only: bool = False


class EntryProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of an organisation and all below it.

    `finished_branches`: with three complete members or cadres (CADRE-11); `finished_bodies`:
    leading bodies (CADRE-09) and committee kinds (CADRE-10) that are finished; `members_2017`: the
    imported constant (STAT-03). Shares are left to the reader; without a denominator there is none
    (STAT-14).
    """

    org_id: int
    name: str
    branches: int
    finished_branches: int
    bodies: int
    finished_bodies: int
    members: int
    complete_members: int
    cadres: int
    complete_cadres: int
    members_2017: int | None


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
    state: str = ""
    refusal: Refusal | None = None


class ListRetentions(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the register of those who stay, of the acting organisation and below (DOC-09).

    With `own`: for the caller's own.
    """

    kind: Word = ""
    own: bool = False
    after: After = 0
    limit: PageSize = 100


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the register: `requested`, `approved`, `refused`, `ended`."""

    retention_id: int
    member_id: int
    member: str
    branch_id: int
    kind: str
    since: dt.date
    until: dt.date
    place: str
    contact_name: str
    contact_phone: str
    reason: str
    state: str
    note: str
    reports: list[str]


class IssueLetter(Dated, frozen=True, kw_only=True):
    """Issue an introduction letter for members of one's subtree (DOC-01..04)."""

    command_id: UUID
    member_ids: PersonIds
    addressee: OrgName
    dues_until: Day
    valid_days: Days | None = None
    to_org: OrgName = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter; `number` is unique per issuer and year.

    `code` proves it to anyone, and stands only in this answer and on the paper (BEY-13).
    """

    letter_id: int | None = None
    number: str = ""
    code: str = ""
    issuer: str = ""
    names: list[str] = []
    addressee: str = ""
    to_org: str = ""
    dues_until: dt.date | None = None
    issued_on: dt.date | None = None
    valid_until: dt.date | None = None
    refusal: Refusal | None = None


class VoidLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Declare one of one's own letters void."""

    letter_id: Id


class LetterVoided(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one letter."""

    letter_id: int
    refusal: Refusal | None = None


class CheckLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, whether a letter is genuine and in force (BEY-13)."""

    code: CodeText


class LetterChecked(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody may know: `in_force`, `lapsed` or `void`, the issuer, the number and the date.

    Nothing about persons.
    """

    state: str
    issuer: str
    number: str
    issued_on: dt.date


class GetComposition(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how a branch is made up (STAT-09)."""

    branch_id: OrgId


class Composition(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of a branch: its members, those of each kind among them, and its cadres.

    The kinds: sex, age group, ethnic group, Party membership, standing as a graduate, complete
    record. `cadres` hold posts in the branch.
    """

    branch_id: int
    members: int
    cadres: int
    male: int
    female: int
    ages: dict[str, int]
    minorities: int
    party: int
    graduates: int
    delayed: int
    teachers: int
    complete: int


class CountInside(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what stands in the way of deleting organisations of one's own subtree, at most 500 (DEL-03).

    Who is in them, and who has applied.
    """

    org_ids: OrgIds


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """What the members service knows to be in an organisation: members, and applications to it."""

    org_id: int
    members: int
    registrations: int


get_composition = Query("members", "get_composition", GetComposition, Composition)
count_inside = Query("members", "count_inside", CountInside, list[Inside])
sign_in = Act("members", "sign_in", SignIn, Signed, public=True)
renew = Act("members", "renew", Renew, Signed, public=True)
sign_out = Act("members", "sign_out", SignOut, bool, public=True)
change_password = Act("members", "change_password", ChangePassword, bool, restricted=True)
look_up = Query("members", "look_up", LookUp, Found)
list_members = Query("members", "list_members", ListMembers, list[Member])
describe_people = Query("members", "describe_people", DescribePeople, list[Member])
get_profile = Query("members", "get_profile", GetProfile, Profile)
who_am_i = Query("members", "who_am_i", WhoAmI, Profile, restricted=True)
admit = Command("members", "admit", Admission, Admitted)
mark_branches = Command("members", "mark_branches", MarkBranch, BranchMarked)
mark_members = Command("members", "mark_members", MarkMember, MemberMarked)
list_branch_marks = Query("members", "list_branch_marks", ListBranchMarks, list[BranchMark])
edit_members = Command("members", "edit_members", EditMember, MemberSaved)
request_deletions = Command("members", "request_deletions", RequestDeletion, MemberSaved)
delete_members = Command("members", "delete_members", DeleteMember, MemberSaved)
where_was = Query("members", "where_was", WhereWas, list[Whereabouts])
import_rows = Command("members", "import_rows", ImportRow, ImportTaken)
get_import = Query("members", "get_import", GetImport, ImportProgress)
reset_password = Act("members", "reset_password", ResetPassword, bool, public=True)
issue_reset_codes = Command("members", "issue_reset_codes", IssueResetCode, ResetCode)
get_setup = Query("members", "get_setup", GetSetup, Setup, public=True)
set_up = Act("members", "set_up", SetUp, Registered, public=True)
get_captcha = Query("members", "get_captcha", GetCaptcha, Captcha, public=True)
list_sessions = Query("members", "list_sessions", ListSessions, Sessions)
end_sessions = Act("members", "end_sessions", EndSessions, bool)
set_posts = Command("members", "set_posts", SetPost, PostSet)
list_cadres = Query("members", "list_cadres", ListCadres, list[Post])
issue_registration_codes = Command(
    "members", "issue_registration_codes", IssueRegistrationCode, RegistrationCode
)
register_administrator = Act(
    "members", "register_administrator", RegisterAdministrator, Registered, public=True
)
redeem_code = Act("members", "redeem_code", RegisterAdministrator, Registered)
register = Act("members", "register", Register, RegistrationInfo, public=True)
decide_registrations = Command("members", "decide_registrations", DecideRegistration, RegistrationDecided)
list_registrations = Query("members", "list_registrations", ListRegistrations, list[RegistrationInfo])
search_members = Query("members", "search_members", SearchMembers, FoundMembers)
reveal_ids = Query("members", "reveal_ids", RevealIds, list[Revealed])
note_export = Act("members", "note_export", NoteExport, bool)
export_members = Query("members", "export_members", ExportMembers, list[ExportedMember])
get_report = Query("members", "get_report", GetReport, list[ReportLine])
get_entry_progress = Query("members", "get_entry_progress", GetEntryProgress, list[EntryProgress])
request_retentions = Command("members", "request_retentions", RequestRetention, RetentionSaved)
decide_retentions = Command("members", "decide_retentions", DecideRetention, RetentionSaved)
list_retentions = Query("members", "list_retentions", ListRetentions, list[Retention])
issue_letters = Command("members", "issue_letters", IssueLetter, Letter)
void_letters = Command("members", "void_letters", VoidLetter, LetterVoided)
check_letter = Query("members", "check_letter", CheckLetter, LetterChecked, public=True)
list_audit = Query("members", "list_audit", ListAudit, list[AuditLine])
