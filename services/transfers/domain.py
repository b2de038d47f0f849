"""The rules of starting, deciding and assigning, as pure functions: no I/O, no clock, no framework."""
from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.transfers.saga import Destination, Initiator
from shared.errors import Refusal
from shared.messages.transfers import RequestTransfer

REMARK_MAX = 100
"""Characters of a remark (TRF-11)."""
NOTE_MAX = 200
"""Characters of an approver's note."""
COMMITTEE_KINDS = ("committee", "work_committee", "general_branch")
NOT_ASSIGNABLE = ("graduate", "awaiting", "vault")
"""Purposes of a branch that takes no assignment (ASG-02)."""
TOWNSHIP_PURPOSES = ("township", "handover")

REJECTION_REASONS = {
    # TRF-27, TYPE-11: pick-list of a rejection
    "not_here": ("不在本地居住或工作", "Does not live or work here"),
    "household_elsewhere": ("应转往户籍所在地团组织", "Belongs to the organisation of the household"),
    "work_elsewhere": ("应转往工作单位所在地团组织", "Belongs to the organisation of the workplace"),
    "short_term": ("仅短期工作", "The post is only short-term"),
    "wrong_data": ("资料有误,请更正后重新发起", "The data are wrong; correct and start again"),
    "other": ("其他", "Other"),
}


@dataclass(frozen=True)
class Reason:
    """A reason of a transfer: words, labels of the fields it needs, metric it counts in (TYPE-01).

    `graduate`: one of the eight reasons of graduates (GRAD-15); `everyone`: others may have it, too.
    """

    code: str
    zh: str
    en: str
    place_name: str
    place_address: str
    counts_in: str
    graduate: bool
    everyone: bool

    @property
    def kind(self) -> str:
        """Return whose reason it is: `graduate`, `ordinary` or `any`."""
        return "any" if self.everyone else "graduate" if self.graduate else "ordinary"


@cache
def reasons() -> dict[str, Reason]:
    """Return the reasons by code, from `reasons.toml`."""
    data = tomllib.loads((Path(__file__).parent / "reasons.toml").read_text("utf-8"))
    return {code: Reason(code, entry["zh"], entry["en"], entry.get("place_name", ""), entry.get("place_address", ""),
                         entry["counts_in"], entry["graduate"], entry.get("everyone", False)) for code, entry in data.items()}


@dataclass(frozen=True)
class OrgFacts:
    """What the rules need to know of an organisation."""

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None


def destination_of(request: RequestTransfer, target: OrgFacts | None) -> Destination:
    """Return what the target is for the path: branch, committee kind, or special unit."""
    if request.reason == "special_unit":
        return Destination.SPECIAL
    return Destination.BRANCH if target is not None and target.kind == "branch" else Destination.COMMITTEE


def check_request(request: RequestTransfer, source: OrgFacts | None, target: OrgFacts | None, youth_centres: bool = False) -> Refusal | None:
    """Return why a request is refused before anybody is asked, or None (TRF-10..15, TRF-40, TYPE-01..15, SPU-02..04, ORG-31)."""
    reason = reasons().get(request.reason)
    if request.initiator not in set(Initiator):
        return Refusal("bad_request", {"detail": "initiator: source, target, member"})
    if reason is None:
        return Refusal("unknown_reason")
    if source is None:
        return Refusal("unknown_org")
    if source.kind != "branch":
        return Refusal("not_a_branch")
    if len(request.remark) > REMARK_MAX:
        return Refusal("remark_too_long")
    for label, value in ((reason.place_name, request.place_name), (reason.place_address, request.place_address)):
        if label and not value.strip():
            return Refusal("field_missing", {"field": label})
    if request.reason == "special_unit":
        return _check_special(request)
    if target is not None and target.purpose == "youth_centre" and not youth_centres:
        return Refusal("target_not_allowed")
    return _check_target(request, source, target)


def _check_special(request: RequestTransfer) -> Refusal | None:
    if request.target_org_id is not None:
        return Refusal("target_forbidden")
    if request.initiator == Initiator.TARGET:
        return Refusal("special_by_target")
    if not request.remark.strip():
        return Refusal("remark_missing")
    return None


def _check_target(request: RequestTransfer, source: OrgFacts, target: OrgFacts | None) -> Refusal | None:
    if request.target_org_id is None:
        return Refusal("target_missing")
    if target is None:
        return Refusal("unknown_org")
    if target.org_id == source.org_id:
        return Refusal("same_org")
    if target.system != "national" or source.system != "national":
        return Refusal("target_peer")
    if target.kind not in (*COMMITTEE_KINDS, "branch") or target.purpose in ("vault", "awaiting", "graduate"):
        return Refusal("target_not_allowed")
    if request.reason == "further_study" and target.purpose in TOWNSHIP_PURPOSES:
        return Refusal("further_study_township")
    if request.reason == "abroad_study" and target.purpose != "study_abroad":
        return Refusal("abroad_study_target")
    return None


def may_request(request: RequestTransfer, person_id: int, acting_org: int | None, source: OrgFacts, target: OrgFacts | None) -> Refusal | None:
    """Return why this person may not start this transfer, or None (TRF-01, TRF-03, TRF-04).

    `acting_org` is an organisation that the person is known to administer, or None.
    """
    if request.initiator == Initiator.MEMBER:
        return None if person_id == request.member_id else Refusal("not_your_member")
    if acting_org is None:
        return Refusal("not_administrator")
    if request.initiator == Initiator.SOURCE:
        return None if acting_org in (source.org_id, source.parent_id) else Refusal("not_your_org")
    return None if target is not None and acting_org == target.org_id else Refusal("not_your_org")


def is_assignable(branch: OrgFacts | None, org: OrgFacts | None) -> bool:
    """Return whether `org` may assign members to `branch`: an ordinary branch somewhere below it (ASG-02)."""
    return (branch is not None and org is not None and branch.kind == "branch" and branch.purpose not in NOT_ASSIGNABLE
            and branch.path.startswith(org.path))


def check_decision(approve: bool, reason_code: str, note: str) -> Refusal | None:
    """Return what is wrong with a decision's own fields (TRF-24)."""
    if len(note) > NOTE_MAX:
        return Refusal("note_too_long")
    if not approve and reason_code not in REJECTION_REASONS:
        return Refusal("reason_missing")
    if not approve and reason_code == "other" and not note.strip():
        return Refusal("reason_missing")
    return None
