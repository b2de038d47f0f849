"""The rules of organisations, as pure functions."""
from __future__ import annotations

import unicodedata

from shared.errors import Refusal

KINDS = ("leading_body", "committee", "work_committee", "general_branch", "branch")
"""ORG-02."""
PURPOSES = ("ordinary", "township", "floating", "handover", "study_abroad", "delayed", "mixed", "teachers")
"""Purposes that people give; `graduate`, `awaiting` and `vault` are made by the system alone (ORG-03)."""
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
    return list(dict.fromkeys(text[at:at + 2] for at in range(len(text) - 1)))


def administrator_limit(kind: str) -> int:
    """Return how many administrators an organisation may have (ADM-01)."""
    return 2 if kind == "leading_body" else 3


def may_hold_children(kind: str) -> bool:
    """Return whether organisations may stand below one of this kind: a branch is the lowest level (ORG-23)."""
    return kind != "branch"


def may_manage(acting: int | None, own: int | None, superior: int | None) -> bool:
    """Return whether the administrators of `acting` may manage an organisation (ORG-14, ROLE-06, ROLE-16).

    Args:
        acting: The organisation that they act for.
        own: The organisation itself; None where it has no say, as in its own creation or deletion (ORG-23, DEL-01).
        superior: Its direct superior; None for the root.

    """
    return acting is not None and acting in (own, superior)


def is_provincial(parent_id: int | None, org_id: int, provincial_id: int | None) -> bool:
    """Return whether an organisation is the centre or a provincial body, whose names stay as they are (ORG-13)."""
    return parent_id is None or org_id == provincial_id


def check_org(kind: str, purpose: str, parent_kind: str, full_name: str) -> Refusal | None:
    """Return what is wrong with a new or edited organisation (ORG-02, ORG-03, ORG-08, ORG-23)."""
    if kind not in KINDS or purpose not in PURPOSES:
        return Refusal("bad_request", {"detail": "kind, purpose"})
    if not may_hold_children(parent_kind):
        return Refusal("bad_request", {"detail": "a branch has no subordinates"})
    if len(normalise(full_name)) < 2:
        return Refusal("field_missing", {"field": "组织全称"})
    return None


def check_new_name(full_name: str, short_name: str) -> Refusal | None:
    """Return why no organisation of this name is created (ORG-06); renaming and old names are left alone."""
    if any(normalise(name).endswith(NOT_OF_THE_TREE) for name in (full_name, short_name)):
        return Refusal("not_an_org")
    return None
