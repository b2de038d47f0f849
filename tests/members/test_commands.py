"""A command's id belongs to who sent it first: repeated by somebody else it is refused and tells nothing."""

import uuid

import pytest
import sqlalchemy as sa

from services.members import store
from services.members.entering import handlers as entering
from services.members.records import handlers as records
from shared import directory
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import DeleteMember
from shared.messages.orgs import AdministratorChanged
from tests.members.factories import CLASS, ONE, ROOT, SCHOOL, admin, person


@pytest.mark.rule("IMP-13")
def test_an_entry_is_its_senders(tx):
    """IMP-13: an entry sent again by the same person is answered again.

    Sent by anybody else it is refused without the member's id, in one list or later.
    """
    row = person(80)
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=77, active=True, version=1)]
    )
    first, again = (entering.admit(tx, [Asked(row, admin(CLASS))])[0] for _ in range(2))
    assert first.member_id is not None and again == first
    for actor in (Actor(77, CLASS), admin(SCHOOL), Actor(5, CLASS)):
        answer = entering.admit(tx, [Asked(row, actor)])[0]
        assert (answer.member_id, answer.refusal.code) == (None, "command_taken")


@pytest.mark.rule("DEL-05")
def test_a_deletion_is_its_senders(tx):
    """DEL-05: that somebody was deleted is answered again to who did it, not to who sends the same id."""
    item = DeleteMember(command_id=uuid.uuid4(), member_id=ONE, reason="录入错误")
    assert records.delete_members(tx, [Asked(item, admin(ROOT))])[0].refusal is None
    again, other = records.delete_members(tx, [Asked(item, admin(ROOT)), Asked(item, admin(CLASS))])
    assert (again.refusal, other.refusal.code) == (None, "command_taken")
    assert ONE not in store.by_ids(tx, [ONE])


@pytest.mark.rule("DEL-05")
def test_a_deletion_of_before_is_answered(tx):
    """DEL-05: of deletions by earlier releases only that they were done is kept; they are answered, too."""
    item = DeleteMember(command_id=uuid.uuid4(), member_id=ONE, reason="录入错误")
    tx.execute(
        sa.text("INSERT INTO handled_commands (command_id, reply, person_id) VALUES (:id, '{}', :person)"),
        {"id": str(item.command_id), "person": admin(ROOT).person_id},
    )
    (answer,) = records.delete_members(tx, [Asked(item, admin(ROOT))])
    assert (answer.member_id, answer.refusal) == (ONE, None) and ONE in store.by_ids(tx, [ONE])
