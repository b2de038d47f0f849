"""Who makes and uses registration codes, and what becomes of applications (ADM, REG). Pure."""

from __future__ import annotations

from datetime import date

from services.members import domain
from services.members.entering.rules import was_deleted_elsewhere
from shared import reference
from shared.errors import Refusal
from shared.messages.words import MADE_BY_THE_SYSTEM, System

CLOSED_TO_APPLICANTS = MADE_BY_THE_SYSTEM
"""Purposes of organisations that people do not apply to."""
HAS_ACCOUNT = Refusal("sign_in_to_register")
"""Of somebody registered who uses a code as if nobody had entered the person (ADM-15)."""
MISSING = Refusal("registration_missing")
"""Of an application that there is not, or that is none of the person's business (REG-07)."""
PENDING = Refusal("registration_pending")
"""Of an application that was not stored, since another of the applicant waits (REG-02)."""


def check_issue(kind: str | None, by_superior: bool, administrators: int) -> Refusal | None:
    """Return why no code is made for an organisation (ADM-01, ADM-04).

    Its direct superior makes one while there is room for an administrator. `kind` is that of the
    organisation, None where there is none.
    """
    if kind is None:
        return Refusal("unknown_org")
    if not by_superior:
        return Refusal("not_your_org")
    limit = reference.administrator_limit(kind)
    return Refusal("administrators_full", {"limit": str(limit)}) if administrators >= limit else None


def check_use(kind: str | None, administrators: int, post: str) -> Refusal | None:
    """Return why a code is of no use (ADM-01, ADM-09, CADRE-05): no room any more, or no such post there.

    `kind` is that of the organisation, None where there is no such code, or it is spent or has
    lapsed.
    """
    if kind is None:
        return Refusal("code_invalid")
    limit = reference.administrator_limit(kind)
    if administrators >= limit:
        return Refusal("too_many_administrators", {"limit": str(limit)})
    return None if post in reference.POSTS[kind] else Refusal("post_unknown")


def check_kept_here(system: str) -> Refusal | None:
    """Return why nobody becomes administrator of an organisation: another system keeps it (FED-01)."""
    return None if system == System.NATIONAL else Refusal("mirrored")


def check_newcomer(name: str, id_number: str, password: str, today: date) -> Refusal | None:
    """Return what is wrong with somebody who becomes an administrator, with the age last (ADM-04, ACC-03)."""
    refusal = (
        domain.check_name(name)
        or domain.check_id(id_number, today)
        or domain.check_new_password(password, id_number)
    )
    # the birth date stands in the number, which is good by now
    if refusal is None and domain.age_on(domain.born_on(id_number), today) < domain.MINIMUM_AGE:
        return Refusal("cadre_too_young")
    return refusal


def check_post(holds_one: bool, post: str, has_secretary: bool) -> Refusal | None:
    """Return why a code does not give a post (ADM-16); a post that is held there is kept (ADM-15)."""
    if holds_one or post != "secretary" or not has_secretary:
        return None
    return Refusal("secretary_in_post")


def check_place(kind: str | None, purpose: str, post: str) -> Refusal | None:
    """Return why nobody applies to an organisation (REG-01, REG-03).

    People join branches; elsewhere they name a post.
    """
    if kind is None or purpose in CLOSED_TO_APPLICANTS:
        return Refusal("unknown_org")
    return None if kind == "branch" or post else Refusal("field_missing", {"field": "团内职务"})


def check_number(owner: int | None, own_id: int | None) -> Refusal | None:
    """Return why an applicant does not have a development number: somebody else does (MEM-09).

    `owner` is who has it, None if nobody; `own_id` is the applicant, None if not registered.
    """
    return None if owner is None or owner == own_id else Refusal("development_number_used")


def check_deleted(deleted: domain.Deleted | None, name: str, org_id: int) -> Refusal | None:
    """Return why a person who was deleted does not apply (TRF-36): to another branch than the one of then."""
    return Refusal("deleted_elsewhere") if was_deleted_elsewhere(deleted, name, org_id) else None


def check_back(has_applied: bool, bound: bool) -> Refusal | None:
    """Return why a registered person does not register again (REG-02, ACC-11).

    Only former applicants do, who have not come into a branch or to a post meanwhile (`bound`).
    """
    return None if has_applied and not bound else Refusal("registered_already")


def check_stands(same_name: bool, elsewhere: bool) -> Refusal | None:
    """Return why somebody does not register here: the membership stands in another system (FED-07).

    Who does not know the name that goes with the number is not told.
    """
    return Refusal("stands_in_peer") if same_name and elsewhere else None


def check_proof(same: bool) -> Refusal | None:
    """Return why a former applicant is not believed: `same` name and password as before (ACC-11)."""
    return None if same else Refusal("registered_already")


def check_decision(
    own: bool, administers: bool, waits: bool, accept: bool, placed: bool, exists: bool, led_by_another: bool
) -> Refusal | None:
    """Return why an application is not decided or withdrawn (REG-03, REG-05, REG-07).

    Args:
        own: The applicant withdraws it.
        administers: The person decides for the organisation that is applied to.
        waits: It is pending, in time, and not settled by an earlier item of the list.
        accept: It would be accepted.
        placed: The applicant is in a branch already.
        exists: The organisation is there.
        led_by_another: The applicant would be secretary, and there is one.

    """
    if not (own or administers):
        return MISSING
    if not waits:
        return Refusal("registration_closed")
    # what stands in the way of a place does not keep anybody from leaving, or from being rejected
    if own or not accept:
        return None
    if not exists:
        return Refusal("unknown_org")
    if placed:
        return Refusal("has_branch")
    return Refusal("secretary_in_post") if led_by_another else None


def becomes(withdraw: bool, accept: bool) -> str:
    """Return the state of an application after it was rightly withdrawn or decided on (REG-05)."""
    if withdraw:
        return "withdrawn"
    return "accepted" if accept else "rejected"
