"""The adviser: from plain answers to reason and organisations, by the same table that refuses and warns."""

import pytest
import sqlalchemy as sa

from services.transfers.adviser import handlers as adviser
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from shared import clock, directory
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.orgs import OrgChanged
from shared.messages.words import DestinationClass
from tests.transfers.factories import CLASS, ROOT, SCHOOL, TARGET

ABROAD, MOBILE, STAFF, WUHAN, OTHER_TOWN, PUDONG = 21, 22, 23, 31, 32, 33


@pytest.fixture
def town(tx):
    """A school with its special branches, and townships of two counties."""

    def org(org_id, parent, path, kind="branch", purpose="ordinary", industry="", division=None):
        return OrgChanged(
            org_id=org_id,
            parent_id=parent,
            path=path,
            kind=kind,
            purpose=purpose,
            province=(division or "42")[:2],
            system="national",
            provincial_id=ROOT,
            vault_id=9,
            name=str(org_id),
            version=2,
            deleted=False,
            industry=industry,
            division_code=division,
        )

    directory.on_org_changed(
        tx,
        [
            org(SCHOOL, 1, "1.2.", "committee", industry="普通高等院校"),
            org(CLASS, 2, "1.2.3.", purpose="graduate", industry="普通高等院校"),
            org(ABROAD, 2, "1.2.21.", purpose="study_abroad", industry="普通高等院校"),
            org(MOBILE, 2, "1.2.22.", purpose="floating", industry="普通高等院校"),
            org(STAFF, 2, "1.2.23.", purpose="staff", industry="普通高等院校"),
            org(WUHAN, 1, "1.31.", "committee", "township", division="420106001"),
            org(OTHER_TOWN, 1, "1.32.", "committee", "township", division="420106002"),
            org(PUDONG, 1, "1.33.", "committee", "township", division="310115004"),
        ],
    )
    return tx


def ask(tx, plan, **values):
    return adviser.advise(tx, contract.Advise(plan=plan, source_branch_id=CLASS, **values), Actor(7))


@pytest.mark.rule(
    "BEY-01",
    "TYPE-04",
    "TYPE-08",
    "TYPE-09",
    "TYPE-12",
    "TYPE-13",
    "TYPE-14",
    "TYPE-15",
    "SPU-01",
    "TYPE-25",
    "TYPE-17",
)
@pytest.mark.parametrize(
    "plan, values, reason, orgs, rule",
    [
        ("study", {}, "further_study", [], "TYPE-04"),
        ("study_here", {}, "further_study", [], "TYPE-07"),
        ("work", {"employer_has_org": True}, "employed_with_org", [], "TYPE-08"),
        ("work", {"division_code": "420106001"}, "employed_without_org", [WUHAN], "TYPE-09"),
        ("work", {"division_code": "420106"}, "employed_without_org", [WUHAN, OTHER_TOWN], "TYPE-10"),
        ("work", {"division_code": "420106009"}, "employed_without_org", [WUHAN, OTHER_TOWN], "TYPE-09"),
        ("work", {"division_code": "310115004"}, "employed_without_org", [PUDONG], "TYPE-09"),
        ("work", {"division_code": "999999"}, "employed_without_org", [], "TYPE-09"),
        ("abroad_study", {}, "abroad_study", [ABROAD], "TYPE-14"),
        ("abroad_duty", {"employer_has_org": True}, "abroad_on_duty", [], "TYPE-12"),
        ("abroad_duty", {"division_code": "310115"}, "abroad_on_duty", [PUDONG], "TYPE-12"),
        ("abroad_private", {"division_code": "310115"}, "abroad_private", [PUDONG], "TYPE-13"),
        ("none", {"division_code": "420106001"}, "unemployed", [WUHAN], "TYPE-15"),
        ("army", {}, "special_unit", [], "SPU-01"),
        ("staff", {}, "employed_with_org", [STAFF], "TYPE-25"),
    ],
)
def test_advice(town, plan, values, reason, orgs, rule):
    """BEY-01: each plan leads to its reason and to the nearest organisations that fit.

    The answer names the fields to fill in and the rules that say so.

    SPU-01, TYPE-17: the army leads to a special unit.
    """
    advice = ask(town, plan, **values)
    assert (advice.reason, [one.org_id for one in advice.proposals]) == (reason, orgs)
    assert rule in advice.rules
    assert advice.zh and advice.en
    # Where nothing can be proposed from here the page offers the search: schools and employers.
    studies = plan in ("study", "study_here")
    has_employer = plan in ("work", "abroad_duty") and bool(values.get("employer_has_org"))
    assert advice.search == (studies or has_employer)
    assert {one.mode for one in advice.proposals} <= {"allow", "warn"}


@pytest.mark.rule("BEY-01", "TYPE-05")
def test_advice_follows_the_policy(town):
    """BEY-01, TYPE-05: where the policy lets new students wait in the mobile branch, it is proposed."""
    assert ask(town, "study").proposals == []
    policies_store.hold(town, reader.read("p004"), clock.now())
    assert [one.org_id for one in ask(town, "study").proposals] == [MOBILE]


@pytest.mark.rule("BEY-01")
def test_questions_without_answer(town):
    """BEY-01: an unknown plan or branch is refused by name."""
    with pytest.raises(Refused, match="unknown_plan"):
        ask(town, "sleep")
    with pytest.raises(Refused, match="unknown_org"):
        adviser.advise(town, contract.Advise(plan="study", source_branch_id=12345), Actor(7))


@pytest.mark.rule("BEY-01", "TRF-12")
def test_the_approver_sees_the_same_warning(town):
    """BEY-01: what the starter was asked to confirm stands with the transfer for those who decide.

    TRF-12: so does the remark.
    """
    from services.transfers import handlers
    from tests.transfers.factories import admin, request, start

    town.execute(
        sa.text("UPDATE org_directory SET industry = '国有企业' WHERE org_id = :org"), {"org": TARGET}
    )
    refused = handlers.request_transfers(town, [request()])[0].refusal
    assert refused.code == "destination_unusual"
    assert DestinationClass.EMPLOYER.zh in refused.say()
    assert "employer" in refused.say("en")
    (one,) = start(town, request(confirmed=True, remark="已与接收方联系"))
    (item,) = handlers.list_work(town, contract.ListWork(), admin(TARGET)).items
    assert (item.transfer_id, item.concern, item.remark) == (one, "employer", "已与接收方联系")
