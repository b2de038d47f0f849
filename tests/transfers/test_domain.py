"""Starting and deciding: what is refused before anybody is asked."""

import uuid
from dataclasses import replace
from datetime import datetime

import pytest

from services.transfers import domain
from services.transfers.domain import OrgFacts, Place, check_decision, check_request, may_request
from services.transfers.policies import reader
from services.transfers.saga import State, Trigger
from shared.errors import Refusal
from shared.messages.transfers import AssignBranch, DecideNode, MoveBatch
from shared.messages.words import DestinationClass, Reason, Rejection, WorkOrder
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
            {"reason": "unemployed"},
            COMMITTEE,
            "unemployed_with_employer",
            marks=pytest.mark.rule("TYPE-03"),
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


PEER = org(20, 1, "committee", system="BJ")
TYPED = {"target_org_id": None, "target_name": "共青团某大学委员会"}


@pytest.mark.rule("FED-03", "FED-04", "BEY-20")
@pytest.mark.parametrize(
    "answer, target, code",
    [
        # the organisation that was chosen answers the question itself
        ("", COMMITTEE, None),
        ("", PEER, "target_peer"),
        ("national", COMMITTEE, None),
        ("BJ", PEER, "target_peer"),
        # an answer that it does not agree with
        ("national", PEER, "system_differs"),
        ("GD", PEER, "system_differs"),
        ("FJ", COMMITTEE, "system_differs"),
        # "yes" alone is no answer: one of the three is
        ("yes", COMMITTEE, "bad_request"),
    ],
)
@pytest.mark.parametrize("initiator", ["source", "member"])
def test_the_question(initiator, answer, target, code):
    """FED-03, FED-04, BEY-20: whoever starts out says to which system the target belongs, or chooses it."""
    refusal = check_request(request(initiator=initiator, target_system=answer), SOURCE, target)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("FED-03", "SPU-12")
@pytest.mark.parametrize(
    "said", [{"target_system": "BJ"}, {"target_system": "national"}, {"target_name": "某部"}]
)
def test_who_is_not_asked(said):
    """FED-03: transfer-in does not ask. SPU-12: special units do not."""
    assert check_request(request(initiator="target", **said), SOURCE, COMMITTEE).code == "bad_request"
    special = request(reason="special_unit", target_org_id=None, place_name="", remark="参军", **said)
    assert check_request(special, SOURCE, None).code == "target_forbidden"


@pytest.mark.rule("FED-04", "FED-06")
@pytest.mark.parametrize(
    "values, target, code",
    [
        ({**TYPED, "target_system": "GD"}, None, "target_peer"),
        ({**TYPED, "target_system": ""}, None, "system_missing"),
        ({**TYPED, "target_system": "national"}, None, "system_missing"),
        ({**TYPED, "target_system": "BJ", "target_org_id": 20}, PEER, "target_twice"),
        ({**TYPED, "target_system": "BJ", "target_name": " "}, None, "target_missing"),
    ],
)
def test_a_typed_name(values, target, code):
    """FED-06: what is not found in one of the three is named; FED-04: first it is said in which of them."""
    assert check_request(request(**values), SOURCE, target).code == code


@pytest.mark.rule("TRF-11")
def test_remark_of_exactly_the_limit():
    """TRF-11: 100 characters are allowed."""
    assert check_request(request(remark="字" * 100), SOURCE, COMMITTEE) is None


@pytest.mark.rule("TRF-13")
@pytest.mark.parametrize("length", range(1, 15))
def test_lengths_of_a_division(length):
    """TRF-13: a region is a code of 6, 9 or 12 digits."""
    refusal = check_request(
        request(place_division="420106001001"[:length].ljust(length, "1")), SOURCE, COMMITTEE
    )
    assert (refusal and refusal.code) == (None if length in (6, 9, 12) else "division_invalid")


@pytest.mark.rule("TYPE-21")
@pytest.mark.parametrize(
    "reason, source, expected",
    [
        ("employed_with_org", CLASS, None),
        ("abroad_study", CLASS, "drop_out_reason"),
        ("ordinary", CLASS, "drop_out_reason"),
        ("employed_with_org", SOURCE, "drop_out_reason"),
    ],
)
def test_who_drops_out(reason, source, expected):
    """TYPE-21: who leaves a school without a degree gives a graduates' reason, but none of study abroad."""
    asked = request(reason=reason, drop_out=True)
    refusal = check_request(asked, source, PLACES["employer"])
    assert (refusal and refusal.code) == expected


@pytest.mark.rule("ORG-04")
def test_source_is_a_branch():
    """ORG-04: only a branch holds members, so only a branch is a source."""
    assert check_request(request(), org(10, 1, "committee"), COMMITTEE).code == "not_a_branch"


@pytest.mark.rule("TYPE-01")
def test_eight_graduate_reasons():
    """TYPE-01: there are eight graduate reasons, and ordinary transfers."""
    assert sum(reason.graduate for reason in Reason) == 8
    assert not Reason("ordinary").graduate


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
        Rejection
    )
    assert check_decision(True, "", "") is None
    assert check_decision(False, "", "不同意").code == "reason_missing"
    assert check_decision(False, "other", " ").code == "reason_missing"
    assert check_decision(False, "other", "说明") is None
    assert all(check_decision(False, code, "x") is None for code in Rejection)
    assert check_decision(True, "", "字" * 201).code == "note_too_long"


@pytest.mark.rule("ORG-31")
def test_youth_centres():
    """ORG-31: a youth centre with an organisation is a destination where the policy says so."""
    centre = org(20, 1, "branch", "youth_centre")
    employed = request(reason="employed_without_org")
    assert check_request(employed, SOURCE, centre).code == "target_not_allowed"
    assert check_request(employed, SOURCE, centre, Place(youth_centres=True)) is None


@pytest.mark.rule("TRF-15", "ORG-31")
@pytest.mark.parametrize(
    "kind, purpose, centres, expected",
    [
        ("committee", "ordinary", False, None),
        ("branch", "ordinary", True, None),
        ("branch", "youth_centre", True, None),
        ("branch", "youth_centre", False, "target_not_allowed"),
        ("leading_body", "ordinary", False, "target_not_allowed"),
        ("branch", "vault", True, "target_not_allowed"),
    ],
)
def test_who_takes_somebody_in(kind, purpose, centres, expected):
    """TRF-15, ORG-31: committees and branches, and a youth centre where the policy says so."""
    assert code(domain.check_receives(org(20, 1, kind, purpose), Place(youth_centres=centres))) == expected


@pytest.mark.rule("FED-01")
@pytest.mark.parametrize(
    "initiator, source, target, expected",
    [
        ("source", "national", "national", None),
        ("target", "national", "national", None),
        ("source", "national", "BJ", None),
        ("member", "national", "BJ", None),
        ("target", "national", "BJ", "peer_starts"),
        ("source", "BJ", "national", "peer_starts"),
        ("target", "BJ", "national", "peer_starts"),
        ("source", "BJ", "GD", "peer_starts"),
        ("source", "national", "FJ", "target_peer"),
    ],
)
def test_who_goes_over_a_border(initiator, source, target, expected):
    """FED-01: whoever stands here is sent from here, over a bridge that there is; nobody is called over."""
    here, there = replace(SOURCE, system=source), replace(COMMITTEE, system=target)
    assert code(domain._check_border(initiator, here, there, {"BJ", "GD"})) == expected


@pytest.mark.rule("FED-06")
@pytest.mark.parametrize(
    "values, typed",
    [
        ({"target_org_id": None, "target_name": "共青团某大学委员会"}, True),
        ({"target_org_id": None, "target_name": " "}, False),
        ({"target_org_id": 20, "target_name": "共青团某大学委员会"}, False),
        ({"target_org_id": 20}, False),
    ],
)
def test_what_is_typed(values, typed):
    """FED-06: a target that was chosen is not typed, whatever stands beside it."""
    assert domain.is_typed(request(**values)) == typed


@pytest.mark.parametrize(
    "sort, expected", [("", None), *((one, None) for one in WorkOrder), ("size", "bad_request")]
)
def test_orders_of_a_list(sort, expected):
    """A list has the orders that its contract names; none is that of arrival."""
    refusal = domain.check_order(sort)
    assert code(refusal) == expected
    assert refusal is None or refusal.values["detail"].startswith("sort: ")


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
        assert DestinationClass(place).zh in refusal.say()


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


# ---- starting: what a request comes to ----------------------------------------------------------


def code(found):
    """Return the code of a refusal, None where there is none."""
    return getattr(found, "code", None)


SUMMER = ((5, 1), (12, 31))


@pytest.mark.rule("DL-10")
@pytest.mark.parametrize(
    "reason, missed, expected",
    [
        ("further_study", None, None),
        ("further_study", SUMMER, "outside_window"),
        ("ordinary", SUMMER, None),
        ("ordinary", None, None),
    ],
)
def test_the_season(reason, missed, expected):
    """DL-10: outside the window graduates' transfers are refused; ordinary ones are not."""
    refusal = domain.check_season(reason, missed)
    assert code(refusal) == expected
    assert refusal is None or refusal.values == {"begins": "5-1", "ends": "12-31"}


@pytest.mark.rule("TRF-05")
@pytest.mark.parametrize(
    "initiator, claims, expected",
    [
        ("target", {"sub": "1", "org": 20, "branch": 10}, None),
        ("target", {"sub": "2", "org": 20, "branch": 10}, "ticket_invalid"),
        ("target", {"sub": "1", "org": 21, "branch": 10}, "ticket_invalid"),
        ("target", {"sub": "1", "org": 20, "branch": 11}, "ticket_invalid"),
        ("target", {}, "ticket_invalid"),
        ("nobody", {}, "ticket_invalid"),
        ("member", {}, None),
        ("source", {}, None),
    ],
)
def test_tickets(initiator, claims, expected):
    """TRF-05: a start by the target follows its own look-up of this member in this branch."""
    assert code(domain.check_ticket(request(initiator=initiator), 20, claims)) == expected


@pytest.mark.rule("TRF-01", "DL-10")
@pytest.mark.parametrize(
    "values, person, acting, missed, expected",
    [
        ({}, 5, 11, None, None),
        ({}, 5, 11, SUMMER, "outside_window"),
        ({"remark": "字" * 101}, 5, 11, SUMMER, "remark_too_long"),
        ({}, 5, None, SUMMER, "outside_window"),
        ({}, 5, None, None, "not_administrator"),
        ({}, 5, 20, None, "not_your_org"),
        ({"initiator": "member"}, 1, None, None, None),
        ({"initiator": "member"}, 2, None, None, "not_your_member"),
    ],
)
def test_what_speaks_against_a_request(values, person, acting, missed, expected):
    """TRF-01, DL-10: first what is wrong with the request, then the season, then who asks."""
    found = domain.plan(request(**values), person, acting, SOURCE, COMMITTEE, missed=missed)
    assert code(found) == expected
    assert expected or isinstance(found, domain.Planned)


def test_without_a_source_there_is_no_plan():
    """Where there is no such branch, the request is refused before anything is asked of it."""
    assert domain.plan(request(), 5, 11, None, COMMITTEE).code == "unknown_org"


@pytest.mark.rule("SPU-05", "SPU-06", "TRF-16", "TRF-20")
@pytest.mark.parametrize(
    "values, target, origin_node, path",
    [
        ({}, COMMITTEE, True, "source:committee"),
        ({}, org(20), True, "source:branch"),
        ({}, org(20), False, "source:branch"),
        ({"initiator": "member"}, COMMITTEE, False, "member:committee"),
        ({}, replace(COMMITTEE, system="BJ"), True, "source:peer"),
        ({"target_org_id": None}, None, True, "source:committee"),
        ({"initiator": "member", "reason": "special_unit"}, None, True, "member:special"),
        ({"initiator": "member", "reason": "special_unit"}, None, False, "source:special"),
    ],
)
def test_the_path_of_a_request(values, target, origin_node, path):
    """TRF-16, TRF-20: the path follows from who starts and where it leads.

    SPU-05, SPU-06: to a special unit it may leave out the node of the member's own branch.
    """
    assert domain.planned(request(**values), SOURCE, target, origin_node=origin_node).path == path
    if origin_node:  # as it is where nothing else is said
        assert domain.planned(request(**values), SOURCE, target).path == path


@pytest.mark.rule("BEY-01")
@pytest.mark.parametrize(
    "place, concern",
    [("employer", "employer"), ("school", "")],
)
def test_what_the_starter_was_warned_of(place, concern):
    """BEY-01: the class of destination that was questioned and confirmed is kept with the transfer."""
    found = domain.plan(request(confirmed=True), 5, CLASS.org_id, CLASS, PLACES[place])
    assert (found.concern, found.reason_kind, found.destination) == (concern, "graduate", "committee")
    assert (found.source, found.target) == (CLASS, PLACES[place])


@pytest.mark.rule("FED-06")
def test_nobody_is_warned_of_what_was_typed():
    """FED-06: what was not found is of no class yet, so there is nothing to question."""
    typed = request(confirmed=True, target_org_id=None, target_name="共青团某公司委员会", target_system="BJ")
    there = replace(PLACES["employer"], system="BJ")
    found = domain.plan(typed, 5, CLASS.org_id, CLASS, there, Place(peers=frozenset({"BJ"})))
    assert (found.concern, found.destination) == ("", "peer")


@pytest.mark.rule("TRF-02", "BEY-03")
@pytest.mark.parametrize(
    "initiator, held_in, expected",
    [
        ("source", 10, "transfer_open"),
        ("source", 11, "member_elsewhere"),
        ("target", 11, "member_elsewhere"),
        ("batch", 11, "member_elsewhere"),
        ("member", 11, "transfer_open"),
        ("source", None, "transfer_open"),
    ],
)
def test_a_second_start(initiator, held_in, expected):
    """TRF-02: beside an open transfer no other is started.

    BEY-03: those who name a branch that the member is not leaving are told only that.
    """
    assert domain.second_start(initiator, 10, held_in).code == expected


@pytest.mark.rule("TRF-21")
@pytest.mark.parametrize(
    "senders, expected",
    [([], None), ([5], None), ([5, 5], None), ([6], "command_taken"), ([5, 6], "command_taken")],
)
def test_a_command_belongs_to_its_sender(senders, expected):
    """TRF-21: a command is answered again to whoever has sent it, and to nobody else."""
    assert code(domain.check_repeated(senders, 5)) == expected


# ---- batch moves --------------------------------------------------------------------------------


def batch(**values):
    return MoveBatch(
        **{
            "command_id": uuid.uuid4(),
            "source_branch_id": 40,
            "member_ids": [1, 2, 3],
            "target_branch_id": 41,
            **values,
        }
    )


def below(org_id, kind="branch", purpose="ordinary", path=None):
    return OrgFacts(org_id, 20, path or f"1.20.{org_id}.", kind, purpose, "42", "national", 1, 9)


TREE = {
    20: OrgFacts(20, 1, "1.20.", "committee", "ordinary", "42", "national", 1, 9),
    21: OrgFacts(21, 1, "1.21.", "committee", "ordinary", "42", "national", 1, 9),
    40: below(40),
    41: below(41),
    42: below(42, "general_branch"),
    43: below(43, purpose="graduate"),
    44: below(44, path="1.21.44."),
}


@pytest.mark.rule("BATCH-01", "BATCH-03", "BATCH-04", "BATCH-07")
@pytest.mark.parametrize(
    "values, acting, expected",
    [
        ({}, 20, None),
        ({}, None, "not_administrator"),
        ({}, 40, "batch_by_committee"),
        ({}, 99, "batch_by_committee"),
        ({"source_branch_id": 99}, 20, "unknown_org"),
        ({"target_branch_id": 99}, 20, "unknown_org"),
        ({"source_branch_id": 42}, 20, "not_a_branch"),
        ({"target_branch_id": 42}, 20, "not_a_branch"),
        ({"source_branch_id": 44}, 20, "batch_branches"),
        ({"target_branch_id": 44}, 20, "batch_branches"),
        ({}, 21, "batch_branches"),
        ({"member_ids": []}, 20, "batch_size"),
        ({"member_ids": [1]}, 20, None),
        ({"member_ids": [1, 1]}, 20, "batch_size"),
        ({"member_ids": list(range(1, 31))}, 20, None),
        ({"member_ids": list(range(1, 32))}, 20, "batch_size"),
        ({"target_branch_id": 40}, 20, "same_org"),
        ({"target_branch_id": 43}, 20, "target_not_allowed"),
        ({"reason": "holiday"}, 20, "unknown_reason"),
        ({"remark": "字" * 101}, 20, "remark_too_long"),
    ],
)
def test_batches(values, acting, expected):
    """BATCH-01, BATCH-03, BATCH-04: at most 30 members, by a committee kind, between branches below it.

    BATCH-07: what holds for a single transfer holds here, too.
    """
    refusal = domain.check_batch(batch(**values), TREE, acting)
    assert code(refusal) == expected
    assert expected != "batch_size" or refusal.values == {"limit": "30"}


@pytest.mark.rule("BATCH-07", "TYPE-05")
def test_a_batch_fills_the_mobile_branch():
    """BATCH-07, TYPE-05: a committee moves members into the school's mobile branch, which no starter may."""
    school = OrgFacts(5, 1, "1.5.", "committee", "ordinary", "42", "national", 1, 9)
    mobile = PLACES["own_mobile"]
    tree = {5: school, 10: CLASS, 20: mobile}
    study = {"reason": "further_study", "place_name": "某大学", "place_address": "某地"}
    item = batch(source_branch_id=10, target_branch_id=20, **study)
    assert domain.check_batch(item, tree, 5) is None
    handover = replace(PLACES["handover"], path="1.5.21.", org_id=21)
    work = {**study, "reason": "employed_with_org", "place_division": "420106"}
    unusual = batch(source_branch_id=10, target_branch_id=21, **work)
    assert domain.check_batch(unusual, tree | {21: handover}, 5) is None, "no warning is to be confirmed"
    assert check_request(request(**work), CLASS, handover).code == "destination_unusual"
    assert check_request(domain.request_of(item, 1), CLASS, mobile).code == "bad_request"
    assert check_request(request(), CLASS, mobile).code == "destination_forbidden"


@pytest.mark.rule("BATCH-05", "TRF-02", "DL-10")
@pytest.mark.parametrize(
    "values, held, missed, members, busy, expected",
    [
        ({}, {}, None, [1, 2, 3], {}, None),
        ({}, {2: 40}, None, [], {2: "transfer_open"}, "batch_stopped"),
        ({}, {2: 7}, None, [], {2: "member_elsewhere"}, "batch_stopped"),
        ({}, {4: 40}, None, [1, 2, 3], {}, None),
        ({"skip": True}, {2: 40}, None, [1, 3], {2: "transfer_open"}, None),
        ({"skip": True}, {}, None, [1, 2, 3], {}, None),
        (
            {"skip": True},
            dict.fromkeys((1, 2, 3), 40),
            None,
            [],
            dict.fromkeys((1, 2, 3), "transfer_open"),
            "batch_stopped",
        ),
        ({"target_branch_id": 40}, {2: 40}, None, [], {}, "same_org"),
        ({"reason": "unemployed", "place_address": "某地"}, {2: 40}, SUMMER, [], {}, "outside_window"),
        ({}, {}, SUMMER, [1, 2, 3], {}, None),
    ],
)
def test_who_moves_with_a_batch(values, held, missed, members, busy, expected):
    """BATCH-05, TRF-02: whoever has an open transfer stops the batch, or is skipped where others are left.

    DL-10: graduates move in their window. Where nobody may be moved, nothing is told of anybody.
    """
    found = domain.plan_batch(batch(**values), TREE, 20, held, missed)
    assert list(found.members) == members
    assert {member: refusal.code for member, refusal in found.busy.items()} == busy
    assert code(found.refusal) == expected


@pytest.mark.rule("BATCH-02", "BATCH-06")
def test_each_member_of_a_batch_has_a_request():
    """BATCH-06: each member has a request of their own, whose id is the same each time.

    BATCH-02: it takes the path without approvals.
    """
    item = batch(remark="并班", place_division="420106")
    one, again, other = (domain.request_of(item, member) for member in (1, 1, 2))
    assert one == again
    assert len({one.command_id, other.command_id, item.command_id}) == 3
    assert (one.member_id, one.source_branch_id, one.target_org_id) == (1, 40, 41)
    assert (one.reason, one.remark, one.place_division) == ("ordinary", "并班", "420106")
    assert domain.planned(one, TREE[40], TREE[41]).path == "batch:branch"


# ---- deciding -----------------------------------------------------------------------------------


@pytest.mark.rule("ROLE-04", "TRF-33")
def test_who_is_told_of_what():
    """ROLE-04: administrators act for their organisation. TRF-33: a transfer is its parties' alone."""
    assert domain.check_acting(True) is None
    assert domain.check_acting(False).code == "not_administrator"
    assert domain.check_party(True) is None
    assert domain.check_party(False).code == "unknown_transfer"


@pytest.mark.rule("TRF-21", "TRF-28", "SPU-09", "ASG-02")
@pytest.mark.parametrize(
    "trigger, state, facts, expected",
    [
        (Trigger.APPROVE, State.COMPLETED, {"decides": True}, "transfer_ended"),
        (Trigger.APPROVE, State.CHECKING, {"decides": True}, "still_checking"),
        (Trigger.APPROVE, State.MOVING, {"decides": True}, "node_closed"),
        (Trigger.WITHDRAW, State.MOVING, {"withdraw": "yes"}, "too_late_to_withdraw"),
        (Trigger.WITHDRAW, State.OUT, {"withdraw": "no"}, "too_late_to_withdraw"),
        (Trigger.WITHDRAW, State.OUT, {"withdraw": "yes"}, "not_initiator"),
        (Trigger.WITHDRAW, State.OUT, {"withdraw": "yes_own", "decides": True}, "not_initiator"),
        (Trigger.APPROVE, State.OUT, {}, "not_your_node"),
        (Trigger.REJECT, State.OUT, {}, "not_your_node"),
        (Trigger.ASSIGN, State.ASSIGN, {"back": True}, "not_your_node"),
        (Trigger.APPROVE, State.OUT, {"decides": True}, "node_closed"),
        (Trigger.APPROVE, State.PROVINCE, {"decides": True, "note": " "}, "letter_missing"),
        (Trigger.APPROVE, State.PROVINCE, {"decides": True, "note": "介绍信第1号"}, "node_closed"),
        (Trigger.REJECT, State.PROVINCE, {"decides": True}, "node_closed"),
        (Trigger.ASSIGN, State.ASSIGN, {"decides": True, "back": True}, "same_org"),
        (Trigger.ASSIGN, State.ASSIGN, {"decides": True}, "branch_not_below"),
    ],
)
def test_why_nothing_has_moved(trigger, state, facts, expected):
    """TRF-21, TRF-28: what the state forbids is said first, then whose node it is, then what is wrong.

    SPU-09: a special unit needs a letter. ASG-02: nobody is assigned to the branch that they leave.
    """
    assert domain.why_not(trigger, state, **facts).code == expected


@pytest.mark.rule("FED-09")
@pytest.mark.parametrize(
    "trigger, state, withdraw, expected",
    [
        (Trigger.WITHDRAW, State.REMOTE, None, "peer_withdrawal"),
        (Trigger.WITHDRAW, State.OUT, "no", "peer_withdrawal"),
        (Trigger.WITHDRAW, State.OUT, "yes", "not_initiator"),
        (Trigger.WITHDRAW, State.MOVING, None, "too_late_to_withdraw"),
        (Trigger.REJECT, State.OUT, None, "not_your_node"),
    ],
)
def test_what_crosses_a_border_is_not_withdrawn(trigger, state, withdraw, expected):
    """FED-09: at no node, unless the policy lets it be; the check and the end have words of their own."""
    assert domain.why_not(trigger, state, withdraw=withdraw, crosses=True).code == expected


@pytest.mark.rule("ASG-07")
@pytest.mark.parametrize(
    "was, bare, expected",
    [
        ("branch_not_below", True, "no_branch_yet"),
        ("branch_not_below", False, "branch_not_below"),
        ("same_org", True, "same_org"),
        (None, True, None),
    ],
)
def test_a_committee_without_a_branch(was, bare, expected):
    """ASG-07: whoever has no branch to assign to is told that, and not that another one is needed."""
    refusal = Refusal(was) if was else None
    assert domain.is_astray(refusal) == (was == "branch_not_below")
    assert code(domain.without_branch(refusal, bare)) == expected


@pytest.mark.rule("TRF-33")
@pytest.mark.parametrize(
    "state, initiator, readers",
    [
        ("pending_in", "source", {7, 1, 2, 3, 4}),
        ("completed", "member", {7, 1, 2, 3, 4}),
        ("checking", "source", {7, 1, 2}),
        ("refused", "source", {7, 1, 2}),
        ("checking", "target", {7}),
        ("refused", "member", {7}),
    ],
)
def test_readers(state, initiator, readers):
    """TRF-33: the parties read a transfer; one that never held its member is for the starter's side."""
    assert domain.readers_of(state, initiator, 7, (1, 2), (3, 4)) == readers


@pytest.mark.rule("TRF-28")
@pytest.mark.parametrize(
    "withdraw, initiator, is_member, is_starter, may",
    [
        ("yes", "source", False, True, True),
        ("yes_own", "source", False, True, True),
        ("yes", "source", True, False, True),
        ("yes_own", "source", True, False, False),
        ("yes_own", "member", True, False, True),
        ("yes", "member", False, False, False),
        ("no", "member", True, True, False),
        (None, "member", True, True, False),
    ],
)
def test_who_may_withdraw(withdraw, initiator, is_member, is_starter, may):
    """TRF-28: the starter's side and the member withdraw, as far as the node lets them."""
    assert domain.may_withdraw(withdraw, initiator, is_member, is_starter) is may


# ---- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side, expected", [("source", None), ("target", None), ("both", "bad_request")])
def test_sides(side, expected):
    """Lists are kept of what leads out and of what leads in, and of nothing else."""
    refusal = domain.check_side(side)
    assert code(refusal) == expected
    assert refusal is None or refusal.values == {"detail": "side: source, target"}


@pytest.mark.parametrize("after", ["", "~", "2026-07-01~7", "2026-07-01T00:00:00+00:00", "~7", "now~7"])
def test_cursors(after):
    """A cursor is an instant and an id; anything else is a malformed request."""
    found = domain.place_in_list(after)
    if after == "2026-07-01~7":
        assert found == (datetime(2026, 7, 1), 7)
    else:
        assert found.code == "bad_request"
        assert found.values == {"detail": "after"}


@pytest.mark.rule("BEY-06")
def test_common_superior():
    """BEY-06: the lowest organisation above both sides; one of them, where it stands above the other."""

    def at(path):
        return OrgFacts(1, None, path, "branch", "ordinary", "42", "national", 1, 9)

    assert domain.common_superior(at("1.2.3."), at("1.4.5.")) == 1
    assert domain.common_superior(at("1.2.3."), at("1.2.5.")) == 2
    assert domain.common_superior(at("1.2."), at("1.2.5.")) == 2
    # 2 and 23 begin alike: the path is compared id by id, not letter by letter.
    assert domain.common_superior(at("1.2.3."), at("1.23.5.")) == 1
    assert domain.common_superior(at("1.2."), at("3.4.")) == 0
    assert domain.common_superior(at("1.2.3."), at("1.2.3.")) == 3


@pytest.mark.parametrize("length, expected", [(200, None), (201, "note_too_long")])
def test_the_longest_note(length, expected):
    """TRF-24: a note has at most 200 characters."""
    assert code(domain.check_decision(True, "", "好" * length)) == expected


@pytest.mark.rule("SPU-06")
def test_the_own_branch_is_asked_unless_a_policy_says_otherwise():
    """SPU-06: by default the way to a special unit begins at the own branch."""
    assert domain.Place().origin_node is True
