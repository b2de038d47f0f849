"""The initial password of new accounts (ACC-04)."""

from __future__ import annotations

import os

from shared import clock, practice


def initial_tail() -> int:
    """Return how many characters of the ID number make the initial password of a new account (ACC-04).

    With 0 there is no initial password and a code opens the account (BEY-22).
    """
    if os.environ.get("TUANQIAO_FIRST_CREDENTIAL") == "activation_code":
        return 0
    return practice.number("initial_password_tail", clock.today())
