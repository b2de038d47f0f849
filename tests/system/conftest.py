"""A whole installation with the demo world on real servers, and the gateway in front of it."""

import shutil
import threading
from contextlib import closing, contextmanager
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
from tests.installation import Installation, settle
from tests.system.visitor import CHROMIUM, Visitor

# the client's own, for an upload over 500 KB, is never closed: a warning in a test that comes later
werkzeug.test.TemporaryFile = lambda mode: BytesIO()


class Town(Installation):
    """An installation that looks to `system.world` like the embedded system."""

    def machinery(self, service: str) -> SimpleNamespace:
        return SimpleNamespace(
            database=db.Database(self.engine(service)), relay=SimpleNamespace(wake=lambda: None)
        )


@contextmanager
def demo_town(keys):
    """Yield the demo world, loaded and closed, to be copied; its keys are made in a folder."""
    embedded.make_keys(keys)
    accounts.use(keys)
    made = Town(keys)
    try:
        made.create()
        made.start(*SERVICES)
        made.tree = world.load(made, everyone=True)
        settle(made)
        made.close(keep_databases=True)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def first_town(tmp_path_factory):
    """The demo world, loaded once in each process of tests and closed; every town is a copy of it."""
    with demo_town(tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.fixture(scope="module")
def town(first_town, tmp_path_factory):
    keys = tmp_path_factory.mktemp("town") / "keys"
    shutil.copytree(first_town.settings.keys, keys)
    accounts.use(keys)
    with closing(Town(keys)) as made:
        made.create(like=first_town.settings)
        made.tree = list(first_town.tree)
        made.start(*SERVICES)
        yield made


@pytest.fixture(scope="module")
def client(town):
    made = RpcClient(town.settings)
    yield made
    made.close()


@pytest.fixture
def browser(town, client):
    """A browser without a session; each test has its own."""
    return create_app(client, town.settings).test_client()


@pytest.fixture(scope="module")
def site(town, client):
    """The gateway on a port of its own."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, create_app(client, town.settings), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield made
        made.close()


@pytest.fixture
def visit(chromium, site, town):
    made = []

    def visitor(person, width=1440, password=world.PASSWORD):
        one = Visitor(chromium, site, town, width)
        made.append(one)
        one.sign_in(person, password)
        return one

    yield visitor
    for one in made:
        one.page.context.close()
