"""Organisations and who administers them (ORG, ADM)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    After,
    Digits,
    Industry,
    Line,
    OrgBeside,
    OrgId,
    OrgIds,
    OrgKind,
    OrgName,
    OrgPurpose,
    PageSize,
    PersonId,
    Phone,
)


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as shown to people (ORG-08, ORG-40).

    `checked`: its own administrator has checked and completed the data (ORG-16); `complete`: all
    fields are filled and the secretary has an account with a mobile number (ORG-21, ORG-22); `top`:
    the centre or a provincial body (ORG-13); `system`: which one keeps it (FED-02); `members` is told by
    the members service.
    """

    org_id: int
    parent_id: int | None
    kind: words.OrgKind
    purpose: words.OrgPurpose
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
    system: words.System = words.System.NATIONAL


class Administrator(msgspec.Struct, frozen=True, kw_only=True):
    """An administrator of an organisation; the name comes from members."""

    org_id: int
    person_id: int


class GetOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by id, at most 500; unknown ids are left out."""

    org_ids: OrgIds


class ListChildren(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the direct subordinates of an organisation in display order (ORG-24)."""

    org_id: OrgId
    after: After = 0
    limit: PageSize = 50


class ListAbove(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for an organisation and all above it, from the root down; nothing where it is not there."""

    org_id: OrgId


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
    after: OrgBeside | None = None


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


get_orgs = Query("orgs", "get_orgs", GetOrgs, list[Org])

list_children = Query("orgs", "list_children", ListChildren, list[Org], reads=True)

list_above = Query("orgs", "list_above", ListAbove, list[Org])

list_administrators = Query("orgs", "list_administrators", ListAdministrators, list[Administrator])

my_orgs = Query("orgs", "my_orgs", MyOrgs, list[Org])

order_orgs = Command("orgs", "order_orgs", OrderOrg, OrgSaved)

save_orgs = Command("orgs", "save_orgs", SaveOrg, OrgSaved)

delete_orgs = Command("orgs", "delete_orgs", DeleteOrg, OrgSaved)

check_orgs = Command("orgs", "check_orgs", CheckOrg, OrgSaved)

set_school_numbers = Command("orgs", "set_school_numbers", SetSchoolNumber, OrgSaved)

list_contacts = Query("orgs", "list_contacts", ListContacts, list[Contact], public=True)

set_administrators = Command("orgs", "set_administrators", SetAdministrator, OrgSaved)
