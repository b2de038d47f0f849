"""What tests make and ask for."""

from uuid import uuid4

from services.orgs import handlers
from services.orgs.migration import handlers as migration
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.orgs import CheckOrg, RequestMigration
from tests.orgs.factories import COLLEGE, of_college

INDUSTRY = "普通高等院校"


def check(tx, actor=of_college, **values):
    item = {
        "command_id": uuid4(),
        "org_id": COLLEGE,
        "kind": "committee",
        "short_name": "机械学院团委",
        "full_name": "共青团江汉理工大学机械学院委员会",
        "industry": INDUSTRY,
        "phone": "02788880000",
        **values,
    }
    return handlers.check_orgs(tx, [Asked(CheckOrg(**item), actor)])[0]


TOWN = 4201

of_city = Actor(3001, TOWN)


def ask(tx, org=COLLEGE, to=TOWN, actor=of_college, **values):
    return migration.request_migrations(
        tx,
        [Asked(RequestMigration(**{"command_id": uuid4(), "org_id": org, "to_org_id": to, **values}), actor)],
    )[0]
