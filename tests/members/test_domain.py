"""The rules of people: numbers, ages, passwords, masks."""

import uuid
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest

from services.members import domain
from services.members.domain import Standing
from services.members.graduation import rules as graduation_rules
from shared import throttle
from shared.errors import Refusal
from system.synthetic import check_digit
from tests.members.factories import CLASS, ONE, TARGET, TWO, request

TODAY = date(2026, 9, 1)
NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)
GOOD = "11010519491231002X"
"""The example of the standard GB 11643."""


@pytest.mark.rule("ACC-01")
@pytest.mark.parametrize("text", [" 11010519491231002x ", "110105 19491231 002X", "\u300011010519491231002x"])
def test_normalise(text):
    """ACC-01: blanks and a small x make no other number."""
    assert domain.normalise_id(text) == GOOD


@pytest.mark.rule("ACC-01")
def test_normalise_full_width():
    """ACC-01: a number typed full width is the same number."""
    assert domain.normalise_id("".join(chr(ord(one) + 0xFEE0) for one in GOOD)) == GOOD


@pytest.mark.rule("IMP-08")
@pytest.mark.parametrize(
    "number, good",
    [
        (GOOD, True),
        ("110105194912310021", False),  # checksum
        ("11010519491231002", False),  # 17 characters
        ("1101051949123100X2", False),  # X inside
        ("110105-9491231002X", False),
        ("", False),
        ("110105194902300020", False),  # 30 February
        ("999999194912310025", True),  # no such division: not our business
    ],
)
def test_check_id(number, good):
    """IMP-08: 18 characters, the right check digit, a real birth date that is past.

    An unknown division is no error.
    """
    assert (domain.check_id(number, TODAY) is None) == good


@pytest.mark.rule("IMP-08")
def test_check_id_born_in_the_future():
    """IMP-08: nobody is born after today, whatever the check digit."""
    number = "110105202701010024"

    assert domain.check_id(number, TODAY).code == "id_invalid"
    assert domain.check_id(number, date(2027, 1, 1)) is None


@pytest.mark.rule("MEM-03")
def test_born_on_and_age():
    """MEM-03: age follows from the birth date in the number."""
    assert domain.born_on(GOOD) == date(1949, 12, 31)
    assert domain.age_on(date(2012, 9, 1), TODAY) == 14
    assert domain.age_on(date(2012, 9, 2), TODAY) == 13


@pytest.mark.rule("MEM-04")
@pytest.mark.parametrize(
    "born, post, code",
    [
        (date(2012, 9, 1), "", None),
        (date(2012, 9, 2), "", "age_out_of_range"),
        (date(1998, 9, 2), "", None),
        (date(1998, 9, 1), "", "age_out_of_range"),
        (date(1998, 9, 1), "书记", None),
        (date(1970, 1, 1), "书记", None),
        (date(2012, 9, 2), "书记", "age_out_of_range"),
    ],
)
def test_age_at_entry(born, post, code):
    """MEM-04: a plain member is 14 or older and younger than 28; who holds a post has no upper limit."""
    refusal = domain.check_ages(born, date(born.year + 14, 12, 1) if born.year < 2012 else TODAY, post, TODAY)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("MEM-05", "MEM-06")
@pytest.mark.parametrize(
    "joined, age, province, good",
    [
        (date(2019, 1, 1), 14, "42", True),
        (date(2019, 1, 1), 13, "42", False),
        (date(2018, 12, 1), 13, "42", True),
        (date(2017, 1, 1), 12, "42", False),
        (date(2016, 12, 1), 12, "42", True),
        (date(2016, 12, 1), 11, "42", False),
        (date(2019, 1, 1), 13, "65", True),
        (date(2016, 12, 1), 12, "65", False),
    ],
)
def test_age_at_joining(joined, age, province, good):
    """MEM-05, MEM-06: at joining 14, 13 or 12 by the joining year, in Xinjiang always 13.

    The month decides.
    """
    assert (
        domain.check_ages(joined.replace(year=joined.year - age), joined, "", TODAY, province) is None
    ) == good


@pytest.mark.rule("IMP-08")
def test_joining_date():
    """IMP-08: a plain member has a joining date, and it is not in the future."""
    born = date(2005, 1, 1)

    assert domain.check_ages(born, None, "", TODAY).code == "joined_on_missing"
    assert domain.check_ages(born, None, "书记", TODAY) is None
    assert domain.check_ages(born, date(2026, 9, 2), "", TODAY).code == "joined_in_future"


@pytest.mark.rule("MEM-08", "MEM-10", "MEM-12")
@pytest.mark.parametrize(
    "number, joined, province, code",
    [
        ("", date(2017, 1, 1), "42", "development_number_missing"),
        ("", date(2016, 12, 31), "42", None),
        ("", date(2016, 1, 1), "65", "development_number_missing"),
        ("", date(2015, 12, 31), "65", None),
        ("", None, "42", None),
        ("201901020304", date(2019, 5, 4), "42", None),
        ("201801020304", date(2019, 5, 4), "42", "development_number_year"),
        ("2019010203", date(2019, 5, 4), "42", "development_number_form"),
        ("2019010203AB", date(2019, 5, 4), "42", "development_number_form"),
    ],
)
def test_development_number(number, joined, province, code):
    """MEM-08, MEM-10, MEM-12: the number is needed from 2017 on (Xinjiang 2016).

    It has twelve digits and begins with the joining year.
    """
    refusal = domain.check_development_number(number, joined, province)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("MEM-32")
def test_masks():
    """MEM-32: the first four and the last character of a number, surname and two stars of a name."""
    assert domain.mask_id(GOOD) == "1101*************X"
    assert domain.mask_name("张三丰") == "张**"


@pytest.mark.rule("ACC-04", "ACC-05")
@pytest.mark.parametrize(
    "password, good",
    [
        ("Abcd-123", True),
        ("Abc-123", False),
        ("1231002X", False),
        ("1231002x", False),
        ("19491231", False),
        (GOOD, False),
    ],
)
def test_new_password(password, good):
    """ACC-05: eight characters or more, not the initial password, no part of the number."""
    assert domain.initial_password(GOOD) == "1231002X"
    assert (domain.check_new_password(password, GOOD) is None) == good


@pytest.mark.rule("GRAD-04", "GRAD-05", "ROLE-05")
@pytest.mark.parametrize(
    "kind, above, direct, may",
    [
        ("committee", True, True, True),
        ("general_branch", True, False, True),
        ("leading_body", True, False, False),
        ("leading_body", True, True, True),
        ("branch", False, False, False),
        ("committee", False, False, False),
    ],
)
def test_may_mark_graduates(kind, above, direct, may):
    """GRAD-04, GRAD-05: committee kinds above a branch mark it, and its direct superior of any kind.

    Never the branch itself.
    """
    assert graduation_rules.may_mark_graduates(kind, "普通高等院校", above, direct) == may


@pytest.mark.rule("ACC-10")
@pytest.mark.parametrize(
    "seconds, minutes",
    [(1, "1"), (59, "1"), (60, "2"), (61, "2"), (900, "16"), (-60, "1")],
)
def test_check_lock(seconds, minutes):
    """ACC-10: who is locked out hears after how many minutes it is over, never too few."""
    refusal = throttle.check_lock(NOW + timedelta(seconds=seconds), NOW)
    assert (refusal.code, refusal.values) == ("too_many_attempts", {"minutes": minutes})


def test_check_lock_open():
    """Where nothing is closed, nobody waits."""
    assert throttle.check_lock(None, NOW) is None


@pytest.mark.rule("ACC-09")
def test_too_often():
    """ACC-09: of what was done too often in a list it is said how long a first lock lasts."""
    assert (throttle.TOO_OFTEN.code, throttle.TOO_OFTEN.values) == ("too_many_attempts", {"minutes": "15"})


@pytest.mark.rule("IMP-08")
@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("王小明", True),
        ("阿依古丽·买买提", True),
        ("𠮷田", True),
        ("Alice", True),
        ("Anne-Marie O'Neil", True),
        ("José", True),
        ("Жанна", True),
        ("\u0410lice", False),
        ("Al\u0456ce", False),
        ("\u0391lice", False),
        ("王a明", False),
        ("Жaнна", False),
    ],
)
def test_a_name_is_of_one_script(name, good):
    """IMP-08: a name is written in one script.

    A letter of another that looks alike makes it another name, and is refused.
    """
    assert (domain.check_name(domain.clean_name(name)) is None) == good


# ---- whom a transfer may hold --------------------------------------------------------------------


@pytest.mark.rule("TRF-02", "MEM-01")
@pytest.mark.parametrize(
    "person, code",
    [
        (Standing(CLASS), None),
        (None, "unknown_member"),
        (Standing(TARGET), "member_elsewhere"),
        (Standing(None), "member_elsewhere"),
        (Standing(CLASS, 11), "transfer_open"),
        (Standing(TARGET, 11), "member_elsewhere"),
        (Standing(CLASS, 10), None),
        (Standing(CLASS, 10, graduate=True), None),
        (Standing(TARGET, 10), None),
        (Standing(CLASS, 11, graduate=True), "transfer_open"),
        (Standing(CLASS, graduate=True), "graduate_reason_needed"),
    ],
)
def test_check_hold(person, code):
    """TRF-02, MEM-01: a member is held where the transfer says, and by one transfer only.

    Whom this transfer holds already it goes on to hold, whatever has changed.
    """
    refusal = domain.check_hold(person, request(10, kind="ordinary"))
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-15", "GRAD-17", "GRAD-33", "TYPE-21")
@pytest.mark.parametrize(
    "graduate, mark, may_go_abroad, kind, code",
    [
        (True, "", False, "any", None),
        (False, "", False, "any", None),
        (True, "", False, "graduate", None),
        (False, "", False, "graduate", "ordinary_reason_needed"),
        (False, "delayed", False, "graduate", "ordinary_reason_needed"),
        (True, "", True, "abroad", None),
        (True, "", False, "abroad", "abroad_request_missing"),
        (False, "", True, "abroad", "ordinary_reason_needed"),
        (False, "", False, "ordinary", None),
        (True, "", False, "ordinary", "graduate_reason_needed"),
        (False, "", False, "outward", "drop_out_needed"),
        (False, "delayed", False, "outward", None),
        (False, "teacher", False, "outward", None),
        (True, "", False, "outward", "graduate_reason_needed"),
        (False, "", False, "drop_out", None),
        (True, "", False, "drop_out", "graduate_reason_needed"),
    ],
)
def test_check_reason(graduate, mark, may_go_abroad, kind, code):
    """GRAD-15, GRAD-17, GRAD-33, TYPE-21: the reason is one for people such as the member."""
    refusal = domain.check_reason(Standing(CLASS, None, graduate, mark, may_go_abroad), kind)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("GRAD-22")
@pytest.mark.parametrize(
    "mark, purposes, purpose, code",
    [
        ("delayed", "", "ordinary", None),
        ("delayed", "delayed", "delayed", None),
        ("delayed", "delayed", "ordinary", "delayed_elsewhere"),
        ("delayed", "delayed,ordinary", "ordinary", None),
        ("delayed", "delayed", None, "delayed_elsewhere"),
        ("delayed", "", None, None),
        ("delayed", ",", "ordinary", None),
        ("teacher", "delayed", "ordinary", None),
        ("", "delayed", "ordinary", None),
    ],
)
def test_check_destination(mark, purposes, purpose, code):
    """GRAD-22: a setting says where delayed graduates may go; everybody else goes anywhere."""
    refusal = domain.check_destination(mark, purposes, purpose)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ADM-18")
@pytest.mark.parametrize(
    "setting, rights, source, target, code",
    [
        ("block", [3], "1.2.3.", "1.4.", "is_administrator"),
        ("block", [2], "1.2.3.", "1.4.", "is_administrator"),
        ("block", [1], "1.2.3.", "1.4.", None),
        ("block", [2], "1.2.3.", "1.2.6.", None),
        ("block", [3], "1.2.3.", "1.2.6.", "is_administrator"),
        ("block", [1], "1.2.3.", "", "is_administrator"),
        ("block", [4, 1], "1.2.3.", "1.4.", None),
        ("block", [23], "1.2.3.", "1.4.", None),
        ("block", [], "1.2.3.", "1.4.", None),
        ("revoke_on_complete", [3], "1.2.3.", "1.4.", None),
    ],
)
def test_check_rights(setting, rights, source, target, code):
    """ADM-18: where a setting blocks, nobody leaves what they administer.

    What stands above source and target alike is not left.
    """
    refusal = domain.check_rights(setting, rights, source, target)
    assert (refusal and refusal.code) == code


A, B = uuid.UUID(int=1), uuid.UUID(int=2)
UNFIT = Refusal("transfer_open")


@pytest.mark.rule("BATCH-05")
@pytest.mark.parametrize(
    "batches, unfit, codes",
    [
        ([(10, A, 2), (11, A, 2)], [], {}),
        ([(10, A, 2), (11, A, 2)], [11], {10: "batch_stopped", 11: "transfer_open"}),
        ([(10, A, 2), (11, A, 2)], [10, 11], {10: "transfer_open", 11: "transfer_open"}),
        ([(10, A, 3), (11, A, 3)], [], {10: "batch_stopped", 11: "batch_stopped"}),
        ([(10, A, 1), (11, A, 1)], [], {}),
        ([(10, A, 2)], [10], {10: "transfer_open"}),
        ([(10, A, 1), (11, B, 1)], [11], {11: "transfer_open"}),
        ([(10, A, 1), (11, B, 2)], [], {11: "batch_stopped"}),
        ([(10, None, 0), (11, A, 1)], [10], {}),
        ([(10, A, 0), (11, A, 0)], [11], {}),
        ([(10, None, 2)], [10], {}),
    ],
)
def test_check_batches(batches, unfit, codes):
    """BATCH-05: of a batch all are held or none; who could have been held hears that others stopped it.

    Without a batch, or where not all or none is asked for, everybody stands alone.
    """
    items = [
        msgspec.structs.replace(
            request(transfer, ONE if transfer == 10 else TWO), batch_id=key, batch_size=size
        )
        for transfer, key, size in batches
    ]
    refused = domain.check_batches(items, dict.fromkeys(unfit, UNFIT))
    assert {transfer: refusal.code for transfer, refusal in refused.items()} == codes


# ---- tables: one row for each branch of a rule and for each side of its boundaries ---------------


@pytest.mark.parametrize(
    "name, cleaned",
    [
        (" 王 小明 ", "王 小明"),
        ("王\u200b小明\u0007", "王小明"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("ＡＬ", "ＡＬ"),
        ("", ""),
    ],
)
def test_clean_name(name, cleaned):
    """MEM-02: invisible characters and outer blanks go, dots become one kind, letters stay as they are."""
    assert domain.clean_name(name) == cleaned


@pytest.mark.parametrize(
    "name, code",
    [
        ("", "name_missing"),
        ("王", None),
        ("王" * 50, None),
        ("王" * 51, "name_invalid"),
        ("·王", "name_invalid"),
        ("-Anne", "name_invalid"),
        ("王1", "name_invalid"),
        ("王,明", "name_invalid"),
        ("王·a", "name_invalid"),
    ],
)
def test_check_name(name, code):
    """MEM-02: letters of one script, 50 at most, beginning with a letter."""
    refusal = domain.check_name(name)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "number, today, code",
    [
        (GOOD, date(1949, 12, 31), None),
        (GOOD, date(1949, 12, 30), "id_invalid"),
        ("11010519000101001" + check_digit("11010519000101001"), TODAY, None),
        ("11010518991231001" + check_digit("11010518991231001"), TODAY, "id_invalid"),
        ("11010519490230001" + check_digit("11010519490230001"), TODAY, "id_invalid"),
        (GOOD[:-1] + "0", TODAY, "id_invalid"),
        (GOOD + "X", TODAY, "id_invalid"),
    ],
)
def test_check_id_dates(number, today, code):
    """IMP-08: a birth date from 1900 to today, and one that there was."""
    refusal = domain.check_id(number, today)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "born, joined, post, code",
    [
        (date(2012, 9, 2), TODAY, "", "age_out_of_range"),
        (date(2005, 1, 1), TODAY, "", None),
        (date(2005, 1, 1), TODAY + timedelta(days=1), "书记", "joined_in_future"),
        (date(2005, 3, 31), date(2019, 3, 1), "", None),
        (date(2005, 3, 1), date(2019, 2, 28), "", "joined_too_young"),
        (date(2004, 3, 1), date(2018, 2, 28), "", None),
        (date(2005, 3, 1), date(2018, 2, 28), "", "joined_too_young"),
        (date(2004, 1, 1), date(2016, 1, 31), "", None),
        (date(2004, 1, 1), date(2015, 12, 31), "", "joined_too_young"),
    ],
)
def test_check_ages(born, joined, post, code):
    """MEM-04, MEM-05: which of the ages is wrong is said by its code."""
    refusal = domain.check_ages(born, joined, post, TODAY)
    assert (refusal and refusal.code) == code


def test_who_joined_too_young_hears_the_age():
    """MEM-05, MEM-06: the refusal says how old one had to be then, in Xinjiang 13."""
    born = date(2008, 1, 1)
    for joined, province, age in (
        (date(2019, 6, 1), "42", "14"),
        (date(2018, 6, 1), "42", "13"),
        (date(2016, 6, 1), "42", "12"),
        (date(2019, 6, 1), "65", "13"),
    ):
        assert domain.check_ages(born, joined, "", TODAY, province).values == {"age": age}


@pytest.mark.rule("MEM-11")
@pytest.mark.parametrize(
    "number, province, code",
    [
        ("201901000000", "42", None),
        ("201901000009", "42", None),
        ("201901000010", "42", "number_out_of_range"),
        ("201900999999", "42", "number_out_of_range"),
        ("201905000003", "42", None),
        ("201905000004", "42", "number_out_of_range"),
        ("201901000010", "43", None),
        ("202001000010", "42", None),
        ("２０１９０１００００００", "42", "development_number_form"),
        ("2019010000001", "42", "development_number_form"),
    ],
)
def test_number_ranges(number, province, code):
    """MEM-11: a number lies in one of the ranges issued, where those of province and year are known."""
    issued = {
        ("42", 2019): [("201901000000", "201901000009"), ("201905000003", "201905000003")],
    }
    refusal = domain.check_development_number(number, None, province, issued)
    assert (refusal and refusal.code) == code
    if code == "number_out_of_range":
        assert refusal.values == {"province": "42", "year": "2019"}


@pytest.mark.parametrize(
    "age, group", [(13, 0), (14, 0), (17, 0), (18, 1), (22, 1), (23, 2), (27, 2), (28, 3), (70, 3)]
)
def test_age_group(age, group):
    """STAT-09, MEM-26: pupils, students, graduates and workers, and those over age."""
    assert domain.age_group(age) == domain.AGE_GROUPS[group]


@pytest.mark.parametrize("digit, sex", [("0", "female"), ("1", "male"), ("2", "female"), ("9", "male")])
def test_sex_of(digit, sex):
    """MEM-02: the seventeenth digit is odd for men."""
    assert domain.sex_of(f"1101051949123100{digit}X") == sex


@pytest.mark.rule("MEM-22")
@pytest.mark.parametrize(
    "ethnic_group, has_phone, is_member, joined_on, number, fields",
    [
        ("汉族", True, True, date(2019, 1, 1), "201901020304", []),
        ("", True, True, date(2019, 1, 1), "201901020304", ["ethnic_group"]),
        ("汉族", False, True, date(2019, 1, 1), "201901020304", ["phone"]),
        ("汉族", True, True, None, "", ["joined_on"]),
        ("汉族", True, False, None, "", []),
        ("汉族", True, True, date(2017, 1, 1), "", ["development_number"]),
        ("汉族", True, True, date(2016, 12, 31), "", []),
        ("汉族", True, False, date(2017, 1, 1), "", []),
        ("", False, True, date(2017, 1, 1), "", ["ethnic_group", "phone", "development_number"]),
    ],
)
def test_missing(ethnic_group, has_phone, is_member, joined_on, number, fields):
    """MEM-22: what of a person's required fields is not filled."""
    assert domain.missing(ethnic_group, has_phone, is_member, joined_on, number) == fields


def org(org_id=5, parent_id=4, provincial_id=3, division_code="420106"):
    return SimpleNamespace(
        org_id=org_id, parent_id=parent_id, provincial_id=provincial_id, division_code=division_code
    )


@pytest.mark.rule("MEM-19")
@pytest.mark.parametrize(
    "of, level, may",
    [
        (org(), "county", True),
        (org(), "city", False),
        (org(), "province", False),
        (org(division_code="4201"), "city", True),
        (org(division_code=None), "city", True),
        (org(division_code="4201"), "province", False),
        (org(org_id=3, division_code="42"), "province", True),
        (org(org_id=1, parent_id=None, provincial_id=None), "province", True),
    ],
)
def test_may_delete(of, level, may):
    """MEM-19: a county, a city or a province deletes members, as the setting says."""
    assert domain.may_delete(of, level) is may


@pytest.mark.rule("GRAD-27")
@pytest.mark.parametrize(
    "day, months, end",
    [
        (date(2026, 1, 31), 0, date(2026, 1, 31)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 1, 1), 1, date(2024, 2, 29)),
        (date(2026, 6, 1), 6, date(2026, 12, 31)),
        (date(2026, 6, 1), 7, date(2027, 1, 31)),
        (date(2026, 12, 5), 12, date(2027, 12, 31)),
        (date(2026, 11, 5), 13, date(2027, 12, 31)),
    ],
)
def test_add_months(day, months, end):
    """GRAD-27: a term ends with its last month."""
    assert domain.add_months(day, months) == end


@pytest.mark.rule("ACC-07", "ADM-07")
@pytest.mark.parametrize(
    "rights, home, levels, ids",
    [
        ([], "1.2.3.4.", 0, {4}),
        ([], "1.2.3.4.", 1, {3, 4}),
        ([], "1.2.3.4.", 9, {1, 2, 3, 4}),
        ([], "", 1, set()),
        (["1.2.3."], "", 1, {2, 3}),
        (["1.2.3."], "1.2.3.4.", 1, {2, 3}),
        (["1.2.3."], "1.2.5.", 1, {2}),
        (["1.2.3."], "1.6.", 1, {1}),
        (["1.2.3.4.", "1.2."], "", 1, {1, 2}),
        (["1.2.3.", "1.2.4."], "", 1, {2}),
        (["1."], "1.2.3.", 1, {1}),
        (["1.2.3.4."], "1.2.7.", 1, {2}),
    ],
)
def test_resetters(rights, home, levels, ids):
    """ACC-07, ADM-07: a password is reset where the highest right lies or directly above it.

    Only what stands above all places of the person counts; without rights it is the branch and some levels.
    """
    assert domain.resetters(rights, home, levels) == ids


def test_passwords_of_eight():
    """ACC-04, ACC-05: an initial password is as long as the setting said; a new one has eight."""
    assert domain.initial_password(GOOD, 6) == "31002X"
    assert domain.check_new_password("Abcd-12", GOOD).code == "password_weak"
    assert domain.check_new_password("Abcd-123", GOOD) is None


def test_figures_of_guessing():
    """ACC-10: what docs/security.md says about guessing is what holds."""
    assert (domain.LOCK_AFTER, domain.LOCK_ACCOUNT_AFTER) == (5, 10)
    assert (domain.MISSES_OF_LOOK_UPS, domain.NAMES_THAT_DIFFER, domain.RESET_CODES_OF_ONE) == (30, 10, 10)
    assert (domain.CAPTCHA_AFTER, domain.LOCK_ADDRESS_AFTER) == (50, 1000)
    assert (domain.CODES_FROM_ADDRESS, domain.REGISTRATIONS_FROM_ADDRESS) == (50, 300)
    assert domain.CAPTCHAS_FROM_ADDRESS == 3000
    assert (timedelta(minutes=15), timedelta(hours=24)) == (throttle.LOCK_FOR, throttle.LOCK_LONGEST)
    assert (timedelta(days=1), timedelta(days=7)) == (throttle.FAILURES_COUNT_FOR, throttle.LOCK_REMEMBERED)


def test_defaults_of_records():
    """MEM-22, REG-04: nobody waits or is held unless it is said."""
    assert domain.Known(1, "王小明").pending is False
    assert Standing(CLASS) == Standing(CLASS, None, False, "", False)
