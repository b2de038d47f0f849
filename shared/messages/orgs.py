"""What the orgs service tells and answers."""
from __future__ import annotations

import datetime as dt
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Event, Query


class OrgChanged(Event, frozen=True, kw_only=True):
    """An organisation as it is now, created, edited or moved (ORG-10, ORG-23, MIG-09); the highest version holds."""

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers")

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None
    name: str
    version: int
    deleted: bool


class AdministratorChanged(Event, frozen=True, kw_only=True):
    """A person received or lost the right over an organisation (ADM-05, ADM-06); the highest version holds."""

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers")

    org_id: int
    person_id: int
    active: bool
    version: int


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as shown to people."""

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
    graduates_on: dt.date | None = None


class Administrator(msgspec.Struct, frozen=True, kw_only=True):
    """An administrator of an organisation; the name comes from members."""

    org_id: int
    person_id: int


class SearchOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by any part of the full name (BEY-20); `targets_only` leaves out what TRF-15 excludes."""

    text: str
    targets_only: bool = False
    below: int | None = None
    limit: int = 20


class GetOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by id, at most 500; unknown ids are left out."""

    org_ids: list[int]


class ListChildren(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the direct subordinates of an organisation in display order (ORG-24)."""

    org_id: int
    after: int = 0
    limit: int = 50


class ListAdministrators(msgspec.Struct, frozen=True, kw_only=True):
    """Ask who administers the given organisations, at most 500."""

    org_ids: list[int]


class MyOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which organisations the caller administers (ROLE-14)."""


class SaveOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Create (`org_id` None, below `parent_id`) or edit an organisation (ORG-10, ORG-14, ORG-23)."""

    command_id: UUID
    parent_id: int
    org_id: int | None = None
    kind: str = "branch"
    purpose: str = "ordinary"
    short_name: str = ""
    full_name: str = ""
    industry: str = ""
    phone: str = ""


class DeleteOrg(msgspec.Struct, frozen=True, kw_only=True):
    """Delete an empty direct subordinate (DEL-01, DEL-02)."""

    command_id: UUID
    org_id: int


class SetAdministrator(msgspec.Struct, frozen=True, kw_only=True):
    """Give (`active`) or revoke the right over an organisation (ADM-05..07)."""

    command_id: UUID
    org_id: int
    person_id: int
    active: bool


class OrgSaved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of a command on organisations: the organisation, or why not."""

    org_id: int | None = None
    refusal: Refusal | None = None


search_orgs = Query("orgs", "search_orgs", SearchOrgs, list[Org])
get_orgs = Query("orgs", "get_orgs", GetOrgs, list[Org])
list_children = Query("orgs", "list_children", ListChildren, list[Org])
list_administrators = Query("orgs", "list_administrators", ListAdministrators, list[Administrator])
my_orgs = Query("orgs", "my_orgs", MyOrgs, list[Org])
save_orgs = Command("orgs", "save_orgs", SaveOrg, OrgSaved)
delete_orgs = Command("orgs", "delete_orgs", DeleteOrg, OrgSaved)
set_administrators = Command("orgs", "set_administrators", SetAdministrator, OrgSaved)
