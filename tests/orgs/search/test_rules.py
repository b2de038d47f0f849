"""What is no search, without a database."""

import pytest

from services.orgs.search import rules


@pytest.mark.parametrize(
    "text, below, known, code",
    [
        ("团", False, False, None),
        ("团", True, True, None),
        ("团", True, False, "unknown_org"),
        ("", False, False, "bad_request"),
        ("", True, False, "bad_request"),
    ],
)
def test_check_search(text, below, known, code):
    """A search has a text, and an organisation that it is restricted to is there."""
    refusal = rules.check_search(text, below, known)
    assert (refusal and refusal.code) == code
    assert code != "bad_request" or refusal.values == {"detail": "text is empty"}


@pytest.mark.parametrize(
    "path, paths", [("", []), ("1.", ["1."]), ("1.42.420.", ["1.", "1.42.", "1.42.420."])]
)
def test_paths_down_to(path, paths):
    """What is near somebody is found along the way from the root."""
    assert rules.paths_down_to(path) == paths
