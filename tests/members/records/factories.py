"""Editing and deleting a member; each answers with the code of the refusal or with nothing."""

import uuid

from services.members.records import handlers as records
from shared.bus.service import Asked
from shared.messages.members import DeleteMember, EditMember
from tests.members.factories import (
    ONE,
    ROOT,
    admin,
)


def edit(tx, actor, member=ONE, **values):
    """Edit a member; return the code of the refusal, or None."""
    answer = records.edit_members(
        tx, [Asked(EditMember(command_id=uuid.uuid4(), member_id=member, **values), actor)]
    )[0]
    return answer.refusal and answer.refusal.code


def delete(tx, org=ROOT, member=ONE, reason="身份证号码录错", command=None):
    """Delete a member; return the code of the refusal, or None."""
    answer = records.delete_members(
        tx,
        [
            Asked(
                DeleteMember(command_id=command or uuid.uuid4(), member_id=member, reason=reason), admin(org)
            )
        ],
    )[0]
    return answer.refusal and answer.refusal.code
