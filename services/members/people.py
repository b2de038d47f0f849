"""What is written down of a person who is new, by whatever way the person comes (MEM-01, ACC-04)."""

from __future__ import annotations

import uuid

from services.members import domain
from services.members.domain import NewPerson
from services.members.sealing.keys import b64, keys, sealed
from shared.messages.members import Admission

_NO_COMMAND = uuid.UUID(int=0)


class Entered(NewPerson):
    """A person to be entered, and the post that the person gets."""

    post: str


def row_of(item: Admission, person_id: int | None = None) -> Entered:
    """Return the row of a person, for `store.add`: number and phone sealed, and its id if given."""
    id_number = domain.normalise_id(item.id_number)
    return {
        "person_id": person_id,
        "name": domain.clean_name(item.name),
        "id_sealed": b64(keys.seal.seal(id_number)),
        "id_index": b64(keys.seal.index(id_number)),
        "phone_sealed": sealed(item.phone),
        "ethnic_group": item.ethnic_group,
        "joined_on": item.joined_on,
        "development_number": item.development_number.strip(),
        "post": item.post.strip(),
        "branch_id": item.branch_id or None,
        "born_on": domain.born_on(id_number),
    }


def new_person(name: str, id_number: str, phone: str, ethnic_group: str) -> Entered:
    """Return the row of a person who belongs to no branch, for `store.add`."""
    return row_of(
        Admission(
            command_id=_NO_COMMAND,
            branch_id=0,
            name=name,
            id_number=id_number,
            phone=phone,
            ethnic_group=ethnic_group,
        )
    )
