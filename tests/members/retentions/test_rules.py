"""The rules of the register of who stays, without a database."""

from datetime import date

import pytest

from services.members.retentions import rules

TODAY = date(2026, 7, 1)
GRADUATION = date(2026, 6, 1)


@pytest.mark.rule("GRAD-27")
@pytest.mark.parametrize(
    "graduates_on, from_the_mark, day",
    [
        (GRADUATION, False, GRADUATION),
        (GRADUATION, True, TODAY),
        (None, False, TODAY),
        (None, True, TODAY),
    ],
)
def test_begins_on(graduates_on, from_the_mark, day):
    """GRAD-27: the months run from graduation, by a setting from the request."""
    assert rules.begins_on(graduates_on, from_the_mark, TODAY) == day


@pytest.mark.rule("GRAD-26", "GRAD-29")
@pytest.mark.parametrize(
    "known, own, administers, allowed",
    [
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, True, False, False),
        (False, False, True, False),
    ],
)
def test_check_asking(known, own, administers, allowed):
    """GRAD-26, GRAD-29: the member asks, or who administers the branch.

    Others learn not even that there is such a member.
    """
    refusal = rules.check_asking(known, own, administers)
    assert (refusal is None) == allowed
    assert refusal is None or refusal.code == "unknown_member"


@pytest.mark.rule("GRAD-26")
@pytest.mark.parametrize(
    "kind, industry, types, code",
    [
        ("retained", "普通高中", [], None),
        ("retained", "普通高中", ["普通高等院校"], "retention_not_here"),
        ("retained", "普通高中", ["普通高等院校", "普通高中"], None),
        ("abroad", "普通高中", ["普通高等院校"], None),
    ],
)
def test_check_retention_school(kind, industry, types, code):
    """GRAD-26: which schools retain is a setting, without one all do; studies abroad are another matter."""
    refusal = rules.check_retention_school(kind, industry, types)
    assert (refusal and refusal.code) == code


ABROAD = {"地": "莱顿", "人": "王母", "电话": "1"}
SEPTEMBER, DECEMBER = date(2026, 9, 1), date(2026, 12, 1)


@pytest.mark.rule("GRAD-26", "GRAD-27", "GRAD-29")
@pytest.mark.parametrize(
    "kind, since, until, graduate, fields, code",
    [
        ("retained", SEPTEMBER, DECEMBER, True, {}, None),
        ("retained", SEPTEMBER, SEPTEMBER, True, {}, "retention_dates"),
        ("retained", SEPTEMBER, DECEMBER, False, {}, "not_a_graduate"),
        ("retained", SEPTEMBER, date(2027, 1, 1), True, {}, "retention_too_long"),
        ("holiday", SEPTEMBER, SEPTEMBER, True, {}, "retention_kind"),
        ("abroad", SEPTEMBER, date(2030, 1, 1), False, ABROAD, None),
        ("abroad", SEPTEMBER, DECEMBER, True, {**ABROAD, "人": " "}, "field_missing"),
        ("abroad", DECEMBER, SEPTEMBER, True, {}, "retention_dates"),
    ],
)
def test_check_retention(kind, since, until, graduate, fields, code):
    """GRAD-26, GRAD-27, GRAD-29: graduates are retained for a time; who studies abroad says where and how."""
    refusal = rules.check_retention(kind, since, until, graduate, fields, 6, GRADUATION, None, TODAY)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-26", "GRAD-27")
@pytest.mark.parametrize(
    "until, begins, mark_from, today, code",
    [
        (date(2026, 12, 31), GRADUATION, None, TODAY, None),
        (date(2027, 1, 1), GRADUATION, None, TODAY, "retention_too_long"),
        (DECEMBER, GRADUATION, (7, 1), TODAY, "retention_too_early"),
        (DECEMBER, GRADUATION, (6, 30), TODAY, None),
        # in another year than that in which the months begin, the day is long past
        (DECEMBER, GRADUATION, (7, 1), date(2027, 1, 1), None),
        (date(2027, 1, 1), GRADUATION, (7, 1), TODAY, "retention_too_early"),
    ],
)
def test_check_term(until, begins, mark_from, today, code):
    """GRAD-26, GRAD-27: to the end of the last month, and by a setting only after a day of the year."""
    refusal = rules.check_term(until, 6, begins, mark_from, today)
    assert (refusal and refusal.code) == code
    if code == "retention_too_early":
        assert refusal.values == {"date": "07-01"}


REPORT, END, APPROVE, REFUSE = (True, False, False), (False, True, False), (False, False, True), (False,) * 3


@pytest.mark.rule("GRAD-29", "GRAD-30")
@pytest.mark.parametrize(
    "own, above, said, allowed",
    [
        (False, True, REPORT, True),
        (False, True, END, True),
        (False, True, APPROVE, True),
        (False, True, REFUSE, True),
        (True, False, REPORT, True),
        (True, False, END, False),
        (True, False, APPROVE, False),
        (True, False, REFUSE, False),
        (True, False, (True, True, False), False),
        (True, False, (True, False, True), False),
        (False, False, REPORT, False),
    ],
)
def test_check_saying(own, above, said, allowed):
    """GRAD-29, GRAD-30: committees above the branch decide, the member only reports from abroad."""
    refusal = rules.check_saying(own, above, *said)
    assert (refusal is None) == allowed
    assert refusal is None or refusal.code == "retention_unknown"


@pytest.mark.rule("GRAD-29", "GRAD-30")
@pytest.mark.parametrize(
    "state, said, after, changes, code",
    [
        ("requested", APPROVE, "approved", True, None),
        ("requested", REFUSE, "refused", True, None),
        ("requested", REPORT, "requested", False, "retention_closed"),
        ("requested", END, "ended", False, "retention_closed"),
        ("approved", REPORT, "approved", True, None),
        ("approved", END, "ended", True, None),
        ("approved", APPROVE, "approved", False, None),
        ("approved", REFUSE, "refused", False, "retention_closed"),
        ("refused", REFUSE, "refused", False, None),
        ("refused", APPROVE, "approved", False, "retention_closed"),
        ("ended", END, "ended", False, None),
        ("ended", REPORT, "ended", False, "retention_closed"),
    ],
)
def test_becomes(state, said, after, changes, code):
    """GRAD-29, GRAD-30: a request is decided once; what is approved is reported on and ended.

    Said again it changes nothing; a report that comes too early or too late is refused, not lost.
    """
    assert rules.wanted(state, *said) == after
    stays, changed, refusal = rules.becomes(state, *said)
    assert (changed, refusal and refusal.code) == (changes, code)
    assert stays == (after if changes else state)


@pytest.mark.rule("GRAD-29", "GRAD-30")
@pytest.mark.parametrize(
    "own, above, state, said, decision",
    [
        (False, True, "requested", APPROVE, ("approved", True, None)),
        (False, True, "refused", APPROVE, ("refused", False, "retention_closed")),
        (True, False, "approved", REPORT, ("approved", True, None)),
        # who has nothing to say of an entry is not told how it stands
        (True, False, "requested", APPROVE, ("", False, "retention_unknown")),
        (False, False, "ended", END, ("", False, "retention_unknown")),
    ],
)
def test_decide(own, above, state, said, decision):
    """GRAD-29, GRAD-30: first who may say something of an entry, then what becomes of it."""
    stays, changed, refusal = rules.decide(own, above, state, *said)
    assert (stays, changed, refusal and refusal.code) == decision
