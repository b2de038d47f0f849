"""Full names built anew (ORG-09)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query
from shared.messages.limits import (
    OrgId,
)


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


rebuild_names = Command("orgs", "rebuild_names", RebuildNames, NamesRebuild)

preview_names = Query("orgs", "preview_names", PreviewNames, NamesPreview)

get_rebuild = Query("orgs", "get_rebuild", GetRebuild, NamesRebuild)
