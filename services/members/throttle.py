"""How often people's accounts may be tried (ACC-10); how tries are counted is shared."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members import domain
from shared import throttle
from shared.throttle import Limit, network, of_address


def of_account(subject: str, address: str, known_here: bool) -> list[Limit]:
    """Return the limits of tries with an account from an address.

    They are stricter where the person has not signed in from that address before.
    """
    pair = Limit(f"{subject} from {network(address)}", domain.LOCK_AFTER)
    if known_here:
        return [pair]
    return [
        pair,
        Limit(subject, domain.LOCK_ACCOUNT_AFTER),
        *of_address(address, "from", domain.LOCK_ADDRESS_AFTER),
    ]


def is_busy(tx: Connection, address: str) -> bool:
    """Return whether so much failed from an address lately that people not known there need a captcha."""
    return bool(address) and throttle.failed_lately(tx, f"from {network(address)}") >= domain.CAPTCHA_AFTER
