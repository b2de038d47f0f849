"""What own registrations claim, where an organisation says otherwise (REG-05, ACC-11).

Anybody can register with a number of somebody else, and withdraw. Until an organisation has accepted a
registration nothing proves it: so it binds neither the ID number nor the development number, and nobody keeps
an account into which an organisation puts somebody.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from services.members import initial, store
from services.members.domain import NewPerson
from services.members.sessions import tell_ended


def yield_to(tx: Connection, rows: Sequence[NewPerson]) -> None:
    """Let people who have only registered themselves be those whom an organisation enters or gives a post.

    They have the name that it says, and their accounts begin afresh, with the initial password. Others of the
    rows are left as they are, and so are registrations that wait.
    """
    taken = store.take(tx, rows) if rows else []
    if taken:
        tell_ended(tx, store.begin_afresh(tx, taken, initial.initial_tail(tx)))
