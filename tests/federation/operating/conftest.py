"""A bridge with organisations, people who administer them, and its own settings."""

import pytest

from services.federation.calling import Address
from services.federation.settings import Settings
from shared import db
from tests.federation.factories import End
from tests.federation.operating.factories import settle_down


@pytest.fixture(autouse=True)
def desk(here: End) -> None:
    db.give_settings(here.engine, Settings("BJ", here.bridge.keys.place, Address("http://127.0.0.1:9")))
    with here.engine.begin() as tx:
        settle_down(tx)
