"""The rules of migrations without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from services.orgs.migration import rules
from tests.orgs.factories import row

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(days=10)
ORG, OLD, NEW = 42011, 420, 4201
CITY = row(NEW, 42, "1.42.4201.", kind="leading_body")
CENTRE = row(1, None, "1.", kind="leading_body", provincial_id=None)
SCHOOL = row(OLD, 42, "1.42.420.")


def migration(**values):
    """Return a migration that waits for the old superior."""
    return {
        "migration_id": 5,
        "org_id": ORG,
        "from_org_id": OLD,
        "to_org_id": NEW,
        "state": "pending_old",
        "note": "",
        "old_decided_by": None,
        "new_decided_by": None,
        "expires_at": NOW + timedelta(seconds=1),
        "ended_at": None,
        **values,
    }


@pytest.mark.rule("MIG-01", "MIG-02", "MIG-05", "MIG-06", "MIG-07")
@pytest.mark.parametrize(
    "org, to, acts, moving, code",
    [
        (row(), CITY, True, [], None),
        # beside it, where it goes, and one whose id begins alike
        (row(), CITY, True, ["1.42.420.42012.", "1.42.4201.", "1.42.420.420111."], None),
        (None, CITY, True, [], "unknown_org"),
        (row(), None, False, [], "unknown_org"),
        (row(), CITY, False, [], "not_your_org"),
        (CENTRE, CITY, False, [], "not_your_org"),
        (CENTRE, CITY, True, [], "migration_provincial"),
        (row(42, 1, "1.42."), CITY, True, [], "migration_provincial"),
        (row(), row(440, 44, "1.44.440.", provincial_id=44), True, [], "migration_across"),
        (row(), row(), True, [], "migration_inside"),
        (row(), row(42012, ORG, "1.42.420.42011.42012."), True, [], "migration_inside"),
        (row(), SCHOOL, True, [], "migration_nowhere"),
        (row(), row(42010, 420, "1.42.420.42010.", kind="branch"), True, [], "migration_branch"),
        # itself, one above it, one below it
        (row(), CITY, True, ["1.42.420.42011."], "migration_open"),
        (row(), CITY, True, ["1.42.4201.", "1.42.420."], "migration_open"),
        (row(), CITY, True, ["1.42.420.42011.42012."], "migration_open"),
        (row(), SCHOOL, True, ["1.42.420."], "migration_nowhere"),
    ],
)
def test_check_request(org, to, acts, moving, code):
    """MIG-01..07: below the provincial level, inside the province, not into itself, one at a time."""
    refusal = rules.check_request(org, to, acts, moving)
    assert (refusal and refusal.code) == code


HERE = {"provincial_id": 10, "system": "national"}
CLASS = {**HERE, "org_id": 30, "parent_id": 20, "path": "1.10.20.30.", "kind": "branch"}
ELSEWHERE = {**HERE, "org_id": 21, "parent_id": 10, "path": "1.10.21.", "kind": "committee"}
MIGRATIONS = [
    (CLASS, ELSEWHERE, None),
    (CLASS | {"parent_id": None}, ELSEWHERE, "migration_provincial"),
    (CLASS | {"org_id": 10}, ELSEWHERE, "migration_provincial"),
    (CLASS, ELSEWHERE | {"provincial_id": 11}, "migration_across"),
    (CLASS, ELSEWHERE | {"path": "1.10.20.30.40."}, "migration_inside"),
    (CLASS, CLASS, "migration_inside"),
    (CLASS, ELSEWHERE | {"org_id": 20, "path": "1.10.20."}, "migration_nowhere"),
    (CLASS, ELSEWHERE | {"kind": "branch"}, "migration_branch"),
    # FED-01: neither into a tree that another system keeps nor out of one, also when it was decided before
    (CLASS, ELSEWHERE | {"system": "GD"}, "mirrored"),
    (CLASS | {"system": "BJ"}, ELSEWHERE, "mirrored"),
    (CLASS | {"system": "BJ"}, ELSEWHERE | {"system": "BJ"}, "mirrored"),
]


@pytest.mark.rule("MIG-01", "MIG-02", "MIG-05", "MIG-06", "MIG-07")
@pytest.mark.parametrize("org, to, code", MIGRATIONS)
def test_check_migration(org, to, code):
    """MIG-01, MIG-02, MIG-05..07: inside one province, to where it is not yet, below no branch."""
    refusal = rules.check_migration(org, to)
    assert (refusal.code if refusal else None) == code


@pytest.mark.rule("MIG-08")
@pytest.mark.parametrize(
    "acting, seen", [(ORG, True), (OLD, True), (NEW, True), (42012, False), (None, False)]
)
def test_seen_by(acting, seen):
    """MIG-08: a migration is the business of the organisation and its two superiors, of nobody else."""
    assert rules.seen_by(migration(), acting) == (migration() if seen else None)
    assert rules.seen_by(None, acting) is None


@pytest.mark.rule("MIG-04", "MIG-10")
@pytest.mark.parametrize(
    "values, acting, withdraw, code",
    [
        ({}, OLD, False, None),
        ({}, NEW, False, "not_your_node"),
        ({}, ORG, False, "not_your_node"),
        ({"state": "pending_new"}, NEW, False, None),
        ({"state": "pending_new"}, OLD, False, "not_your_node"),
        ({}, ORG, True, None),
        ({"state": "pending_new"}, ORG, True, None),
        ({}, OLD, True, "not_your_node"),
        ({"state": "pending_new"}, NEW, True, "not_your_node"),
        ({"state": "moving"}, ORG, True, "migration_closed"),
        ({"state": "rejected"}, OLD, False, "migration_closed"),
        ({"expires_at": NOW}, OLD, False, "migration_closed"),
        ({"expires_at": NOW}, NEW, False, "migration_closed"),
    ],
)
def test_check_decision(values, acting, withdraw, code):
    """MIG-04, MIG-10: the old superior decides, then the new one; the organisation withdraws until then.

    In time, all of them.
    """
    refusal = rules.check_decision(migration(**values), acting, withdraw, NOW)
    assert (refusal and refusal.code) == code


def test_a_migration_that_is_not_there():
    """Nothing is decided on what is not there, or not for these eyes."""
    refusal = rules.check_decision(None, OLD, False, NOW)
    assert refusal is not None and refusal.code == "unknown_migration"


@pytest.mark.rule("MIG-04", "MIG-10")
@pytest.mark.parametrize(
    "state, approve, withdraw, changed",
    [
        (
            "pending_old",
            True,
            False,
            {"state": "pending_new", "old_decided_by": 9, "expires_at": NOW + PATIENCE},
        ),
        ("pending_new", True, False, {"state": "moving", "new_decided_by": 9}),
        ("pending_old", False, False, {"state": "rejected", "ended_at": NOW}),
        ("pending_new", False, False, {"state": "rejected", "ended_at": NOW}),
        ("pending_old", False, True, {"state": "withdrawn", "ended_at": NOW}),
        ("pending_new", True, True, {"state": "withdrawn", "ended_at": NOW}),
    ],
)
def test_decided(state, approve, withdraw, changed):
    """MIG-04, MIG-10: two approvals set it moving, anything else ends it."""
    before = migration(state=state)
    after = rules.decided(before, approve, withdraw, "同意", 9, NOW, PATIENCE)
    assert after == before | {"note": "同意"} | changed
