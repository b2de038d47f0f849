"""What the orgs service tells and answers."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Event, Query
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    After,
    Dated,
    Day,
    Digits,
    Id,
    Industry,
    Instant,
    Line,
    LogHash,
    Note,
    Number,
    OrgId,
    OrgIds,
    OrgKind,
    OrgName,
    OrgPurpose,
    PageSize,
    PersonId,
    Phone,
    Prose,
    ToldText,
    Version,
    Word,
)


class OrgChanged(Event, frozen=True, kw_only=True):
    """An organisation as it is now, created, edited or moved (ORG-10, ORG-23, MIG-09).

    The highest version holds.
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers")

    org_id: OrgId
    parent_id: OrgId | None
    path: ToldText
    kind: Word
    purpose: Word
    province: Word
    system: Word
    provincial_id: OrgId | None
    vault_id: OrgId | None
    name: ToldText
    version: Version
    deleted: bool
    industry: ToldText = ""
    division_code: Digits | None = None


class AdministratorChanged(Event, frozen=True, kw_only=True):
    """A person received or lost the right over an organisation (ADM-05, ADM-06).

    The highest version holds. `observer`: the right is to look only (ROLE-10).
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers")

    org_id: OrgId
    person_id: PersonId
    active: bool
    version: Version
    observer: bool = False


class RegistrationRefused(Event, frozen=True, kw_only=True):
    """The right that a registration code promised is not given (ADM-11).

    The organisation has its administrators already; the code is good again.
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    org_id: OrgId
    person_id: PersonId


class OrgsLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of orgs has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    lane: Number
    rows: Version
    hash: LogHash


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as shown to people (ORG-08, ORG-40).

    `checked`: its own administrator has checked and completed the data (ORG-16); `complete`: all
    fields are filled and the secretary has an account with a mobile number (ORG-21, ORG-22); `top`:
    the centre or a provincial body (ORG-13); `members` is told by the members service.
    """

    org_id: int
    parent_id: int | None
    kind: str
    purpose: str
    province: str
    short_name: str
    full_name: str
    industry: str
    phone: str
    children: int
    school_number: str = ""
    division_code: str = ""
    secretary_id: int | None = None
    checked: bool = False
    complete: bool = False
    top: bool = False


class Administrator(msgspec.Struct, frozen=True, kw_only=True):
    """An administrator of an organisation; the name comes from members."""

    org_id: int
    person_id: int


class SearchOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by name or by code (BEY-20, SRCH-10).

    Any part of the full, the short or a former name will do; `targets_only` leaves out what TRF-15
    excludes. `below` limits the search to a subtree; what is nearer to `near`, by default the
    acting organisation, comes first. With `systems`, where the subtree has none, what the vertical
    systems have is returned, with their provinces 91 to 97 (ORG-15).
    """

    text: Line
    near: OrgId | None = None
    targets_only: bool = False
    below: OrgId | None = None
    systems: bool = False
    limit: PageSize = 20


class GetOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by id, at most 500; unknown ids are left out."""

    org_ids: OrgIds


class ListChildren(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the direct subordinates of an organisation in display order (ORG-24)."""

    org_id: OrgId
    after: After = 0
    limit: PageSize = 50


class ListAdministrators(msgspec.Struct, frozen=True, kw_only=True):
    """Ask who administers the given organisations, at most 500."""

    org_ids: OrgIds


class MyOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which organisations the caller administers (ROLE-14)."""


class SaveOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Create (`org_id` None, below `parent_id`) or edit an organisation (ORG-10, ORG-14, ORG-23).

    `division_code`: of its place (GB/T 2260); left empty, a new organisation has its superior's and
    another keeps its own (TYPE-10).
    """

    command_id: UUID
    parent_id: OrgId
    org_id: OrgId | None = None
    kind: OrgKind = "branch"
    purpose: OrgPurpose = "ordinary"
    short_name: OrgName = ""
    full_name: OrgName = ""
    industry: Industry = ""
    phone: Phone = ""
    division_code: Digits = ""
    unique_name: bool = False


class OrderOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Put an organisation right after another of the same superior, or first without one (ORG-24, ORG-43).

    Repeating it does no harm.
    """

    org_id: OrgId
    after: OrgId | None = None


class RebuildNames(msgspec.Struct, frozen=True, kw_only=True):
    """Have the full names of all below an organisation built anew from the path (ORG-09).

    It is done in the background.
    """

    command_id: UUID
    org_id: OrgId


class NamesRebuild(msgspec.Struct, frozen=True, kw_only=True):
    """How far names are built anew: organisations looked at, of these changed."""

    org_id: int | None = None
    looked_at: int = 0
    changed: int = 0
    done: bool = False
    refusal: Refusal | None = None


class GetRebuild(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far a rebuild of names is, by the id of its command."""

    command_id: UUID


class PreviewNames(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what a rebuild of names below an organisation would change (ORG-09)."""

    org_id: OrgId


class NameChange(msgspec.Struct, frozen=True, kw_only=True):
    """A full name as it is and as it would be."""

    org_id: int
    old: str
    new: str


class NamesPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild would change: the first changes, and names that would be shared.

    `shared`: full names below that several organisations have. `more`: the subtree goes on beyond
    what was looked at.
    """

    looked_at: int
    changed: int
    more: bool
    changes: list[NameChange]
    shared: list[str]


class CheckOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Check and complete one's own organisation's data, once, as its administrator (ORG-16, ORG-19).

    The kind may change here and never again (ORG-11). The secretary, or whoever presides, is
    recorded first with `set_posts`.
    """

    command_id: UUID
    org_id: OrgId
    kind: OrgKind
    short_name: OrgName
    full_name: OrgName
    industry: Industry
    phone: Phone


class SetSchoolNumber(msgspec.Struct, frozen=True, kw_only=True):
    """Record the number of an independent school, or clear it with an empty one (SCH-03..07)."""

    command_id: UUID
    org_id: OrgId
    number: Digits


class DeleteOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Delete an empty direct subordinate (DEL-01, DEL-02).

    With `to_awaiting` a branch with members becomes an awaiting branch instead (DEL-03).
    """

    command_id: UUID
    org_id: OrgId
    to_awaiting: bool = False


class SetAdministrator(msgspec.Struct, frozen=True, kw_only=True):
    """Give (`active`) or revoke the right over an organisation (ADM-05..07).

    With `observer`: the right to look only (ROLE-10).
    """

    command_id: UUID
    org_id: OrgId
    person_id: PersonId
    active: bool
    observer: bool = False


class OrgSaved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of a command on organisations: the organisation, or why not."""

    org_id: int | None = None
    refusal: Refusal | None = None


class ListContacts(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, for the telephone numbers of leading bodies, by part of the name (SRCH-09).

    Those of counties, cities and provinces.
    """

    text: Line = ""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A leading body and where it is reached."""

    org_id: int
    name: str
    phone: str


class RequestMigration(msgspec.Struct, frozen=True, kw_only=True):
    """Ask to move an organisation with all below it to another superior of the same province (MIG-01..03)."""

    command_id: UUID
    org_id: OrgId
    to_org_id: OrgId
    reason: Prose = ""


class DecideMigration(msgspec.Struct, frozen=True, kw_only=True):
    """Decide for the old superior, then for the new one (MIG-04).

    With `withdraw`: take the request back, for the organisation itself (MIG-10).
    """

    migration_id: Id
    approve: bool = False
    withdraw: bool = False
    note: Note = ""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of a command on migrations."""

    migration_id: int | None = None
    state: str = ""
    refusal: Refusal | None = None


class ListMigrations(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for migrations of the acting organisation, from it or to it (MIG-08).

    `waiting`: only those that wait for its decision.
    """

    waiting: bool = False


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One migration and how far it is.

    `state`: `pending_old`, `pending_new`, `moving` (`moved` of `total` organisations done),
    `completed`, `rejected`, `withdrawn` or `returned`.
    """

    migration_id: int
    org_id: int
    from_org_id: int
    to_org_id: int
    state: str
    reason: str
    note: str
    total: int
    moved: int
    requested_at: Instant
    expires_at: Instant
    ended_at: Instant | None


class GetOrgsAt(Dated, frozen=True, kw_only=True):
    """Ask how organisations, at most 500, were at the end of a day (BEY-09)."""

    org_ids: OrgIds
    on: Day


class Superior(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation above another, with its name of that day."""

    org_id: int
    full_name: str


class OrgAt(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as it was: names, kind, superiors, and who had the right over it (BEY-09).

    `superiors`: all above it, the direct one first.
    """

    org_id: int
    kind: str
    purpose: str
    short_name: str
    full_name: str
    superiors: list[Superior]
    administrators: list[int]
    observers: list[int]


search_orgs = Query("orgs", "search_orgs", SearchOrgs, list[Org])
get_orgs = Query("orgs", "get_orgs", GetOrgs, list[Org])
list_children = Query("orgs", "list_children", ListChildren, list[Org])
list_administrators = Query("orgs", "list_administrators", ListAdministrators, list[Administrator])
my_orgs = Query("orgs", "my_orgs", MyOrgs, list[Org])
order_orgs = Command("orgs", "order_orgs", OrderOrg, OrgSaved)
rebuild_names = Command("orgs", "rebuild_names", RebuildNames, NamesRebuild)
preview_names = Query("orgs", "preview_names", PreviewNames, NamesPreview)
get_rebuild = Query("orgs", "get_rebuild", GetRebuild, NamesRebuild)
save_orgs = Command("orgs", "save_orgs", SaveOrg, OrgSaved)
delete_orgs = Command("orgs", "delete_orgs", DeleteOrg, OrgSaved)
check_orgs = Command("orgs", "check_orgs", CheckOrg, OrgSaved)
set_school_numbers = Command("orgs", "set_school_numbers", SetSchoolNumber, OrgSaved)
request_migrations = Command("orgs", "request_migrations", RequestMigration, Migrated)
decide_migrations = Command("orgs", "decide_migrations", DecideMigration, Migrated)
list_contacts = Query("orgs", "list_contacts", ListContacts, list[Contact], public=True)
list_migrations = Query("orgs", "list_migrations", ListMigrations, list[Migration])
set_administrators = Command("orgs", "set_administrators", SetAdministrator, OrgSaved)
get_orgs_at = Query("orgs", "get_orgs_at", GetOrgsAt, list[OrgAt])
list_audit = Query("orgs", "list_audit", ListAudit, list[AuditLine])
