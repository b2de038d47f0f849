"""The rules of starting again and of escalation, without a database."""

import uuid
from types import SimpleNamespace

import pytest

from services.transfers.domain import OrgFacts
from services.transfers.remarks import rules
from shared.messages.transfers import RequestTransfer


def code(found):
    return getattr(found, "code", None)


def ended(**values):
    """Return a transfer as it is stored."""
    return SimpleNamespace(
        **{
            "member_id": 1,
            "source_branch_id": 10,
            "target_org_id": 20,
            "reason": "further_study",
            "reason_kind": "graduate",
            "place_name": "某大学",
            "place_address": "某地",
            "contact": "19900000000",
            "remark": "请尽快",
            "place_division": "420106",
            "peer": "",
            "target_name": "",
            "concern": "",
            "state": "rejected",
            "ended_at": "yesterday",
            **values,
        }
    )


@pytest.mark.rule("TRF-33", "BEY-21", "BEY-23", "BEY-06")
@pytest.mark.parametrize(
    "refusal, expected",
    [
        (rules.EARLY, "urge_early"),
        (rules.LOOKED_AT, "somebody_looks"),
        (rules.NOT_ESCALATABLE, "not_escalatable"),
    ],
)
def test_what_is_held_back(refusal, expected):
    """BEY-21, BEY-23, BEY-06: a party learns why a remark was not taken. TRF-33: strangers learn nothing."""
    assert rules.held_back(refusal, party=True).code == expected
    assert rules.held_back(refusal, party=False).code == "unknown_transfer"


@pytest.mark.rule("BEY-04", "TRF-33")
@pytest.mark.parametrize(
    "state, initiator, is_member, acting, side",
    [
        ("rejected", "source", True, None, "member"),
        ("rejected", "source", True, 10, "member"),
        ("rejected", "source", False, 10, "source"),
        ("rejected", "source", False, 11, "source"),
        ("rejected", "source", False, 20, "target"),
        ("rejected", "source", False, 99, None),
        ("rejected", "source", False, None, None),
        ("refused", "source", False, 10, "source"),
        ("refused", "source", False, 20, None),
        ("checking", "target", False, 20, "target"),
        ("checking", "target", False, 11, None),
        ("refused", "target", True, None, "member"),
        ("refused", "batch", False, 99, None),
    ],
)
def test_who_starts_again(state, initiator, is_member, acting, side):
    """BEY-04: the member and both sides start again, each as what they are.

    TRF-33: what never held its member is for the side that started it, and for the member.
    """
    assert rules.starts_as(state, initiator, is_member, acting, (10, 11), 20) == side


def test_nobody_stands_for_a_superior_that_is_not_there():
    """A source without a superior makes nobody its side, least of all those who administer nothing."""
    assert rules.starts_as("rejected", "source", False, None, (10, None), None) is None


@pytest.mark.rule("BEY-04", "DL-06")
@pytest.mark.parametrize(
    "state, ended_at, side, expected",
    [
        *((state, "yesterday", "member", None) for state in ("rejected", "returned", "withdrawn")),
        ("completed", "yesterday", "member", "not_restartable"),
        ("refused", "yesterday", "member", "not_restartable"),
        ("pending_in", None, "member", "transfer_open"),
        ("moving", None, "source", "transfer_open"),
        ("rejected", "yesterday", None, "unknown_transfer"),
    ],
)
def test_what_is_started_again(state, ended_at, side, expected):
    """BEY-04, DL-06: what was rejected, returned or withdrawn is started again, nothing else."""
    found = rules.restart(ended(state=state, ended_at=ended_at), side, uuid.uuid4())
    assert code(found) == expected
    assert expected or isinstance(found, RequestTransfer)


def test_a_transfer_that_nobody_knows_is_not_started_again():
    """Without a transfer nobody starts as any side."""
    assert rules.restart(None, None, uuid.uuid4()).code == "unknown_transfer"


@pytest.mark.rule("BEY-04")
def test_the_same_values_again():
    """BEY-04: everything that was said the first time is said again; a warning stays confirmed."""
    command = uuid.uuid4()
    found = rules.restart(ended(), "target", command)
    assert (found.command_id, found.initiator, found.confirmed) == (command, "target", False)
    assert (found.member_id, found.source_branch_id, found.target_org_id) == (1, 10, 20)
    assert (found.reason, found.place_name, found.place_address) == ("further_study", "某大学", "某地")
    assert (found.contact, found.remark) == ("19900000000", "请尽快")
    assert (found.place_division, found.drop_out) == ("420106", False)
    assert rules.restart(ended(concern="employer"), "member", command).confirmed
    assert rules.request_again(ended(), command, "member", confirmed=True).confirmed


@pytest.mark.rule("TYPE-21", "SPU-02")
def test_what_follows_from_the_reason():
    """TYPE-21: who dropped out drops out again. SPU-02: a special unit is no target that one chooses."""
    again = rules.request_again(ended(reason_kind="drop_out"), uuid.uuid4(), "member", False)
    assert again.drop_out
    again = rules.request_again(ended(reason="special_unit"), uuid.uuid4(), "member", False)
    assert again.target_org_id is None


@pytest.mark.rule("FED-06")
def test_a_typed_name_again():
    """FED-06: a name that was typed is typed again as it was, for the same system; nothing is chosen."""
    was = ended(target_org_id=11, peer="BJ", target_name="共青团某某大学 委员会")
    again = rules.request_again(was, uuid.uuid4(), "member", False)
    assert (again.target_org_id, again.target_system, again.target_name) == (None, "BJ", was.target_name)
    chosen = rules.request_again(ended(), uuid.uuid4(), "member", False)
    assert (chosen.target_system, chosen.target_name) == ("", "")


@pytest.mark.rule("BEY-06")
def test_to_whom_a_rejection_is_escalated():
    """BEY-06: to the lowest organisation above both sides, where both are there."""
    orgs = {
        one: OrgFacts(one, 1, path, "branch", "ordinary", "42", "national", 1, 9)
        for one, path in ((10, "1.5.11.10."), (20, "1.5.20."))
    }
    assert rules.superior_of(orgs, 10, 20) == 5
    assert rules.superior_of(orgs, 10, 21) is None
    assert rules.superior_of(orgs, 11, 20) is None


@pytest.mark.rule("BEY-06", "ROLE-04")
@pytest.mark.parametrize(
    "acts, answer, expected",
    [
        (True, "receive", None),
        (True, "uphold", None),
        (True, "decide", "answer_unknown"),
        (False, "receive", "not_administrator"),
        (False, "decide", "not_administrator"),
    ],
)
def test_answers(acts, answer, expected):
    """BEY-06: the common superior says `receive` or `uphold`. ROLE-04: its administrators do."""
    assert code(rules.check_answer(acts, answer)) == expected


@pytest.mark.rule("BEY-06", "BEY-18")
def test_what_strangers_learn_and_how_far_ahead_is_reminded():
    """BEY-06: who was not asked learns nothing of an escalation. BEY-18: 30 days ahead are the most."""
    assert rules.NOT_ASKED.code == "unknown_transfer"
    assert rules.MOST_DAYS_AHEAD == 30


def test_a_reminder_that_nobody_reads():
    """FED-13: what waits in another system has words of its own; nothing is wrong with who asks."""
    assert rules.NOT_READ.code == "urged_elsewhere"
