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


def check_org(kind: str, purpose: str, parent_kind: str, full_name: str) -> Refusal | None:
    """Return what is wrong with a new or edited organisation (ORG-02, ORG-04, ORG-08)."""
    if kind not in KINDS or purpose not in PURPOSES:
        return Refusal("bad_request", {"detail": "kind, purpose"})
    if parent_kind == "branch":
        return Refusal("bad_request", {"detail": "a branch has no subordinates"})
    if len(normalise(full_name)) < 2:
        return Refusal("field_missing", {"field": "组织全称"})
    return None
