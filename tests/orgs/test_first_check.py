"""The first check of an organisation: by whom, with which fields, and the one change of kind."""

import pytest

from services.orgs import handlers, store
from shared.identity import Actor
from shared.messages.members import BranchGraduated
from shared.messages.transfers import OrgInUse
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    INDUSTRY,
    OTHER_SCHOOL,
    SECRETARY,
    STRANGER,
    cadre,
    check,
    code,
    events,
    of_class,
    of_school,
    org_of,
)


@pytest.mark.rule("ORG-16", "ORG-19", "ORG-08", "ROLE-03")
def test_first_check(tx):
    """ORG-16, ORG-19: its own administrator checks the organisation once a secretary is recorded.

    Or whoever presides.

    ORG-08, ROLE-03: names, industry, telephone and secretary are kept; the secretary is no
    administrator.
    """
    assert not org_of(tx).checked
    assert code(check(tx)) == "secretary_missing"
    cadre(tx)

    assert check(tx).refusal is None
    after = org_of(tx)
    assert (after.checked, after.complete, after.secretary_id, after.industry, after.phone) == (
        True,
        True,
        SECRETARY,
        INDUSTRY,
        "02788880000",
    )
    assert after.full_name == "共青团江汉理工大学机械学院委员会" and after.short_name == "机械学院团委"


@pytest.mark.rule("ORG-16")
@pytest.mark.parametrize(
    "actor", [of_school, of_class, Actor(STRANGER, OTHER_SCHOOL), Actor(STRANGER, COLLEGE)]
)
def test_only_the_own_administrator_checks(tx, actor):
    """ORG-16: the check is the own administrator's, not the superior's."""
    cadre(tx)
    assert code(check(tx, actor)) == "not_your_org"


@pytest.mark.rule("ORG-16", "ORG-21", "ORG-25")
@pytest.mark.parametrize(
    "values, refusal",
    [
        ({"phone": " "}, "field_missing"),
        ({"industry": ""}, "field_missing"),
        ({"full_name": ""}, "field_missing"),
        ({"industry": "采矿"}, "industry_unknown"),
    ],
)
def test_check_needs_all_fields(tx, values, refusal):
    """ORG-21, ORG-25: every field is filled, the industry is one of the list."""
    cadre(tx)
    assert code(check(tx, **values)) == refusal


@pytest.mark.rule("ORG-21", "ORG-22")
def test_complete_needs_the_secretary_s_own_number(tx):
    """ORG-21, ORG-22: without the secretary's mobile number the data are not complete.

    Whatever telephone the organisation has.
    """
    cadre(tx, phone=False)
    check(tx)
    assert not org_of(tx).complete
    cadre(tx, phone=True, version=3)
    assert org_of(tx).complete


@pytest.mark.rule("ORG-11")
def test_kind_changes_once(tx):
    """ORG-11: the kind may change in the first check and never again, also not back."""
    cadre(tx)
    assert check(tx, kind="work_committee").refusal is None
    assert org_of(tx).kind == "work_committee"
    assert [one["kind"] for one in events(tx, "org_changed")] == ["work_committee"]
    assert code(check(tx, kind="committee")) == "kind_fixed"
    assert check(tx, kind="work_committee", phone="1").refusal is None


@pytest.mark.rule("ORG-11")
def test_kind_is_fixed_after_the_first_check(tx):
    """ORG-11: a first check that leaves the kind as it is closes the matter."""
    cadre(tx)
    assert check(tx).refusal is None
    assert code(check(tx, kind="work_committee")) == "kind_fixed"


@pytest.mark.rule("ORG-11", "ORG-13")
@pytest.mark.parametrize(
    "kind, refusal", [("branch", "org_has_children"), ("leading_body", "kind_fixed"), ("club", "kind_fixed")]
)
def test_kinds_that_do_not_fit(tx, kind, refusal):
    """ORG-11: an organisation with subordinates becomes no branch, and none becomes a leading body."""
    cadre(tx)
    assert code(check(tx, kind=kind)) == refusal


@pytest.mark.rule("ORG-12")
def test_graduation_does_not_use_the_change_up(tx):
    """ORG-12: the system's change of a branch to a graduates' organisation leaves the one change of kind."""
    handlers.on_branch_graduated(tx, [BranchGraduated(branch_id=CLASS, graduate=True, version=1)])
    cadre(tx, org=CLASS)
    assert (
        check(
            tx, of_class, org_id=CLASS, kind="general_branch", full_name="共青团江汉理工大学机械学院某总支"
        ).refusal
        is None
    )


@pytest.mark.rule("ORG-42")
def test_a_change_of_kind_is_taken_back(tx):
    """ORG-42: a party of open transfers, as transfers finds, gets its old kind again.

    It may change it later.
    """
    cadre(tx)
    check(tx, kind="work_committee")
    handlers.on_taken_back(tx, [OrgInUse(org_id=COLLEGE)])
    assert org_of(tx).kind == "committee"
    assert store.by_ids(tx, [COLLEGE])[COLLEGE].was_kind is None
