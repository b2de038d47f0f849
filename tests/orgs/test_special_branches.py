"""Special branches and townships: where each purpose belongs, and under which names they are found."""

import pytest

from services.orgs import domain, store
from shared import clock
from shared.identity import Actor
from tests.orgs.factories import (
    INDUSTRY,
    SCHOOL,
    TOWN,
    TREE,
    Seed,
    cadre,
    check,
    code,
    found,
    make,
    of_city,
    of_school,
)


@pytest.mark.rule("ORG-28", "ORG-29", "ORG-30", "ORG-32", "ORG-33", "ORG-34", "ORG-35", "ORG-39", "DL-17")
@pytest.mark.parametrize(
    "purpose, parent, parent_purpose, industry, month, refusal",
    [
        ("study_abroad", "committee", "ordinary", INDUSTRY, 6, None),
        ("floating", "committee", "ordinary", INDUSTRY, 6, None),
        ("delayed", "committee", "ordinary", INDUSTRY, 6, None),
        ("teachers", "committee", "ordinary", INDUSTRY, 6, None),
        ("mixed", "committee", "ordinary", INDUSTRY, 6, None),
        ("staff", "committee", "ordinary", INDUSTRY, 6, None),
        ("transit", "committee", "ordinary", "", 6, None),
        ("study_abroad", "committee", "ordinary", "国有企业", 6, "purpose_not_here"),
        ("floating", "committee", "township", "", 6, "purpose_not_here"),
        ("handover", "committee", "township", "", 6, None),
        ("handover", "work_committee", "ordinary", "", 6, None),
        ("handover", "committee", "ordinary", "非公企业", 6, None),
        ("handover", "committee", "ordinary", INDUSTRY, 6, "purpose_not_here"),
        ("handover", "leading_body", "ordinary", "", 8, "handover_from_september"),
        ("handover", "leading_body", "ordinary", "", 9, None),
    ],
)
def test_special_branches(purpose, parent, parent_purpose, industry, month, refusal):
    """ORG-28..35, ORG-39: each special branch where it belongs; a county's own from September on.

    DL-17: a county's own from September on.
    """
    said = domain.check_purpose(purpose, "branch", parent, parent_purpose, industry, month)
    assert (said.code if said else None) == refusal


@pytest.mark.rule("ORG-28")
@pytest.mark.parametrize(
    "parent, actor, kind, industry, said",
    [
        (4201, Actor(3001, 4201), "committee", "", None),
        (4201, Actor(3001, 4201), "work_committee", "农村", None),
        (4201, Actor(3001, 4201), "general_branch", "", "township_not_here"),
        (4201, Actor(3001, 4201), "branch", "", "township_not_here"),
        (4201, Actor(3001, 4201), "committee", INDUSTRY, "township_not_here"),
        (42, Actor(2001, 42), "committee", "", "township_not_here"),
        (SCHOOL, of_school, "committee", "", "township_not_here"),
        (1, Actor(1, 1), "committee", "", "township_not_here"),
        (9701, Actor(3001, 9701), "committee", "", "township_not_here"),
    ],
)
def test_where_a_township_can_be(tx, parent, actor, kind, industry, said):
    """ORG-28: only a committee or work committee directly below a county or city is a township's.

    No school is, and nothing inside a vertical system.
    """
    store.load(
        tx,
        [
            *TREE,
            Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
            Seed(9701, 97, "leading_body", "共青团铁道武汉局委员会", "97"),
        ],
    )
    store.set_administrators(
        tx, [{"org_id": org, "person_id": 3001, "active": True} for org in (4201, 9701)], clock.now(), None
    )
    made = make(
        tx,
        actor,
        parent_id=parent,
        kind=kind,
        industry=industry,
        purpose="township",
        full_name="共青团某镇委员会",
    )
    assert code(made) == said


@pytest.mark.rule("ORG-28")
def test_a_township_stays_one(tx):
    """ORG-28: a township's organisation stays one.

    It does not become a school by an edit, nor a general branch by its first check.
    """
    store.set_administrators(tx, [{"org_id": TOWN, "person_id": 3001, "active": True}], clock.now(), None)
    made = make(
        tx, of_city, parent_id=TOWN, kind="committee", purpose="township", full_name="共青团某镇委员会"
    ).org_id
    assert (
        code(make(tx, of_city, org_id=made, parent_id=TOWN, full_name="共青团某镇委员会", industry=INDUSTRY))
        == "township_not_here"
    )
    assert (
        make(
            tx, of_city, org_id=made, parent_id=TOWN, full_name="共青团某某镇委员会", industry="农村"
        ).refusal
        is None
    )
    cadre(tx, org=made)
    store.set_administrators(tx, [{"org_id": made, "person_id": 3002, "active": True}], clock.now(), None)
    asked = {"org_id": made, "full_name": "共青团某镇委员会", "industry": "农村"}
    assert code(check(tx, Actor(3002, made), kind="general_branch", **asked)) == "township_not_here"
    assert check(tx, Actor(3002, made), kind="work_committee", **asked).refusal is None


@pytest.mark.rule("ORG-33", "ORG-39")
def test_special_branches_are_created(tx):
    """ORG-33: a school makes its study-abroad branch; an enterprise does not."""
    assert make(tx, purpose="study_abroad", industry=INDUSTRY).refusal is None
    assert code(make(tx, purpose="study_abroad", industry="国有企业")) == "purpose_not_here"
    assert code(make(tx, industry="采矿")) == "industry_unknown"


@pytest.mark.rule("ORG-28", "BEY-20")
def test_hand_over_branches_are_found_by_each_name(tx):
    """ORG-28: the label changed over the years; a search for one finds the others."""
    made = make(
        tx, full_name="共青团江汉理工大学流动团员团支部", purpose="floating", industry=INDUSTRY
    ).org_id
    assert found(tx, "江汉理工大学学社衔接临时团支部") == [made]
    assert found(tx, "江汉理工大学流动团员团支部") == [made]
