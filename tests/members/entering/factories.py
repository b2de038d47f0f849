"""Rows of an import, and sending them."""

import random

from services.members.entering import imports
from shared.bus.service import Asked
from shared.messages.members import ImportRow
from system.synthetic import people
from tests.members.factories import CLASS, SCHOOL, admin


def rows(count, import_id, branch=str(CLASS), start=70_000_000):
    """Return so many good rows of one import, about people whom nobody else has."""
    some = people(count, rng=random.Random(5), division_codes=["420106"], start=start)
    return [
        ImportRow(
            import_id=import_id,
            number=n,
            branch_name=branch,
            name=one.name,
            id_number=one.id_number,
            ethnic_group=one.ethnic_group,
            phone=one.phone,
            joined_on=one.joined_on,
            development_number=one.development_number,
        )
        for n, one in enumerate(some, start=4)
    ]


def send(tx, items, actor=None):
    """Send rows; return the code of the refusal of each, or None."""
    return [
        one.refusal and one.refusal.code
        for one in imports.import_rows(tx, [Asked(item, actor or admin(SCHOOL)) for item in items])
    ]
