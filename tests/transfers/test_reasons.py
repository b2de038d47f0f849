"""Reasons and destinations: where a member may be sent, and by what reason.

Where the employed go, who drops out, what the others give as their reason, and what members checks.
"""

import pytest
import sqlalchemy as sa

from services.orgs import seed
from services.transfers import domain, handlers, store
from services.transfers.domain import OrgFacts, Place, check_request
from services.transfers.policies import reader
from shared.messages.transfers import ListWork
from shared.messages.words import Reason
from tests.transfers.domain_factories import CLASS as SOURCE
from tests.transfers.domain_factories import PLACES
from tests.transfers.domain_factories import request as asked
from tests.transfers.factories import BRANCH, OTHER, SCHOOL, TARGET, admin, decide, events, request, start
from tests.transfers.remarks.factories import restart

EMPLOYED = ("employed_with_org", "employed_without_org", "abroad_on_duty", "job_change")


@pytest.fixture(scope="module")
def seeded():
    """Townships, their hand-over branches and schools by id: made by the seed, seen as the rules see them."""
    tree = {org.id: org for org in seed.small_tree()}

    def facts(org):
        parent = tree.get(org.parent_id)
        return OrgFacts(
            org.id,
            org.parent_id,
            f"1.{org.province}.{org.id}.",
            org.kind,
            org.purpose,
            org.province,
            "national",
            1,
            9,
            org.full_name,
            org.industry,
            org.division_code or "",
            in_township=parent is not None and parent.purpose == "township",
        )

    return {org.id: facts(org) for org in tree.values() if org.parent_id is not None}


@pytest.mark.rule("TYPE-10")
def test_every_seeded_organisation_has_a_division(seeded):
    """TYPE-10: all organisations of the seed have a code but those of the central systems.

    A hand-over branch has its township's.
    """
    bare = {
        org.org_id for org in seeded.values() if not org.division_code and not org.province.startswith("9")
    }
    assert bare == set()
    handovers = [org for org in seeded.values() if org.purpose == "handover"]
    assert len(handovers) > 100
    assert all(
        org.division_code == seeded[org.parent_id].division_code and len(org.division_code) == 9
        for org in handovers
    )


@pytest.mark.rule("TYPE-10", "TYPE-12", "TYPE-20", "TRF-13")
@pytest.mark.parametrize("purpose", ["township", "handover"])
@pytest.mark.parametrize("reason", EMPLOYED)
def test_the_employed_are_not_sent_home(seeded, reason, purpose):
    """TYPE-10, TYPE-12, TYPE-20: a member who works goes to no township but that of the place of work.

    The townships are as the seed makes them; a place left empty is asked for.
    """
    target = next(org for org in seeded.values() if org.purpose == purpose and org.province == "42")
    county = target.division_code[:6]

    def code(division, place=Place(), **values):  # noqa: B008
        refusal = check_request(
            asked(reason=reason, place_name="某公司", place_division=division, confirmed=True, **values),
            SOURCE,
            target,
            place,
        )
        return refusal and refusal.code

    assert code(county) is None
    assert code(target.division_code) is None
    assert code("330102") == code("420199") == "destination_forbidden"
    assert code("") == "division_missing"
    later = Place(modes=reader.read("p004").destinations)
    assert code("330102", later) == "household_remark", "by policy 004 with a remark"
    assert code("330102", later, remark="单位无团组织,所在地不接收") is None
    assert code("", later, remark="同上") is None


@pytest.mark.rule("TYPE-10")
def test_villages_and_counties():
    """TYPE-10: a village's branch is as much at home as the township's.

    A county's own hand-over branch takes in its whole county.
    """
    village = OrgFacts(
        20,
        3,
        "1.3.20.",
        "branch",
        "ordinary",
        "42",
        "national",
        1,
        9,
        division_code="420106001001",
        in_township=True,
    )
    county = OrgFacts(20, 3, "1.3.20.", "branch", "handover", "42", "national", 1, 9, division_code="420106")
    own = OrgFacts(20, 3, "1.3.20.", "branch", "handover", "91", "national", 1, 9)
    for target in (village, county):
        for division, code in (
            ("420106001", None),
            ("420107", "destination_forbidden"),
            ("", "division_missing"),
        ):
            refusal = check_request(
                asked(reason="employed_without_org", place_name="某公司", place_division=division),
                SOURCE,
                target,
            )
            assert (refusal and refusal.code) == code
    assert check_request(asked(reason="employed_without_org", place_name="某公司"), SOURCE, own) is None, (
        "an employer's own, on no division"
    )
    with_employer = asked(reason="unemployed", place_division="")
    assert check_request(with_employer, SOURCE, county).code == "unemployed_with_employer"
    assert check_request(asked(reason="unemployed", place_name=""), SOURCE, county) is None, (
        "who has no work is asked for no place of work"
    )


@pytest.mark.rule("TYPE-03")
def test_who_names_an_employer_is_employed():
    """TYPE-03: 'not yet employed' beside the name of an employer is refused, wherever the member goes."""
    for place in ("township", "handover", "community", "employer"):
        employed = asked(reason="unemployed", place_name="某公司", confirmed=True)
        assert check_request(employed, SOURCE, PLACES[place]).code == "unemployed_with_employer"
        idle = asked(reason="unemployed", place_name=" ", confirmed=True)
        assert check_request(idle, SOURCE, PLACES[place]) is None


# ---- who is no graduate --------------------------------------------------------------------------

ORDINARY = {  # written by hand from TYPE-20, SCH-09, TYPE-26; what is missing is allowed
    "job_change": {"own_mobile": "X", "own_abroad": "X", "own_class": "X"},
    "job_loss": {"employer": "?", "school": "X", "own_mobile": "X", "own_abroad": "X", "own_class": "X"},
    "later_study": {
        "township": "X",
        "handover": "X",
        "community": "X",
        "own_mobile": "X",
        "own_abroad": "X",
        "employer": "?",
    },
    "status_change": {
        "township": "X",
        "handover": "X",
        "community": "X",
        "employer": "X",
        "other": "X",
        "own_abroad": "X",
    },
    "internal_move": {"own_abroad": "X"},
    "ordinary": {"own_abroad": "X"},
}


@pytest.mark.rule("TYPE-20", "TYPE-26", "SCH-09")
@pytest.mark.parametrize("reason", ORDINARY)
@pytest.mark.parametrize("place", PLACES)
def test_ordinary_reasons(reason, place):
    """TYPE-20, TYPE-26, SCH-09: each ordinary reason leads where it says.

    A member leaves a job, studies later, or changes status inside a school.
    """
    given = {
        "reason": reason,
        "place_name": "" if reason == "job_loss" else "某处",
        "place_division": "420106",
    }
    expected = ORDINARY[reason].get(place, "")
    refusal = check_request(asked(**given), SOURCE, PLACES[place])
    confirmed = check_request(asked(**given, confirmed=True), SOURCE, PLACES[place])
    # X: refused in any case; ?: refused until it is confirmed; nothing: allowed.
    outcomes = {"X": (False, False), "?": (False, True), "": (True, True)}
    assert (refusal is None, confirmed is None) == outcomes[expected]


@pytest.mark.rule("TYPE-26", "TYPE-20")
def test_fields_of_ordinary_reasons():
    """TYPE-26, TYPE-20: no ordinary reason is a graduate's or counts in a rate.

    A change of employer names the employer, a lost job the residence.
    """
    mine = {str(one): one for one in Reason if one.kind == "ordinary"}
    assert set(mine) == set(ORDINARY) and not any(one.counts_in or one.graduate for one in mine.values())
    nameless = asked(reason="job_change", place_name="")
    assert check_request(nameless, SOURCE, PLACES["employer"]).code == "field_missing"
    nowhere = {"place_name": "", "place_address": ""}
    assert (
        check_request(asked(reason="job_loss", **nowhere), SOURCE, PLACES["township"]).code == "field_missing"
    )
    assert check_request(asked(reason="status_change", **nowhere), SOURCE, PLACES["own_class"]) is None


@pytest.mark.rule("TYPE-21", "SCH-09")
@pytest.mark.parametrize(
    "reason, place, division, code",
    [
        ("employed_with_org", "employer", "", None),
        ("employed_without_org", "handover", "420106", None),
        ("employed_without_org", "handover", "310101", "destination_forbidden"),
        ("employed_without_org", "handover", "", "division_missing"),
        ("unemployed", "township", "", None),
        ("unemployed", "school", "", "destination_forbidden"),
        ("further_study", "township", "", "further_study_township"),
        ("further_study", "school", "", None),
        ("further_study", "own_class", "", "destination_forbidden"),
        ("abroad_study", "own_abroad", "", "drop_out_reason"),
        ("ordinary", "employer", "", "drop_out_reason"),
        ("status_change", "school", "", "drop_out_reason"),
        ("job_change", "employer", "", "drop_out_reason"),
    ],
)
def test_drop_outs_go_where_graduates_go(reason, place, division, code):
    """TYPE-21, SCH-09: a member who drops out gives a graduate's reason and goes where it leads.

    That is out of the own school; no ordinary reason serves.
    """
    given = {
        "reason": reason,
        "place_division": division,
        "place_name": "" if reason == "unemployed" else "某处",
    }
    refusal = check_request(asked(**given, drop_out=True), SOURCE, PLACES[place])
    assert (refusal and refusal.code) == code


@pytest.mark.rule("TYPE-21")
def test_only_from_a_school_one_drops_out():
    """TYPE-21: members drop out of schools only."""
    company = OrgFacts(
        10, 11, "1.8.11.10.", "branch", "ordinary", "42", "national", 1, 9, industry="国有企业"
    )
    leaving = asked(reason="employed_with_org", drop_out=True)
    assert check_request(leaving, company, PLACES["employer"]).code == "drop_out_reason"


@pytest.mark.rule("TYPE-21", "SCH-09", "GRAD-17", "TYPE-14", "GRAD-15")
@pytest.mark.parametrize(
    "reason, source, place, drop_out, kind",
    [
        ("employed_with_org", SOURCE, "employer", False, "graduate"),
        ("employed_with_org", SOURCE, "employer", True, "drop_out"),
        ("abroad_study", SOURCE, "own_abroad", False, "abroad"),
        ("ordinary", SOURCE, "employer", False, "outward"),
        ("job_change", SOURCE, "township", False, "outward"),
        ("ordinary", SOURCE, "own_class", False, "ordinary"),
        ("status_change", SOURCE, "school", False, "ordinary"),
        ("ordinary", PLACES["employer"], "township", False, "ordinary"),
        ("job_change", PLACES["own_school"], "employer", False, "ordinary"),
        ("special_unit", SOURCE, None, False, "any"),
    ],
)
def test_whom_a_request_may_be_for(reason, source, place, drop_out, kind):
    """TYPE-21, SCH-09, TYPE-14, GRAD-15, GRAD-17: what members is told to check of the member.

    Graduates, approved requests, students who leave.
    """

    def placed(org):
        """Return the organisation as part of its school, if it is in one: 1.5 is the own, 1.6.20 another."""
        if org.path.startswith("1.5."):
            school = "1.5."
        elif org.industry == "普通高等院校" and org.path.startswith("1.6."):
            school = org.path
        else:
            school = ""
        return OrgFacts(
            **{name: getattr(org, name) for name in org.__dataclass_fields__ if name != "school_path"},
            school_path=school,
        )

    target = placed(PLACES[place]) if place else None
    assert domain.kind_of(asked(reason=reason, drop_out=drop_out), placed(source), target) == kind


@pytest.mark.rule("TYPE-18")
def test_dispatch_workers_go_to_either_company(seeded):
    """TYPE-18: a dispatched worker goes to the sending company, the using one, or the latter's township.

    Never to the township of the household.
    """
    sending, using = (
        OrgFacts(n, 6, f"1.6.{n}.", "committee", "ordinary", "31", "national", 1, 9, industry=industry)
        for n, industry in ((61, "国有企业"), (62, "非公企业"))
    )
    for company in (sending, using):
        assert check_request(asked(reason="employed_with_org", place_name="某公司"), SOURCE, company) is None
    town = next(org for org in seeded.values() if org.purpose == "handover" and org.province == "33")
    near = {"reason": "employed_without_org", "place_name": "用工单位"}
    assert check_request(asked(**near, place_division=town.division_code[:6]), SOURCE, town) is None
    assert check_request(asked(**near, place_division="420106"), SOURCE, town).code == "destination_forbidden"


@pytest.mark.rule("TYPE-21", "TYPE-14")
def test_members_is_told_and_the_trail_keeps_it(tx):
    """TYPE-21, TYPE-14: the kind goes to members with the request and is shown to who decides.

    It is kept when the transfer is started again.
    """
    tx.execute(sa.text("UPDATE org_directory SET industry = '普通高等院校' WHERE org_id IN (2, 3)"))
    tx.execute(sa.text("UPDATE org_directory SET industry = '国有企业' WHERE org_id IN (4, 5)"))
    drop, outward, inside = start(
        tx,
        request(member=901, reason="employed_with_org", drop_out=True),
        request(member=902, reason="ordinary"),
        request(member=903, reason="ordinary", source_branch_id=BRANCH, target=OTHER, actor=admin(BRANCH)),
    )
    kinds = {
        item["transfer_id"]: item["reason_kind"]
        for topic, item in events(tx)
        if topic == "transfer_requested"
    }
    assert kinds == {drop: "drop_out", outward: "outward", inside: "ordinary"}
    assert {
        one.transfer_id: one.reason_kind for one in handlers.list_work(tx, ListWork(), admin(TARGET)).items
    } == {drop: "drop_out", outward: "outward"}
    decide(tx, drop, TARGET, approve=False, reason_code="short_term")
    again = restart(tx, drop, admin(SCHOOL))
    assert again.refusal is None and store.one(tx, again.transfer_id).reason_kind == "drop_out"
