"""The adviser: reason and organisation that fit a graduate's plans."""

from __future__ import annotations

import msgspec

from shared.messages import Query, words
from shared.messages.limits import (
    Digits,
    Line,
    OrgId,
    Plan,
)


class Advise(msgspec.Struct, frozen=True, kw_only=True):
    """Ask where a member should go, from plain answers (BEY-01).

    `employer_has_org`: for work and abroad_duty. `division_code`: of the place of work, or of the
    household or residence.
    """

    plan: Plan
    source_branch_id: OrgId
    employer_has_org: bool = False
    division_code: Digits = ""
    text: Line = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation that fits; `mode` says whether the policy allows it or warns."""

    org_id: int
    name: str
    place: words.DestinationClass
    mode: words.Mode


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The adviser's answer: a reason, the fields to fill, organisations, and the rules that say so.

    `search`: whether the organisation may have to be searched for; `zh`, `en`: a hint in both
    languages.
    """

    reason: words.Reason
    fields: list[str]
    proposals: list[Proposal]
    search: bool
    rules: list[str]
    zh: str
    en: str


advise = Query("transfers", "advise", Advise, Advice)
