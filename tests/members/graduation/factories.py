"""Marking branches and members as graduating, and what a member's mark is seen to be."""

import uuid
from datetime import date

from services.members import store
from services.members.graduation import handlers as graduation
from shared import clock
from shared.bus.service import Asked
from shared.messages.members import MarkBranch, MarkMember
from tests.members.factories import ONE, SCHOOL, admin

YEAR = clock.now().year

THIS, NEXT = date(YEAR, 6, 15), date(YEAR + 1, 6, 15)


def mark(tx, branch, on=None, reason="", org=SCHOOL):
    """Give a branch a time of graduation or a reason why it has none."""
    return graduation.mark_branches(
        tx,
        [
            Asked(
                MarkBranch(command_id=uuid.uuid4(), branch_id=branch, graduates_on=on, reason=reason),
                admin(org),
            )
        ],
    )[0]


def mark_member(tx, member, kind, on=None, reason="", org=SCHOOL):
    """Mark one member; return the code of the refusal, or None."""
    answer = graduation.mark_members(
        tx,
        [
            Asked(
                MarkMember(
                    command_id=uuid.uuid4(), member_id=member, mark=kind, graduates_on=on, reason=reason
                ),
                admin(org),
            )
        ],
    )[0]
    return answer.refusal and answer.refusal.code


def seen(tx, member=ONE):
    """Return whether a member is a graduate, with the mark and its time."""
    row = store.by_ids(tx, [member])[member]
    return row.graduate, row.mark, row.graduates_on
