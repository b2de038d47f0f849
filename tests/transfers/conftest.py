"""A database of transfers that knows the tree of `factories.py`; a transaction that is taken back."""

from datetime import timedelta

import pytest

from services.transfers import models, store
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.settings import Settings
from shared import clock, db, directory
from shared.messages.orgs import AdministratorChanged, OrgChanged
from tests.transfers.factories import HERE, ORGS, PROVINCE_OF, ROOT, VAULT


@pytest.fixture(scope="module")
def engine(scratch, keys):
    made = scratch(models.metadata)
    db.give_settings(made, Settings(keys=keys))
    with made.begin() as tx:
        store.save_path_steps(tx)
        policies_store.hold(tx, reader.read("national"), clock.now() - timedelta(days=400))
        directory.on_org_changed(
            tx,
            [
                OrgChanged(
                    org_id=org_id,
                    parent_id=parent,
                    path=path,
                    kind=kind,
                    purpose=purpose,
                    province=PROVINCE_OF.get(org_id, HERE),
                    system="national",
                    provincial_id=ROOT,
                    vault_id=VAULT,
                    name=str(org_id),
                    version=1,
                    deleted=False,
                )
                for org_id, parent, path, kind, purpose in ORGS
            ],
        )
        directory.on_administrator_changed(
            tx,
            [
                AdministratorChanged(org_id=row[0], person_id=100 + row[0], active=True, version=1)
                for row in ORGS
            ],
        )
    return made


@pytest.fixture
def tx(engine):
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()
