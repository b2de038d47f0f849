"""Who makes and uses registration codes, and what becomes of applications (ADM, REG). Pure."""

from __future__ import annotations

from shared import reference
from shared.errors import Refusal

CLOSED_TO_APPLICANTS = ("graduate", "awaiting", "vault")
"""Purposes of organisations that people do not apply to."""


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


def check_use(kind: str, administrators: int, post: str) -> Refusal | None:
    """Return why a good code is of no use (ADM-01, CADRE-05): no room any more, or no such post there."""
    limit = reference.administrator_limit(kind)
    if administrators >= limit:
        return Refusal("too_many_administrators", {"limit": str(limit)})
    return None if post in reference.POSTS[kind] else Refusal("post_unknown")


def check_place(kind: str | None, purpose: str, post: str) -> Refusal | None:
    """Return why nobody applies to an organisation (REG-01, REG-03).

    People join branches; elsewhere they name a post.
    """
    if kind is None or purpose in CLOSED_TO_APPLICANTS:
        return Refusal("unknown_org")
    return None if kind == "branch" or post else Refusal("field_missing", {"field": "团内职务"})


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
        return Refusal("registration_missing")
    if not waits:
        return Refusal("registration_closed")
    if own or not accept:
        return None
    if not exists:
        return Refusal("unknown_org")
    if placed:
        return Refusal("has_branch")
    return Refusal("secretary_in_post") if led_by_another else None
