"""The rules of the first administrator without a database."""

import pytest

from services.members.domain import Known
from services.members.founding import rules


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("ADM-10")
@pytest.mark.parametrize(
    "is_open, is_token, said",
    [
        (True, True, None),
        (True, False, "setup_token_wrong"),
        (False, True, "setup_closed"),
        (False, False, "setup_closed"),
    ],
)
def test_check_token(is_open, is_token, said):
    """ADM-10: whoever holds the token, while nobody has a post or a right."""
    assert code(rules.check_token(is_open, is_token)) == said


@pytest.mark.rule("ACC-11")
@pytest.mark.parametrize(
    "name, with_password, said",
    [
        ("李首任", False, None),
        ("李首任", True, "id_registered"),
        ("李二", False, "name_differs"),
        ("李二", True, "name_differs"),
    ],
)
def test_check_known(name, with_password, said):
    """ACC-11: a registered person has the name that is registered, and keeps the password."""
    assert code(rules.check_known(Known(7, "李首任"), name, with_password)) == said


@pytest.mark.rule("ADM-01", "ADM-10")
@pytest.mark.parametrize(
    "kind, holders, force, said",
    [
        ("leading_body", 0, False, None),
        ("leading_body", 1, False, "has_administrators"),
        ("leading_body", 2, False, "has_administrators"),
        ("leading_body", 1, True, None),
        ("leading_body", 2, True, "too_many_administrators"),
        ("branch", 0, True, None),
        ("branch", 2, True, None),
        ("branch", 3, True, "too_many_administrators"),
    ],
)
def test_check_room(kind, holders, force, said):
    """ADM-01, ADM-10: where nobody administers; where somebody insists, while there is room."""
    refusal = rules.check_room(kind, holders, force)
    assert code(refusal) == said
    if said == "too_many_administrators":
        assert refusal.values == {"limit": str(holders)}


@pytest.mark.rule("CADRE-05", "ADM-16")
@pytest.mark.parametrize(
    "kind, post, has_secretary, said",
    [
        ("branch", "", False, None),
        ("branch", "", True, None),
        ("branch", "secretary", False, None),
        ("branch", "secretary", True, "secretary_in_post"),
        ("branch", "organiser", True, None),
        ("branch", "standing_member", False, "post_unknown"),
        ("branch", "standing_member", True, "post_unknown"),
        ("leading_body", "standing_member", True, None),
    ],
)
def test_check_post(kind, post, has_secretary, said):
    """CADRE-05, ADM-16: a post of the organisation's kind, and one secretary."""
    assert code(rules.check_post(kind, post, has_secretary)) == said


@pytest.mark.rule("ADM-02", "ADM-16")
@pytest.mark.parametrize(
    "kind, has_secretary, post",
    [
        ("branch", False, "secretary"),
        ("branch", True, "deputy_secretary"),
        ("leading_body", False, "secretary"),
        ("leading_body", True, "deputy_secretary"),
    ],
)
def test_first_post(kind, has_secretary, post):
    """ADM-02, ADM-16: an administrator is a cadre: the secretary, or the deputy of the one there is."""
    assert rules.first_post(kind, has_secretary) == post


def test_check_known_who_waits():
    """Whose registration waits for a decision is not made an administrator beside it."""
    waits = Known(7, "李首任")._replace(pending=True)
    assert code(rules.check_known(waits, "李首任", False)) == "registration_pending"
