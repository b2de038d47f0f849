"""Branches that are set aside, and deletions that other services refuse."""

from uuid import uuid4

import pytest

from services.orgs import domain, handlers
from services.orgs.search import store as search_store
from shared.bus.service import Asked
from shared.messages.orgs import (
    DeleteOrg,
)
from shared.messages.transfers import OrgInUse
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    code,
    events,
    found,
    make,
    of_college,
    of_school,
    org_of,
)


@pytest.mark.rule("DEL-03", "DEL-04", "ORG-03")
def test_set_aside(tx):
    """DEL-03: on explicit wish a branch with members becomes an awaiting branch, once; other kinds do not.

    DEL-04: it is deleted only when empty.
    """

    def aside(org, actor):
        return handlers.delete_orgs(
            tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=org, to_awaiting=True), actor)]
        )[0]

    assert aside(CLASS, of_college).refusal is None
    assert aside(CLASS, of_college).refusal is None
    assert org_of(tx, CLASS).purpose == "awaiting"
    assert [one["purpose"] for one in events(tx, "org_changed")] == ["awaiting"]
    assert code(aside(42011, of_school)) == "org_has_children"
    handlers.delete_orgs(tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS), of_college)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])  # members finds somebody in it
    assert org_of(tx, CLASS).purpose == "awaiting"
    empty = make(tx, kind="general_branch", full_name="共青团某总支").org_id
    assert code(aside(empty, of_school)) == "not_awaiting"


@pytest.mark.rule("DEL-03")
def test_setting_aside_is_a_setting(tx, configure):
    """DEL-03: by default a branch with members may be set aside.

    Where the practice forbids it, it may not.
    """
    configure(TUANQIAO_POLICY="p001")

    def aside():
        return handlers.delete_orgs(
            tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
        )[0]

    assert code(aside()) == "awaiting_not_offered" and org_of(tx, CLASS).purpose == "ordinary"
    configure(TUANQIAO_POLICY="national")
    assert aside().refusal is None and org_of(tx, CLASS).purpose == "awaiting"


@pytest.mark.rule("DEL-14", "ORG-42")
def test_a_party_of_transfers_comes_back(tx):
    """DEL-14, ORG-42: a deletion or setting aside that transfers refuses is taken back."""
    handlers.delete_orgs(tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS), of_college)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    assert org_of(tx, CLASS).purpose == "ordinary"
    handlers.delete_orgs(
        tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
    )
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    assert org_of(tx, CLASS).purpose == "ordinary"


@pytest.mark.rule("DEL-04", "TRF-15", "ASG-02")
def test_awaiting_branches_are_no_destinations(tx, monkeypatch):
    """DEL-04, TRF-15: a branch that was set aside is found, but never offered as a destination.

    Nor is a graduates' branch or a leading body.
    """
    name = org_of(tx, CLASS).full_name
    assert found(tx, name, targets_only=True) == [CLASS]
    handlers.delete_orgs(
        tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
    )

    assert found(tx, name) == [CLASS] and found(tx, name, targets_only=True) == []
    assert (
        found(tx, "2018级1班", targets_only=True) == [] and found(tx, "湖北省委员会", targets_only=True) == []
    )
    monkeypatch.setattr(
        search_store, "_frequent", lambda tx: (dict.fromkeys(domain.bigrams(name), 10**6), 10**7)
    )
    assert (
        found(tx, name, targets_only=True, near=COLLEGE) == []
    )  # nor where the text is common and the neighbourhood is walked
