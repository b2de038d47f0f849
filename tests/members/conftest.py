"""A database with the tree of organisations and three members, and a transaction on it."""

from datetime import timedelta

import pytest

from services.members import models
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.sealing import seal
from shared import directory
from shared.messages.orgs import AdministratorChanged, OrgChanged
from tests.members.factories import (
    AT,
    COLLEGE,
    DEEP,
    ONE,
    ORGS,
    ROOT,
    SCHOOL,
    THREE,
    TWO,
    person,
)


@pytest.fixture(scope="module")
def engine(scratch, keys):
    """The database of members with the tree, its administrators and the three members."""
    seal.make_keys(keys)
    accounts.use(keys)
    made = scratch(models.metadata)
    with made.begin() as tx:
        directory.on_org_changed(
            tx,
            [
                OrgChanged(
                    org_id=org_id,
                    parent_id=parent,
                    path=path,
                    kind=kind,
                    purpose="ordinary",
                    province=province,
                    system="national",
                    provincial_id=ROOT,
                    vault_id=None,
                    name=str(org_id),
                    version=1,
                    deleted=False,
                    industry="普通高等院校" if kind == "branch" or org_id in (SCHOOL, COLLEGE) else "",
                )
                for org_id, parent, path, kind, province in ORGS
            ],
        )
        directory.on_administrator_changed(
            tx,
            [
                AdministratorChanged(org_id=row[0], person_id=100 + row[0], active=True, version=1)
                for row in ORGS
            ],
        )
        entering.seed_people(
            tx,
            [(ONE, person(1)), (TWO, person(2)), (THREE, person(3, DEEP))],
            began_at=AT - timedelta(days=999),
        )
    return made


@pytest.fixture
def tx(engine):
    """A transaction on it, rolled back."""
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def moment(configure):
    """The yearly moment is past on every day on which the tests may run."""
    configure(TUANQIAO_GRADUATION_SWITCH="01-01")
