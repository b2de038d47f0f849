"""Who signs in, who opens whose account anew, and what captchas and codes are good for (ACC). Pure."""

from __future__ import annotations

import hmac
from datetime import datetime

from services.members import domain
from shared.errors import Refusal


def check_captcha(right: bool, expires_at: datetime | None, now: datetime) -> Refusal | None:
    """Return why the answer to a captcha does not count (ACC-02).

    `expires_at` is None where there is no such picture, or none any more.
    """
    good = right and expires_at is not None and now < expires_at
    return None if good else Refusal("captcha_wrong")


def is_initial_password(password: str, id_number: str, tail: int) -> bool:
    """Return whether a password is the one that the account started with (ACC-04), in any case of its X.

    With a `tail` of 0 there is none; a code opens such an account (BEY-22).
    """
    initial = domain.initial_password(id_number, tail)
    # compared in constant time; encoded, because only ASCII texts can be compared so
    return tail > 0 and hmac.compare_digest(password.upper().encode(), initial.encode())


def check_password(has_account: bool, right: bool) -> Refusal | None:
    """Return why nobody signs in: of a wrong number and a wrong password the same is said (ACC-10)."""
    return None if has_account and right else Refusal("sign_in_failed")


def check_issue(known: bool, own: bool, may_reset: bool, near: bool) -> Refusal | None:
    """Return why a person makes no code that resets a password (ACC-07, ACC-09, ADM-07).

    Args:
        known: There is such a person, and whoever asks administers the acting organisation.
        own: The account is the asking person's.
        may_reset: The acting organisation is one of those that reset it (`domain.resetters`).
        near: It is the person's branch or the direct superior of that, so that the person is known
            there anyway and it may be told why.

    """
    if not known:
        return Refusal("unknown_member")
    if own:
        return Refusal("reset_own")
    if may_reset:
        return None
    return Refusal("reset_elsewhere" if near else "unknown_member")


def check_reset(spent: bool, still_good: bool) -> Refusal | None:
    """Return why a code resets no password (ACC-07, ACC-08).

    Of a wrong number, a wrong code and a spent one the same is said.

    Args:
        spent: There was such a code for the person, in time; it is used up now.
        still_good: Who made it could make it today.

    """
    return None if spent and still_good else Refusal("reset_failed")
