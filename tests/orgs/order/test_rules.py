"""The rules of the order of organisations without a database."""

import pytest

from services.orgs.order import rules


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "siblings, org_id, after, manages, code",
    [
        ([1, 2, 3], 2, None, True, None),
        ([1, 2, 3], 2, 3, True, None),
        ([1, 2, 3], 2, 2, True, None),
        ((), 2, None, True, "unknown_org"),
        ([1, 3], 2, None, False, "unknown_org"),
        ([1, 2, 3], 2, 4, True, "unknown_org"),
        # who may not order learns nothing of the organisation that is named beside it
        ([1, 2, 3], 2, 4, False, "not_your_org"),
        ([1, 2, 3], 2, None, False, "not_your_org"),
    ],
)
def test_check_order(siblings, org_id, after, manages, code):
    """ORG-24: the superior's administrators order its own subordinates, and nothing else."""
    refusal = rules.check_order(siblings, org_id, after, manages)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "org_id, after, ids",
    [
        (3, None, [3, 1, 2, 4]),
        (1, None, [1, 2, 3, 4]),
        (3, 1, [1, 3, 2, 4]),
        (3, 3, [1, 2, 3, 4]),
        (2, 1, [1, 2, 3, 4]),
        (1, 1, [1, 2, 3, 4]),
        (1, 2, [2, 1, 3, 4]),
        (1, 4, [2, 3, 4, 1]),
        (4, 1, [1, 4, 2, 3]),
        (4, 3, [1, 2, 3, 4]),
    ],
)
def test_put_after(org_id, after, ids):
    """ORG-24: an organisation is put right behind another, or first."""
    assert rules.put_after([1, 2, 3, 4], org_id, after) == ids


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "orders, places",
    [
        ([], []),
        ([7], [7]),
        ([1, 2, 5], [1, 2, 5]),
        ([1, 2, 3], [1, 2, 3]),
        ([7, 7, 7], [7, 8, 9]),
        ([1, 1, 2, 9], [1, 2, 3, 9]),
        ([5, 1, 2], [5, 6, 7]),
        ([1, 9, 2, 10], [1, 9, 10, 11]),
        ([4, 4, 4], [4, 5, 6]),
        ([-3, -9], [-3, -2]),
    ],
)
def test_places(orders, places):
    """ORG-24: places rise, and stay as they are as long as they do."""
    assert rules.places(orders) == places
