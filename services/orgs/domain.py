"""The rules of organisations, as pure functions."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, TypedDict

from shared import reference
from shared.errors import Refusal
from shared.messages.words import MADE_BY_THE_SYSTEM, OrgKind, OrgPurpose, System

KINDS = tuple(OrgKind)
"""ORG-02."""
SCHOOL_PURPOSES = (
    OrgPurpose.FLOATING,
    OrgPurpose.STUDY_ABROAD,
    OrgPurpose.DELAYED,
    OrgPurpose.MIXED,
    OrgPurpose.TEACHERS,
    OrgPurpose.STAFF,
)
"""Branches that only schools have (ORG-33, ORG-34, ORG-35, ORG-39)."""
PURPOSES = tuple(one for one in OrgPurpose if one not in MADE_BY_THE_SYSTEM)
"""Purposes that people give; `graduate`, `awaiting` and `vault` are made by the system alone (ORG-03)."""
NAME_MAX = 100
"""Characters of a name, as written and as searched.

The longest of the national tree has 47; a row of an index holds 2,700 bytes.
"""
HANDOVER_MONTH = 9
"""From this month of the year on a county receives in a hand-over branch of its own (ORG-29)."""
HANDOVER_NAMES = ("学社衔接临时团支部", "流动团员团支部", "流动团员支部", "流动团支部")
"""What hand-over branches are and were called; a search for one finds the others (ORG-28)."""
ROOT = 1
"""The centre."""
DIVISION_LENGTHS = (2, 4, 6, 9, 12)
"""Digits of the codes of a province, city, county, township and village."""
SYSTEMS_FROM = "91"
"""The number of the first vertical system; provinces have lower ones (ORG-15)."""
PEER_SYSTEMS = {"11": System.BEIJING, "44": System.GUANGDONG, "35": System.FUJIAN}
"""Provinces that run systems of their own (FED-01)."""


NOT_OF_THE_TREE = ("青工委", "青年部", "群团部")
"""Endings of bodies that are no organisations of the tree (ORG-06)."""
MOST_ASKED_FOR = 500
"""Organisations that one query asks for by their ids."""


class Data(TypedDict):
    """The columns of an organisation that people fill in, and those that follow from them."""

    short_name: str
    full_name: str
    also: str
    bigrams: list[str]
    spoken: list[str]
    industry: str
    phone: str
    division_code: str | None


class OrgRow(Data):
    """A living organisation: its columns, and what the rules ask beside them."""

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None
    grad_year: int | None
    display_order: int
    version: int
    deleted: bool
    school_number: str
    checked_at: datetime | None
    was_kind: str | None
    children: int
    """Its direct subordinates."""
    secretary_id: int | None
    """Who holds the post of its secretary."""


class Wanted(NamedTuple):
    """An organisation as somebody writes it down, without needless blanks."""

    kind: str
    purpose: str
    short_name: str
    full_name: str
    industry: str
    division_code: str = ""


class Right(NamedTuple):
    """A right that is to be given or revoked, and how things stand."""

    kind: str
    """Of the organisation."""
    active: bool
    """Given; otherwise revoked."""
    observer: bool
    """It is a right to look only (ROLE-10)."""
    own: bool
    """It is the right of whoever asks."""
    offered: bool
    """The installation has observers."""
    cadre: bool
    """The person holds a post in the organisation."""
    holds: bool
    """The person administers it already."""
    observes: bool
    holders: int
    """Its administrators."""


def normalise(name: str) -> str:
    """Return a name as it is searched: NFKC, no blanks."""
    return "".join(unicodedata.normalize("NFKC", name).split())


def bigrams(name: str) -> list[str]:
    """Return the distinct two-character pieces of a normalised name, in order of their first place."""
    text = normalise(name)
    return list(dict.fromkeys(text[at : at + 2] for at in range(len(text) - 1)))


def is_division_code(code: str) -> bool:
    """Return whether a text may be a division code of GB/T 2260, or is empty for none.

    The lengths are those of a province, city, county, township and village.
    """
    return not code or (code.isascii() and code.isdigit() and len(code) in DIVISION_LENGTHS)


def may_hold_children(kind: str) -> bool:
    """Return whether organisations may stand below one of this kind; branches are the lowest (ORG-23)."""
    return kind != "branch"


def may_manage(acting: int | None, own: int | None, superior: int | None) -> bool:
    """Return whether the administrators of `acting` may manage an organisation (ORG-14, ROLE-06, ROLE-16).

    Args:
        acting: The organisation that they act for.
        own: The organisation itself; None where it has no say, as in its own creation or deletion
            (ORG-23, DEL-01).
        superior: Its direct superior; None for the root.

    """
    return acting is not None and acting in (own, superior)


def is_provincial(parent_id: int | None, org_id: int, provincial_id: int | None) -> bool:
    """Return whether an organisation is the centre or a provincial body; their names are fixed (ORG-13)."""
    return parent_id is None or org_id == provincial_id


def other_names(text: str) -> list[str]:
    """Return a search text, and the same with each of the other names of hand-over branches (ORG-28).

    It is returned alone where it has no such name in it.
    """
    for name in HANDOVER_NAMES:
        if name in text:
            return list(dict.fromkeys([text, *[text.replace(name, other) for other in HANDOVER_NAMES]]))
    return [text]


def check_purpose(
    purpose: str, kind: str, parent_kind: str, parent_purpose: str, industry: str, month: int
) -> Refusal | None:
    """Return why an organisation does not have such a branch below it.

    Schools have the branches of ORG-33..35 and ORG-39. A hand-over branch belongs to a township
    (ORG-28), to a work committee such as a park's (ORG-30), to an employer's committee for members
    on probation (ORG-32), and from September on to a county (ORG-29).
    """
    if purpose in ("ordinary", "township", "transit", "youth_centre"):
        return None
    if kind != "branch":
        return Refusal("purpose_not_here")
    if purpose in SCHOOL_PURPOSES:
        return None if reference.is_school(industry) else Refusal("purpose_not_here")
    # what is left is a hand-over branch: of a county, of a township, or of an employer or a park
    if parent_kind == "leading_body":
        return None if month >= HANDOVER_MONTH else Refusal("handover_from_september")
    if parent_purpose == "township":
        return None
    if parent_kind in ("committee", "work_committee") and not reference.is_school(industry):
        return None
    return Refusal("purpose_not_here")


def check_township(purpose: str, kind: str, industry: str, parent: OrgRow) -> Refusal | None:
    """Return why an organisation is no township's or sub-district's (ORG-28).

    One is a committee or work committee, not of the school domain, directly below the leading body
    of a county or city of a territory.
    """
    if purpose != "township":
        return None
    below_county = (
        parent["kind"] == "leading_body"
        and parent["parent_id"] is not None
        and parent["org_id"] != parent["provincial_id"]
    )
    # the number of a province is lower than that of any vertical system
    fits = (
        kind in ("committee", "work_committee")
        and not reference.is_school(industry)
        and below_county
        and parent["province"] < SYSTEMS_FROM
    )
    return None if fits else Refusal("township_not_here")


def check_first(org: OrgRow, kind: str) -> Refusal | None:
    """Return why an organisation is not checked as one of a kind (ORG-11, ORG-16, ORG-19)."""
    if org["secretary_id"] is None:
        return Refusal("secretary_missing")
    if kind == org["kind"]:
        return None
    # checked before as what it is, or changed before
    if org["checked_at"] is not None or org["was_kind"] is not None:
        return Refusal("kind_fixed")
    if kind not in KINDS or kind == "leading_body" or org["kind"] == "leading_body":
        return Refusal("kind_fixed")
    # what stands below it would stand below a branch
    if kind == "branch" and org["children"]:
        return Refusal("org_has_children", {"count": str(org["children"])})
    return None


def may_have_school_number(kind: str, industry: str, parent_industry: str) -> bool:
    """Return whether an organisation is an independent school.

    A leading body is none (SCH-07), nor is a college or class inside a school (SCH-04).
    """
    return (
        kind != "leading_body" and reference.is_school(industry) and not reference.is_school(parent_industry)
    )


def check_org(
    kind: str, purpose: str, parent_kind: str, full_name: str, industry: str = "", short_name: str = ""
) -> Refusal | None:
    """Return what is wrong with a new or edited organisation (ORG-02, ORG-03, ORG-08, ORG-23, ORG-25)."""
    if kind not in KINDS or purpose not in PURPOSES:
        return Refusal("bad_request", {"detail": "kind, purpose"})
    if not may_hold_children(parent_kind):
        return Refusal("bad_request", {"detail": "a branch has no subordinates"})
    if len(normalise(full_name)) < 2:
        return Refusal("field_missing", {"field": "组织全称"})
    # Folding may make a name longer, so it is measured as written and as searched.
    if any(max(len(name), len(normalise(name))) > NAME_MAX for name in (full_name, short_name)):
        return Refusal("name_too_long", {"limit": str(NAME_MAX)})
    if industry and industry not in reference.INDUSTRIES:
        return Refusal("industry_unknown")
    return None


def check_new_name(full_name: str, short_name: str) -> Refusal | None:
    """Return why no organisation of this name is created (ORG-06); renaming and old names are left alone."""
    if any(normalise(name).endswith(NOT_OF_THE_TREE) for name in (full_name, short_name)):
        return Refusal("not_an_org")
    return None


def check_acting(known: bool, manages: bool) -> Refusal | None:
    """Return why somebody does nothing with an organisation: it is not there, or not theirs (ORG-14).

    What was deleted is not there.
    """
    if not known:
        return Refusal("unknown_org")
    return None if manages else Refusal("not_your_org")


def check_administrator(administers: bool) -> Refusal | None:
    """Return why somebody does not read what is for the administrators of an organisation (ROLE-04)."""
    return None if administers else Refusal("not_administrator")


def check_count(asked_for: int) -> Refusal | None:
    """Return why a query does not ask for so many organisations."""
    if asked_for > MOST_ASKED_FOR:
        return Refusal("too_many_items", {"limit": str(MOST_ASKED_FOR)})
    return None


def check_place(text: str) -> Refusal | None:
    """Return why no telephone numbers are looked up by a normalised part of a name (SRCH-09)."""
    return None if len(text) >= 2 else Refusal("field_missing", {"field": "地名(至少两个字)"})


def check_filled(*fields: tuple[str, object]) -> Refusal | None:
    """Return the refusal of the first field without a value; each is given with its label (ORG-21)."""
    for label, value in fields:
        if not value:
            return Refusal("field_missing", {"field": label})
    return None


def check_fixed(org: OrgRow, wanted: Wanted) -> Refusal | None:
    """Return why the centre or a provincial body is not called as somebody wants (ORG-13)."""
    if not is_provincial(org["parent_id"], org["org_id"], org["provincial_id"]):
        return None
    stays = (org["short_name"], org["full_name"], org["industry"]) == (
        wanted.short_name,
        wanted.full_name,
        wanted.industry,
    )
    return None if stays else Refusal("org_fixed")


def check_saving(
    old: OrgRow | None, parent: OrgRow, wanted: Wanted, of_that_name: Collection[int], month: int
) -> Refusal | None:
    """Return why an organisation is not created, or not changed, as somebody wants.

    Of several rules that are broken the first answers.

    Args:
        old: The organisation as it is; None for a new one.
        parent: Its superior.
        wanted: As it shall be. Kind and purpose of one that is there stay, whatever this says.
        of_that_name: The other organisations that have its full name, if it is to be unique.
        month: Of today (ORG-29).

    """
    kind, purpose = (old["kind"], old["purpose"]) if old is not None else (wanted.kind, wanted.purpose)
    return (
        check_org(kind, wanted.purpose, parent["kind"], wanted.full_name, wanted.industry, wanted.short_name)
        or (Refusal("name_taken") if of_that_name else None)
        or (None if is_division_code(wanted.division_code) else Refusal("org_division_invalid"))
        or (_check_new(parent, wanted, month) if old is None else None)
        or check_township(purpose, kind, wanted.industry, parent)
        or (check_fixed(old, wanted) if old is not None else None)
    )


def _check_new(parent: OrgRow, wanted: Wanted, month: int) -> Refusal | None:
    """Return why no such organisation is created below a superior."""
    return check_new_name(wanted.full_name, wanted.short_name) or check_purpose(
        wanted.purpose, wanted.kind, parent["kind"], parent["purpose"], wanted.industry, month
    )


def check_data(org: OrgRow, parent: OrgRow | None, wanted: Wanted, phone: str) -> Refusal | None:
    """Return why an administrator's check of the own organisation's data is refused (ORG-16, ORG-21).

    Of several rules that are broken the first answers. `parent` is None for the centre.
    """
    provincial = is_provincial(org["parent_id"], org["org_id"], org["provincial_id"])
    return (
        check_first(org, wanted.kind)
        or check_filled(
            ("组织全称", wanted.full_name),
            # leading bodies of provinces are of no industry
            ("所属行业", wanted.industry or provincial),
            ("联系电话", phone),
        )
        # superior and purpose are there already, so any that are allowed will do
        or check_org(
            wanted.kind, "ordinary", "committee", wanted.full_name, wanted.industry, wanted.short_name
        )
        or (check_township(org["purpose"], wanted.kind, wanted.industry, parent) if parent else None)
        or check_fixed(org, wanted)
    )


def new_org(org_id: int, parent: OrgRow, kind: str, purpose: str, data: Data) -> OrgRow:
    """Return a new organisation below a superior, whose place it shares; it is the last in the order."""
    return {
        "org_id": org_id,
        "parent_id": parent["org_id"],
        "path": f"{parent['path']}{org_id}.",
        "kind": kind,
        "purpose": purpose,
        "province": parent["province"],
        "system": parent["system"],
        # what stands directly below the centre is a provincial body itself
        "provincial_id": parent["provincial_id"] or org_id,
        "vault_id": parent["vault_id"],
        **data,
        "grad_year": None,
        "display_order": org_id,
        "version": 1,
        "deleted": False,
        "children": 0,
        "school_number": "",
        "checked_at": None,
        "was_kind": None,
        "secretary_id": None,
    }


def check_school_number(org: OrgRow, parent_industry: str, number: str) -> Refusal | None:
    """Return why an organisation has no such school number; an empty one clears it (SCH-03..07)."""
    if not may_have_school_number(org["kind"], org["industry"], parent_industry):
        return Refusal("not_a_school")
    if number and not (number.isascii() and number.isalnum() and 4 <= len(number) <= 20):
        return Refusal("school_number_form")
    return None


def check_deletion(org: OrgRow, to_awaiting: bool, offered: bool) -> Refusal | None:
    """Return why an organisation is not deleted, or not set aside with its members (DEL-02, DEL-03).

    `offered` says that branches are set aside at its place.
    """
    if org["children"]:
        return Refusal("org_has_children", {"count": str(org["children"])})
    if not to_awaiting:
        return None
    if org["kind"] != "branch":
        return Refusal("not_awaiting")
    return None if offered else Refusal("awaiting_not_offered")


def check_right(right: Right) -> Refusal | None:
    """Return why a right is not given or not revoked (ADM-01..03, ADM-05..08, ROLE-10)."""
    if not right.active:
        return Refusal("own_right") if right.own else None
    # an administrator may look anyway, and would lose the right by becoming an observer
    if right.observer and (not right.offered or right.holds):
        return Refusal("no_observers")
    if not right.cadre:
        return Refusal("not_a_cadre")
    # observers take no place, and who holds the right has one
    limit = reference.administrator_limit(right.kind)
    if not right.observer and not right.holds and right.holders >= limit:
        return Refusal("too_many_administrators", {"limit": str(limit)})
    return None


def changes_right(right: Right) -> bool:
    """Return whether a right is not yet as it shall be; only then it is written and logged.

    Revoking a right to look leaves a full right alone.
    """
    if right.observer:
        return right.active or right.observes
    return right.active != right.holds
