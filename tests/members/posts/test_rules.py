"""The rules of posts without a database."""

from datetime import date

import pytest

from services.members.posts import rules
from shared.errors import Refusal
from system.synthetic import check_digit

TODAY = date(2026, 7, 1)


def number(born: str) -> str:
    first = f"420106{born}001"
    return first + check_digit(first)


@pytest.mark.rule("CADRE-01", "CADRE-05", "ADM-16")
@pytest.mark.parametrize(
    "kind, ours, post, code",
    [
        ("branch", True, "secretary", None),
        ("branch", True, "", None),
        ("branch", True, "standing_member", "post_unknown"),
        ("branch", False, "secretary", "not_your_org"),
        ("branch", False, "nonsense", "not_your_org"),
        (None, True, "secretary", "unknown_org"),
        (None, False, "secretary", "unknown_org"),
    ],
)
def test_check_asking(kind, ours, post, code):
    """CADRE-01, CADRE-05, ADM-16: the own organisation and its superior give the posts of its kind."""
    refusal = rules.check_asking(kind, ours, post)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("CADRE-06", "ADM-16")
@pytest.mark.parametrize(
    "held, post, led_by_another, has_right, code",
    [
        ("", "secretary", False, False, None),
        ("", "secretary", True, False, "secretary_in_post"),
        ("", "organiser", True, False, None),
        ("secretary", "secretary", False, True, None),
        ("secretary", "organiser", False, True, "revoke_right_first"),
        ("secretary", "", False, True, "revoke_right_first"),
        ("organiser", "", False, True, "revoke_right_first"),
        ("organiser", "publicist", False, True, None),
        ("organiser", "", False, False, None),
        ("", "", False, True, None),
    ],
)
def test_check_change(held, post, led_by_another, has_right, code):
    """CADRE-06, ADM-16: one secretary; posts that carry a right stay until it is revoked."""
    refusal = rules.check_change(held, post, led_by_another, has_right)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("CADRE-03")
@pytest.mark.parametrize(
    "places, acting, code",
    [
        (["1.2.3."], "1.2.", None),
        (["1.2."], "1.2.", None),
        (["1.7.", "1.2.3."], "1.2.", None),
        (["1.7."], "1.2.", "unknown_member"),
        (["1."], "1.2.", "unknown_member"),
        ([], "1.", "unknown_member"),
    ],
)
def test_check_reached(places, acting, code):
    """CADRE-03: by an id alone only those are named who belong below the acting organisation."""
    refusal = rules.check_reached(places, acting)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("CADRE-03", "ORG-20")
@pytest.mark.parametrize(
    "name, pending, ends, holds, code",
    [
        ("王一", False, False, False, None),
        ("王二", False, False, True, "name_differs"),
        ("王一", True, False, False, "registration_pending"),
        ("王二", True, False, False, "registration_pending"),
        ("王一", False, True, True, None),
        ("王一", True, True, True, None),
        ("王一", False, True, False, "unknown_member"),
        ("王二", False, True, True, "unknown_member"),
    ],
)
def test_check_known(name, pending, ends, holds, code):
    """CADRE-03, ORG-20: named as on the card; who would end a post learns of nobody who holds none there."""
    refusal = rules.check_known(name, "王一", pending, ends, holds)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-17")
@pytest.mark.parametrize(
    "name, id_number, ends, code",
    [
        ("王一", number("20000105"), False, None),
        ("王一", number("20000105"), True, "unknown_member"),
        ("", number("20000105"), False, "name_missing"),
        ("王一", "1", False, "id_invalid"),
        ("王一", number("20120701"), False, None),
        ("王一", number("20120702"), False, "cadre_too_young"),
        ("王一", number("20120702"), True, "cadre_too_young"),
    ],
)
def test_check_new(name, id_number, ends, code):
    """ORG-17: who is entered for a post has a name, a number and the age; nobody is entered to lose one."""
    refusal = rules.check_new(name, id_number, ends, TODAY)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ACC-11")
@pytest.mark.parametrize(
    "refusal, guess",
    [(Refusal("name_differs"), True), (Refusal("unknown_member"), False), (None, False)],
)
def test_is_guess(refusal, guess):
    """ACC-11: who hears that a number has another name has learned that it is registered."""
    assert rules.is_guess(refusal) == guess
