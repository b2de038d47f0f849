"""Which posts are given, changed and ended, and who is meant by a name (CADRE, ADM-16, ORG-17..20). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from services.members import domain
from shared import reference
from shared.errors import Refusal


def check_asking(kind: str | None, own_or_superior: bool, post: str) -> Refusal | None:
    """Return why a person sets no such post in an organisation (CADRE-01, CADRE-05, ADM-16).

    `kind` is that of the organisation, None where there is none; an empty `post` ends the one held.
    """
    if kind is None:
        return Refusal("unknown_org")
    if not own_or_superior:
        return Refusal("not_your_org")
    if post and post not in reference.POSTS[kind]:
        return Refusal("post_unknown")
    return None


def check_change(held: str, post: str, led_by_another: bool, has_right: bool) -> Refusal | None:
    """Return why one post does not become another (CADRE-06, ADM-16).

    There is one secretary; who administers keeps a post, and a secretary who does stays secretary,
    until the right is revoked.
    """
    if post == "secretary" and led_by_another:
        return Refusal("secretary_in_post")
    if held and held != post and has_right and (post == "" or held == "secretary"):
        return Refusal("revoke_right_first")
    return None


def check_reached(places: Iterable[str], acting: str) -> Refusal | None:
    """Return why nobody is named by an id alone (CADRE-03): only who belongs below the acting organisation.

    `places` are the paths of where the person belongs, `acting` is that of the acting organisation.
    """
    return None if any(path.startswith(acting) for path in places) else Refusal("unknown_member")


def check_known(name: str, registered: str, pending: bool, ends: bool, holds: bool) -> Refusal | None:
    """Return why a registered person is not meant by name and number (CADRE-03, ORG-20).

    Where a post is to end it is not told that there is such a number: who holds none there is unknown.
    """
    if ends:
        return None if name == registered and holds else Refusal("unknown_member")
    # first it is decided whether this is a person of the register at all (REG-06)
    if pending:
        return Refusal("registration_pending")
    return None if name == registered else Refusal("name_differs")


def check_new(name: str, id_number: str, ends: bool, today: date) -> Refusal | None:
    """Return why nobody is entered for a post (ORG-17): name, number, age; nobody for a post to end."""
    refusal = domain.check_name(name) or domain.check_id(id_number, today)
    if refusal is not None:
        return refusal
    # the birth date stands in the number, which is good by now
    if domain.age_on(domain.born_on(id_number), today) < domain.MINIMUM_AGE:
        return Refusal("cadre_too_young")
    return Refusal("unknown_member") if ends else None


def is_guess(refusal: Refusal | None) -> bool:
    """Return whether a refusal tells that a number is registered under another name (ACC-11, CADRE-03).

    Only so many are told to one person.
    """
    return refusal is not None and refusal.code == "name_differs"
