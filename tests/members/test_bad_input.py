"""ID numbers, names and dates as people send them.

Good ones pass however they are spelt, damaged ones are refused by their own code, nothing crashes.
"""

from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from services.members import domain
from tests import strategies

TODAY = date(2026, 11, 21)


@pytest.mark.rule("IMP-08", "ACC-01")
@given(st.data())
def test_good_numbers_however_spelt(data):
    """ACC-01: full width, small x and blanks make no difference; python-stdnum agrees with every number."""
    number = data.draw(strategies.id_numbers())
    assert domain.check_id(domain.normalise_id(data.draw(strategies.spelt(number))), TODAY) is None
    assert ric.calc_check_digit(number) == number[-1]
    assert domain.mask_id(number).count("*") == 13 and number not in domain.mask_id(number)


@pytest.mark.rule("IMP-08")
@given(st.data())
def test_damaged_numbers(data):
    """IMP-08: one wrong, lost, doubled or swapped character is noticed.

    So is a number that a spreadsheet has rounded.
    """
    number = data.draw(strategies.id_numbers())
    broken = data.draw(strategies.damaged(number))
    assume(domain.normalise_id(broken) != number)
    assert domain.check_id(domain.normalise_id(broken), TODAY) is not None


@given(st.text(max_size=40))
def test_any_text_is_no_accident(text):
    """Whatever is typed is checked without an error of our own."""
    refusal = domain.check_id(domain.normalise_id(text), TODAY)
    assert refusal is None or refusal.code == "id_invalid"
    refusal = domain.check_name(domain.clean_name(text))
    assert refusal is None or refusal.code in ("name_missing", "name_invalid")
    assert domain.clean_name(domain.clean_name(text)) == domain.clean_name(text)


@pytest.mark.rule("MEM-02")
@given(strategies.names, strategies.dotted)
def test_names(name, dot):
    """MEM-02: rare characters beyond the basic plane and minority names are names.

    Any middle dot is the same dot, nothing else is changed.
    """
    assert domain.check_name(name) is None
    assert domain.clean_name(f" {name.replace('·', dot)}\u200b ") == name


@pytest.mark.rule("IMP-08")
@given(strategies.not_names)
def test_what_is_no_name(text):
    """IMP-08: digits, formulas, private-use characters and symbols are no name."""
    refusal = domain.check_name(domain.clean_name(text))
    assert refusal is not None or domain.clean_name(text) != text


@pytest.mark.rule("MEM-04", "MEM-05", "MEM-06")
@given(
    st.dates(date(1930, 1, 1), TODAY),
    st.one_of(st.none(), st.dates(date(1940, 1, 1), date(2030, 1, 1))),
    st.sampled_from(("", "secretary")),
    st.sampled_from(("42", "65")),
)
@settings(max_examples=300)
def test_ages(born, joined_on, post, province):
    """MEM-04..06: of any two dates exactly one thing is said.

    A member who passes is between 14 and 28 and was old enough when joining.
    """
    refusal = domain.check_ages(born, joined_on, post, TODAY, province)
    if refusal is not None:
        assert (
            refusal.code in ("age_out_of_range", "joined_on_missing", "joined_in_future", "joined_too_young")
            and refusal.say()
        )
    else:
        assert domain.age_on(born, TODAY) >= 14 and (post or domain.age_on(born, TODAY) < 28)
        assert joined_on is None or joined_on.year - born.year >= 12


@pytest.mark.rule("MEM-10", "MEM-12")
@given(
    st.one_of(st.text(max_size=15), st.from_regex(r"\A[0-9]{12}\Z")),
    st.one_of(st.none(), st.dates(date(2000, 1, 1), TODAY)),
)
def test_development_numbers(number, joined_on):
    """MEM-10, MEM-12: a number that passes is twelve digits and begins with the year of joining."""
    refusal = domain.check_development_number(number, joined_on)
    if refusal is None and number:
        assert len(number) == 12 and (joined_on is None or number.startswith(str(joined_on.year)))
