"""Who may open an account anew: the organisations that hand out codes for passwords (ACC-06, ACC-07).

Who holds the code holds the account, and with it every right of the person. So the question is not
where somebody is a member but what the account can do: a right is answered for where it lies, and
by nobody whose own reach is smaller.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.posts import store as posts_store
from shared import clock, directory
from shared.identity import Actor


def resetters(tx: Connection, people: Mapping[int, store.Person]) -> dict[int, frozenset[int]]:
    """Return, for rows of people, the organisations whose administrators reset their passwords.

    Four look-ups for any number of people. People in no branch are looked after by the organisation
    of their oldest post, whoever has given others since.
    """
    rights = posts_store.rights_held(tx, people)
    homes = _homes(tx, people)
    practice = settings.of(tx).practice
    return {
        person: domain.resetters(
            rights.get(person, []),
            homes.get(person, ""),
            practice.number("reset_code_levels", clock.today(), path=homes.get(person, "")),
        )
        for person in people
    }


def _homes(tx: Connection, people: Mapping[int, store.Person]) -> dict[int, str]:
    """Return the path of each person's branch, or else of the organisation of the oldest post."""
    orgs = {person: row.branch_id for person, row in people.items() if row.branch_id is not None}
    loose = [person for person in people if person not in orgs]
    held = (
        sorted(posts_store.posts_held(tx, loose), key=lambda row: (row.began_at, row.org_id)) if loose else []
    )
    # the oldest post comes first, and later ones change nothing
    for row in held:
        orgs.setdefault(row.person_id, row.org_id)
    found = directory.find(tx, [*orgs.values()])
    return {person: found[org].path for person, org in orgs.items() if org in found}


def still_good(tx: Connection, person: store.Person, issued_by: int | None, issued_for: int | None) -> bool:
    """Return whether the person who handed out a code could still do so today.

    Rights come and go while a code is on its way. Codes of the command line come from nobody and
    are good as they are.
    """
    if issued_by is None or issued_for is None:
        return issued_by is None and issued_for is None
    issuer = Actor(issued_by, issued_for)
    return (
        bool(directory.administering(tx, [issuer]))
        and issued_for in resetters(tx, {person.person_id: person})[person.person_id]
    )
