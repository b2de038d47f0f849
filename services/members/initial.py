"""The initial password of new accounts (ACC-04)."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members import settings
from shared import clock


def initial_tail(tx: Connection) -> int:
    """Return how many characters of the ID number make the initial password of a new account (ACC-04).

    With 0 there is no initial password and a code opens the account (BEY-22).
    """
    here = settings.of(tx)
    if here.codes_first:
        return 0
    return here.practice.number("initial_password_tail", clock.today())
