"""Finding organisations (SRCH)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.messages import Query, words
from shared.messages.limits import (
    Address,
    Digits,
    Line,
    OrgId,
    PageSize,
    maybe,
)
from shared.messages.orgs.tree import Org


class SearchOrgs(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for organisations by name or by code (BEY-20, SRCH-10).

    Any part of the full, the short or a former name will do; `targets_only` leaves out what TRF-15
    excludes. `below` limits the search to a subtree; what is nearer to `near`, by default the
    acting organisation, comes first. With `systems`, where the subtree has none, what the vertical
    systems have is returned, with their provinces 91 to 97 (ORG-15). With `system` only what that one
    keeps is searched (FED-02, FED-04, FED-05); without it all trees are, and each organisation says
    which system keeps it.
    """

    text: Line
    near: OrgId | None = None
    targets_only: bool = False
    below: OrgId | None = None
    systems: bool = False
    system: Annotated[str, maybe(words.System)] = ""
    limit: PageSize = 20


class ListPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the places to choose from, level by level down to a division code (TYPE-10).

    Province, city, county, township; an empty code asks for the provinces.
    """

    code: Digits = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place: its division code, its own name, and the organisation that leads there."""

    code: str
    name: str
    org_id: int


class PlaceLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The places of one level, and the code of the one that was chosen, empty at the last level."""

    places: list[Place]
    chosen: str


class FindToJoin(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, for organisations that one may register with, by name (REG-03, SRCH-10)."""

    text: Line
    address: Address = ""


class ToJoin(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation that takes registrations: what it is called and what it is, and nothing else."""

    org_id: int
    full_name: str
    short_name: str
    kind: words.OrgKind


find_to_join = Query("orgs", "find_to_join", FindToJoin, list[ToJoin], public=True)

list_places = Query("orgs", "list_places", ListPlaces, list[PlaceLevel])

search_orgs = Query("orgs", "search_orgs", SearchOrgs, list[Org], reads=True)
