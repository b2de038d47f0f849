"""A database with one person who has an account, the service without its bus, and who may make codes."""

import pytest
import sqlalchemy as sa

from services.members import models
from services.members.accounts import handlers as accounts
from services.members.sealing import seal
from services.members.service import Service
from shared import db, directory
from shared.bus.service import Machinery
from shared.identity import Verifier
from shared.messages.orgs import AdministratorChanged, OrgChanged
from tests.members.accounts.factories import BRANCH, ROOT, SUPERIOR, enter


@pytest.fixture(scope="module")
def engine(scratch, keys):
    """The database of members, empty, with the keys that seal numbers and sign tokens."""
    seal.make_keys(keys)
    accounts.use(keys)
    return scratch(models.metadata)


@pytest.fixture
def tx(engine):
    """A transaction with the one person entered, rolled back."""
    with engine.connect() as connection:
        transaction = connection.begin()
        enter(connection)
        yield connection
        transaction.rollback()


@pytest.fixture
def service(engine, keys):
    """The machinery of the service without its bus."""
    made = Machinery()
    made.name, made.database, made.verifier = "members", db.Database(engine), Verifier(keys)
    made.serve({}, Service.queries)
    with engine.begin() as tx:
        enter(tx)
    yield made
    with engine.begin() as tx:
        for table in ("people", "accounts", "sessions", "attempts", "memberships"):
            tx.execute(sa.text(f"DELETE FROM {table}"))


@pytest.fixture
def coded(tx):
    """The transaction, with the branch of the person and who administers it and what is above."""
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=org,
                parent_id=parent,
                path=path,
                kind="branch" if org == BRANCH else "committee",
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name=str(org),
                version=1,
                deleted=False,
            )
            for org, parent, path in (
                (ROOT, None, "1."),
                (SUPERIOR, ROOT, "1.2."),
                (BRANCH, SUPERIOR, "1.2.3."),
            )
        ],
    )
    directory.on_administrator_changed(
        tx,
        [
            AdministratorChanged(org_id=org, person_id=100 + org, active=True, version=1)
            for org in (ROOT, SUPERIOR, BRANCH)
        ],
    )
    return tx
