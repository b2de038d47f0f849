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
    PEER = "peer"


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
    ACCEPTED = "accepted"
    REFUSED_THERE = "refused_there"
    INTEGRATED = "integrated"
    SENT_BACK = "sent_back"
    CALLED_OFF = "called_off"
    RECORD_TAKEN = "record_taken"
    RECORD_REFUSED = "record_refused"
    GIVEN_UP = "given_up"


class Step(NamedTuple):
    """An arrow: the state it leads to, None for the next node of the path; and the rule that says so."""

    to: State | None
    rule: str


FROM_OUTSIDE = (Initiator.SOURCE, Initiator.TARGET, Initiator.MEMBER)
"""Who may start a transfer by asking for one (TRF-01).

A batch is asked for by a command of its own, with checks of its own; a peer's start comes as an event.
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
    (I.SOURCE, D.PEER):      (S.REMOTE, S.HANDOVER),         # FED-01
    (I.MEMBER, D.PEER):      (S.OUT, S.REMOTE, S.HANDOVER),  # FED-01
    (I.PEER,   D.BRANCH):    (S.IN, S.ARRIVAL),              # FED-08
    (I.PEER,   D.COMMITTEE): (S.IN, S.ASSIGN, S.ARRIVAL),    # FED-08
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

    # what the other system says, and members of the record that came from there
    (S.REMOTE,   T.ACCEPTED):      Step(NEXT,        "FED-10"),
    (S.REMOTE,   T.REFUSED_THERE): Step(S.REJECTED,  "FED-10"),
    (S.REMOTE,   T.WITHDRAW):      Step(S.WITHDRAWN, "FED-09"),  # where `fed_withdraw` lets the starter
    (S.REMOTE,   T.CLOCK_RETURN):  Step(S.RETURNED,  "DL-08"),

    (S.HANDOVER, T.INTEGRATED):    Step(NEXT,        "FED-10"),
    (S.HANDOVER, T.SENT_BACK):     Step(S.REJECTED,  "FED-10"),
    (S.HANDOVER, T.REFUSED_THERE): Step(S.REJECTED,  "FED-10"),

    (S.IN,       T.CALLED_OFF):    Step(S.WITHDRAWN, "FED-08"),
    (S.ASSIGN,   T.CALLED_OFF):    Step(S.WITHDRAWN, "FED-08"),
    (S.ARRIVAL,  T.CALLED_OFF):    Step(S.WITHDRAWN, "FED-08"),

    (S.ARRIVAL,  T.RECORD_TAKEN):  Step(NEXT,        "FED-10"),
    (S.ARRIVAL,  T.RECORD_REFUSED): Step(S.REJECTED, "FED-14"),
    (S.ARRIVAL,  T.GIVEN_UP):      Step(S.REJECTED,  "FED-11"),
}

ON_ENTER: dict[State, str] = {
    # the event that tells of it; a refused transfer held nobody, so nobody needs to know
    S.OUT: "NodeOpened", S.IN: "NodeOpened", S.PROVINCE: "NodeOpened", S.ASSIGN: "NodeOpened",
    S.REMOTE: "NodeOpened", S.HANDOVER: "NodeOpened", S.ARRIVAL: "NodeOpened",
    S.MOVING:    "BranchAssigned",
    S.COMPLETED: "TransferCompleted",
    S.REJECTED:  "TransferRejected",
    S.RETURNED:  "TransferReturned",
    S.WITHDRAWN: "TransferWithdrawn",
}

DECIDED_AT: dict[State, str] = {
    # the column of a transfer that names the organisation of a node
    S.OUT:      "source_branch_id",
    S.IN:       "target_org_id",
    S.PROVINCE: "provincial_id",
    S.ASSIGN:   "target_org_id",
    S.REMOTE:   "target_org_id",
    S.HANDOVER: "target_org_id",
    S.ARRIVAL:  "source_branch_id",
}
# fmt: on

NODES = tuple(DECIDED_AT)
ABROAD = (S.REMOTE, S.HANDOVER, S.ARRIVAL)
"""Nodes of another system (FED-08): its organisation has no administrators here, so nobody here decides."""
HERE = tuple(node for node in NODES if node not in ABROAD)
"""Nodes that people here decide."""
FINAL = (S.COMPLETED, S.REFUSED, S.REJECTED, S.RETURNED, S.WITHDRAWN)
FROM_BRIDGE = (T.ACCEPTED, T.REFUSED_THERE, T.INTEGRATED, T.SENT_BACK, T.CALLED_OFF, T.GIVEN_UP)
"""What another system says, or the operator of the bridge to it: its right is its signature (FED-10)."""
FROM_BUS = (
    *(T.RESERVED, T.UNAVAILABLE, T.CLOCK_RETURN, T.CLOCK_APPROVE, T.MOVED),
    *(T.RECORD_TAKEN, T.RECORD_REFUSED),
    *FROM_BRIDGE,
)
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
    """Return why a person's trigger is refused in this state, or None (TRF-21, TRF-25, TRF-28, FED-08)."""
    if (state, trigger) in TRANSITIONS:
        return None
    if state in FINAL:
        return "transfer_ended"
    if state is State.CHECKING:
        return "still_checking"
    if trigger is Trigger.WITHDRAW:
        return "too_late_to_withdraw"
    if state in ABROAD:
        return "decided_elsewhere"
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
    every = sorted(arrows(), key=lambda arrow: (order.index(arrow[0]), arrow[1], arrow[2]))
    return [
        "stateDiagram-v2",
        "    [*] --> checking",
        *(f"    {here} --> {there}: {trigger}" for here, there, trigger in every),
        *(f"    {state} --> [*]" for state in FINAL),
    ]


def arrows() -> set[tuple[State, State, Trigger]]:
    """Return the arrows of the diagram: from where, to where, by what."""
    found = {(state, step.to, trigger) for (state, trigger), step in TRANSITIONS.items() if step.to}
    # "the next node" is another state on each path
    onward = {arrow for arrow, step in TRANSITIONS.items() if step.to is NEXT}
    for path in PATHS.values():
        for here, following in pairwise((State.CHECKING, *path, State.MOVING)):
            found |= {(state, following, trigger) for state, trigger in onward if state is here}
    return found


if __name__ == "__main__":
    print(page(), end="")
