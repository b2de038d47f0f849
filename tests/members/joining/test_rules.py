"""The rules of registration codes and self-registrations without a database."""

import pytest

from services.members.joining import rules


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("ADM-01", "ADM-04")
@pytest.mark.parametrize(
    "kind, by_superior, administrators, said",
    [
        ("branch", True, 0, None),
        ("branch", True, 2, None),
        ("branch", True, 3, "administrators_full"),
        ("leading_body", True, 1, None),
        ("leading_body", True, 2, "administrators_full"),
        ("branch", False, 0, "not_your_org"),
        ("branch", False, 3, "not_your_org"),
        (None, True, 0, "unknown_org"),
    ],
)
def test_check_issue(kind, by_superior, administrators, said):
    """ADM-01, ADM-04: the direct superior makes codes while there is room for an administrator."""
    assert code(rules.check_issue(kind, by_superior, administrators)) == said


@pytest.mark.rule("ADM-01", "CADRE-05")
@pytest.mark.parametrize(
    "kind, administrators, post, said",
    [
        ("branch", 2, "secretary", None),
        ("branch", 3, "secretary", "too_many_administrators"),
        ("leading_body", 2, "secretary", "too_many_administrators"),
        ("branch", 0, "standing_member", "post_unknown"),
        ("branch", 0, "", "post_unknown"),
    ],
)
def test_check_use(kind, administrators, post, said):
    """ADM-01, CADRE-05: a code is used while there is room, and for a post of the organisation's kind."""
    assert code(rules.check_use(kind, administrators, post)) == said


@pytest.mark.rule("REG-01", "REG-03")
@pytest.mark.parametrize(
    "kind, purpose, post, said",
    [
        ("branch", "ordinary", "", None),
        ("branch", "ordinary", "organiser", None),
        ("committee", "ordinary", "secretary", None),
        ("committee", "ordinary", "", "field_missing"),
        ("branch", "graduate", "", "unknown_org"),
        ("branch", "awaiting", "", "unknown_org"),
        ("branch", "vault", "", "unknown_org"),
        (None, "", "", "unknown_org"),
    ],
)
def test_check_place(kind, purpose, post, said):
    """REG-01, REG-03: members apply to branches, cadres to others; to those of the system nobody does."""
    assert code(rules.check_place(kind, purpose, post)) == said


GOOD = {
    "own": False,
    "administers": True,
    "waits": True,
    "accept": True,
    "placed": False,
    "exists": True,
    "led_by_another": False,
}


@pytest.mark.rule("REG-03", "REG-05", "REG-07")
@pytest.mark.parametrize(
    "values, said",
    [
        ({}, None),
        ({"accept": False}, None),
        ({"own": True, "administers": False}, None),
        ({"administers": False}, "registration_missing"),
        ({"administers": False, "waits": False}, "registration_missing"),
        ({"waits": False}, "registration_closed"),
        ({"own": True, "administers": False, "waits": False}, "registration_closed"),
        ({"exists": False}, "unknown_org"),
        ({"placed": True}, "has_branch"),
        ({"led_by_another": True}, "secretary_in_post"),
        # what only stands in the way of a place does not stand in the way of a rejection or a withdrawal
        ({"accept": False, "exists": False, "placed": True, "led_by_another": True}, None),
        ({"own": True, "exists": False, "placed": True, "led_by_another": True}, None),
    ],
)
def test_check_decision(values, said):
    """REG-03, REG-05, REG-07: the organisation decides once, in time; the applicant withdraws."""
    assert code(rules.check_decision(**{**GOOD, **values})) == said
