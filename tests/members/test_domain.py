"""The rules of people: numbers, ages, passwords, masks."""

from datetime import date, timedelta

import pytest

from services.members import domain
from services.members.graduation import rules as graduation_rules
from system.synthetic import check_digit

TODAY = date(2026, 9, 1)
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


@pytest.mark.rule("MEM-32", "ACC-04")
@pytest.mark.parametrize("tail", [6, 8])
@pytest.mark.parametrize("number", [GOOD, "420106200203071234"[:17] + check_digit("42010620020307123")])
def test_a_mask_does_not_give_the_password_away(number, tail):
    """MEM-32, ACC-04: a masked number leaves 10,000 initial passwords to try.

    Even for somebody who knows county, year of birth and sex: counted, with the check digit.
    """
    mask, county, year, sex = domain.mask_id(number), number[:6], number[6:10], int(number[16]) % 2
    shown = {at: character for at, character in enumerate(mask) if character != "*"}
    days = [date(int(year), 1, 1) + timedelta(days=one) for one in range(365)]
    left = set()
    for day in days:
        for sequence in range(1, 1000):
            if sequence % 2 == sex:
                first = f"{county}{day:%Y%m%d}{sequence:03d}"
                whole = first + check_digit(first)
                if all(whole[at] == character for at, character in shown.items()):
                    left.add(domain.initial_password(whole, tail))
    assert domain.initial_password(number, tail) in left
    assert len(left) >= 10_000


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
