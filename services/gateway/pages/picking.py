"""Choosing an organisation or a place, in every form that needs one.

An organisation is found as one types, or by walking down from where one knows the way; a place is
chosen level by level, so that nobody types a division code. Both work without JavaScript: then a
button searches, or shows the next level, and the form comes back with all that was typed.

A page asks for the view model with what its form says, and prints it with the macro of
`picking/_picking.html`:

    picker = picking.org_picker(form, targets_only=True)
    {{ org_picker(picker, _('转往哪个组织')) }}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from flask import request, session
from werkzeug.datastructures import MultiDict

from services.gateway import kit
from services.gateway.kit import fields, tiles
from services.gateway.kit import form as forms
from shared.messages import members, orgs
from shared.messages.limits import OrgId
from shared.messages.words import PEERS, OrgPurpose, System
from shared.translations import N_

SHORTEST = 2
"""Characters of a text from which on is searched."""
LONGEST = 100
"""Characters of it that are searched for."""
MOST = 10
"""Organisations of a list to choose from."""
COUNTY, TOWNSHIP = 6, 9
"""Digits of the codes of counties and townships."""
WALKED = 500
"""Subordinates that are shown of one organisation."""
SYSTEMS = {
    "91": N_("铁道"),
    "92": N_("民航"),
    "93": N_("中央金融"),
    "94": N_("中央企业"),
    "95": N_("中央和国家机关"),
    "96": N_("新疆兵团"),
    "97": N_("直属高校"),
}
"""What the systems are called beside the provinces (ORG-15)."""
LEVELS = (N_("省(自治区、直辖市)"), N_("市(州、盟)"), N_("县(市、区、旗)"), N_("乡镇(街道)"))
"""What the levels of places are called, the highest first."""


@dataclass(frozen=True)
class Choice:
    """An organisation as it is offered: its own name, its whole name, what it is and where."""

    org_id: int
    name: str
    full_name: str
    kind: str
    province: str
    may: bool
    """It may be chosen; otherwise it is there to walk on."""
    system: System
    """Which system keeps it (FED-02)."""
    deeper: bool
    """Others stand below it."""


@dataclass(frozen=True)
class OrgPicker:
    """What the field for an organisation shows.

    `name` is the field that holds the number of the chosen one; what is typed is in `name`_text, and where
    one has walked to in `name`_at. Where it is asked whether the organisation belongs to one of the three
    provinces, the answer is in `name`_system, and what is not found there is typed in `name`_name (FED-03,
    FED-06).
    """

    name: str
    text: str
    asked: bool
    """Something was searched for."""
    found: list[Choice] = field(default_factory=list)
    chosen: Choice | None = None
    targets_only: bool = False
    below: int | None = None
    way: list[Choice] = field(default_factory=list)
    """From the top down to where one has walked."""
    here: list[Choice] = field(default_factory=list)
    """What stands there."""
    asks: bool = False
    """It is asked to which system the organisation belongs."""
    system: str = ""
    """The answer; empty: none, and all trees are searched."""
    typed: str = ""
    """What is not found there, as that system calls it."""

    @property
    def elsewhere(self) -> bool:
        """Return whether one of the three provinces was answered, so that a name may be typed (FED-06)."""
        return self.system in PEERS

    @property
    def at(self) -> int | None:
        """Return where one has walked to."""
        return self.way[-1].org_id if self.way else None


@dataclass(frozen=True)
class Level:
    """One level of places: what it is called, what there is, and what was chosen."""

    label: str
    places: list[Any]
    chosen: str


@dataclass(frozen=True)
class PlacePicker:
    """What the field for a place shows; `code` is the division code that is chosen so far."""

    name: str
    code: str
    digits: int
    levels: list[Level]


def org_picker(
    form: Any,
    name: str = "target",
    *,
    targets_only: bool = False,
    below: int | None = None,
    asks: bool = False,
) -> OrgPicker:
    """Return the field for an organisation, with what the form says of it so far.

    Args:
        form: The fields that were sent, or the query of the address.
        name: Of the field.
        targets_only: Only what may receive members is offered (TRF-15).
        below: Only what lies below this organisation.
        asks: It is asked whether it belongs to one of the three provinces (FED-03).

    """
    asked = org_calls(form, name, targets_only=targets_only, below=below)
    answers = kit.calls(*asked) if any(asked) else asked
    return org_field(form, name, answers, targets_only=targets_only, below=below, asks=asks)


class Walked(msgspec.Struct):
    """What a field for an organisation says: the chosen one, and where one has walked to."""

    chosen: OrgId | None = None
    at: OrgId | None = None


def org_calls(
    form: Any, name: str = "target", *, targets_only: bool = False, below: int | None = None
) -> list[tuple[Any, Any] | None]:
    """Return what `org_field` needs to know, for a page that makes its calls at once."""
    text = _text(form, name)
    walked = forms.read(Walked, form, {"chosen": name, "at": f"{name}_at"}).value or Walked()
    search = None
    if len(text) >= SHORTEST:
        search = orgs.SearchOrgs(
            text=text[:LONGEST],
            targets_only=targets_only,
            below=below,
            limit=MOST,
            near=_near(),
            system=_system(form, name),
        )
    return [
        (orgs.search_orgs, search) if search is not None else None,
        (orgs.get_orgs, orgs.GetOrgs(org_ids=[walked.chosen])) if walked.chosen else None,
        (orgs.list_children, orgs.ListChildren(org_id=walked.at, limit=WALKED)) if walked.at else None,
        (orgs.list_above, orgs.ListAbove(org_id=walked.at)) if walked.at else None,
    ]


def org_field(
    form: Any,
    name: str,
    answers: Sequence[Any],
    *,
    targets_only: bool = False,
    below: int | None = None,
    asks: bool = False,
) -> OrgPicker:
    """Return the field for an organisation, from the answers to `org_calls`."""
    found, named, here, above = answers
    system = _system(form, name)
    # the centre is on the way to each of them
    stands = [org for org in here or () if not system or org.system == system]
    return OrgPicker(
        name=name,
        text=_text(form, name),
        asked=found is not None,
        found=choices(found or (), targets_only),
        chosen=choices(named, targets_only)[0] if named else None,
        targets_only=targets_only,
        below=below,
        way=choices(_way(above or (), below), False),
        here=choices(stands, targets_only),
        asks=asks,
        system=system,
        typed=str(form.get(f"{name}_name", "")).strip()[:300],
    )


def _system(form: Any, name: str) -> str:
    """Return the answer to which system the organisation belongs to, empty where none is given (FED-03)."""
    return System.known(str(form.get(f"{name}_system", ""))) or ""


def _text(form: Any, name: str) -> str:
    return str(form.get(f"{name}_text", "")).strip()


def _near() -> int | None:
    """Return where somebody without an organisation to act for stands: in the own branch (SRCH-10).

    It is asked for once in a session; who acts for an organisation is near to that one.
    """
    if session.get("org") is not None or "token" not in session:
        return None
    if "near" not in session:
        session["near"] = kit.call(members.who_am_i, members.WhoAmI()).member.branch_id
    near: int | None = session["near"]
    return near


def _way(above: Iterable[Any], below: int | None) -> list[Any]:
    """Return what leads down to an organisation, from the top or from `below` on."""
    way = list(above)
    at = next((at for at, org in enumerate(way) if org.org_id == below), 0)
    return way[at:]


def choices(found: Iterable[Any], targets_only: bool) -> list[Choice]:
    """Return organisations as they are offered."""
    return [
        Choice(
            org_id=org.org_id,
            name=org.short_name or org.full_name,
            full_name=org.full_name,
            kind=kit.word(org.kind if org.purpose == OrgPurpose.ORDINARY else org.purpose),
            province=kit.word(tiles.NAMES.get(org.province) or SYSTEMS.get(org.province)),
            may=not targets_only or is_target(org),
            system=org.system,
            deeper=org.children > 0,
        )
        for org in found
    ]


def is_target(org: Any) -> bool:
    """Return whether an organisation may receive members (TRF-15)."""
    receives_nobody = (OrgPurpose.GRADUATE, OrgPurpose.AWAITING, OrgPurpose.VAULT)
    return org.kind != "leading_body" and org.purpose not in receives_nobody


def place_picker(form: Any, name: str = "division_code", digits: int = COUNTY) -> PlacePicker:
    """Return the field for a place, with what the form says of it so far (TYPE-10).

    `digits`: of the codes of the last level that is offered.
    """
    return place_field(form, name, kit.call(*place_call(form, name)), digits)


def place_call(form: Any, name: str = "division_code") -> tuple[Any, Any]:
    """Return what `place_field` needs to know, for a page that makes its calls at once."""
    return orgs.list_places, orgs.ListPlaces(code=place_code(form, name))


def place_field(form: Any, name: str, levels: Sequence[Any], digits: int = COUNTY) -> PlacePicker:
    """Return the field for a place, from the answer to `place_call`."""
    return PlacePicker(
        name=name,
        code=place_code(form, name),
        digits=digits,
        levels=[
            Level(label=kit.word(_level(level, at)), places=level.places, chosen=level.chosen)
            for at, level in enumerate(levels)
            if len(level.places[0].code) <= digits
        ],
    )


def unchosen(level: Any) -> Any:
    """Return a level of places in which nothing is chosen."""
    return orgs.PlaceLevel(places=level.places, chosen="")


def settled(form: Any, *names: str) -> MultiDict[str, str]:
    """Return a form in which each field of a place says the one code that was chosen."""
    made: MultiDict[str, str] = MultiDict(form)
    for name in names:
        made[name] = place_code(made, name)
    return made


def _level(level: Any, at: int) -> str:
    """Return what a level is called: the districts of Beijing stand right below it."""
    digits = {2: 0, 4: 1, 6: 2, 9: 3}
    return LEVELS[digits.get(len(level.places[0].code), min(at, 3))]


def place_code(form: Any, name: str = "division_code") -> str:
    """Return the division code that was chosen: the deepest that lies in all above it.

    Each level is a field of the same name. Who changes the province leaves a city of another behind.
    """
    code = ""
    for one in form.getlist(name):
        given = one.strip()[:12]
        if given.isascii() and given.isdigit() and given.startswith(code):
            code = given
        elif given:
            break
    return code


@kit.blueprint.get("/pick/organisation")
def pick_organisation() -> Any:
    """Show what a text may mean, or what stands below an organisation, as a part of a page (SRCH-10)."""
    name = _field()
    picker = org_picker(
        request.args,
        name,
        targets_only=request.args.get("targets_only") == "1",
        below=fields.number(request.args.get("below")) or None,
        asks=request.args.get("asks") == "1",
    )
    return kit.part("picking/_picking.html", "org_found", picker)


@kit.blueprint.get("/pick/place")
def pick_place() -> Any:
    """Show the levels of places down to what was chosen; a part of a page (TYPE-10)."""
    digits = fields.number(request.args.get("digits"), COUNTY)
    picker = place_picker(request.args, _field(), digits)
    return kit.part("picking/_picking.html", "place_levels", picker)


def _field() -> str:
    """Return the name of the field that a part is for, a plain word."""
    name = request.args.get("field", "")
    return name if name.isascii() and name.replace("_", "").isalnum() and len(name) <= 40 else "target"
