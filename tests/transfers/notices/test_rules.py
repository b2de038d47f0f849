"""The rules of messages and of addresses that are told, without a database."""

from datetime import datetime

import pytest

from services.transfers.notices import rules


def code(found):
    return getattr(found, "code", None)


@pytest.mark.rule("MSG-02")
@pytest.mark.parametrize(
    "kind, expected",
    [
        ("", None),
        *((one, None) for one in rules.KINDS),
        ("reserved", "bad_request"),
        ("gossip", "bad_request"),
    ],
)
def test_kinds(kind, expected):
    """MSG-02: messages are listed by kind, or all of them; the refusal lists the kinds."""
    refusal = rules.check_kind(kind)
    assert code(refusal) == expected
    assert refusal is None or refusal.values["detail"].startswith("kind: requested, ")


@pytest.mark.parametrize(
    "after, expected",
    [
        ("2026-07-01T08:00:00~7~2", (datetime(2026, 7, 1, 8), 7, 2)),
        ("2026-07-01T08:00:00~7", "bad_request"),
        ("2026-07-01T08:00:00~7~2~1", "bad_request"),
        ("now~7~2", "bad_request"),
        ("2026-07-01T08:00:00~x~2", "bad_request"),
        ("", "bad_request"),
    ],
)
def test_cursors(after, expected):
    """A cursor is an instant, a transfer and a line; anything else is a malformed request."""
    found = rules.place_in_list(after)
    if isinstance(expected, tuple):
        assert found == expected
    else:
        assert (found.code, found.values) == (expected, {"detail": "after"})


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    "url, hosts, allowed",
    [
        ("https://hooks.test/", ["hooks.test"], None),
        (None, ["hooks.test", "sms"], "hooks.test, sms"),
        (None, [], "TUANQIAO_NOTICE_HOSTS"),
    ],
)
def test_addresses(url, hosts, allowed):
    """BEY-15: an address that may not be told is refused with those that may, or the setting that says so."""
    refusal = rules.check_address(url, hosts)
    assert code(refusal) == (allowed and "address_refused")
    assert refusal is None or refusal.values == {"allowed": allowed}


@pytest.mark.rule("BEY-15", "BEY-19")
@pytest.mark.parametrize(
    "stored, own, same, expected",
    [
        (True, True, True, None),
        (True, False, False, None),
        (True, False, True, None),
        (True, True, False, "command_taken"),
        (False, False, False, "too_many_webhooks"),
    ],
)
def test_what_was_added(stored, own, same, expected):
    """BEY-15: a command is its sender's; an address that is told already is the same hook.

    BEY-19: an organisation has only so many.
    """
    refusal = rules.check_added(stored, own, same)
    assert code(refusal) == expected
    assert expected != "too_many_webhooks" or refusal.values == {"limit": "20"}


@pytest.mark.rule("BEY-19")
def test_what_is_switched_off():
    """BEY-19: only the own addresses are switched off; those of others are as good as none."""
    assert rules.check_ended(True) is None
    assert rules.check_ended(False).code == "unknown_webhook"
