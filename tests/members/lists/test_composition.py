"""Of whom a branch consists, on a real database."""

from datetime import date

import pytest
import sqlalchemy as sa

from services.members import domain, handlers
from services.members.entering import handlers as entering
from services.members.lists import composition
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import GetComposition
from tests.members.factories import CLASS, COLLEGE, ONE, ROOT, SCHOOL, TARGET, THREE, admin, number, person
from tests.members.joining.factories import new, post
from tests.members.lists.factories import edit


def composed(tx, actor=None, branch=CLASS):
    return composition.get_composition(tx, GetComposition(branch_id=branch), actor or admin(CLASS))


@pytest.mark.rule("STAT-09")
def test_composition(tx, monkeypatch):
    """STAT-09: how many members and cadres a branch has, and the members of each kind among them.

    By sex, age, ethnic group, Party, standing and record; every one is counted, over pages.
    """
    monkeypatch.setattr(composition, "PAGE", 2)
    entering.seed_people(
        tx,
        [
            (9000 + n, person(40 + n, ethnic_group=group))
            for n, group in enumerate(("壮族", "汉族", "汉", ""))
        ],
    )
    tx.execute(sa.text("UPDATE people SET graduate = true WHERE person_id IN (9000, 9001)"))
    tx.execute(sa.text("UPDATE people SET mark = 'delayed' WHERE person_id = 9002"))
    tx.execute(sa.text("UPDATE people SET mark = 'teacher' WHERE person_id = 9003"))
    assert edit(tx, ONE, party=True) is None
    post(tx, CLASS, "secretary", person_id=ONE)
    post(tx, CLASS, "publicist", **new(61))

    shown = composed(tx)
    men = sum(int(number(n)[16]) % 2 for n in (1, 2, 40, 41, 42, 43))
    assert (shown.members, shown.cadres, shown.male, shown.female) == (6, 2, men, 6 - men) and 0 < men < 6
    assert (
        shown.minorities,
        shown.party,
        shown.graduates,
        shown.delayed,
        shown.teachers,
        shown.complete,
    ) == (1, 1, 2, 1, 1, 5)
    age = domain.age_on(date(2005, 1, 5), handlers.clock.today())
    assert shown.ages == {group: 6 if group == domain.age_group(age) else 0 for group in domain.AGE_GROUPS}


@pytest.mark.rule("STAT-09")
@pytest.mark.parametrize(
    "age, group",
    [
        (13, "14-17"),
        (17, "14-17"),
        (18, "18-22"),
        (22, "18-22"),
        (23, "23-27"),
        (27, "23-27"),
        (28, "28+"),
        (60, "28+"),
    ],
)
def test_age_groups(age, group):
    """STAT-09: each age belongs to one group."""
    assert domain.age_group(age) == group


@pytest.mark.rule("STAT-09", "SRCH-06")
@pytest.mark.parametrize(
    "actor, may",
    [
        (Actor(ONE), True),
        (Actor(THREE), False),
        (admin(CLASS), True),
        (admin(SCHOOL), True),
        (admin(ROOT), True),
        (admin(TARGET), False),
        (admin(COLLEGE), False),
        (Actor(ONE, SCHOOL), False),
    ],
)
def test_who_sees_it(tx, actor, may):
    """STAT-09, SRCH-06: the members of the branch and who administers it or what is above it."""
    if may:
        assert composed(tx, actor).members == 2
    else:
        with pytest.raises(Refused):
            composed(tx, actor)
