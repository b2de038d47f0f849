"""Synthetic people: valid by the same checks as real ones.

They are different from each other, and the same for the same seed.
"""

import random
from collections import Counter

from stdnum.cn import ric

from services.orgs import seed
from system import synthetic

COUNTIES = [code for code, _ in seed.divisions() if len(code) == 6][:50]


def make(count, start=0):
    return list(synthetic.people(count, rng=random.Random(7), division_codes=COUNTIES, start=start))


def test_numbers_are_valid_and_different():
    """Every number passes the library's check of date, division and checksum.

    None comes twice, nor in another range.
    """
    people = make(5000) + make(500, start=5000)

    assert all(ric.is_valid(one.id_number) for one in people)
    assert len({one.id_number for one in people}) == len(people)


def test_joined_of_age():
    """Nobody joined before the age of 14 and rare names occur."""
    people = make(2000)

    assert all((one.joined_on - ric.get_birth_date(one.id_number)).days >= 14 * 365 for one in people)
    assert any("·" in one.name for one in people) and any(
        ord(character) > 0xFFFF for one in people for character in one.name
    )


def test_same_seed_same_people():
    """The demonstration is reproducible."""
    assert make(300) == make(300)
    assert max(Counter(one.phone for one in make(300)).values()) == 1
