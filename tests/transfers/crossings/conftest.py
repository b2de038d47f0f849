"""The tree of `tests/transfers` with three other systems beside it, of which bridges lead to two."""

import pytest

from services.transfers.settings import Settings
from shared import db, directory
from shared.messages.orgs import OrgChanged
from tests.transfers.crossings.factories import MIRRORED, PROVINCES


@pytest.fixture(scope="module")
def engine(engine, keys):
    db.give_settings(engine, Settings(keys=keys, peers=frozenset({"BJ", "GD"})))
    with engine.begin() as tx:
        directory.on_org_changed(
            tx,
            [
                OrgChanged(
                    org_id=org_id,
                    parent_id=parent,
                    path=path,
                    kind=kind,
                    purpose="ordinary",
                    province=PROVINCES[system],
                    system=system,
                    provincial_id=None,
                    vault_id=None,
                    name=str(org_id),
                    version=1,
                    deleted=False,
                )
                for org_id, parent, path, kind, system in MIRRORED
            ],
        )
    return engine
