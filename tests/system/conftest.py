"""A whole installation with the demo world on real servers, and the gateway in front of it."""
from io import BytesIO
from types import SimpleNamespace

import pytest
import werkzeug.test

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from shared import db
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import embedded, world
from tests.installation import Installation

werkzeug.test.TemporaryFile = lambda mode: BytesIO()  # its own, for an upload over 500 KB, is never closed: a warning in a test that comes later


class Town(Installation):
    """An installation that looks to `system.world` like the embedded system."""

    def machinery(self, service: str) -> SimpleNamespace:
        return SimpleNamespace(database=db.Database(self.engine(service)), relay=SimpleNamespace(wake=lambda: None))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys")
    embedded.make_keys(keys)
    accounts.use(keys)
    made = Town(keys)
    made.create()
    made.start(*SERVICES)
    made.tree = world.load(made, everyone=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(town):
    made = RpcClient(town.settings.amqp_uri)
    yield made
    made.close()


@pytest.fixture
def browser(town, client):
    """A browser without a session; each test has its own."""
    return create_app(client, town.settings).test_client()
