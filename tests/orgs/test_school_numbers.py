"""School numbers: which organisations have one, and who records it."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.orgs import (
    SetSchoolNumber,
)
from tests.orgs.factories import (
    COLLEGE,
    INDUSTRY,
    SCHOOL,
    code,
    make,
    of_college,
    of_school,
    org_of,
)


def set_number(tx, number, actor=of_school, org=SCHOOL):
    return handlers.set_school_numbers(
        tx, [Asked(SetSchoolNumber(command_id=uuid4(), org_id=org, number=number), actor)]
    )[0]


@pytest.mark.rule("SCH-03", "SCH-05", "ORG-40")
def test_school_number(tx, schools):
    """SCH-03, SCH-05: the number is on the card once recorded, and gone when cleared (SCH-06).

    ORG-40: the card shows it.
    """
    assert org_of(tx, SCHOOL).school_number == ""
    assert set_number(tx, "4142010486").refusal is None
    assert org_of(tx, SCHOOL).school_number == "4142010486"
    assert set_number(tx, "").refusal is None
    assert org_of(tx, SCHOOL).school_number == ""


@pytest.mark.rule("SCH-07")
def test_a_leading_body_has_no_school_number(tx):
    """SCH-07: a leading body gets no school number, not even one whose industry is a school's.

    The same body as a committee does.
    """
    tx.execute(sa.text("UPDATE orgs SET industry = :industry WHERE org_id = 42"), {"industry": INDUSTRY})
    assert code(set_number(tx, "4142010486", Actor(2001, 42), 42)) == "not_a_school"
    tx.execute(sa.text("UPDATE orgs SET kind = 'committee' WHERE org_id = 42"))
    assert set_number(tx, "4142010486", Actor(2001, 42), 42).refusal is None


@pytest.mark.rule("SCH-04", "SCH-06")
def test_who_has_a_school_number(tx, schools):
    """SCH-04, SCH-06: independent schools only, by their own administrator only."""
    assert code(set_number(tx, "4142010486", of_college, COLLEGE)) == "not_a_school"
    assert code(set_number(tx, "4142010486", Actor(2001, 42))) == "not_your_org"
    assert code(set_number(tx, "4142010486", Actor(2001, 42), 42)) == "not_a_school"
    assert code(set_number(tx, "41 42")) == "school_number_form"


@pytest.mark.rule("SCH-02")
def test_a_missing_school_is_created(tx):
    """SCH-02: the direct superior creates a missing school below itself; it is a school by its industry."""
    answer = make(
        tx,
        Actor(2001, 42),
        parent_id=42,
        kind="committee",
        full_name="共青团长江职业学院委员会",
        industry="高等职业院校",
    )
    assert answer.refusal is None
    assert org_of(tx, answer.org_id).industry == "高等职业院校"
