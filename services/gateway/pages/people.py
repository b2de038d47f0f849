"""Choosing a member by name, in every form that needs one: nobody types numbers.

Members of the acting organisation and below are found as one types how the name begins; without
JavaScript a button searches, and the form comes back with all that was typed. A branch that the form
names (`NAME_branch`) offers all its members. What is searched for is sent in the body of a request
and never stands in an address.

    picker = people.picker(form)
    {{ person_picker(picker, _('团员')) }}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from flask import request, session

from services.gateway import kit
from services.gateway.kit import form as forms
from shared.messages import members
from shared.messages.limits import OrgId, PersonId

LONGEST = 60
"""Characters of a name that are searched for."""
MOST = 10
"""Members that are offered for a text."""


class Asked(msgspec.Struct):
    """What a form says of the field; what it cannot mean is as if it were not there."""

    chosen: Annotated[list[PersonId], msgspec.Meta(max_length=100)] = []
    branch: OrgId | None = None


@dataclass(frozen=True)
class Person:
    """A member as they are offered: so much that two of one name can be told apart."""

    member_id: int
    name: str
    id_masked: str
    branch: str


@dataclass(frozen=True)
class PersonPicker:
    """What the field for a member shows; with `several` more than one may be ticked."""

    name: str
    text: str
    asked: bool
    """Something was searched for."""
    found: list[Person]
    """Offered, without those who are chosen."""
    chosen: list[Person]
    more: bool = False
    """There are others of this beginning of a name."""
    several: bool = False
    branch: int | None = None


def picker(form: Any, name: str = "member", *, several: bool = False) -> PersonPicker:
    """Return the field for a member, with what the form says of it so far."""
    asked = forms.read(Asked, form, {"chosen": name, "branch": f"{name}_branch"}).value or Asked()
    text, branch = form.get(f"{name}_text", "").strip(), asked.branch
    ids = asked.chosen if several else asked.chosen[:1]
    org = session.get("org")
    searched = members.ListBelow(org_id=org, name=text[:LONGEST], limit=MOST + 1) if org and text else None
    described, named, offered = kit.calls(
        (members.describe_people, members.DescribePeople(person_ids=ids)) if ids else None,
        (members.list_below, searched) if searched is not None else None,
        kit.members_of(branch) if branch else None,
    )
    rows = [one.member for one in (named or ())[:MOST]] + list(offered or ())
    branches = kit.names([one.branch_id for one in (*(described or ()), *rows)])[0]

    def persons(some: Iterable[Any]) -> list[Person]:
        return [
            Person(
                one.member_id,
                one.name,
                one.id_masked,
                branches[one.branch_id].full_name if one.branch_id in branches else "",
            )
            for one in some
        ]

    taken = set(ids)
    found = {one.member_id: one for one in rows if one.member_id not in taken}
    return PersonPicker(
        name=name,
        text=text,
        asked=searched is not None,
        found=persons(found.values()),
        chosen=persons(described or ()),
        more=named is not None and len(named) > MOST,
        several=several,
        branch=branch,
    )


@kit.blueprint.post("/pick/person")
def pick_person() -> Any:
    """Show whom a text may mean, as a part of a page (SRCH-06)."""
    chosen = picker(request.form, several=request.form.get("several") == "1")
    return kit.part("picking/_person.html", "persons_found", chosen)
