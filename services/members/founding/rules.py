"""Who becomes the first administrator of an installation or an organisation (ADM-01, ADM-10). Pure."""

from __future__ import annotations

from services.members.domain import Known
from shared import reference
from shared.errors import Refusal


def check_token(is_open: bool, is_token: bool) -> Refusal | None:
    """Return why nobody is made an administrator on the page of the first installation (ADM-10).

    It is open while nobody holds a post or a right.
    """
    if not is_open:
        return Refusal("setup_closed")
    return None if is_token else Refusal("setup_token_wrong")


def check_known(known: Known, name: str, with_password: bool) -> Refusal | None:
    """Return why a registered person is not meant (ACC-11).

    Somebody who has an account keeps its password, unless it comes from an own registration alone.
    """
    if known.pending:
        return Refusal("registration_pending")
    if known.name != name and not known.claimed:
        return Refusal("name_differs")
    return Refusal("id_registered") if with_password else None


def check_room(kind: str, holders: int, force: bool) -> Refusal | None:
    """Return why an organisation gets no administrator in this way (ADM-01, ADM-10).

    Those who are there appoint others, unless somebody insists; never more than there is room for.
    """
    if holders and not force:
        return Refusal("has_administrators")
    limit = reference.administrator_limit(kind)
    return Refusal("too_many_administrators", {"limit": str(limit)}) if holders >= limit else None


def check_post(kind: str, post: str, has_secretary: bool) -> Refusal | None:
    """Return why the administrator does not get a post (CADRE-05, ADM-16); without one any will do."""
    if not post or post in _free(kind, has_secretary):
        return None
    return Refusal("secretary_in_post" if post == "secretary" else "post_unknown")


def first_post(kind: str, has_secretary: bool) -> str:
    """Return the post of an administrator for whom none was named (ADM-02): secretary, if there is none."""
    return _free(kind, has_secretary)[0]


def _free(kind: str, has_secretary: bool) -> list[str]:
    # in order of rank, as they stand in the list
    return [one for one in reference.POSTS[kind] if one != "secretary" or not has_secretary]
