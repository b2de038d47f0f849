"""Who marks whom, with what, and until when, without a database."""

from datetime import date

import pytest

from services.members.graduation import rules
from services.members.graduation.rules import Mark

SCHOOL, OFFICE = "普通高等院校", "党政机关"
MAY, JUNE, JULY = date(2027, 5, 1), date(2027, 6, 30), date(2027, 7, 1)
UNTIL = date(2027, 12, 31)


@pytest.mark.parametrize(
    "kind, industry, is_above, is_direct_superior, may",
    [
        ("committee", SCHOOL, True, False, True),
        ("committee", OFFICE, True, False, False),
        ("committee", OFFICE, False, True, True),
        ("leading_body", SCHOOL, True, False, False),
        ("committee", SCHOOL, False, False, False),
    ],
)
def test_may_mark_graduates(kind, industry, is_above, is_direct_superior, may):
    """GRAD-04, GRAD-05: a committee kind of the school domain above the branch, or its direct superior."""
    assert rules.may_mark_graduates(kind, industry, is_above, is_direct_superior) is may


@pytest.mark.parametrize(
    "kind, is_branch, is_above, is_direct_superior, by_branch, may",
    [
        ("branch", True, True, False, True, True),
        ("branch", True, True, False, False, False),
        ("committee", True, True, False, False, False),
        ("branch", False, False, False, True, False),
        ("committee", False, True, False, False, True),
        ("leading_body", False, True, True, False, True),
        ("leading_body", False, True, False, True, False),
    ],
)
def test_may_mark_member(kind, is_branch, is_above, is_direct_superior, by_branch, may):
    """GRAD-18: whoever marks the branch marks its members; the branch itself where the setting says so."""
    assert rules.may_mark_member(kind, SCHOOL, is_branch, is_above, is_direct_superior, by_branch) is may


@pytest.mark.parametrize(
    "is_markable, purpose, code",
    [
        (True, "ordinary", None),
        (True, "graduate", None),
        (True, "mixed", None),
        (True, "teachers", None),
        (True, "floating", "not_markable"),
        (False, "ordinary", "not_markable"),
        (False, "floating", "not_markable"),
    ],
)
def test_check_markable(is_markable, purpose, code):
    """GRAD-09: branches of the school domain have a time of graduation, those for special purposes none."""
    refusal = rules.check_markable(is_markable, purpose)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-12")
@pytest.mark.parametrize(
    "today, year",
    [
        (date(2026, 1, 1), 2025),
        (date(2026, 5, 31), 2025),
        (date(2026, 6, 1), 2026),
        (date(2026, 12, 31), 2026),
    ],
)
def test_due_until(today, year):
    """GRAD-12: from the yearly moment on those of this year are due, before it those of the last."""
    assert rules.due_until(today, (6, 1)) == date(year, 12, 31)


@pytest.mark.rule("GRAD-07")
@pytest.mark.parametrize(
    "graduates_on, reason, code",
    [
        (JUNE, "", None),
        (None, "teachers", None),
        (None, "mixed", None),
        (None, "", "mark_incomplete"),
        (JUNE, "mixed", "mark_incomplete"),
        (None, "holidays", "mark_incomplete"),
    ],
)
def test_check_branch_mark(graduates_on, reason, code):
    """GRAD-07: a branch has a time, or a reason why it has none."""
    refusal = rules.check_branch_mark(graduates_on, reason)
    assert (refusal and refusal.code) == code


BRANCH = {"branch": Mark(JUNE, converted=True), "reserved": False}
MIXED = BRANCH | {"branch": Mark(reason="mixed")}
MEMBERS = [
    # mark, graduates_on, reason, how the branch and the member stand, code
    ("", None, "", BRANCH, None),
    ("", None, "", BRANCH | {"reserved": True}, None),
    ("teacher", None, "", BRANCH, None),
    ("teacher", None, "", BRANCH | {"reserved": True}, "transfer_open"),
    ("teacher", None, "", BRANCH | {"branch": Mark(JUNE)}, "branch_not_graduate"),
    ("hero", None, "", BRANCH, "mark_unknown"),
    ("own", JULY, "", MIXED, None),
    ("own", JULY, "", MIXED | {"reserved": True}, "transfer_open"),
    ("own", None, "", MIXED, "field_missing"),
    ("own", JULY, "", BRANCH, "branch_not_mixed"),
    ("delayed", JULY, "补考", BRANCH, None),
    ("delayed", JULY, "补考", BRANCH | {"branch": Mark(JUNE)}, "branch_not_graduate"),
    ("delayed", JULY, "  ", BRANCH, "field_missing"),
    ("delayed", None, "补考", BRANCH, "field_missing"),
    ("delayed", date(2027, 6, 1), "补考", BRANCH, "delay_too_short"),
    ("delayed", MAY, "补考", BRANCH, "delay_too_short"),
    ("delayed", MAY, "补考", BRANCH | {"branch": Mark(converted=True)}, None),
]


@pytest.mark.rule("GRAD-11", "GRAD-16", "GRAD-19", "GRAD-20", "GRAD-23", "GRAD-24")
@pytest.mark.parametrize("mark, graduates_on, reason, stands, code", MEMBERS)
def test_check_member_mark(mark, graduates_on, reason, stands, code):
    """GRAD-11, GRAD-16, GRAD-19, GRAD-20, GRAD-23, GRAD-24: which mark fits a member of which branch."""
    refusal = rules.check_member_mark(mark, graduates_on, reason, **stands)
    assert (refusal and refusal.code) == code
    if code == "delay_too_short":
        assert refusal.values == {"date": "2027-06"}


@pytest.mark.rule("GRAD-04", "GRAD-05")
@pytest.mark.parametrize(
    "is_branch, administers, may_mark, code",
    [
        (True, True, True, None),
        (True, True, False, "not_your_org"),
        (True, False, False, "not_administrator"),
        (False, True, True, "branch_unknown"),
        (False, False, False, "branch_unknown"),
    ],
)
def test_check_marker(is_branch, administers, may_mark, code):
    """GRAD-04, GRAD-05: branches are marked, by who administers what may mark them."""
    refusal = rules.check_marker(is_branch, administers, may_mark)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-18")
@pytest.mark.parametrize(
    "in_branch, may_mark, code",
    [(True, True, None), (True, False, "not_your_org"), (False, False, "unknown_member")],
)
def test_check_member_marker(in_branch, may_mark, code):
    """GRAD-18: members are marked by who may mark them; people in no branch by nobody."""
    refusal = rules.check_member_marker(in_branch, may_mark)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-14")
@pytest.mark.parametrize(
    "started, graduates_on, code",
    [
        (True, date(2028, 1, 1), "graduation_started"),
        (True, None, "graduation_started"),
        (True, UNTIL, None),
        (False, date(2028, 1, 1), None),
        (False, None, None),
    ],
)
def test_check_started(started, graduates_on, code):
    """GRAD-14: once a member has begun to leave, no mark takes the switch back."""
    refusal = rules.check_started(started, graduates_on, UNTIL)
    assert (refusal and refusal.code) == code


SWITCHED, OF_BOTH = Mark(JUNE, converted=True), Mark(reason="mixed")


@pytest.mark.rule("GRAD-11", "GRAD-16")
@pytest.mark.parametrize(
    "mark, on, branch, becomes",
    [
        ("", None, SWITCHED, (JUNE, True)),
        ("", JULY, SWITCHED, (JUNE, True)),
        ("", None, Mark(JUNE), (None, False)),
        ("own", date(2027, 6, 1), OF_BOTH, (JUNE, True)),
        ("own", date(2027, 12, 1), OF_BOTH, (UNTIL, True)),
        ("own", date(2028, 1, 1), OF_BOTH, (date(2028, 1, 31), False)),
        ("delayed", JULY, SWITCHED, (date(2027, 7, 31), False)),
        ("teacher", None, SWITCHED, (None, False)),
        ("teacher", JULY, SWITCHED, (None, False)),
    ],
)
def test_becomes(mark, on, branch, becomes):
    """GRAD-11, GRAD-16: a time of the own makes a graduate once it is due, delays and teachers are none."""
    assert rules.becomes(mark, on, branch, UNTIL) == becomes


@pytest.mark.rule("GRAD-24")
def test_gone():
    """GRAD-24: of a member whom a transfer has taken hold of meanwhile the mark is refused as before it."""
    before = rules.check_member_mark("teacher", None, "", Mark(JUNE, converted=True), reserved=True)
    assert before == rules.GONE
