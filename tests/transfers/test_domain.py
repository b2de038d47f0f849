"""Starting and deciding: what is refused before anybody is asked."""

import pytest

from services.transfers import domain
from services.transfers import reasons as transfers_reasons
from services.transfers.domain import OrgFacts, Place, check_decision, check_request, may_request
from services.transfers.policies import reader
from services.transfers.reasons import reasons
from shared.messages.transfers import AssignBranch, DecideNode
from tests.transfers.domain_factories import CLASS, PLACES, request


def org(org_id=10, parent_id=1, kind="branch", purpose="ordinary", system="national"):
    return OrgFacts(org_id, parent_id, f"1.{org_id}.", kind, purpose, "42", system, 1, 9)


SOURCE, COMMITTEE = org(10, 11), org(20, 1, "committee")


@pytest.mark.rule("TRF-15", "TRF-14")
@pytest.mark.parametrize(
    "kind, allowed",
    [
        ("committee", True),
        ("work_committee", True),
        ("general_branch", True),
        ("branch", True),
        ("leading_body", False),
    ],
)
def test_kinds_of_target(kind, allowed):
    """TRF-14, TRF-15: committee kinds and branches are targets, leading bodies are not."""
    refusal = check_request(request(), SOURCE, org(20, 1, kind))
    assert (refusal is None) == allowed
    assert allowed or refusal.code == "target_not_allowed"


@pytest.mark.parametrize(
    "values, target, code",
    [
        pytest.param({"target_org_id": 10}, SOURCE, "same_org", marks=pytest.mark.rule("TRF-40")),
        pytest.param({"target_org_id": None}, None, "target_missing", marks=pytest.mark.rule("TRF-10")),
        pytest.param({}, None, "unknown_org", marks=pytest.mark.rule("ORG-01")),
        pytest.param({"reason": "holiday"}, COMMITTEE, "unknown_reason", marks=pytest.mark.rule("TYPE-01")),
        pytest.param({"remark": "字" * 101}, COMMITTEE, "remark_too_long", marks=pytest.mark.rule("TRF-11")),
        pytest.param(
            {"place_name": " "}, COMMITTEE, "field_missing", marks=pytest.mark.rule("TYPE-04", "UI-14")
        ),
        pytest.param(
            {"reason": "employed_with_org", "place_address": ""},
            COMMITTEE,
            "field_missing",
            marks=pytest.mark.rule("TYPE-08"),
        ),
        pytest.param(
            {"reason": "unemployed", "place_address": ""},
            COMMITTEE,
            "field_missing",
            marks=pytest.mark.rule("TYPE-15"),
        ),
        pytest.param(
            {}, org(20, 1, "branch", "handover"), "further_study_township", marks=pytest.mark.rule("TYPE-06")
        ),
        pytest.param(
            {},
            org(20, 1, "committee", "township"),
            "further_study_township",
            marks=pytest.mark.rule("TYPE-06"),
        ),
        pytest.param(
            {"reason": "abroad_study"},
            org(20, 1, "branch"),
            "abroad_study_target",
            marks=pytest.mark.rule("TYPE-14"),
        ),
        pytest.param(
            {"reason": "special_unit"}, COMMITTEE, "target_forbidden", marks=pytest.mark.rule("SPU-02")
        ),
        pytest.param(
            {"reason": "special_unit", "target_org_id": None},
            None,
            "remark_missing",
            marks=pytest.mark.rule("SPU-03"),
        ),
        pytest.param(
            {"reason": "special_unit", "target_org_id": None, "initiator": "target", "remark": "参军"},
            None,
            "special_by_target",
            marks=pytest.mark.rule("SPU-04"),
        ),
        pytest.param(
            {}, org(20, 1, "committee", system="BJ"), "target_peer", marks=pytest.mark.rule("FED-01")
        ),
        pytest.param(
            {}, org(20, 1, "branch", "graduate"), "target_not_allowed", marks=pytest.mark.rule("ASG-02")
        ),
        pytest.param({"initiator": "nobody"}, COMMITTEE, "bad_request", marks=pytest.mark.rule("TRF-01")),
    ],
)
def test_refused_requests(values, target, code):
    """Each wrong request has its own refusal, by the rule in its marker."""
    assert check_request(request(**values), SOURCE, target).code == code


@pytest.mark.rule("TRF-11")
def test_remark_of_exactly_the_limit():
    """TRF-11: 100 characters are allowed."""
    assert check_request(request(remark="字" * 100), SOURCE, COMMITTEE) is None


@pytest.mark.rule("ORG-04")
def test_source_is_a_branch():
    """ORG-04: only a branch holds members, so only a branch is a source."""
    assert check_request(request(), org(10, 1, "committee"), COMMITTEE).code == "not_a_branch"


@pytest.mark.rule("TYPE-01")
def test_eight_graduate_reasons():
    """TYPE-01: there are eight graduate reasons, and ordinary transfers."""
    assert sum(reason.graduate for reason in reasons().values()) == 8
    assert not reasons()["ordinary"].graduate


@pytest.mark.rule("TRF-01", "TRF-03", "TRF-04", "TRF-07", "TRF-08", "TRF-09", "ROLE-16")
@pytest.mark.parametrize(
    "initiator, person, acting, allowed",
    [
        ("source", 5, 10, True),
        ("source", 5, 11, True),
        ("source", 5, 1, False),
        ("source", 5, 20, False),
        ("source", 5, None, False),
        ("target", 5, 20, True),
        ("target", 5, 1, False),
        ("target", 5, 10, False),
        ("target", 5, None, False),
        ("member", 1, None, True),
        ("member", 2, None, False),
        ("member", 2, 10, False),
    ],
)
def test_who_may_start(initiator, person, acting, allowed):
    """TRF-01: the source branch or its direct superior, the target itself, or the member; nobody else.

    TRF-03: a branch starts out and in; TRF-08: a superior for its branch's members.
    """
    assert (may_request(request(initiator=initiator), person, acting, SOURCE, COMMITTEE) is None) == allowed


@pytest.mark.rule("TRF-01", "BATCH-02")
@pytest.mark.parametrize("initiator", ["batch", "nobody", "", "SOURCE", "target ", "Member"])
def test_who_is_no_starter_starts_nothing(initiator):
    """TRF-01, BATCH-02: source, target and member are all who start by asking.

    An initiator that claims to be something else is refused by each check alone.
    """
    for acting in (10, 11, 20, 1, None):
        assert may_request(request(initiator=initiator), 1, acting, SOURCE, COMMITTEE) is not None
    assert check_request(request(initiator=initiator), SOURCE, COMMITTEE).code == "bad_request"


@pytest.mark.rule("TRF-16")
@pytest.mark.parametrize(
    "starter, destination",
    [("batch", "committee"), ("batch", "special"), ("target", "special"), ("nobody", "branch")],
)
def test_no_path_no_transfer(starter, destination):
    """TRF-16: a transfer without a path of Annex B cannot be made, so none can hold its member for ever."""
    with pytest.raises(ValueError, match=starter):
        domain.path_of(starter, domain.Destination(destination))


@pytest.mark.rule("TRF-24", "TRF-27", "TYPE-11")
def test_rejection_needs_a_reason():
    """TRF-24, TRF-27: a rejection carries a reason of the list, `other` carries words.

    An approval needs neither.

    TYPE-11: who works elsewhere is one of them.
    """
    assert {"work_elsewhere", "household_elsewhere", "not_here", "short_term", "wrong_data", "other"} == set(
        transfers_reasons.REJECTION_REASONS
    )
    assert check_decision(True, "", "") is None
    assert check_decision(False, "", "不同意").code == "reason_missing"
    assert check_decision(False, "other", " ").code == "reason_missing"
    assert check_decision(False, "other", "说明") is None
    assert all(check_decision(False, code, "x") is None for code in transfers_reasons.REJECTION_REASONS)
    assert check_decision(True, "", "字" * 201).code == "note_too_long"


@pytest.mark.rule("ORG-31")
def test_youth_centres():
    """ORG-31: a youth centre with an organisation is a destination where the policy says so."""
    centre = org(20, 1, "branch", "youth_centre")
    employed = request(reason="employed_without_org")
    assert check_request(employed, SOURCE, centre).code == "target_not_allowed"
    assert check_request(employed, SOURCE, centre, Place(youth_centres=True)) is None


ANNEX_A = {  # written by hand from the catalogue; what is missing is allowed
    "further_study": {
        "township": "X",
        "handover": "X",
        "community": "X",
        "own_mobile": "X",
        "own_abroad": "X",
        "employer": "?",
    },
    "employed_with_org": {
        "township": "?",
        "handover": "?",
        "community": "?",
        "own_mobile": "X",
        "own_abroad": "X",
        "own_class": "X",
    },
    "employed_without_org": {"school": "X", "own_mobile": "X", "own_abroad": "X", "own_class": "X"},
    "abroad_on_duty": {"own_mobile": "X", "own_abroad": "X", "own_class": "X"},
    "abroad_private": {
        "employer": "?",
        "school": "X",
        "own_mobile": "X",
        "own_abroad": "X",
        "own_class": "X",
    },
    "abroad_study": {place: "X" for place in PLACES if place != "own_abroad"},
    "unemployed": {"employer": "?", "school": "X", "own_mobile": "X", "own_abroad": "X", "own_class": "X"},
    "ordinary": {"own_abroad": "X"},
}


@pytest.mark.rule(
    "TYPE-04",
    "TYPE-05",
    "TYPE-06",
    "TYPE-07",
    "TYPE-08",
    "TYPE-09",
    "TYPE-12",
    "TYPE-13",
    "TYPE-14",
    "TYPE-15",
    "TYPE-25",
)
@pytest.mark.parametrize("reason", ANNEX_A)
@pytest.mark.parametrize("place", PLACES)
def test_destinations(reason, place):
    """TYPE-04..15, TYPE-25: each reason and class of destination is refused, questioned, or allowed.

    Questioned means that the starter has to confirm it.
    """
    assert domain.class_of(CLASS, PLACES[place]) == place
    given = {
        "reason": reason,
        "place_name": "" if reason == "unemployed" else "某处",
        "place_division": "420106",
    }
    expected = ANNEX_A[reason].get(place, "")
    refusal = check_request(request(**given), CLASS, PLACES[place])
    confirmed = check_request(request(**given, confirmed=True), CLASS, PLACES[place])
    # X: refused in any case; ?: refused until it is confirmed; nothing: allowed.
    outcomes = {"X": (False, False), "?": (False, True), "": (True, True)}
    assert (refusal is None, confirmed is None) == outcomes[expected]
    if expected == "?":
        assert refusal.code == "destination_unusual"
        assert transfers_reasons.CLASSES[place][0] in refusal.say()


@pytest.mark.rule("TYPE-10", "TRF-13")
def test_employed_is_not_sent_home():
    """TYPE-10: a member who works elsewhere is not sent to a township there.

    By policy 004 that is possible after confirmation. The place is known by its division code.

    TRF-13: the region is a code of 6, 9 or 12 digits.
    """

    def ask(division, confirmed=False, **place):
        return check_request(
            request(
                reason="employed_without_org",
                place_name="某公司",
                place_division=division,
                confirmed=confirmed,
            ),
            CLASS,
            PLACES["township"],
            Place(**place),
        )

    assert ask("420106") is None
    assert ask("").code == "division_missing"
    assert ask("310101").code == "destination_forbidden"
    assert "工作地以外" in ask("310101").say()
    later = reader.read("p004").destinations
    assert ask("310101", modes=later).code == "destination_unusual"
    assert ask("310101", True, modes=later).code == "household_remark"
    assert ask("31").code == "division_invalid"


@pytest.mark.rule("TYPE-05")
def test_where_the_new_student_waits():
    """TYPE-05: by the policy of 2023 a member in further study may wait in the mobile branch.

    That is the own school's; otherwise the member stays where it is.
    """
    assert check_request(request(), CLASS, PLACES["own_mobile"]).code == "destination_forbidden"
    assert (
        check_request(request(), CLASS, PLACES["own_mobile"], Place(modes=reader.read("p004").destinations))
        is None
    )


@pytest.mark.rule("SPU-08")
def test_nobody_starts_out_of_the_library():
    """SPU-08: members in the special-unit library start nothing themselves; the province does it for them."""
    vault = org(10, 1, "branch", "vault")
    assert check_request(request(initiator="member", reason="ordinary"), vault, COMMITTEE).code == "in_vault"
    assert check_request(request(reason="ordinary"), vault, COMMITTEE) is None
    assert may_request(request(), 5, 1, vault, COMMITTEE) is None


@pytest.mark.rule("TYPE-02")
def test_approvers_have_no_reason_to_change():
    """TYPE-02: a decision carries no reason of the transfer, so no approver can change it."""
    assert "reason" not in DecideNode.__struct_fields__ and "reason" not in AssignBranch.__struct_fields__


@pytest.mark.rule("ASG-02")
def test_what_takes_assignments():
    """ASG-02: an ordinary branch below the target takes assignments, at any depth.

    No committee, no graduates', awaiting or library branch, none elsewhere, none that is gone.
    """

    def branch(kind="branch", purpose="ordinary", path="1.20.30.40."):
        return OrgFacts(40, 30, path, kind, purpose, "42", "national", 1, 9)

    target = OrgFacts(20, 1, "1.20.", "committee", "ordinary", "42", "national", 1, 9)
    assert domain.is_assignable(branch(), target)
    assert domain.is_assignable(branch(purpose="handover"), target)
    for wrong in (
        branch("committee"),
        branch(path="1.21.40."),
        *(branch(purpose=one) for one in ("graduate", "awaiting", "vault")),
    ):
        assert not domain.is_assignable(wrong, target)
    assert not domain.is_assignable(None, target)
    assert not domain.is_assignable(branch(), None)


@pytest.mark.rule("SPU-09", "DOC-03")
def test_where_a_letter_is_missing():
    """SPU-09, DOC-03: an approval at the provincial node names the letter; blanks are no name.

    Other nodes need none.
    """
    assert domain.lacks_letter("pending_province", "")
    assert domain.lacks_letter("pending_province", " ")
    assert not domain.lacks_letter("pending_province", "介绍信第1号")
    assert not domain.lacks_letter("pending_in", "")


@pytest.mark.rule("SPU-02")
def test_what_a_target_is_for_the_path():
    """SPU-02: a special unit whatever the target, a branch, or a committee kind."""
    assert domain.destination_of(request(reason="special_unit"), None) == "special"
    assert domain.destination_of(request(), COMMITTEE) == "committee"
    assert domain.destination_of(request(), SOURCE) == "branch"
