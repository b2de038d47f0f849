"""The rules of organisations, as pure functions."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from shared import reference
from shared.errors import Refusal

KINDS = ("leading_body", "committee", "work_committee", "general_branch", "branch")
"""ORG-02."""
SCHOOL_PURPOSES = ("floating", "study_abroad", "delayed", "mixed", "teachers", "staff")
"""Branches that only schools have (ORG-33, ORG-34, ORG-35, ORG-39)."""
PURPOSES = ("ordinary", "township", "handover", "transit", "youth_centre", *SCHOOL_PURPOSES)
"""Purposes that people give; `graduate`, `awaiting` and `vault` are made by the system alone (ORG-03)."""
NAME_MAX = 100
"""Characters of a name, as written and as searched.

The longest of the national tree has 47; a row of an index holds 2,700 bytes.
"""
HANDOVER_MONTH = 9
"""From this month of the year on a county receives in a hand-over branch of its own (ORG-29)."""
HANDOVER_NAMES = ("学社衔接临时团支部", "流动团员团支部", "流动团员支部", "流动团支部")
"""What hand-over branches are and were called; a search for one finds the others (ORG-28)."""
SYSTEMS_FROM = "91"
"""The number of the first vertical system; provinces have lower ones (ORG-15)."""
PEER_SYSTEMS = {"11": "BJ", "44": "GD", "35": "FJ"}
"""Provinces that run systems of their own (FED-01)."""


NOT_OF_THE_TREE = ("青工委", "青年部", "群团部")
"""Endings of bodies that are no organisations of the tree (ORG-06)."""


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
    return not code or (code.isascii() and code.isdigit() and len(code) in (2, 4, 6, 9, 12))


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
    if parent_kind == "leading_body":
        return None if month >= HANDOVER_MONTH else Refusal("handover_from_september")
    if parent_purpose == "township":
        return None
    if parent_kind in ("committee", "work_committee") and not reference.is_school(industry):
        return None
    return Refusal("purpose_not_here")


def check_township(purpose: str, kind: str, industry: str, parent: Mapping[str, Any]) -> Refusal | None:
    """Return why an organisation is no township's or sub-district's (ORG-28).

    One is a committee or work committee, not of the school domain, directly below the leading body
    of a county or city of a territory. `parent` has the columns of `orgs`.
    """
    if purpose != "township":
        return None
    below_county = (
        parent["kind"] == "leading_body"
        and parent["parent_id"] is not None
        and parent["org_id"] != parent["provincial_id"]
    )
    fits = (
        kind in ("committee", "work_committee")
        and not reference.is_school(industry)
        and below_county
        and parent["province"] < SYSTEMS_FROM
    )
    return None if fits else Refusal("township_not_here")


def check_first(org: Any, kind: str, secretary: int | None) -> Refusal | None:
    """Return why an organisation's first check is refused (ORG-11, ORG-16, ORG-19).

    `org` has `kind`, `checked_at`, `was_kind`, `children` and `parent_id`.
    """
    if secretary is None:
        return Refusal("secretary_missing")
    if kind == org["kind"]:
        return None
    if org["checked_at"] is not None or org["was_kind"] is not None:
        return Refusal("kind_fixed")
    if kind not in KINDS or kind == "leading_body" or org["kind"] == "leading_body":
        return Refusal("kind_fixed")
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


def put_after(ids: list[int], org_id: int, after: int | None) -> list[int]:
    """Return a list of organisations with one of them put right after another, or first (ORG-24)."""
    rest = [one for one in ids if one != org_id]
    if after is None:
        at = 0
    elif after == org_id:  # after itself: it stays where it is
        at = ids.index(org_id)
    else:
        at = rest.index(after) + 1
    return [*rest[:at], org_id, *rest[at:]]


def places(orders: list[int]) -> list[int]:
    """Return places that rise from one to the next, as few of them as possible other than before (ORG-24).

    `orders` has the old places in their order.
    """
    made: list[int] = []
    for order in orders:
        made.append(order if not made or order > made[-1] else made[-1] + 1)
    return made


def check_migration(org: Any, to: Any) -> Refusal | None:
    """Return why an organisation cannot move below another (MIG-01, MIG-02, MIG-05..07).

    Both have the columns of `orgs`.
    """
    if org["parent_id"] is None or org["org_id"] == org["provincial_id"]:
        return Refusal("migration_provincial")
    if org["provincial_id"] != to["provincial_id"]:
        return Refusal("migration_across")
    if str(to["path"]).startswith(str(org["path"])):
        return Refusal("migration_inside")
    if to["org_id"] == org["parent_id"]:
        return Refusal("migration_nowhere")
    return Refusal("migration_branch") if not may_hold_children(to["kind"]) else None


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
