"""The rules of registration codes and self-registrations without a database."""

from datetime import date

import pytest

from services.members import domain
from services.members.joining import rules
from system.synthetic import check_digit

TODAY = date(2026, 7, 1)


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
        (None, 0, "secretary", "code_invalid"),
    ],
)
def test_check_use(kind, administrators, post, said):
    """ADM-01, CADRE-05: a code is used while there is room, and for a post of the organisation's kind."""
    assert code(rules.check_use(kind, administrators, post)) == said


def number(born: str) -> str:
    first = f"420106{born}001"
    return first + check_digit(first)


ADULT, YOUNG, CHILD = number("19900105"), number("20120701"), number("20120702")


@pytest.mark.rule("ADM-04", "ACC-03")
@pytest.mark.parametrize(
    "name, id_number, password, said",
    [
        ("李书记", ADULT, "Long-enough-1", None),
        ("李书记", YOUNG, "Long-enough-1", None),
        ("李书记", CHILD, "Long-enough-1", "cadre_too_young"),
        ("", ADULT, "Long-enough-1", "name_missing"),
        ("李书记", "1", "Long-enough-1", "id_invalid"),
        ("李书记", ADULT, "short", "password_weak"),
        ("李书记", CHILD, "short", "password_weak"),
        ("", "1", "short", "name_missing"),
    ],
)
def test_check_newcomer(name, id_number, password, said):
    """ADM-04, ACC-03: who becomes an administrator has a name, a number, a password and the age."""
    assert code(rules.check_newcomer(name, id_number, password, TODAY)) == said


@pytest.mark.rule("ADM-15", "ADM-16")
@pytest.mark.parametrize(
    "holds_one, post, has_secretary, said",
    [
        (False, "secretary", False, None),
        (False, "secretary", True, "secretary_in_post"),
        (False, "organiser", True, None),
        (True, "secretary", True, None),
    ],
)
def test_check_post(holds_one, post, has_secretary, said):
    """ADM-15, ADM-16: there is one secretary; a post that is held already is kept."""
    assert code(rules.check_post(holds_one, post, has_secretary)) == said


@pytest.mark.rule("MEM-09")
@pytest.mark.parametrize(
    "owner, own_id, said",
    [
        (None, None, None),
        (None, 7, None),
        (7, 7, None),
        (8, 7, "development_number_used"),
        (8, None, "development_number_used"),
    ],
)
def test_check_number(owner, own_id, said):
    """MEM-09: a development number is one person's."""
    assert code(rules.check_number(owner, own_id)) == said


@pytest.mark.rule("TRF-36")
@pytest.mark.parametrize(
    "deleted, said",
    [
        (None, None),
        (domain.Deleted("王一", 5), None),
        (domain.Deleted("王一", 6), "deleted_elsewhere"),
        (domain.Deleted("王二", 6), None),
    ],
)
def test_check_deleted(deleted, said):
    """TRF-36: who was deleted from another branch is entered there again, and does not apply here."""
    assert code(rules.check_deleted(deleted, "王一", 5)) == said


@pytest.mark.rule("REG-02", "ACC-11")
@pytest.mark.parametrize(
    "has_applied, bound, said",
    [
        (True, False, None),
        (True, True, "registered_already"),
        (False, False, "registered_already"),
        (False, True, "registered_already"),
    ],
)
def test_check_back(has_applied, bound, said):
    """REG-02, ACC-11: only former applicants register again, as long as they belong nowhere."""
    assert code(rules.check_back(has_applied, bound)) == said


@pytest.mark.rule("ACC-11")
@pytest.mark.parametrize("same, said", [(True, None), (False, "registered_already")])
def test_check_proof(same, said):
    """ACC-11: who does not prove to be the former applicant hears that the number is registered."""
    assert code(rules.check_proof(same)) == said


@pytest.mark.rule("REG-05")
@pytest.mark.parametrize(
    "withdraw, accept, state",
    [
        (False, True, "accepted"),
        (False, False, "rejected"),
        (True, False, "withdrawn"),
        (True, True, "withdrawn"),
    ],
)
def test_becomes(withdraw, accept, state):
    """REG-05: an application is accepted, rejected, or withdrawn whatever else is said."""
    assert rules.becomes(withdraw, accept) == state


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
