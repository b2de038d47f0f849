"""The rules of accounts without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from services.members.accounts import rules

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
NUMBER = "42010620000105001X"


def code(refusal):
    return refusal and refusal.code


@pytest.mark.rule("ACC-02")
@pytest.mark.parametrize(
    "right, expires_at, said",
    [
        (True, NOW + timedelta(seconds=1), None),
        (True, NOW, "captcha_wrong"),
        (True, NOW - timedelta(seconds=1), "captcha_wrong"),
        (True, None, "captcha_wrong"),
        (False, NOW + timedelta(seconds=1), "captcha_wrong"),
        (False, None, "captcha_wrong"),
    ],
)
def test_check_captcha(right, expires_at, said):
    """ACC-02: the characters of a picture count while it lives."""
    assert code(rules.check_captcha(right, expires_at, NOW)) == said


@pytest.mark.rule("ACC-04", "BEY-22")
@pytest.mark.parametrize(
    "password, tail, initial",
    [
        ("0105001X", 8, True),
        ("0105001x", 8, True),
        ("05001X", 6, True),
        ("0105001X", 6, False),
        ("X", 1, True),
        ("1105001X", 8, False),
        ("", 8, False),
        ("密码", 8, False),
        ("", 0, False),
        (NUMBER, 0, False),
    ],
)
def test_is_initial_password(password, tail, initial):
    """ACC-04, BEY-22: an account starts with the end of the ID number, or with nothing that fits."""
    assert rules.is_initial_password(password, NUMBER, tail) == initial


@pytest.mark.rule("ACC-10")
@pytest.mark.parametrize(
    "has_account, right, said",
    [
        (True, True, None),
        (True, False, "sign_in_failed"),
        (False, True, "sign_in_failed"),
        (False, False, "sign_in_failed"),
    ],
)
def test_check_password(has_account, right, said):
    """ACC-10: a wrong number and a wrong password get one answer."""
    assert code(rules.check_password(has_account, right)) == said


@pytest.mark.rule("ACC-07", "ADM-07")
@pytest.mark.parametrize(
    "known, own, may_reset, near, said",
    [
        (True, False, True, True, None),
        (True, False, True, False, None),
        (True, False, False, True, "reset_elsewhere"),
        (True, False, False, False, "unknown_member"),
        (True, True, True, True, "reset_own"),
        (True, True, False, False, "reset_own"),
        (False, False, True, True, "unknown_member"),
        (False, True, True, True, "unknown_member"),
    ],
)
def test_check_issue(known, own, may_reset, near, said):
    """ACC-07, ADM-07: who may reset an account makes its code, and nobody one for the own account.

    Why not is told only where the person is known anyway.
    """
    assert code(rules.check_issue(known, own, may_reset, near)) == said


@pytest.mark.rule("ACC-07", "ACC-08")
@pytest.mark.parametrize(
    "spent, still_good, said",
    [
        (True, True, None),
        (True, False, "reset_failed"),
        (False, True, "reset_failed"),
        (False, False, "reset_failed"),
    ],
)
def test_check_reset(spent, still_good, said):
    """ACC-07, ACC-08: a code is good in time, and as long as its maker could make it."""
    assert code(rules.check_reset(spent, still_good)) == said
