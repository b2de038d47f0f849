"""The transfer saga on one page: states, paths, transitions, what happens on entering a state.

The catalogue has them in Annexes B and C. Pure data and one pure function. `transitions.py` makes its SQL
from these tables, `docs/saga.md` is printed from them (`make saga`), and tests state the expected table by
hand. Which nodes a transfer has depends on who starts it and where it goes; what a trigger does depends on
the state alone.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from shared.messages.words import Initiator as Initiator
from shared.messages.words import TransferState

State = TransferState
"""Where a transfer stands; the codes stand with their words beside the contracts."""


class Destination(StrEnum):
    """What the target is, as far as the path cares."""

    BRANCH = "branch"
    COMMITTEE = "committee"
    SPECIAL = "special"


class Trigger(StrEnum):
    """What makes a transfer move."""

    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    ASSIGN = "assign"
    CLOCK_RETURN = "clock_return"
    CLOCK_APPROVE = "clock_approve"
    MOVED = "moved"


class Step(NamedTuple):
    """An arrow: the state it leads to, None for the next node of the path; and the rule that says so."""

    to: State | None
    rule: str


FROM_OUTSIDE = (Initiator.SOURCE, Initiator.TARGET, Initiator.MEMBER)
"""Who may start a transfer by asking for one (TRF-01).

A batch is asked for by a command of its own, with checks of its own.
"""

S, T, I, D = State, Trigger, Initiator, Destination
NEXT = None

# fmt: off
# fmt: off  (a table is read by its columns)
PATHS: dict[tuple[Initiator, Destination], tuple[State, ...]] = {
    # the nodes in order; after the last the member is moved
    (I.SOURCE, D.BRANCH):    (S.IN,),                        # TRF-16
    (I.SOURCE, D.COMMITTEE): (S.IN, S.ASSIGN),               # TRF-17
    (I.SOURCE, D.SPECIAL):   (S.PROVINCE,),                  # SPU-05
    (I.TARGET, D.BRANCH):    (S.OUT,),                       # TRF-18
    (I.TARGET, D.COMMITTEE): (S.OUT, S.ASSIGN),              # TRF-19
    (I.MEMBER, D.BRANCH):    (S.OUT, S.IN),                  # TRF-20
    (I.MEMBER, D.COMMITTEE): (S.OUT, S.IN, S.ASSIGN),        # TRF-20
    (I.MEMBER, D.SPECIAL):   (S.OUT, S.PROVINCE),            # SPU-06; a policy may leave out the first
    (I.BATCH,  D.BRANCH):    (),                             # BATCH-02
    (I.RULING, D.BRANCH):    (),                             # BEY-06
    (I.RULING, D.COMMITTEE): (S.ASSIGN,),                    # BEY-06
}

TRANSITIONS: dict[tuple[State, Trigger], Step] = {
    (S.CHECKING, T.RESERVED):      Step(NEXT,        "TRF-02"),
    (S.CHECKING, T.UNAVAILABLE):   Step(S.REFUSED,   "TRF-02"),

    (S.OUT,      T.APPROVE):       Step(NEXT,        "TRF-20"),
    (S.OUT,      T.REJECT):        Step(S.REJECTED,  "TRF-25"),
    (S.OUT,      T.WITHDRAW):      Step(S.WITHDRAWN, "TRF-28"),
    (S.OUT,      T.CLOCK_RETURN):  Step(S.RETURNED,  "DL-05"),
    (S.OUT,      T.CLOCK_APPROVE): Step(NEXT,        "DL-03"),

    (S.IN,       T.APPROVE):       Step(NEXT,        "TRF-16"),
    (S.IN,       T.REJECT):        Step(S.REJECTED,  "TRF-25"),
    (S.IN,       T.WITHDRAW):      Step(S.WITHDRAWN, "TRF-28"),
    (S.IN,       T.CLOCK_RETURN):  Step(S.RETURNED,  "DL-05"),
    (S.IN,       T.CLOCK_APPROVE): Step(NEXT,        "DL-03"),

    (S.PROVINCE, T.APPROVE):       Step(NEXT,        "SPU-05"),
    (S.PROVINCE, T.REJECT):        Step(S.REJECTED,  "TRF-25"),
    (S.PROVINCE, T.WITHDRAW):      Step(S.WITHDRAWN, "TRF-28"),
    (S.PROVINCE, T.CLOCK_APPROVE): Step(NEXT,        "DL-09"),

    (S.ASSIGN,   T.ASSIGN):        Step(NEXT,        "ASG-01"),
    (S.ASSIGN,   T.WITHDRAW):      Step(S.WITHDRAWN, "TRF-28"),  # where withdraw_until is `completed`

    (S.MOVING,   T.MOVED):         Step(S.COMPLETED, "TRF-35"),
}

ON_ENTER: dict[State, str] = {
    # the event that tells of it; a refused transfer held nobody, so nobody needs to know
    S.OUT: "NodeOpened", S.IN: "NodeOpened", S.PROVINCE: "NodeOpened", S.ASSIGN: "NodeOpened",
    S.MOVING:    "BranchAssigned",
    S.COMPLETED: "TransferCompleted",
    S.REJECTED:  "TransferRejected",
    S.RETURNED:  "TransferReturned",
    S.WITHDRAWN: "TransferWithdrawn",
}
# fmt: on

NODES = (S.OUT, S.IN, S.PROVINCE, S.ASSIGN)
FINAL = (S.COMPLETED, S.REFUSED, S.REJECTED, S.RETURNED, S.WITHDRAWN)
FROM_BUS = (T.RESERVED, T.UNAVAILABLE, T.CLOCK_RETURN, T.CLOCK_APPROVE, T.MOVED)
"""Messages may come late or twice: in any state without an arrow they are ignored.

A person's trigger is refused.
"""
RELEASE_AGAIN = (
    (S.REJECTED, T.RESERVED),
    (S.RETURNED, T.RESERVED),
    (S.WITHDRAWN, T.RESERVED),
    (S.REFUSED, T.RESERVED),
)
"""A reservation that arrives after the end is released by telling the end once more."""
# fmt: on


def refusal_of(state: State, trigger: Trigger) -> str | None:
    """Return why a person's trigger is refused in this state, or None (TRF-21, TRF-25, TRF-28)."""
    if (state, trigger) in TRANSITIONS:
        return None
    if state in FINAL:
        return "transfer_ended"
    if state is State.CHECKING:
        return "still_checking"
    if trigger is Trigger.WITHDRAW:
        return "too_late_to_withdraw"
    return "node_closed"


def advance(
    path: tuple[State, ...], state: State, node_no: int, trigger: Trigger
) -> tuple[State, int] | None:
    """Return the state and node number after `trigger`, or None where nothing changes.

    This is the model that tests hold the SQL to. `node_no` counts from 1 along the path; 0 is before the
    first node, len(path) + 1 is moving.
    """
    step = TRANSITIONS.get((state, trigger))
    if step is None:
        return None
    if step.to is not NEXT:
        return step.to, node_no
    return (path[node_no], node_no + 1) if node_no < len(path) else (State.MOVING, node_no + 1)


def sources_of(trigger: Trigger) -> tuple[State, ...]:
    """Return the states that `trigger` leaves."""
    return tuple(state for state, some in TRANSITIONS if some is trigger)


def target_of(trigger: Trigger) -> State | None:
    """Return the one state that `trigger` leads to, or NEXT."""
    targets = {step.to for (_, some), step in TRANSITIONS.items() if some is trigger}
    (target,) = targets
    return target


def page() -> str:
    """Return this page as Markdown, with the diagram."""
    lines = [
        "# The transfer saga",
        "",
        "Printed from `services/transfers/saga.py` by `make saga`; do not edit.",
        "",
        "## Paths",
        "",
        "| initiator | target | nodes |",
        "|---|---|---|",
    ]
    for (initiator, destination), path in PATHS.items():
        lines.append(f"| {initiator} | {destination} | {' → '.join(path) or 'none'} |")
    lines += [
        "",
        "## Transitions",
        "",
        "Every pair that is not in the table is ignored when it comes from the bus or the clock,"
        " and refused when it comes from a person.",
        "",
        "| state | trigger | leads to | tells | rule |",
        "|---|---|---|---|---|",
    ]
    for (state, trigger), step in TRANSITIONS.items():
        tells = ON_ENTER.get(step.to, "") if step.to else "as the next state tells"
        lines.append(f"| {state} | {trigger} | {step.to or 'next node'} | {tells} | {step.rule} |")
    return "\n".join([*lines, "", "## Diagram", "", "```mermaid", *_diagram(), "```", ""])


def _diagram() -> list[str]:
    order = list(State)
    arrows = sorted(_arrows(), key=lambda arrow: (order.index(arrow[0]), arrow[1], arrow[2]))
    return [
        "stateDiagram-v2",
        "    [*] --> checking",
        *(f"    {here} --> {there}: {trigger}" for here, there, trigger in arrows),
        *(f"    {state} --> [*]" for state in FINAL),
    ]


def _arrows() -> set[tuple[State, State, Trigger]]:
    """Return the arrows of the diagram: from where, to where, by what."""
    arrows = {(state, step.to, trigger) for (state, trigger), step in TRANSITIONS.items() if step.to}
    # "the next node" is another state on each path
    onward = {arrow for arrow, step in TRANSITIONS.items() if step.to is NEXT}
    for path in PATHS.values():
        for here, following in pairwise((State.CHECKING, *path, State.MOVING)):
            arrows |= {(state, following, trigger) for state, trigger in onward if state is here}
    return arrows


if __name__ == "__main__":
    print(page(), end="")
