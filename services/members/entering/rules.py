"""Who is entered where, and what stands in the way (MEM, IMP-08, IMP-11, ACC-11, TRF-36). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import date
from typing import NamedTuple

from services.members import domain
from services.members.domain import Deleted, Known, Ranges
from shared import reference
from shared.errors import Refusal
from shared.messages.members import Admission, Register


def check_place(kind: str | None, administers: bool, near: bool) -> Refusal | None:
    """Return why a person enters nobody into an organisation (MEM-29, IMP-11, ORG-04).

    People are entered into branches, by the branch or its direct superior.

    Args:
        kind: Of the organisation, None where there is none.
        administers: The person administers the acting organisation.
        near: That is the branch itself or its direct superior.

    """
    if kind != "branch":
        return Refusal("branch_unknown")
    if not administers:
        return Refusal("not_administrator")
    return None if near else Refusal("not_your_org")


def check_entry(
    item: Admission | Register, kind: str, province: str, issued: Ranges, today: date
) -> Refusal | None:
    """Return what is wrong with the data of a person who is to belong to an organisation.

    Rules IMP-08, MEM-04..12, CADRE-05 and REG-08. `kind` and `province` are those of the
    organisation, `issued` the ranges of development numbers.
    """
    refusal = domain.check_name(domain.clean_name(item.name))
    if refusal is not None:
        return refusal
    post = item.post.strip()
    # before the ages, since who holds a post has no upper limit
    if post and post not in reference.POSTS[kind]:
        return Refusal("post_unknown")
    id_number = domain.normalise_id(item.id_number)
    number = item.development_number.strip()
    return (
        domain.check_id(id_number, today)
        # the date of birth is read from a number that is known to be good
        or domain.check_ages(domain.born_on(id_number), item.joined_on, post, today, province)
        or domain.check_development_number(number, item.joined_on, province, issued)
    )


class Entrant(NamedTuple):
    """A row of people to be entered, as far as others may stand in its way."""

    id_index: bytes
    name: str
    branch_id: int
    development_number: str = ""
    post: str = ""


class There(NamedTuple):
    """What is there already.

    The people `known` and `deleted` by the blind index of their ID number, who has which
    development number, and the branches that have a secretary.
    """

    known: Mapping[bytes, Known] = {}
    deleted: Mapping[bytes, Deleted] = {}
    numbers: Mapping[str, int] = {}
    led: Set[int] = frozenset()


def check_taken(entrants: Mapping[int, Entrant], there: There) -> dict[int, Refusal]:
    """Return why rows of a list are not entered, by others or by an earlier row of it, by position.

    The person may be somebody who is not entered (`check_person`), number or post may be somebody
    else's (`check_claims`). Rows that are refused stand in nobody's way.
    """
    refused: dict[int, Refusal] = {}
    people, numbers, led = set[bytes](), set[str](), set(there.led)
    for n, one in entrants.items():
        known = there.known.get(one.id_index)
        refusal = check_person(one, known, there.deleted.get(one.id_index))
        if one.id_index in people:
            refusal = Refusal("id_registered")
        elif refusal is None:
            owner = known.person_id if known is not None else None
            number = one.development_number
            used = number in numbers or there.numbers.get(number, owner) != owner
            refusal = check_claims(one, used, led)
        if refusal is not None:
            refused[n] = refusal
            continue
        # what this row gets no later one does
        people.add(one.id_index)
        if one.development_number:
            numbers.add(one.development_number)
        if one.post == "secretary":
            led.add(one.branch_id)
    return refused


def check_late(entrants: Mapping[int, Entrant], there: There) -> dict[int, Refusal]:
    """Return why rows are not entered whose people somebody else has just entered, by position.

    Where nothing else is found it is that: such a person is registered by now (ACC-11).
    """
    refused = check_taken(entrants, there)
    return {n: refused.get(n, Refusal("id_registered")) for n in entrants}


def check_claims(one: Entrant, number_is_used: bool, led: Set[int]) -> Refusal | None:
    """Return why a person does not get a number or a post that somebody else has (MEM-09, ADM-16)."""
    if number_is_used:
        return Refusal("development_number_used")
    if one.post == "secretary" and one.branch_id in led:
        return Refusal("secretary_in_post")
    return None


def check_person(one: Entrant, known: Known | None, deleted: Deleted | None) -> Refusal | None:
    """Return why a person is not entered (ACC-11, REG-06, ORG-20, TRF-36).

    Somebody registered who is in no branch is entered, too, where the name is the same (REG-05), or
    where nobody has ever accepted that name.
    """
    # asked before the name is compared: the registration has to be withdrawn, whoever the person is
    if known is not None and known.pending:
        return Refusal("registration_pending")
    if known is not None and (known.branch_id is not None or (known.name != one.name and not known.claimed)):
        return Refusal("id_registered")
    if was_deleted_elsewhere(deleted, one.name, one.branch_id):
        return Refusal("deleted_elsewhere")
    return None


def was_deleted_elsewhere(deleted: Deleted | None, name: str, branch_id: int) -> bool:
    """Return whether the same person, by number and name, was deleted from another branch (TRF-36).

    Such a person is entered there again, and then transferred.
    """
    return deleted is not None and deleted.name == name and deleted.branch_id != branch_id


def check_bound(places: Iterable[str], acting: str) -> Refusal | None:
    """Return why an organisation does not enter somebody who is in no branch (ACC-11).

    A post or a right outside its subtree binds the person; it is not for this organisation to say
    where such a person belongs. `places` and `acting` are paths.
    """
    outside = any(not place.startswith(acting) for place in places)
    return Refusal("id_registered") if outside else None


# ---- rosters -----------------------------------------------------------------------------------------------


def check_import(administers: bool, own: bool) -> Refusal | None:
    """Return why a person neither adds to an import nor looks at it (IMP-06).

    `own` says that the person sent its first row, for the same organisation.
    """
    if not administers:
        return Refusal("not_administrator")
    return None if own else Refusal("unknown_import")


def check_row(branch_name: str, post: str) -> Refusal | None:
    """Return why a row of a roster is not tried (IMP-04, IMP-11).

    Without a branch it is a cadre of the importing organisation, and names a post: to the posts an
    empty one would say that the one held ends.
    """
    return None if branch_name or post else Refusal("post_unknown")


def check_branch_name(name: str, superior: str | None) -> Refusal:
    """Return why no branch takes people from the importing organisation under a name (IMP-11).

    A branch of that name stands directly below `superior`; None where there is no such branch.
    """
    if superior is not None:
        return Refusal("branch_not_direct", {"superior": superior})
    # a cell of a sheet may hold a whole page
    return Refusal("branch_misnamed", {"name": name[:100]})
