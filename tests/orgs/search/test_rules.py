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
    "system, code", [("national", None), ("BJ", None), ("", None), ("mars", "bad_request")]
)
def test_check_system(system, code):
    """One system is searched, or all; there is no other."""
    refusal = rules.check_search("团", False, False, system)
    assert (refusal and refusal.code) == code
    assert refusal is None or refusal.values == {"detail": "system"}


@pytest.mark.parametrize(
    "text, code", [("", "bad_request"), ("团", "bad_request"), ("团委", None), ("武大团委", None)]
)
def test_check_open_search(text, code):
    """Two characters say something to somebody who has not signed in."""
    refusal = rules.check_open_search(text)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "said, kind, fit",
    [
        ("", "branch", True),
        ("", "leading_body", True),
        ("branch", "branch", True),
        ("branch", "committee", False),
        ("committee", "branch", False),
        ("committee", "committee", True),
        ("committee", "leading_body", True),
    ],
)
def test_fits(said, kind, fit):
    """A name that ends in 支部 means a branch, any other ending what is none."""
    assert rules.fits(said, kind) == fit


PLACES = [
    rules.Led(2, 1, "42", "湖北"),
    rules.Led(3, 1, "11", "北京"),
    rules.Led(4, 2, "4201", "武汉"),
    rules.Led(5, 2, "4202", "黄石"),
    rules.Led(6, 4, "420111", "洪山"),
]


@pytest.mark.parametrize(
    "code, levels",
    [
        ("420111", [([2, 3], "42"), ([4, 5], "4201"), ([6], "420111")]),
        ("4202", [([2, 3], "42"), ([4, 5], "4202")]),
        ("4299", [([2, 3], "42"), ([4, 5], "")]),
        ("", [([2, 3], "")]),
    ],
)
def test_levels(code, levels):
    """The places of each level down to the first in which the code names none."""
    found = rules.levels(PLACES, code, 1)
    assert [([place.org_id for place in places], chosen) for places, chosen in found] == levels


def named(org_id, path, *spoken, kind="committee", plain="共青团某委员会"):
    """Return an organisation that some form of a text names."""
    return rules.Named(org_id, path, kind, plain, list(spoken))


def test_anchors():
    """SRCH-10: what the text begins with; the longest first, then the nearest, then the highest."""
    found = [
        named(1, "1.", "湖北"),
        named(2, "1.2.", "武汉"),
        named(3, "9.8.3.", "湖北"),
        named(4, "9.4.", "湖北"),
        named(5, "5.", "湖北", "湖北武"),
    ]
    made = rules.anchors(found, "湖北武汉洪山", ["9.", "9.8."])
    assert [(one.org_id, one.rest, one.said) for one in made] == [
        (5, "汉洪山", 3),
        (3, "武汉洪山", 2),
        (4, "武汉洪山", 2),
        (1, "武汉洪山", 2),
    ]


def test_deeper():
    """SRCH-10: what is left of the text goes on below, and nowhere else; of each only so many."""
    above = [rules.Anchor(1, "1.", "湖北省", "武汉洪山", 2)]
    found = [
        named(1, "1.", "武汉"),
        named(2, "1.2.", "武汉"),
        named(3, "3.", "武汉"),
        named(4, "1.4.", "黄石"),
    ]
    assert [(one.org_id, one.rest, one.said) for one in rules.deeper(above, found, [])] == [(2, "洪山", 4)]

    many = [named(n, f"1.{n}.", "武汉") for n in range(2, 20)]
    assert [one.org_id for one in rules.deeper(above, many, [])] == list(range(2, 10))


def test_best():
    """SRCH-10: whose name has the rest; of the kind that is meant before the others."""
    anchor = rules.Anchor(1, "1.", "某大学", "软工1班", 4)
    committee = named(2, "1.2.", plain="共青团某大学软工1班委员会")
    branch = named(3, "1.3.", kind="branch", plain="共青团某大学软工1班支部委员会")
    other = named(4, "1.4.", kind="branch", plain="共青团某大学软工11班支部委员会")
    found = [(anchor, one) for one in (other, committee, branch)]
    assert rules.best(found, "branch", []) == [3, 2]
    assert rules.best(found, "committee", []) == [2, 3]


@pytest.mark.parametrize(
    "path, paths", [("", []), ("1.", ["1."]), ("1.42.420.", ["1.", "1.42.", "1.42.420."])]
)
def test_paths_down_to(path, paths):
    """What is near somebody is found along the way from the root."""
    assert rules.paths_down_to(path) == paths
