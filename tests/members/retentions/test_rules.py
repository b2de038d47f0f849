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
    "state, said, becomes, changes, code",
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
def test_check_state(state, said, becomes, changes, code):
    """GRAD-29, GRAD-30: a request is decided once; what is approved is reported on and ended.

    Said again it changes nothing; a report that comes too early or too late is refused, not lost.
    """
    assert rules.wanted(state, *said) == becomes
    changed, refusal = rules.check_state(state, *said)
    assert (changed, refusal and refusal.code) == (changes, code)
