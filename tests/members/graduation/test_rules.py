"""The rules of graduation without a database."""

from datetime import date

import pytest

from services.members.graduation import rules
from services.members.graduation.rules import Mark

UNTIL = date(2026, 12, 31)
JUNE, JULY, NEXT = date(2026, 6, 30), date(2026, 7, 31), date(2027, 6, 30)


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("GRAD-04", "GRAD-05")
@pytest.mark.parametrize(
    "is_branch, administers, may_mark, said",
    [
        (True, True, True, None),
        (True, True, False, "not_your_org"),
        (True, False, False, "not_administrator"),
        (False, True, True, "branch_unknown"),
        (False, False, False, "branch_unknown"),
    ],
)
def test_check_marker(is_branch, administers, may_mark, said):
    """GRAD-04, GRAD-05: branches are marked, by who administers what may mark them."""
    assert code(rules.check_marker(is_branch, administers, may_mark)) == said


@pytest.mark.rule("GRAD-18")
@pytest.mark.parametrize(
    "in_branch, may_mark, said",
    [(True, True, None), (True, False, "not_your_org"), (False, False, "unknown_member")],
)
def test_check_member_marker(in_branch, may_mark, said):
    """GRAD-18: members are marked by who may mark them; people in no branch by nobody."""
    assert code(rules.check_member_marker(in_branch, may_mark)) == said


@pytest.mark.rule("GRAD-18")
@pytest.mark.parametrize(
    "kind, industry, place, by_branch, may",
    [
        ("committee", "普通高等院校", "above", False, True),
        ("committee", "机关", "above", False, False),
        ("leading_body", "机关", "direct superior", False, True),
        ("leading_body", "普通高等院校", "above", False, False),
        ("branch", "普通高等院校", "branch", False, False),
        ("branch", "普通高等院校", "branch", True, True),
        ("committee", "普通高等院校", "elsewhere", True, False),
    ],
)
def test_may_mark_member(kind, industry, place, by_branch, may):
    """GRAD-18: the school's committees above, the direct superior; by a setting the branch itself."""
    is_branch, direct = place == "branch", place == "direct superior"
    is_above = place != "elsewhere"
    assert rules.may_mark_member(kind, industry, is_branch, is_above, direct, by_branch) == may


@pytest.mark.rule("GRAD-09")
@pytest.mark.parametrize(
    "is_markable, purpose, said",
    [
        *[(True, one, None) for one in ("ordinary", "graduate", "mixed", "teachers")],
        (True, "vault", "not_markable"),
        (True, "awaiting", "not_markable"),
        (False, "ordinary", "not_markable"),
    ],
)
def test_check_markable(is_markable, purpose, said):
    """GRAD-09: branches outside the schools, and those of the system, have no time of graduation."""
    assert code(rules.check_markable(is_markable, purpose)) == said


@pytest.mark.rule("GRAD-07")
@pytest.mark.parametrize(
    "graduates_on, reason, said",
    [
        (JUNE, "", None),
        (None, "teachers", None),
        (None, "mixed", None),
        (None, "", "mark_incomplete"),
        (JUNE, "mixed", "mark_incomplete"),
        (None, "nonsense", "mark_incomplete"),
    ],
)
def test_check_branch_mark(graduates_on, reason, said):
    """GRAD-07: a time or a reason, not both and not neither."""
    assert code(rules.check_branch_mark(graduates_on, reason)) == said


@pytest.mark.rule("GRAD-14")
@pytest.mark.parametrize(
    "started, graduates_on, said",
    [
        (True, NEXT, "graduation_started"),
        (True, date(2027, 1, 1), "graduation_started"),
        (True, None, "graduation_started"),
        (True, UNTIL, None),
        (False, NEXT, None),
        (False, None, None),
    ],
)
def test_check_started(started, graduates_on, said):
    """GRAD-14: once a member has begun to leave, no mark takes the switch back."""
    assert code(rules.check_started(started, graduates_on, UNTIL)) == said


@pytest.mark.rule("GRAD-12")
@pytest.mark.parametrize(
    "today, until",
    [
        (date(2026, 7, 15), UNTIL),
        (date(2026, 12, 1), UNTIL),
        (date(2026, 7, 14), date(2025, 12, 31)),
        (date(2026, 6, 30), date(2025, 12, 31)),
    ],
)
def test_due_until(today, until):
    """GRAD-12: from the yearly day on, all of the year is due."""
    assert rules.due_until(today, (7, 15)) == until


SWITCHED, MIXED = Mark(JUNE, converted=True), Mark(reason="mixed")


@pytest.mark.rule("GRAD-11", "GRAD-16", "GRAD-19", "GRAD-20", "GRAD-23", "GRAD-24")
@pytest.mark.parametrize(
    "mark, on, reason, branch, reserved, said",
    [
        ("", None, "", SWITCHED, False, None),
        ("", None, "", rules.UNMARKED, True, None),
        ("nonsense", None, "", SWITCHED, True, "mark_unknown"),
        ("own", JUNE, "", MIXED, False, None),
        ("own", None, "", MIXED, False, "field_missing"),
        ("own", JUNE, "", SWITCHED, False, "branch_not_mixed"),
        ("own", JUNE, "", MIXED, True, "transfer_open"),
        ("teacher", None, "", SWITCHED, False, None),
        ("teacher", None, "", Mark(JUNE), False, "branch_not_graduate"),
        ("teacher", None, "", SWITCHED, True, "transfer_open"),
        ("delayed", JULY, "休学", SWITCHED, False, None),
        ("delayed", JULY, "休学", Mark(JUNE), False, "branch_not_graduate"),
        ("delayed", JUNE, "休学", SWITCHED, False, "delay_too_short"),
    ],
)
def test_check_member_mark(mark, on, reason, branch, reserved, said):
    """GRAD-11, GRAD-16..24: a time of the own in a mixed branch; the other marks after the switch.

    Nobody is marked whose transfer is open.
    """
    assert code(rules.check_member_mark(mark, on, reason, branch, reserved)) == said


@pytest.mark.rule("GRAD-19", "GRAD-20")
@pytest.mark.parametrize(
    "on, reason, branch_on, said",
    [
        (date(2026, 7, 1), "休学", JUNE, None),
        (date(2026, 6, 1), "休学", JUNE, "delay_too_short"),
        (date(2026, 6, 1), "休学", None, None),
        (None, "休学", JUNE, "field_missing"),
        (JULY, " ", JUNE, "field_missing"),
    ],
)
def test_check_delay(on, reason, branch_on, said):
    """GRAD-19, GRAD-20: a delay has a reason, and ends in a later month than the branch's."""
    assert code(rules.check_delay(on, reason, branch_on)) == said


@pytest.mark.rule("GRAD-11", "GRAD-16")
@pytest.mark.parametrize(
    "mark, on, branch, becomes",
    [
        ("", None, SWITCHED, (JUNE, True)),
        ("", JULY, SWITCHED, (JUNE, True)),
        ("", None, Mark(JUNE), (None, False)),
        ("own", date(2026, 6, 1), MIXED, (JUNE, True)),
        ("own", date(2026, 12, 1), MIXED, (UNTIL, True)),
        ("own", date(2027, 1, 1), MIXED, (date(2027, 1, 31), False)),
        ("delayed", date(2026, 7, 2), SWITCHED, (JULY, False)),
        ("teacher", None, SWITCHED, (None, False)),
        ("teacher", JULY, SWITCHED, (None, False)),
    ],
)
def test_becomes(mark, on, branch, becomes):
    """GRAD-11, GRAD-16: a time of the own makes a graduate once it is due, delays and teachers are none."""
    assert rules.becomes(mark, on, branch, UNTIL) == becomes
