"""Posts and rights: only cadres administer, a right ends with the last post, and observers."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from services.orgs.naming import handlers as naming
from services.orgs.naming import store as naming_store
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import AdministratorRegistered, CadreChanged
from shared.messages.orgs import SetAdministrator
from tests.orgs.factories import (
    COLLEGE,
    DEAN,
    OTHER_SCHOOL,
    PRESIDENT,
    SCHOOL,
    cadre,
    code,
    events,
    grant,
    holders,
    make,
    of_college,
)


@pytest.mark.rule("ADM-02", "ADM-03")
def test_only_cadres_administer(tx):
    """ADM-02, ADM-03: a person without a post there becomes no administrator; with a post it works."""
    assert code(grant(tx, of_college, COLLEGE, 500)) == "not_a_cadre"
    cadre(tx, person=500, post="publicist")
    assert grant(tx, of_college, COLLEGE, 500).refusal is None


@pytest.mark.rule("ADM-18")
def test_who_loses_the_last_post_loses_the_right(tx):
    """ADM-18: a post that ends ends the right over that organisation and no other.

    As it does when somebody is transferred away.
    """
    cadre(tx, person=DEAN, post="", version=5)
    assert holders(tx, COLLEGE) == []
    assert PRESIDENT in holders(tx, SCHOOL)
    cadre(tx, person=DEAN, post="secretary", version=4)  # an older one that comes late
    assert (COLLEGE, DEAN) not in store.cadres(tx, [COLLEGE])


@pytest.mark.rule("ADM-09", "ADM-10", "ADM-11")
def test_registered_administrators(tx):
    """ADM-10, ADM-11: a person who comes by code gets the right while there is room.

    The limit is checked again here; the members service is told of the others.
    """
    handlers.on_administrator_registered(
        tx, [AdministratorRegistered(org_id=COLLEGE, person_id=person) for person in (600, 601, 602, 600)]
    )
    assert set(holders(tx, COLLEGE)) == {DEAN, 600, 601}
    assert events(tx, "registration_refused") == [{"org_id": COLLEGE, "person_id": 602}]


@pytest.mark.rule("ROLE-10")
def test_observers(tx, configure):
    """ROLE-10: behind a setting, an organisation names observers.

    They are no administrators, count for no limit, and are told of as what they are.
    """

    def observe(person, active=True):
        return handlers.set_administrators(
            tx,
            [
                Asked(
                    SetAdministrator(
                        command_id=uuid4(), org_id=COLLEGE, person_id=person, active=active, observer=True
                    ),
                    of_college,
                )
            ],
        )[0]

    assert code(observe(800)) == "no_observers"
    configure(TUANQIAO_OBSERVERS="true")
    assert code(observe(800)) == "not_a_cadre"
    handlers.on_cadre_changed(
        tx,
        [
            CadreChanged(org_id=COLLEGE, person_id=person, post="publicist", has_phone=True, version=1)
            for person in (800, 801, 802, 803)
        ],
    )
    assert (
        observe(805, active=False).refusal is None
        and [one for one in events(tx, "administrator_changed") if one["person_id"] == 805] == []
    )
    assert [code(observe(person)) for person in (800, 801, 802, 803, DEAN)] == [None] * 4 + ["no_observers"]
    assert holders(tx, COLLEGE) == [DEAN]
    assert code(make(tx, Actor(800, COLLEGE), parent_id=COLLEGE)) == "not_your_org"
    assert observe(800, active=False).refusal is None
    assert [
        (one["active"], one["observer"])
        for one in events(tx, "administrator_changed")
        if one["person_id"] == 800
    ] == [(True, True), (False, True)]


@pytest.mark.rule("FED-01")
def test_a_promised_right_over_what_another_system_keeps(tx):
    """FED-01: a code that was made out before gives no right over an organisation of the three."""
    for one in (OTHER_SCHOOL, SCHOOL):
        handlers.on_administrator_registered(tx, [AdministratorRegistered(org_id=one, person_id=4711)])
    assert 4711 in holders(tx, SCHOOL) and 4711 not in holders(tx, OTHER_SCHOOL)
    assert [one["org_id"] for one in events(tx, "registration_refused")] == [OTHER_SCHOOL]


@pytest.mark.rule("FED-01")
def test_names_that_another_system_gives(tx):
    """FED-01: names are built anew below the centre, but not those of the three."""
    for org, short in ((OTHER_SCHOOL, "华南大学团委"), (SCHOOL, "江汉大学团委")):
        tx.execute(
            sa.text("UPDATE orgs SET short_name = :short WHERE org_id = :org"), {"short": short, "org": org}
        )
    rows = naming_store.below(tx, "1.", "1.", 100)
    renamed = {row.org_id for row, _name in naming.changes(rows, {})}
    assert SCHOOL in renamed and OTHER_SCHOOL not in renamed
