"""Asking for a migration of the college to the city, and deciding one."""

from uuid import uuid4

from services.orgs.migration import handlers as migration
from shared.bus.service import Asked
from shared.messages.orgs import DecideMigration, RequestMigration
from tests.orgs.factories import COLLEGE, TOWN, of_college


def ask(tx, org=COLLEGE, to=TOWN, actor=of_college, **values):
    """Run one RequestMigration."""
    return migration.request_migrations(
        tx,
        [Asked(RequestMigration(**{"command_id": uuid4(), "org_id": org, "to_org_id": to, **values}), actor)],
    )[0]


def decide(tx, migration_id, actor, approve=True, **values):
    """Run one DecideMigration."""
    return migration.decide_migrations(
        tx, [Asked(DecideMigration(migration_id=migration_id, approve=approve, **values), actor)]
    )[0]
