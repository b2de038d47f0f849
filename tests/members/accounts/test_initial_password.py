"""What a list shows of somebody gives no initial password away: counted, which takes a while."""

from datetime import date, timedelta

import pytest

from services.members import domain
from system.synthetic import check_digit

GOOD = "11010519491231002X"
"""The example of the standard GB 11643."""


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
