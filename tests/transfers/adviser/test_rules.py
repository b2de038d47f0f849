"""The adviser's table without a database."""

import pytest

from services.transfers.adviser import rules
from shared.messages.words import Reason


@pytest.mark.rule("BEY-01")
@pytest.mark.parametrize(
    "plan, employer_has_org, name",
    [
        ("work", True, "work"),
        ("work", False, "work_without"),
        ("abroad_duty", True, "abroad_duty"),
        ("abroad_duty", False, "abroad_duty_without"),
        ("study", False, "study"),
        ("none", False, "none"),
        ("circus", False, "circus"),
    ],
)
def test_names_of_plans(plan, employer_has_org, name):
    """BEY-01: whether the employer has an organisation matters to those who have an employer."""
    assert rules.name_of(plan, employer_has_org) == name


@pytest.mark.rule("BEY-01")
@pytest.mark.parametrize(
    "known, name, expected",
    [
        (True, "study", None),
        (True, "circus", "unknown_plan"),
        (False, "study", "unknown_org"),
        (False, "circus", "unknown_org"),
    ],
)
def test_what_is_advised(known, name, expected):
    """BEY-01: there is advice on the plans of the table, to those who leave a branch that there is."""
    refusal = rules.check_plan(known, name)
    assert (refusal and refusal.code) == expected


def test_plans_lead_somewhere():
    """Each plan has a reason that there is, and leads to a place of the lists or is searched for."""
    assert {plan.reason for plan in rules.PLANS.values()} <= set(Reason)
    listed = {*rules.OFTEN_FAR, *rules.AT_A_TOWNSHIP, *rules.IN_THE_SCHOOL}
    assert listed | {"army"} == set(rules.PLANS)
