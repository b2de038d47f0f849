"""Which bulk decisions are started, and for how many rows (BEY-05). Pure."""

from __future__ import annotations

from services.transfers import domain
from services.transfers.domain import OrgFacts
from services.transfers.saga import HERE, State
from shared.errors import Refusal
from shared.messages.transfers import Filter, StartBulk

BULK_MAX = 50_000
"""Rows of one bulk decision (BEY-05)."""


def check_filter(filter: Filter) -> Refusal | None:
    """Return why a filter takes in nothing: what people decide, waits at a node here (FED-08)."""
    if filter.state in HERE:
        return None
    return Refusal("bad_request", {"detail": f"state: {', '.join(HERE)}"})


def check_start(item: StartBulk, branch: OrgFacts | None, org: OrgFacts | None) -> Refusal | None:
    """Return what is wrong with the decision itself, before its rows are looked at (ASG-02, SPU-09, TRF-24).

    `branch` is where all are to be assigned to, `org` the acting organisation.
    """
    if item.filter.state == State.ASSIGN:
        return None if domain.is_assignable(branch, org) else Refusal("branch_not_below")
    # Each row is checked once more at its turn, but nobody should learn of one mistake fifty thousand times.
    refusal = domain.check_decision(item.approve, item.reason_code, item.note)
    if refusal is None and item.approve and domain.lacks_letter(item.filter.state, item.note):
        return Refusal("letter_missing")
    return refusal


def check_count(count: int, expected: int) -> Refusal | None:
    """Return why so many rows are not decided at once (BEY-05).

    Where the sender has seen another number, others have decided meanwhile.
    """
    if count == 0:
        return Refusal("nothing_matches")
    if count > BULK_MAX:
        return Refusal("too_many_match", {"count": str(count), "limit": str(BULK_MAX)})
    return None if count == expected else Refusal("count_changed", {"count": str(count)})


def check_found(found: bool) -> Refusal | None:
    """Return why there is nothing to show or to stop: the organisation has no bulk decision of that id."""
    return None if found else Refusal("unknown_bulk")
