"""Whose record is changed, reported and deleted, by whom and why not (MEM-10, MEM-19, DEL). Pure."""

from __future__ import annotations

import re
from datetime import date

from shared.errors import Refusal
from shared.messages.words import DeletionCause

_TRANSFERRED = {
    DeletionCause.ELSEWHERE: Refusal("transfer_instead"),
    DeletionCause.OTHER_SYSTEM: Refusal("transfer_to_peer"),
}
CAUSES = tuple(one for one in DeletionCause if one not in _TRANSFERRED)
"""Why somebody is to be deleted (DEL-10); people who belong elsewhere are transferred (DEL-09, FED-07)."""
_CHANGES_SYSTEM = re.compile(
    "(北京|广东|福建|三地).{0,12}注册|(转|换|改)(到|往|至|入|去)?.{0,6}(北京|广东|福建|三地).{0,6}系统"
)
"""How people say in their own words that somebody is to register in one of the three (FED-07)."""

MOST_PEOPLE = 500
"""People of one look at records."""
HELD = Refusal("transfer_open")
"""Of a member who was not deleted, since a transfer holds the member (DEL-08, DEL-11)."""


def check_editor(known: bool, own: bool, administers: bool) -> Refusal | None:
    """Return why a person does not edit a record (MEM-14).

    Members do, and who administers the branch or its direct superior; to others there is no such
    member.
    """
    return None if known and (own or administers) else Refusal("unknown_member")


def check_open(closed: Refusal | None, changes: bool) -> Refusal | None:
    """Return why a record is not edited that is closed (FED-10, FED-12), None where nothing closes it.

    While it is handed over nothing is changed but how its member is reached; `changes` says that more is.
    """
    if closed is not None and closed.code == "handed_over" and not changes:
        return None
    return closed


def check_edit(number_is_used: bool, found_on: date | None, today: date) -> Refusal | None:
    """Return why an edit is refused beside what age and number say themselves (MEM-09, TYPE-16)."""
    if number_is_used:
        return Refusal("development_number_used")
    return Refusal("found_in_future") if found_on is not None and found_on > today else None


def check_report(near: bool, cause: str, explanation: str, closed: Refusal | None = None) -> Refusal | None:
    """Return why a member is not reported as wrongly entered (DEL-06, DEL-09, DEL-10, FED-07).

    `near` says that the person administers the branch or its direct superior, `closed` why nothing is done
    with the record.
    """
    if not near:
        return Refusal("unknown_member")
    if closed is not None:
        return closed
    # a transfer keeps the history, which a deletion would end
    if cause in _TRANSFERRED:
        return _TRANSFERRED[DeletionCause(cause)]
    if cause not in CAUSES:
        return Refusal("bad_request", {"detail": "cause"})
    return check_reason(explanation)


def check_reason(reason: str) -> Refusal | None:
    """Return why a reason is none for a deletion: it is blank, or somebody changes the system (FED-07)."""
    if not reason.strip():
        return Refusal("reason_needed")
    return Refusal("transfer_to_peer") if _CHANGES_SYSTEM.search(reason) else None


def check_deletion(
    kind: str | None, below: bool, high_enough: bool, reason: str, administers: bool
) -> Refusal | None:
    """Return why a member is not deleted (DEL-05, DEL-07, DEL-08, FED-07, MEM-19).

    Args:
        kind: Of the acting organisation, None where the person does not administer one.
        below: The member's branch lies below it.
        high_enough: It is of the level that the setting asks for (`domain.may_delete`).
        reason: Why.
        administers: The member has a right over some organisation.

    """
    if kind is None:
        return Refusal("not_administrator")
    # before all that would tell that there is such a member
    if not below:
        return Refusal("unknown_member")
    if kind != "leading_body":
        return Refusal("not_leading_body")
    if not high_enough:
        return Refusal("delete_higher")
    return check_reason(reason) or (Refusal("is_administrator") if administers else None)


def check_number(people: int) -> Refusal | None:
    """Return why so many people are not looked at together."""
    return Refusal("too_many_items", {"limit": str(MOST_PEOPLE)}) if people > MOST_PEOPLE else None


def check_found(name: str, registered: str | None, in_branch: bool) -> Refusal | None:
    """Return why nobody is found by name and ID number (TRF-05, TRF-06).

    `registered` is the name that goes with the number, None where nobody has it. A wrong name, a
    wrong number and somebody in no branch get one answer.
    """
    return None if in_branch and name == registered else Refusal("unknown_member")


def check_profile(below: bool) -> Refusal | None:
    """Return why a member's record is not shown: the branch is not `below` the acting organisation (MEM-28).

    To others there is no such member.
    """
    return None if below else Refusal("unknown_member")
