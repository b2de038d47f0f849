"""Entering a class: the class decides what its new members are, and no field is lost on the way.

The fields are those of an entry and of an edit.
"""

import json
import threading
import uuid
from datetime import date

import pytest
import sqlalchemy as sa

from services.members import handlers, people, store
from services.members.entering import handlers as entering
from services.members.entering import imports
from services.members.joining import handlers as joining
from services.members.lists import handlers as lists
from services.members.records import handlers as records
from services.members.records import showing
from services.members.sealing.keys import keys
from shared import clock
from shared.bus.service import Asked
from shared.messages import fields_of
from shared.messages.members import (
    Admission,
    DecideRegistration,
    EditMember,
    GetProfile,
    ImportRow,
    Register,
    RevealIds,
)
from tests.members.factories import CLASS, DEEP, ROOT, admin, admit, assigned, number, person, request
from tests.members.graduation.factories import THIS, YEAR, mark, seen

pytestmark = pytest.mark.usefixtures("moment")

END = date(YEAR, 6, 30)


def graduates(tx) -> list[tuple[int, bool]]:
    """Return who was told of as a graduate, or as none any more, in order."""
    return [
        (item["member_id"], item["counts"])
        for row in tx.execute(sa.text("SELECT body FROM outbox WHERE topic = 'graduate_changed' ORDER BY id"))
        for item in json.loads(row.body)
    ]


def registered(tx, **values):
    item = {
        "org_id": CLASS,
        "name": "周自己",
        "id_number": number(60),
        "password": "Sonne&Mond7",
        "joined_on": date(2020, 5, 4),
        "development_number": "202000000060",
        **values,
    }
    return joining.register(tx, Register(**item), None)


def accept(tx, made):
    return joining.decide_registrations(
        tx, [Asked(DecideRegistration(registration_id=made.registration_id, accept=True), admin(CLASS))]
    )[0]


# ---- entering a graduates' organisation ----------------------------------------------------------


@pytest.mark.rule("GRAD-12", "GRAD-15")
def test_entered_after_the_switch(tx):
    """GRAD-12, GRAD-15: anyone entered into a class that has graduated is a graduate of it.

    They leave with a graduate's reason.
    """
    mark(tx, CLASS, THIS)
    tx.execute(sa.text("DELETE FROM outbox"))

    (into,) = [one.member_id for one in admit(tx, person(50))]
    (elsewhere,) = [one.member_id for one in admit(tx, person(51, DEEP), org=DEEP)]

    assert seen(tx, into) == (True, "", END) and graduates(tx) == [(into, True)]
    assert seen(tx, elsewhere) == (False, "", None)
    handlers.on_transfer_requested(tx, [request(10, into, kind="graduate")])
    assert store.by_ids(tx, [into])[into].reserved_by == 10


@pytest.mark.rule("GRAD-12")
@pytest.mark.parametrize("way", ["import", "registration", "attached", "trusted"])
def test_every_way_in(tx, way):
    """GRAD-12: an import, an accepted registration, a known person and a first set-up lead to the same."""
    mark(tx, CLASS, THIS)
    if way == "import":
        rows = [
            ImportRow(
                import_id=uuid.uuid4(),
                number=2,
                branch_name=str(CLASS),
                name="张三",
                id_number=number(60),
                joined_on=date(2020, 5, 4),
                development_number="202000000060",
            )
        ]
        imports.import_rows(tx, [Asked(row, admin(CLASS)) for row in rows])
        assert imports.enter_piece(tx) == 1
    elif way == "registration":
        assert accept(tx, registered(tx)).state == "accepted"
    elif way == "attached":
        store.add(tx, [people.new_person("张三", number(60), "", "")], clock.now())
        assert admit(tx, person(60, name="张三"))[0].refusal is None
    else:
        entering.seed_people(tx, [(7000, person(60))])
    row = tx.execute(
        sa.text("SELECT * FROM people WHERE id_index = :index"), {"index": keys.seal.index(number(60))}
    ).one()
    assert (row.branch_id, row.graduate, row.graduates_on) == (CLASS, True, END)
    assert graduates(tx)[-1] == (row.person_id, True)


@pytest.mark.rule("GRAD-14")
def test_who_entered_later_counts_as_one_who_may_leave(tx):
    """GRAD-14: anyone who entered after the switch counts.

    One in and one out is noticed, and the time cannot be put off any more.
    """
    mark(tx, CLASS, THIS)
    (new,) = admit(tx, person(50))
    handlers.on_transfer_requested(tx, [request(10, new.member_id)])
    handlers.on_branch_assigned(tx, [assigned(10, new.member_id)])

    assert mark(tx, CLASS, date(YEAR + 1, 6, 1)).refusal.code == "graduation_started"


@pytest.mark.rule("GRAD-12")
@pytest.mark.parametrize("marked_before", [False, True])
def test_entering_and_marking_at_once(engine, marked_before):
    """GRAD-12: anyone entered while the class is being marked is a graduate once both are done.

    Whether it is marked for the first time or again.
    """

    def fresh(connection):
        return connection.execute(
            sa.text("SELECT graduate FROM people WHERE id_index = :index"),
            {"index": keys.seal.index(number(70))},
        ).scalar()

    if marked_before:
        with engine.begin() as before:
            mark(before, CLASS, date(YEAR + 1, 6, 1))
    entering = engine.connect()
    try:
        admit(entering, person(70))

        def switch():
            with engine.begin() as other:
                mark(other, CLASS, THIS)

        marking = threading.Thread(target=switch)
        marking.start()
        marking.join(0.3)
        assert marking.is_alive()  # it waits for the one who is entering
        entering.commit()
        marking.join(5)
        with engine.connect() as after:
            assert fresh(after) is True
    finally:
        entering.close()
        with engine.begin() as after:
            after.execute(sa.text("UPDATE people SET graduate = false, graduates_on = NULL"))
            after.execute(
                sa.text("DELETE FROM people WHERE id_index = :index"), {"index": keys.seal.index(number(70))}
            )
            after.execute(sa.text("TRUNCATE branch_marks, outbox"))


# ---- no field is lost ----------------------------------------------------------------------------

ENTERED = {
    "branch_id": CLASS,
    "name": "张三",
    "id_number": number(60),
    "ethnic_group": "壮族",
    "phone": "19912345678",
    "joined_on": date(2021, 5, 4),
    "development_number": "202100000060",
    "post": "organiser",
}
"""A value for every field of an entry, none of them a default."""
EDITED = {
    "phone": "19987654321",
    "ethnic_group": "藏族",
    "joined_on": date(2021, 9, 1),
    "development_number": "202100000061",
    "contact": "微信 wx60",
    "emergency_contact": "母亲 19900000099",
    "party": True,
    "contacted": True,
    "found": True,
    "found_on": date(2026, 9, 1),
}
"""A value for every field of an edit that changes something."""


def by_id(tx, id_number=ENTERED["id_number"]):
    """Return what the system shows of a person, by the names of the fields of an entry or an edit."""
    row = tx.execute(
        sa.text("SELECT * FROM people WHERE id_index = :index"), {"index": keys.seal.index(id_number)}
    ).one()
    member = showing.get_profile(tx, GetProfile(member_id=row.person_id), admin(ROOT)).member
    (revealed,) = lists.reveal_ids(tx, RevealIds(person_ids=[row.person_id], reason="核对"), admin(ROOT))
    shown = {name: getattr(member, name) for name in fields_of(type(member))}
    return {
        **shown,
        "id_number": revealed.id_number,
        "name": revealed.name,
        "contacted": not member.to_contact,
        "found": member.found_on is not None,
    }


@pytest.mark.rule("IMP-05", "MEM-02", "MEM-29")
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("field", sorted(ENTERED))
def test_every_field_of_an_entry_arrives(tx, known, field):
    """IMP-05, MEM-02, MEM-29: each field of the contract is stored and shown.

    For a new person and for a known one who is in no branch.
    """
    assert {*ENTERED, "command_id"} == set(fields_of(Admission))
    if known:
        store.add(tx, [people.new_person(ENTERED["name"], ENTERED["id_number"], "", "")], clock.now())
    (made,) = entering.admit(tx, [Asked(Admission(command_id=uuid.uuid4(), **ENTERED), admin(CLASS))])

    assert made.refusal is None
    assert by_id(tx)[field] == ENTERED[field]


@pytest.mark.rule("IMP-05")
def test_every_field_of_an_import_arrives(tx):
    """IMP-05: each field of a row of a roster arrives as an entry would."""
    row = {
        **{name: value for name, value in ENTERED.items() if name != "branch_id"},
        "branch_name": str(CLASS),
    }
    assert {*row, "import_id", "number", "problem", "again"} == set(fields_of(ImportRow))
    imports.import_rows(tx, [Asked(ImportRow(import_id=uuid.uuid4(), number=2, **row), admin(CLASS))])
    assert imports.enter_piece(tx) == 1

    after = by_id(tx)
    assert {name: after[name] for name in ENTERED} == ENTERED


@pytest.mark.rule("REG-03", "REG-08")
def test_every_field_of_a_registration_arrives(tx):
    """REG-03, REG-08: what applicants say of themselves is what the organisation that accepts them has."""
    given = {
        **{name: value for name, value in ENTERED.items() if name != "branch_id"},
        "org_id": CLASS,
        "password": "Sonne&Mond7",
    }
    assert {*given, "captcha_id", "captcha", "address"} == set(fields_of(Register))
    assert accept(tx, joining.register(tx, Register(**given), None)).refusal is None

    after = by_id(tx)
    assert {name: after[name] for name in ENTERED} == ENTERED


@pytest.mark.rule("MEM-14")
@pytest.mark.parametrize("field", sorted(EDITED))
def test_every_field_of_an_edit_arrives(tx, field):
    """MEM-14: each field of an edit changes what is shown and leaves every other as it was."""
    assert {*EDITED, "command_id", "member_id"} == set(fields_of(EditMember))
    (made,) = entering.admit(
        tx,
        [
            Asked(
                Admission(command_id=uuid.uuid4(), **{**ENTERED, "development_number": "202100000069"}),
                admin(CLASS),
            )
        ],
    )
    tx.execute(sa.text("UPDATE people SET to_contact = true WHERE person_id = :id"), {"id": made.member_id})
    before = by_id(tx)
    (answer,) = records.edit_members(
        tx,
        [
            Asked(
                EditMember(
                    command_id=uuid.uuid4(),
                    member_id=made.member_id,
                    **{"found": None if field != "found_on" else True, field: EDITED[field]},
                ),
                admin(CLASS),
            )
        ],
    )

    after = by_id(tx)
    assert answer.refusal is None and after[field] == EDITED[field] != before[field]
    follows = {
        "contacted": {"to_contact"},
        "joined_on": {"league_years"},
        "found": {"found_on"},
        "found_on": {"found"},
    }.get(field, set())
    assert {name for name in after if after[name] != before[name]} - follows == {field}
