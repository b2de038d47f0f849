"""Who marks whom, with what, and until when: graduation of branches and members (GRAD). Pure."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from services.members import domain
from shared import reference
from shared.errors import Refusal
from shared.messages.words import COMMITTEE_KINDS


def may_mark_graduates(kind: str, industry: str, is_above: bool, is_direct_superior: bool) -> bool:
    """Return whether an organisation marks a branch.

    Branches are marked by a committee kind of the school domain above them (GRAD-04) and by their
    direct superior (GRAD-05). The direct superior of a branch inside a school is of the school
    domain anyway; one outside it has a whole school in one branch below it.
    """
    return is_direct_superior or (is_above and kind in COMMITTEE_KINDS and reference.is_school(industry))


def may_mark_member(
    kind: str, industry: str, is_branch: bool, is_above: bool, is_direct_superior: bool, by_branch: bool
) -> bool:
    """Return whether an organisation marks members of a branch (GRAD-18).

    As in GRAD-04, and the branch itself where the setting allows it.
    """
    return (is_branch and by_branch) or may_mark_graduates(
        kind, industry, is_above and not is_branch, is_direct_superior
    )


def check_marker(is_branch: bool, administers: bool, may_mark: bool) -> Refusal | None:
    """Return why a person does not mark an organisation (GRAD-04, GRAD-05, ORG-04).

    Args:
        is_branch: It is there, and a branch.
        administers: The person administers the acting organisation.
        may_mark: That one marks the branch (`may_mark_graduates`).

    """
    if not is_branch:
        return Refusal("branch_unknown")
    if not administers:
        return Refusal("not_administrator")
    return None if may_mark else Refusal("not_your_org")


def check_markable(is_markable: bool, purpose: str) -> Refusal | None:
    """Return why a branch cannot have a time of graduation (GRAD-09).

    It may lie outside the school domain, or be a branch for special purposes.
    """
    if is_markable and purpose in ("ordinary", "graduate", "mixed", "teachers"):
        return None
    return Refusal("not_markable")


def due_until(today: date, switch: tuple[int, int]) -> date:
    """Return up to which time of graduation branches are switched (GRAD-12).

    From the yearly moment on that is the whole of the year.
    """
    return date(today.year if (today.month, today.day) >= switch else today.year - 1, 12, 31)


def check_branch_mark(graduates_on: date | None, reason: str) -> Refusal | None:
    """Return what is wrong with a mark: a time or a reason, not both, not neither (GRAD-07)."""
    # equal means both or neither
    if (graduates_on is None) == (reason == "") or reason not in ("", "teachers", "mixed"):
        return Refusal("mark_incomplete")
    return None


def check_started(started: bool, graduates_on: date | None, until: date) -> Refusal | None:
    """Return why a switch is not taken back: a member has begun to leave (GRAD-14).

    A mark takes it back if its time of graduation is not due `until` then, or if it has none.
    """
    takes_back = graduates_on is None or graduates_on > until
    return Refusal("graduation_started") if started and takes_back else None


class Mark(NamedTuple):
    """How a branch is marked: with a time or a reason; whether it is a graduates' organisation by now."""

    graduates_on: date | None = None
    reason: str = ""
    converted: bool = False


UNMARKED = Mark()
GONE = Refusal("transfer_open")
"""Of a mark that was not stored: the member has moved or is held by a transfer since the look (GRAD-24)."""


def check_member_marker(in_branch: bool, may_mark: bool) -> Refusal | None:
    """Return why a person does not mark a member (GRAD-18); `may_mark` as `may_mark_member` says."""
    if not in_branch:
        return Refusal("unknown_member")
    return None if may_mark else Refusal("not_your_org")


def check_member_mark(
    mark: str, graduates_on: date | None, reason: str, branch: Mark, reserved: bool
) -> Refusal | None:
    """Return why a member is not marked so (GRAD-11, GRAD-16, GRAD-19, GRAD-20, GRAD-23, GRAD-24)."""
    if mark not in ("", "own", "delayed", "teacher"):
        return Refusal("mark_unknown")
    # a mark is taken back whatever holds the member
    if mark != "" and reserved:
        return Refusal("transfer_open")
    if mark == "own":
        if branch.reason != "mixed":
            return Refusal("branch_not_mixed")
        return None if graduates_on else Refusal("field_missing", {"field": "预计毕业时间"})
    if mark in ("delayed", "teacher") and not branch.converted:
        return Refusal("branch_not_graduate")
    return check_delay(graduates_on, reason, branch.graduates_on) if mark == "delayed" else None


def check_delay(graduates_on: date | None, reason: str, branch_graduates_on: date | None) -> Refusal | None:
    """Return what is wrong with a delay: it has a time after that of the branch, and a reason (GRAD-19)."""
    if graduates_on is None or not reason.strip():
        return Refusal("field_missing", {"field": "预计毕业时间、延迟毕业原因"})
    # compared by months, which is what a time of graduation is (GRAD-03)
    if branch_graduates_on is not None and domain.month_end(graduates_on) <= branch_graduates_on:
        return Refusal("delay_too_short", {"date": f"{branch_graduates_on:%Y-%m}"})
    return None


def becomes(mark: str, graduates_on: date | None, branch: Mark, until: date) -> tuple[date | None, bool]:
    """Return a marked member's time of graduation, and whether the member is a graduate (GRAD-11, GRAD-16).

    Without a mark of the own the member is as the branch is. With a time of the own, the member is
    a graduate once that is due; who is delayed or teaches is none.
    """
    if mark == "":
        return (branch.graduates_on if branch.converted else None), branch.converted
    on = domain.month_end(graduates_on) if mark in ("own", "delayed") and graduates_on else None
    return on, mark == "own" and on is not None and on <= until
