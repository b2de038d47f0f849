"""The organisation tree of a new installation: complete, consistent, in order."""

from collections import Counter

import pytest

from services.orgs import domain, seed


@pytest.fixture(scope="module")
def tree():
    return list(seed.national_tree())


def test_tree_is_one_tree(tree):
    """Every organisation has an id of its own, and its superior comes before it and may have children."""
    kinds = {}
    for org in tree:
        assert org.id not in kinds and org.id < 2**50
        assert (org.parent_id is None) == (org.id == seed.ROOT)
        assert org.parent_id is None or domain.may_hold_children(kinds[org.parent_id])
        kinds[org.id] = org.kind


@pytest.mark.rule("ORG-02", "ORG-03")
def test_kinds_and_purposes(tree):
    """ORG-02, ORG-03: only known kinds and purposes; special purposes are branches.

    Nobody creates a vault by hand.
    """
    assert {org.kind for org in tree} <= set(domain.KINDS) and {org.purpose for org in tree} <= {
        *domain.PURPOSES,
        "vault",
    }
    assert {org.kind for org in tree if org.purpose in ("vault", "handover", "floating", "study_abroad")} == {
        "branch"
    }


def test_one_vault_per_provincial_body(tree):
    """Each provincial body, of a province or a system, has exactly one special-unit vault."""
    bodies = [org.id for org in tree if org.parent_id == seed.ROOT]
    vaults = Counter(org.parent_id for org in tree if org.purpose == "vault")

    assert len(bodies) == 31 + 7 and vaults == Counter(bodies)


def test_size(tree):
    """All provinces, cities, counties and townships of the public divisions, and over 60 universities."""
    codes = Counter(
        len(org.division_code) for org in tree if org.division_code and org.id == int(org.division_code)
    )

    assert codes[2] == 31 and codes[4] > 330 and codes[6] > 2900 and codes[9] > 41000
    assert sum(org.id // 1_000_000 == 1 and org.kind == "committee" for org in tree) >= 60
    assert len(tree) > 85_000


def test_names_are_unique_among_siblings(tree):
    """No two organisations under one superior share their full name."""
    twice = [key for key, n in Counter((org.parent_id, org.full_name) for org in tree).items() if n > 1]

    assert not twice
