"""A command that was handled answers its sender and nobody else."""

from uuid import uuid4

import pytest

from services.orgs import handlers
from services.orgs.migration import handlers as migration
from shared.bus.service import Asked
from shared.messages.orgs import (
    RequestMigration,
    SaveOrg,
)
from tests.orgs.factories import (
    COLLEGE,
    SCHOOL,
    code,
    make,
    of_class,
    of_college,
    of_school,
)


@pytest.mark.rule("ORG-10", "MIG-03")
def test_a_command_is_its_senders(tx):
    """ORG-10, MIG-03: the id of somebody else's command is refused and tells nothing of what it made.

    The sender is answered as before, in one list, too.
    """
    key = uuid4()
    made = make(tx, command_id=key)
    assert made.org_id is not None and make(tx, command_id=key) == made
    other = make(tx, actor=of_class, command_id=key)
    assert (other.org_id, code(other)) == (None, "command_taken")
    fresh = SaveOrg(command_id=uuid4(), parent_id=SCHOOL, kind="branch", full_name="共青团某某二支部委员会")
    first, second = handlers.save_orgs(tx, [Asked(fresh, of_school), Asked(fresh, of_class)])
    assert first.org_id is not None and (second.org_id, code(second)) == (None, "command_taken")
    asked = RequestMigration(command_id=uuid4(), org_id=COLLEGE, to_org_id=4201)
    moved, again, theirs = [
        migration.request_migrations(tx, [Asked(asked, actor)])[0]
        for actor in (of_college, of_college, of_school)
    ]
    assert moved.migration_id is not None and again == moved
    assert (theirs.migration_id, code(theirs)) == (None, "command_taken")
