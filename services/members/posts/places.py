"""Where people belong: by membership, by a post, by a right. Who reaches whom is decided from this."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from services.members import store
from services.members.posts import store as posts_store
from shared import directory


def of(tx: Connection, person_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the paths of the organisations that people belong to, by person.

    Four look-ups for any number of people.
    """
    rows = store.by_ids(tx, [*person_ids])
    posts = posts_store.posts_held(tx, rows)
    orgs = directory.find(tx, [*[row.branch_id for row in rows.values()], *[row.org_id for row in posts]])
    found = posts_store.rights_held(tx, rows)
    for person_id, org_id in [
        *[(row.person_id, row.branch_id) for row in rows.values()],
        *[(row.person_id, row.org_id) for row in posts],
    ]:
        if org_id in orgs:
            found.setdefault(person_id, []).append(str(orgs[org_id].path))
    return found
