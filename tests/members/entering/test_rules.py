"""The rules of entering people without a database."""

import uuid
from datetime import date

import pytest

from services.members.domain import Deleted, Known
from services.members.entering import rules
from services.members.entering.rules import Entrant, There
from shared.messages.members import Admission
from tests.members.factories import CLASS, TARGET, number

TODAY = date(2026, 7, 1)


def code(refusal):
    return refusal and refusal.code


def codes(refused):
    return {n: refusal.code for n, refusal in refused.items()}


# ---- where, and which data -----------------------------------------------------------------------


@pytest.mark.rule("MEM-29", "IMP-11", "ORG-04")
@pytest.mark.parametrize(
    "kind, administers, near, said",
    [
        ("branch", True, True, None),
        ("branch", True, False, "not_your_org"),
        ("branch", False, True, "not_administrator"),
        ("branch", False, False, "not_administrator"),
        ("committee", True, True, "branch_unknown"),
        (None, True, True, "branch_unknown"),
        (None, False, False, "branch_unknown"),
    ],
)
def test_check_place(kind, administers, near, said):
    """MEM-29, IMP-11, ORG-04: into a branch, by an administrator of the branch or its direct superior."""
    assert code(rules.check_place(kind, administers, near)) == said


GOOD = {
    "name": "王一",
    "id_number": number(1),
    "joined_on": date(2020, 5, 4),
    "development_number": "202000000001",
    "post": "",
}


@pytest.mark.rule("IMP-08", "MEM-04", "MEM-05", "MEM-08", "MEM-10", "MEM-11", "CADRE-05")
@pytest.mark.parametrize(
    "values, said",
    [
        ({}, None),
        ({"name": " 王一 ", "id_number": f" {number(1)}", "development_number": " 202000000001 "}, None),
        ({"name": ""}, "name_missing"),
        ({"name": "王1"}, "name_invalid"),
        ({"name": "", "post": "chief"}, "name_missing"),
        ({"post": "organiser"}, None),
        ({"post": " organiser "}, None),
        ({"post": "standing_member"}, "post_unknown"),
        ({"post": "standing_member", "id_number": "1"}, "post_unknown"),
        ({"id_number": "1"}, "id_invalid"),
        ({"id_number": number(1, 1990)}, "age_out_of_range"),
        ({"id_number": number(1, 1990), "post": "organiser"}, None),
        ({"joined_on": None}, "joined_on_missing"),
        ({"joined_on": None, "post": "organiser"}, None),
        ({"joined_on": date(2017, 12, 1), "development_number": "201700000001"}, "joined_too_young"),
        ({"development_number": ""}, "development_number_missing"),
        ({"development_number": "201900000001"}, "development_number_year"),
        ({"development_number": "202000000010"}, "number_out_of_range"),
    ],
)
def test_check_entry(values, said):
    """IMP-08, MEM-04..12, CADRE-05: name, post, ID number, ages and development number, in this order."""
    item = Admission(command_id=uuid.uuid4(), branch_id=CLASS, **{**GOOD, **values})
    issued = {("42", 2020): [("202000000001", "202000000009")]}
    assert code(rules.check_entry(item, "branch", "42", issued, TODAY)) == said


@pytest.mark.rule("MEM-06", "MEM-11", "REG-08")
@pytest.mark.parametrize(
    "kind, province, post, said",
    [
        ("branch", "42", "", "joined_too_young"),
        ("branch", "65", "", None),
        ("leading_body", "65", "standing_member", None),
        ("leading_body", "65", "organiser", "post_unknown"),
    ],
)
def test_an_entry_goes_by_kind_and_province(kind, province, post, said):
    """MEM-06, MEM-11, REG-08: limits and ranges go by province, posts by kind of organisation."""
    values = {"id_number": number(1, 2006), "joined_on": date(2019, 5, 4), "post": post}
    values["development_number"] = "201900000001"
    item = Admission(command_id=uuid.uuid4(), branch_id=CLASS, **{**GOOD, **values})
    issued = {("42", 2019): [("201900000005", "201900000009")]}
    assert code(rules.check_entry(item, kind, province, issued, TODAY)) == said


# ---- what is there already -----------------------------------------------------------------------

ONE, TWO = b"one", b"two"


@pytest.mark.rule("ACC-11", "REG-05", "REG-06", "ORG-20", "TRF-36")
@pytest.mark.parametrize(
    "known, deleted, said",
    [
        (None, None, None),
        (Known(7, "王一"), None, None),
        (Known(7, "王二"), None, "id_registered"),
        (Known(7, "王一", CLASS), None, "id_registered"),
        (Known(7, "王一", TARGET), None, "id_registered"),
        (Known(7, "王一", None, True), None, "registration_pending"),
        (Known(7, "王二", CLASS, True), None, "registration_pending"),
        (None, Deleted("王一", TARGET), "deleted_elsewhere"),
        (None, Deleted("王一", CLASS), None),
        (None, Deleted("王二", TARGET), None),
        (Known(7, "王一"), Deleted("王一", TARGET), "deleted_elsewhere"),
        (Known(7, "王二"), Deleted("王一", TARGET), "id_registered"),
        (Known(7, "王一", None, True), Deleted("王一", TARGET), "registration_pending"),
    ],
)
def test_check_person(known, deleted, said):
    """ACC-11, REG-05, REG-06, TRF-36: nobody twice, nobody who waits elsewhere, nobody to save a transfer.

    Somebody known who is in no branch, and somebody deleted from this very branch, is entered.
    """
    assert code(rules.check_person(Entrant(ONE, "王一", CLASS), known, deleted)) == said


@pytest.mark.rule("TRF-36")
@pytest.mark.parametrize(
    "deleted, elsewhere",
    [
        (None, False),
        (Deleted("王一", TARGET), True),
        (Deleted("王一", CLASS), False),
        (Deleted("王二", TARGET), False),
    ],
)
def test_was_deleted_elsewhere(deleted, elsewhere):
    """TRF-36: it is the same person by name as well, and another branch."""
    assert rules.was_deleted_elsewhere(deleted, "王一", CLASS) == elsewhere


def entrant(index=ONE, name="王一", branch=CLASS, development_number="", post=""):
    return Entrant(index, name, branch, development_number, post)


@pytest.mark.rule("MEM-09", "ADM-16")
@pytest.mark.parametrize(
    "post, number_is_used, led, said",
    [
        ("secretary", False, set(), None),
        ("secretary", False, {CLASS}, "secretary_in_post"),
        ("secretary", False, {TARGET}, None),
        ("organiser", False, {CLASS}, None),
        ("", False, {CLASS}, None),
        ("secretary", True, {CLASS}, "development_number_used"),
        ("", True, set(), "development_number_used"),
    ],
)
def test_check_claims(post, number_is_used, led, said):
    """MEM-09, ADM-16: a number is one person's, and a branch has one secretary."""
    assert code(rules.check_claims(entrant(post=post), number_is_used, led)) == said


@pytest.mark.rule("ACC-11", "MEM-09", "ADM-16")
@pytest.mark.parametrize(
    "there, said",
    [
        (There(), None),
        (There(known={ONE: Known(7, "王一", CLASS)}), "id_registered"),
        (There(known={TWO: Known(7, "王一", CLASS)}), None),
        (There(deleted={ONE: Deleted("王一", TARGET)}), "deleted_elsewhere"),
        (There(numbers={"20": 8}), "development_number_used"),
        (There(numbers={"21": 8}), None),
        (There(known={ONE: Known(7, "王一")}, numbers={"20": 7}), None),
        (There(known={ONE: Known(7, "王一")}, numbers={"20": 8}), "development_number_used"),
        (There(led={CLASS}), "secretary_in_post"),
        (There(led={TARGET}), None),
        (There(numbers={"20": 8}, led={CLASS}), "development_number_used"),
        (There(deleted={ONE: Deleted("王一", TARGET)}, numbers={"20": 8}), "deleted_elsewhere"),
        (There(deleted={ONE: Deleted("王一", TARGET)}, led={CLASS}), "deleted_elsewhere"),
    ],
)
def test_check_taken(there, said):
    """ACC-11, MEM-09, ADM-16: a person, a number, a place of the secretary that somebody has."""
    refused = rules.check_taken({3: entrant(development_number="20", post="secretary")}, there)
    assert codes(refused) == ({3: said} if said else {})


@pytest.mark.rule("ACC-11", "MEM-09", "ADM-16")
@pytest.mark.parametrize(
    "first, second, said",
    [
        (entrant(), entrant(TWO), None),
        (entrant(), entrant(), "id_registered"),
        (entrant(), entrant(name="王二", branch=TARGET), "id_registered"),
        (entrant(development_number="20"), entrant(TWO, development_number="20"), "development_number_used"),
        (entrant(development_number="20"), entrant(TWO, development_number="21"), None),
        (entrant(post="secretary"), entrant(TWO, post="secretary"), "secretary_in_post"),
        (entrant(post="secretary"), entrant(TWO, post="organiser"), None),
        (entrant(post="secretary"), entrant(TWO, branch=TARGET, post="secretary"), None),
        (entrant(post="organiser"), entrant(TWO, post="organiser"), None),
        (entrant(post="organiser"), entrant(TWO, post="secretary"), None),
    ],
)
def test_an_earlier_row_stands_in_the_way(first, second, said):
    """ACC-11, MEM-09, ADM-16: of two rows for one person, number or place of a secretary the first has it."""
    assert codes(rules.check_taken({1: first, 2: second}, There())) == ({2: said} if said else {})


@pytest.mark.rule("ACC-11", "MEM-09", "ADM-16")
def test_a_refused_row_stands_in_nobodys_way():
    """ACC-11, MEM-09, ADM-16: what a refused row asked for is free for the rows after it."""
    there = There(deleted={ONE: Deleted("王一", TARGET)})
    rows = {
        1: entrant(development_number="20", post="secretary"),
        2: entrant(TWO, development_number="20", post="secretary"),
        3: entrant(name="王二"),
        4: entrant(TWO),
    }
    assert codes(rules.check_taken(rows, there)) == {1: "deleted_elsewhere", 4: "id_registered"}


@pytest.mark.rule("MEM-09")
def test_the_number_of_a_known_person_is_used_once():
    """MEM-09: a person entered again keeps the own number; nobody after it has it, too."""
    there = There(known={ONE: Known(7, "王一")}, numbers={"20": 7})
    rows = {1: entrant(development_number="20"), 2: entrant(TWO, development_number="20")}
    assert codes(rules.check_taken(rows, there)) == {2: "development_number_used"}


@pytest.mark.rule("ACC-11")
@pytest.mark.parametrize(
    "there, said",
    [
        (There(), "id_registered"),
        (There(known={ONE: Known(7, "王一")}), "id_registered"),
        (There(known={ONE: Known(7, "王一", None, True)}), "registration_pending"),
        (There(numbers={"20": 8}), "development_number_used"),
    ],
)
def test_check_late(there, said):
    """ACC-11: a person whom somebody else has just entered is registered, if nothing else is in the way."""
    assert codes(rules.check_late({3: entrant(development_number="20")}, there)) == {3: said}


@pytest.mark.rule("ACC-11")
@pytest.mark.parametrize(
    "places, said",
    [
        ([], None),
        (["1.2."], None),
        (["1.2.3."], None),
        (["1.2.3.", "1.4.5."], "id_registered"),
        (["1."], "id_registered"),
        (["1.20."], "id_registered"),
    ],
)
def test_check_bound(places, said):
    """ACC-11: a post or a right outside what an organisation has below it binds a person elsewhere."""
    assert code(rules.check_bound(places, "1.2.")) == said


# ---- rosters -------------------------------------------------------------------------------------


@pytest.mark.rule("IMP-06")
@pytest.mark.parametrize(
    "administers, own, said",
    [
        (True, True, None),
        (True, False, "unknown_import"),
        (False, True, "not_administrator"),
        (False, False, "not_administrator"),
    ],
)
def test_check_import(administers, own, said):
    """IMP-06: an import is its sender's own, while the sender administers the organisation."""
    assert code(rules.check_import(administers, own)) == said


@pytest.mark.rule("IMP-04", "IMP-11")
@pytest.mark.parametrize(
    "branch_name, post, said",
    [
        ("一班团支部", "", None),
        ("一班团支部", "organiser", None),
        ("", "organiser", None),
        ("", "", "post_unknown"),
    ],
)
def test_check_row(branch_name, post, said):
    """IMP-04, IMP-11: a row without a branch is a cadre of the organisation itself, and names the post."""
    assert code(rules.check_row(branch_name, post)) == said


@pytest.mark.rule("IMP-11")
def test_check_branch_name():
    """IMP-11: it is said who may import into a branch that stands elsewhere; a long name is cut."""
    other = rules.check_branch_name("一班", "二中团委")
    none = rules.check_branch_name("班" * 101, None)

    assert (other.code, other.values) == ("branch_not_direct", {"superior": "二中团委"})
    assert (none.code, none.values) == ("branch_misnamed", {"name": "班" * 100})
