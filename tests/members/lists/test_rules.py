"""The rules of searches, numbers in full and figures without a database."""

from datetime import date

import pytest

from services.members.lists import rules
from shared import reference
from shared.messages.words import Domain
from tests.members.factories import number

TODAY = date(2026, 7, 1)


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("SRCH-03")
@pytest.mark.parametrize("text, said", [("王一", None), ("", "field_missing")])
def test_check_search(text, said):
    """SRCH-03: something is searched for."""
    refusal = rules.check_search(text)
    assert code(refusal) == said
    assert refusal is None or refusal.values["field"] in reference.FIELDS


@pytest.mark.rule("SRCH-03")
@pytest.mark.parametrize(
    "text, by",
    [
        (number(1), "id_number"),
        ("202000000001", "number"),
        (number(1)[:-1], "number"),
        (number(1, 2030), "number"),
        ("王一", "name"),
        ("2020A", "name"),
        ("二〇二〇", "name"),
        ("\u0662\u0660", "name"),
    ],
)
def test_search_by(text, by):
    """SRCH-03: by ID number, where it may be one; by development number, where all are digits; by name."""
    assert rules.search_by(text, TODAY) == by


@pytest.mark.rule("MEM-32")
@pytest.mark.parametrize(
    "count, reason, said",
    [
        (1, "核对", None),
        (50, "核对", None),
        (51, "核对", "too_many_items"),
        (51, "", "too_many_items"),
        (50, "", "access_reason_missing"),
        (1, " ", "access_reason_missing"),
    ],
)
def test_check_reveal(count, reason, said):
    """MEM-32: fifty numbers at most are shown in full at once, and only with a reason."""
    refusal = rules.check_reveal(count, reason)
    assert code(refusal) == said
    if said == "too_many_items":
        assert refusal.values == {"limit": "50"}


@pytest.mark.rule("MEM-32", "BEY-10")
@pytest.mark.parametrize(
    "full, reason, said",
    [
        (True, "核对", None),
        (True, "", "access_reason_missing"),
        (True, " ", "access_reason_missing"),
        (False, "", None),
        (False, "核对", None),
    ],
)
def test_check_reason(full, reason, said):
    """MEM-32, BEY-10: a list with numbers in full has a reason; without them none is needed."""
    assert code(rules.check_reason(full, reason)) == said


@pytest.mark.rule("ORG-26")
@pytest.mark.parametrize(
    "domain, said",
    [("", None), *[(one, None) for one in Domain], ("schools", "bad_request")],
)
def test_check_domain(domain, said):
    """ORG-26: figures are limited to a domain that there is, or not at all."""
    refusal = rules.check_domain(domain)
    assert code(refusal) == said
    assert refusal is None or refusal.values == {"detail": "domain"}


@pytest.mark.rule("ORG-26")
@pytest.mark.parametrize(
    "domain, industries",
    [
        ("", None),
        ("state_enterprise", ["国有企业"]),
        ("public", ["党政机关", "事业单位"]),
        ("nonsense", []),
    ],
)
def test_industries_of(domain, industries):
    """ORG-26: a domain is its industries; without one every organisation counts."""
    assert rules.industries_of(domain) == industries
