"""The rules of edits, reports and deletions without a database."""

from datetime import date, timedelta

import pytest

from services.members.records import rules
from shared.errors import Refusal

TODAY = date(2026, 7, 1)


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("MEM-09", "TYPE-16")
@pytest.mark.parametrize(
    "used, found_on, said",
    [
        (False, None, None),
        (False, TODAY, None),
        (False, TODAY + timedelta(days=1), "found_in_future"),
        (True, None, "development_number_used"),
        (True, TODAY + timedelta(days=1), "development_number_used"),
    ],
)
def test_check_edit(used, found_on, said):
    """MEM-09, TYPE-16: a development number is one person's; work is found today or before."""
    assert code(rules.check_edit(used, found_on, TODAY)) == said


@pytest.mark.rule("DEL-06", "DEL-09", "DEL-10")
@pytest.mark.parametrize(
    "near, cause, explanation, said",
    [
        *[(True, cause, "录入有误", None) for cause in rules.CAUSES],
        (True, "elsewhere", "录入有误", "transfer_instead"),
        (True, "nonsense", "录入有误", "bad_request"),
        (True, "wrong_id", "  ", "reason_needed"),
        (False, "wrong_id", "录入有误", "unknown_member"),
        (False, "elsewhere", "", "unknown_member"),
    ],
)
def test_check_report(near, cause, explanation, said):
    """DEL-06, DEL-09, DEL-10: the branch or its superior reports, with a listed cause and a word."""
    assert code(rules.check_report(near, cause, explanation)) == said


GOOD = {
    "kind": "leading_body",
    "below": True,
    "high_enough": True,
    "reason": "重复录入",
    "administers": False,
}


@pytest.mark.rule("DEL-05", "DEL-07", "DEL-08", "MEM-19")
@pytest.mark.parametrize(
    "values, said",
    [
        ({}, None),
        ({"kind": None}, "not_administrator"),
        ({"below": False}, "unknown_member"),
        ({"below": False, "kind": "committee"}, "unknown_member"),
        ({"kind": "committee"}, "not_leading_body"),
        ({"high_enough": False}, "delete_higher"),
        ({"reason": " "}, "reason_needed"),
        ({"administers": True}, "is_administrator"),
    ],
)
def test_check_deletion(values, said):
    """DEL-05, DEL-07, DEL-08, MEM-19: a leading body above and high enough deletes, with a reason.

    Who has a right over an organisation is not deleted.
    """
    assert code(rules.check_deletion(**{**GOOD, **values})) == said


@pytest.mark.rule("FED-07")
@pytest.mark.parametrize(
    "reason, said",
    [
        ("到北京系统重新注册", "transfer_to_peer"),
        ("本人已去广东工作,删除后在当地注册", "transfer_to_peer"),
        ("转到福建系统", "transfer_to_peer"),
        ("改在三地的智慧团建系统办理", "transfer_to_peer"),
        ("姓名录错,应为广东籍的同名同志", None),
        ("误把北京大学的同学录入本支部", None),
        ("重复注册", None),
    ],
)
def test_nobody_is_deleted_to_change_the_system(reason, said):
    """FED-07: who is to register in one of the three is transferred, whatever the cause is called."""
    assert code(rules.check_report(True, "other", reason)) == said
    assert code(rules.check_deletion(**{**GOOD, "reason": reason})) == said
    assert code(rules.check_report(True, "other_system", "本人要求")) == "transfer_to_peer"


@pytest.mark.rule("MEM-14")
@pytest.mark.parametrize(
    "known, own, administers, said",
    [
        (True, True, False, None),
        (True, False, True, None),
        (True, False, False, "unknown_member"),
        (False, True, False, "unknown_member"),
        (False, False, True, "unknown_member"),
    ],
)
def test_check_editor(known, own, administers, said):
    """MEM-14: a record is edited by the member, the branch or its direct superior."""
    assert code(rules.check_editor(known, own, administers)) == said


@pytest.mark.parametrize("people, said", [(0, None), (500, None), (501, "too_many_items")])
def test_check_number(people, said):
    """Five hundred people are looked at together, no more; the answer names the limit."""
    refusal = rules.check_number(people)
    assert code(refusal) == said
    assert refusal is None or refusal.values == {"limit": "500"}


@pytest.mark.rule("TRF-05", "TRF-06")
@pytest.mark.parametrize(
    "registered, in_branch, said",
    [
        ("王一", True, None),
        ("王一", False, "unknown_member"),
        ("王二", True, "unknown_member"),
        (None, False, "unknown_member"),
    ],
)
def test_check_found(registered, in_branch, said):
    """TRF-05, TRF-06: members are found by exact name and number; every miss has the same answer."""
    assert code(rules.check_found("王一", registered, in_branch)) == said


@pytest.mark.rule("MEM-28")
@pytest.mark.parametrize("below, said", [(True, None), (False, "unknown_member")])
def test_check_profile(below, said):
    """MEM-28: a record is shown to who looks after the branch; to others there is none."""
    assert code(rules.check_profile(below)) == said


@pytest.mark.parametrize(
    "closed, changes, said",
    [
        (None, True, None),
        (None, False, None),
        ("handed_over", False, None),
        ("handed_over", True, "handed_over"),
        ("member_left", False, "member_left"),
        ("member_left", True, "member_left"),
    ],
)
def test_check_open(closed, changes, said):
    """FED-10, FED-12: while a record is handed over only the way to its member is changed; then nothing."""
    assert code(rules.check_open(closed and Refusal(closed), changes)) == said
