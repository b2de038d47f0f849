"""Reports, and edits that change what they list."""

import uuid

from services.members.lists import handlers as lists
from services.members.records import handlers as records
from shared.bus.service import Asked
from shared.messages.members import EditMember, GetReport
from tests.members.factories import (
    CLASS,
    ONE,
    ROOT,
    admin,
)


def report(tx, kind, actor=None, **values):
    """Return a report, by default as the root sees it."""
    return lists.get_report(tx, GetReport(kind=kind, **values), actor or admin(ROOT))


def edit(tx, member=ONE, actor=None, **values):
    """Edit a member; return the code of the refusal, or None."""
    answer = records.edit_members(
        tx, [Asked(EditMember(command_id=uuid.uuid4(), member_id=member, **values), actor or admin(CLASS))]
    )[0]
    return answer.refusal and answer.refusal.code
