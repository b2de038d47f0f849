"""From a policy's days and phases to instants: what holds for a node depends on when it is opened.

Between two breakpoints the answer is the same except for the instant itself, so a policy becomes a handful of
rows (`node_rules`), and the statement that opens nodes finds the row of each by one look at an index.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from services.transfers.policies.reader import NodePolicy, Phase, Policy
from shared.clock import CHINA

FIRST_YEAR, LAST_YEAR = 2019, 2049
"""The years for which the parts of the year become instants."""
FOREVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


class Span(NamedTuple):
    """A phase of one year, as instants; the end is not included."""

    begins_at: dt.datetime
    ends_at: dt.datetime
    phase: Phase


class Piece(NamedTuple):
    """What holds for nodes opened before an instant (and not before that of the piece before).

    Attributes:
        opens_before: The end of the piece.
        expire_after: Days until the deadline, None for none.
        not_before: The deadline does not fire before this instant, None for any.
        withdraw_until: As in the policy.

    """

    opens_before: dt.datetime
    expire_after: float | None
    not_before: dt.datetime | None
    withdraw_until: str


class NodeRule(TypedDict):
    """A row of `node_rules`: a piece of what holds for a node, for a province or (empty) the nation.

    What is a number is one of days.
    """

    policy: str
    state: str
    province: str
    opens_before: dt.datetime
    remind_after: float | None
    remind_every: float | None
    expire_after: float | None
    not_before: dt.datetime | None
    on_expiry: str
    withdraw: str
    fed_withdraw: str


def spans(policy: Policy) -> list[Span]:
    """Return the phases of all years in order."""
    found = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        for phase in policy.phases:
            ends_in = year if phase.ends >= phase.begins else year + 1
            found.append(
                Span(
                    _midnight(year, phase.begins),
                    _midnight(ends_in, phase.ends) + dt.timedelta(days=1),
                    phase,
                )
            )
    return sorted(found, key=lambda span: span.begins_at)


def _midnight(year: int, day: tuple[int, int]) -> dt.datetime:
    month, number = day
    if day == (2, 29) and (year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)):
        number = 28
    return dt.datetime(year, month, number, tzinfo=CHINA).astimezone(dt.UTC)


def pieces(policy: Policy, node: NodePolicy) -> list[Piece]:
    """Return what holds for a node by the instant at which it is opened (DL-07, DL-11..13).

    The last piece holds for ever.
    """
    every = spans(policy)
    if not every:
        return [Piece(FOREVER, node.expire_after_days, None, policy.withdraw_until)]
    wait = dt.timedelta(days=node.expire_after_days or 0)
    # The answer changes where a phase ends, and where a node that is opened falls due at the end of a phase
    # with a clock.
    breaks = {span.ends_at for span in every} | {span.ends_at - wait for span in every if span.phase.clock}
    found: list[Piece] = []
    begins = every[0].begins_at
    for ends in sorted(one for one in breaks if one > begins):
        phase = next((span for span in every if span.begins_at <= begins < span.ends_at), None)
        fires = next((span for span in every if span.phase.clock and begins < span.ends_at - wait), None)
        piece = Piece(ends, None, None, phase.phase.withdraw_until if phase else policy.withdraw_until)
        if node.expire_after_days is not None and fires is not None:
            # What falls due while the clock stands still fires on the first day of the next phase
            # with one.
            late = fires.begins_at if fires.begins_at > begins + wait else None
            piece = piece._replace(expire_after=node.expire_after_days, not_before=late)
        found.append(piece)
        begins = ends
    return [*found, Piece(FOREVER, node.expire_after_days, None, policy.withdraw_until)]


def deadline(policy: Policy, node: NodePolicy, opened_at: dt.datetime) -> dt.datetime | None:
    """Return when the clock decides a node that was opened at an instant, None for never.

    This is the model that tests hold the SQL to.
    """
    piece = next(one for one in pieces(policy, node) if opened_at < one.opens_before)
    if piece.expire_after is None:
        return None
    due = opened_at + dt.timedelta(days=piece.expire_after)
    return due if piece.not_before is None else max(due, piece.not_before)


def rules(policy: Policy) -> Iterator[NodeRule]:
    """Return a policy as rows of `node_rules`.

    Those of the nation stand under the empty code, those of provinces with entries of their own under
    theirs.
    """
    for province, nodes in (("", policy.nodes), *policy.provinces.items()):
        for state, node in nodes.items():
            for piece in pieces(policy, node):
                yield {
                    "policy": policy.key,
                    "state": str(state),
                    "province": province,
                    "opens_before": piece.opens_before,
                    "remind_after": node.remind_after_days,
                    "remind_every": node.remind_every_days,
                    "expire_after": piece.expire_after,
                    "not_before": piece.not_before,
                    "on_expiry": node.on_expiry,
                    "withdraw": withdrawal(policy, str(state), piece.withdraw_until),
                    "fed_withdraw": "yes_own" if policy.fed_withdraw else "no",
                }


def withdrawal(policy: Policy, state: str, until: str) -> str:
    """Return who may withdraw at a node.

    `no`; `yes`: the starter's side and the member; `first`: these, at the first node only. With `_own`, a
    member may withdraw only what they have started themselves.
    """
    if state == "pending_assign" and until != "completed":
        return "no"
    word = "first" if until == "first_decision" else "yes"
    return word if policy.member_may_withdraw_any else f"{word}_own"


def phase_on(policy: Policy, at: dt.datetime) -> Span | None:
    """Return the phase that an instant lies in."""
    return next((span for span in spans(policy) if span.begins_at <= at < span.ends_at), None)
