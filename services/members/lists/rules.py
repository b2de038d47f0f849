"""What is asked of lists, and when numbers are shown in full (SRCH-03, MEM-32, STAT-02). Pure."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias

from services.members import domain
from shared import reference
from shared.errors import Refusal
from shared.messages.words import Domain

MOST_REVEALED = 50
"""ID numbers that are shown in full at once (MEM-32)."""


def check_search(text: str) -> Refusal | None:
    """Return why nothing is searched for (SRCH-03): a normalised text that is empty."""
    return None if text else Refusal("field_missing", {"field": "姓名、身份证号码或发展团员编号"})


By: TypeAlias = Literal["id_number", "number", "name"]
"""By what members are found."""


def search_by(text: str, today: date) -> By:
    """Return by what a normalised text finds members (SRCH-03, SRCH-05, SRCH-06).

    A good ID number, a development number or, whatever else it is, a name.
    """
    if domain.check_id(text, today) is None:
        return "id_number"
    # isdigit alone is true of digits of other scripts, too
    return "number" if text.isascii() and text.isdigit() else "name"


def check_reveal(count: int, reason: str) -> Refusal | None:
    """Return why the ID numbers of so many members are not shown in full (MEM-32)."""
    if count > MOST_REVEALED:
        return Refusal("too_many_items", {"limit": str(MOST_REVEALED)})
    return check_reason(True, reason)


def check_reason(full: bool, reason: str) -> Refusal | None:
    """Return why a list is not given: with numbers in full it needs a reason (MEM-32, BEY-10)."""
    return Refusal("access_reason_missing") if full and not reason.strip() else None


def check_domain(domain_: str) -> Refusal | None:
    """Return why figures are not limited to a domain (ORG-26); an empty one limits nothing."""
    if domain_ and Domain.known(domain_) is None:
        return Refusal("bad_request", {"detail": "domain"})
    return None


def industries_of(domain_: str) -> list[str] | None:
    """Return the industries of a domain (ORG-26); None without one, then all organisations count."""
    if not domain_:
        return None
    return [name for name, one in reference.INDUSTRIES.items() if one.domain == domain_]
