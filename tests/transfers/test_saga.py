"""The saga's page against the catalogue.

The expected tables are written by hand in `saga_factories.py`, not computed from the code.
"""

from pathlib import Path

import pytest

from services.transfers import saga
from services.transfers.saga import FINAL, NODES, PATHS, TRANSITIONS, State, Trigger, advance, refusal_of
from tests.transfers.saga_factories import (
    ANNEX_B,
    ANNEX_C,
    ARRIVAL,
    ASSIGN,
    HANDOVER,
    IN,
    OUT,
    PROVINCE,
    REMOTE,
)


@pytest.mark.rule(
    "TRF-16", "TRF-17", "TRF-18", "TRF-19", "TRF-20", "SPU-04", "SPU-05", "SPU-06", "ASG-05", "TRF-34"
)
@pytest.mark.parametrize("initiator, destination, nodes", ANNEX_B)
def test_paths(initiator, destination, nodes):
    """TRF-16..20: the nodes depend on who starts and where to, as Annex B says.

    ASG-05: a branch as target has no assignment.
    """
    assert [str(state) for state in PATHS[initiator, destination]] == nodes


@pytest.mark.rule("SPU-02", "SPU-04")
def test_no_other_paths():
    """SPU-04: the target never starts a transfer to a special unit; there is no path beyond Annex B."""
    assert len(PATHS) == len(ANNEX_B)


@pytest.mark.rule("TRF-21", "TRF-24", "TRF-25", "TRF-28", "DL-03", "DL-05", "DL-09", "ASG-04")
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_every_cell(state, trigger):
    """TRF-25, DL-05, ASG-04: every pair of state and trigger is an arrow of Annex C, ignored, or refused."""
    expected = ANNEX_C.get((str(state), str(trigger)))
    step = TRANSITIONS.get((state, trigger))

    found = None if step is None else str(step.to or "next")
    assert found == expected
    # What a person does is refused with a word; what comes by the bus too late is ignored.
    if step is None and trigger not in saga.FROM_BUS:
        assert refusal_of(state, trigger) is not None


@pytest.mark.rule("ASG-04", "DL-04")
def test_the_clock_never_assigns():
    """ASG-04, DL-04: no trigger of the clock leaves the assignment node."""
    for trigger in (Trigger.CLOCK_RETURN, Trigger.CLOCK_APPROVE):
        assert (State.ASSIGN, trigger) not in TRANSITIONS


@pytest.mark.rule("TRF-28")
def test_withdrawal_ends_with_the_last_approval():
    """TRF-28: after the last approval a withdrawal is too late.

    Before the check it has to wait; after the end there is nothing to withdraw.
    """
    assert refusal_of(State.MOVING, Trigger.WITHDRAW) == "too_late_to_withdraw"
    assert refusal_of(State.CHECKING, Trigger.WITHDRAW) == "still_checking"
    assert {refusal_of(state, Trigger.WITHDRAW) for state in FINAL} == {"transfer_ended"}


@pytest.mark.rule("TRF-34")
@pytest.mark.parametrize("initiator, destination, nodes", ANNEX_B)
def test_the_straight_way(initiator, destination, nodes):
    """TRF-34: approving every node in turn walks exactly the path and ends in moving, then completed."""
    path, state, node_no, seen = PATHS[initiator, destination], State.CHECKING, 0, []
    said = {
        ASSIGN: Trigger.ASSIGN,
        REMOTE: Trigger.ACCEPTED,
        HANDOVER: Trigger.INTEGRATED,
        ARRIVAL: Trigger.RECORD_TAKEN,
    }
    consents = [said.get(node, Trigger.APPROVE) for node in nodes]
    for trigger in [Trigger.RESERVED, *consents, Trigger.MOVED]:
        state, node_no = advance(path, state, node_no, trigger)
        seen.append(str(state))
    assert seen == [*nodes, "moving", "completed"]
    # what moves has passed all nodes, and keeps that number to its end
    assert node_no == len(nodes) + 1


def test_what_a_trigger_leaves():
    """ASG-04: a trigger leaves the states from which Annex C draws its arrows."""
    assert {str(state) for state in saga.sources_of(Trigger.ASSIGN)} == {ASSIGN}
    assert {str(state) for state in saga.sources_of(Trigger.RESERVED)} == {"checking"}


@pytest.mark.rule("TRF-25")
def test_final_states_are_final():
    """TRF-25: nothing leaves an end."""
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]
    assert set(State) == set(NODES) | set(FINAL) | {State.CHECKING, State.MOVING}


def test_effects_on_entry():
    """Every state that others must know of tells one event; a refused transfer held nobody."""
    assert {str(state): event for state, event in saga.ON_ENTER.items()} == {
        OUT: "NodeOpened",
        IN: "NodeOpened",
        PROVINCE: "NodeOpened",
        ASSIGN: "NodeOpened",
        REMOTE: "NodeOpened",
        HANDOVER: "NodeOpened",
        ARRIVAL: "NodeOpened",
        "moving": "BranchAssigned",
        "completed": "TransferCompleted",
        "rejected": "TransferRejected",
        "returned": "TransferReturned",
        "withdrawn": "TransferWithdrawn",
    }


def test_the_page_is_printed():
    """docs/saga.md is what the code says."""
    assert (Path(__file__).parents[2] / "docs" / "saga.md").read_text("utf-8") == saga.page()


@pytest.mark.rule("DL-08")
def test_nobody_here_decides_for_another_system():
    """FED-08, DL-08: at a node of another system neither a person here nor the clock decides.

    Who tries is told so. The clock gives up waiting for an answer, never for a hand-over under way.
    """
    for state in saga.ABROAD:
        assert str(state) in (REMOTE, HANDOVER, ARRIVAL)
        for trigger in (Trigger.APPROVE, Trigger.REJECT, Trigger.ASSIGN):
            assert refusal_of(state, trigger) == "decided_elsewhere"
        assert (state, Trigger.CLOCK_APPROVE) not in TRANSITIONS
    assert [str(state) for state, some in TRANSITIONS if some is Trigger.CLOCK_RETURN] == [OUT, IN, REMOTE]


def test_once_handed_over_only_the_receiver_ends_it():
    """FED-11: from the hand-over on nothing but the other side's word ends a transfer that leaves."""
    leaving = {some for state, some in TRANSITIONS if state is State.HANDOVER}
    assert leaving == {Trigger.INTEGRATED, Trigger.SENT_BACK, Trigger.REFUSED_THERE}


@pytest.mark.rule("FED-08")
def test_what_is_decided_here():
    """FED-08: people here decide four nodes; the other three are another system's, and none is both."""
    assert set(saga.HERE) == {State.OUT, State.IN, State.PROVINCE, State.ASSIGN}
    assert set(saga.ABROAD) == set(saga.NODES) - set(saga.HERE)
