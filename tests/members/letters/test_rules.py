"""The rules of letters without a database."""

from datetime import date

import pytest

from services.members.letters import rules

REACHED = range(100)
TODAY = date(2026, 7, 1)


@pytest.mark.rule("DOC-01", "DOC-02")
@pytest.mark.parametrize(
    "kind, members, addressee, code",
    [
        ("committee", [1], "某单位", None),
        ("leading_body", [1, 99], "某单位", None),
        ("committee", list(range(50)), "某单位", None),
        (None, [1], "某单位", "not_administrator"),
        ("branch", [1], "某单位", "letter_by_committee"),
        ("committee", [], "某单位", "field_missing"),
        ("committee", [1], " ", "field_missing"),
        ("committee", list(range(51)), "某单位", "too_many_items"),
        ("committee", [1, 100], "某单位", "unknown_member"),
    ],
)
def test_check_issue(kind, members, addressee, code):
    """DOC-01, DOC-02: committees and leading bodies issue letters for at most 50 of their own members."""
    refusal = rules.check_issue(kind, members, addressee, REACHED)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "first, code",
    [
        (None, None),
        ({"org_id": 1, "addressee": "甲", "number": 7}, None),
        ({"org_id": 2, "addressee": "甲"}, "command_taken"),
        ({"org_id": 1, "addressee": "乙"}, "command_taken"),
    ],
)
def test_check_repeated(first, code):
    """A command's id belongs to what was said first; what else is stored does not matter."""
    refusal = rules.check_repeated(first, {"org_id": 1, "addressee": "甲"})
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize("own, code", [(True, None), (False, "letter_unknown")])
def test_check_voiding(own, code):
    """A letter is declared void by its issuer; others are not told that there is one."""
    refusal = rules.check_voiding(own)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("BEY-13")
@pytest.mark.parametrize(
    "voided, until, state",
    [
        (False, None, "in_force"),
        (False, TODAY, "in_force"),
        (False, date(2026, 6, 30), "lapsed"),
        (True, None, "void"),
        (True, date(2026, 6, 30), "void"),
    ],
)
def test_state_of(voided, until, state):
    """BEY-13: a letter is in force to the end of its last day, and void whenever it was declared so."""
    assert rules.state_of(voided, until, TODAY) == state


@pytest.mark.rule("DOC-14")
@pytest.mark.parametrize(
    "voided, readable, said",
    [
        (False, True, None),
        (False, False, "letter_unknown"),
        (True, True, "letter_void"),
        (True, False, "letter_void"),
    ],
)
def test_check_printing(voided, readable, said):
    """DOC-14: a letter is printed again while it stands and what stood on it is known."""
    refusal = rules.check_printing(voided, readable)
    assert (refusal and refusal.code) == said
