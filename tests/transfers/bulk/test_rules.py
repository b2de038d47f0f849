"""The rules of bulk decisions without a database."""

import uuid

import pytest

from services.transfers.bulk import rules
from services.transfers.domain import OrgFacts
from shared.messages.transfers import Filter, StartBulk

TARGET = OrgFacts(20, 1, "1.20.", "committee", "ordinary", "42", "national", 1, 9)
BRANCH = OrgFacts(40, 20, "1.20.40.", "branch", "ordinary", "42", "national", 1, 9)
ELSEWHERE = OrgFacts(41, 21, "1.21.41.", "branch", "ordinary", "42", "national", 1, 9)


def code(refusal):
    return refusal and refusal.code


@pytest.mark.parametrize(
    "state, expected",
    [
        ("pending_out", None),
        ("pending_in", None),
        ("pending_province", None),
        ("pending_assign", None),
        ("pending_remote", "bad_request"),
        ("moving", "bad_request"),
        ("completed", "bad_request"),
        ("", "bad_request"),
    ],
)
def test_filters(state, expected):
    """A filter names a node that is decided by people; the refusal lists them."""
    refusal = rules.check_filter(Filter(state=state))
    assert code(refusal) == expected
    assert refusal is None or refusal.values["detail"].endswith("pending_province, pending_assign")


@pytest.mark.rule("BEY-05", "ASG-02", "SPU-09", "TRF-24")
@pytest.mark.parametrize(
    "state, values, branch, expected",
    [
        ("pending_in", {}, None, None),
        ("pending_in", {"note": "字" * 201}, None, "note_too_long"),
        ("pending_in", {"approve": False}, None, "reason_missing"),
        ("pending_in", {"approve": False, "reason_code": "not_here"}, None, None),
        ("pending_province", {}, None, "letter_missing"),
        ("pending_province", {"note": " "}, None, "letter_missing"),
        ("pending_province", {"note": "介绍信第1至9号"}, None, None),
        ("pending_province", {"approve": False, "reason_code": "wrong_data"}, None, None),
        ("pending_assign", {}, BRANCH, None),
        ("pending_assign", {}, ELSEWHERE, "branch_not_below"),
        ("pending_assign", {}, None, "branch_not_below"),
    ],
)
def test_what_is_started(state, values, branch, expected):
    """BEY-05: what is wrong with one decision is wrong with all of them, and is said at once.

    ASG-02: the branch lies below. SPU-09: the letter is named. TRF-24: a rejection has a reason.
    """
    item = StartBulk(bulk_id=uuid.uuid4(), filter=Filter(state=state), expected=1, **values)
    assert code(rules.check_start(item, branch, TARGET)) == expected


@pytest.mark.rule("BEY-05")
@pytest.mark.parametrize(
    "count, expected, refused, values",
    [
        (5, 5, None, {}),
        (50_000, 50_000, None, {}),
        (0, 0, "nothing_matches", {}),
        (0, 5, "nothing_matches", {}),
        (50_001, 50_001, "too_many_match", {"count": "50001", "limit": "50000"}),
        (50_001, 5, "too_many_match", {"count": "50001", "limit": "50000"}),
        (4, 5, "count_changed", {"count": "4"}),
        (6, 5, "count_changed", {"count": "6"}),
    ],
)
def test_how_many_are_decided(count, expected, refused, values):
    """BEY-05: as many rows as the sender has confirmed, at least one and at most 50,000."""
    refusal = rules.check_count(count, expected)
    assert code(refusal) == refused
    assert refusal is None or refusal.values == values


def test_a_bulk_decision_that_is_not_there():
    """Only bulk decisions of the own organisation are shown or stopped."""
    assert rules.check_found(True) is None
    assert code(rules.check_found(False)) == "unknown_bulk"
