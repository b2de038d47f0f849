"""The initial password of new accounts (ACC-04)."""

from __future__ import annotations

import os

from shared import clock, practice


def initial_tail() -> int:
    """Return of how many characters of the ID number the initial password of a new account is made (ACC-04); 0: of none, a code opens it (BEY-22)."""
    if os.environ.get("TUANQIAO_FIRST_CREDENTIAL") == "activation_code":
        return 0
    return practice.number("initial_password_tail", clock.today())
