"""Who may stay at school, how long, and what is said of an entry of the register (GRAD-26..33). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from services.members import domain
from shared.errors import Refusal

OPEN = Refusal("retention_open")
"""Of a request that was not stored: the member has an entry that is requested or approved (GRAD-29)."""


def check_retention(
    kind: str,
    since: date,
    until: date,
    graduate: bool,
    fields: Mapping[str, str],
    months: int,
    begins: date,
    mark_from: tuple[int, int] | None,
    today: date,
) -> Refusal | None:
    """Return why a member may not stay at school.

    A member is retained (GRAD-26, GRAD-27) or goes abroad for studies, which needs all four items
    (GRAD-29).
    """
    if kind not in ("retained", "abroad"):
        return Refusal("retention_kind")
    if until <= since:
        return Refusal("retention_dates")
    if kind == "abroad":
        empty = next((label for label, value in fields.items() if not value.strip()), None)
        return Refusal("field_missing", {"field": empty}) if empty else None
    if not graduate:
        return Refusal("not_a_graduate")
    return check_term(until, months, begins, mark_from, today)


def check_term(
    until: date, months: int, begins: date, mark_from: tuple[int, int] | None, today: date
) -> Refusal | None:
    """Return why a graduate is not retained so long, or not yet (GRAD-26, GRAD-27).

    `months` are counted from the day `begins`; `mark_from` is month and day of a setting.
    """
    # in the year in which the term begins, only after the day of the setting
    if mark_from is not None and (today.month, today.day) <= mark_from and today.year == begins.year:
        return Refusal("retention_too_early", {"date": f"{mark_from[0]:02d}-{mark_from[1]:02d}"})
    if until > domain.add_months(begins, months):
        return Refusal("retention_too_long", {"months": str(months)})
    return None


def check_retention_school(kind: str, industry: str, types: Sequence[str]) -> Refusal | None:
    """Return why nobody is retained at a school of this industry (GRAD-26).

    Without `types` every school retains.
    """
    if kind == "retained" and types and industry not in types:
        return Refusal("retention_not_here")
    return None


def begins_on(graduates_on: date | None, from_the_mark: bool, today: date) -> date:
    """Return the day from which the months are counted: graduation, or by a setting the request (GRAD-27)."""
    return graduates_on if graduates_on is not None and not from_the_mark else today


def check_asking(known_to: bool, own: bool, administers: bool) -> Refusal | None:
    """Return why a person does not ask that a member stays (GRAD-26, GRAD-29).

    The member may, and who administers the branch or its superior; others are not told that there
    is such a member. `known_to` says that the member is in a branch.
    """
    return None if known_to and (own or administers) else Refusal("unknown_member")


def check_saying(own: bool, above: bool, report: bool, end: bool, approve: bool) -> Refusal | None:
    """Return why a person says nothing of an entry (GRAD-29, GRAD-30).

    The committees above the branch do; the member adds reports from abroad and nothing else.
    """
    reports_only = report and not end and not approve
    return None if above or (own and reports_only) else Refusal("retention_unknown")


def wanted(state: str, report: bool, end: bool, approve: bool) -> str:
    """Return the state of an entry after what is said of it; a report leaves it as it is."""
    if report:
        return state
    if end:
        return "ended"
    return "approved" if approve else "refused"


class Decision(NamedTuple):
    """What becomes of an entry: its state, whether anything changes, and why nothing does."""

    state: str
    changes: bool = False
    refusal: Refusal | None = None


def decide(own: bool, above: bool, state: str, report: bool, end: bool, approve: bool) -> Decision:
    """Return what becomes of an entry when a person says something of it (GRAD-29, GRAD-30).

    `own` and `above` as in `check_saying`; whoever says nothing of it is not told its state.
    """
    refusal = check_saying(own, above, report, end, approve)
    return Decision("", refusal=refusal) if refusal is not None else becomes(state, report, end, approve)


def becomes(state: str, report: bool, end: bool, approve: bool) -> Decision:
    """Return what becomes of an entry by what is rightly said of it (GRAD-29, GRAD-30).

    A request is approved or refused; an approved entry is reported on and ended. What was said
    before is no refusal when it is said again; a report is never the same as one before.
    """
    after = wanted(state, report, end, approve)
    if state == ("approved" if report or end else "requested"):
        return Decision(after, changes=True)
    # two reports of the same words are two reports
    said_before = not report and state == after
    return Decision(state, refusal=None if said_before else Refusal("retention_closed"))
