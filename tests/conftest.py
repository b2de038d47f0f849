"""What all tests share: real servers, databases of their own, keys, the clock put back."""

import os

if "PYTEST_XDIST_WORKER" in os.environ or "TUANQIAO_BUS_PREFIX" not in os.environ:
    os.environ["TUANQIAO_BUS_PREFIX"] = f"test{os.getpid()}."  # each process of tests has queues of its own
import uuid
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

from shared import clock, db, identity
from shared.settings import Environment, Settings

SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@localhost:5432/"
AMQP_URI = os.environ.get("AMQP_URI") or "amqp://guest:guest@localhost:5672//"
BUS_PREFIX = os.environ["TUANQIAO_BUS_PREFIX"]


hypothesis.settings.register_profile(
    "first-failure", phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate), database=None
)
"""For `make mutants`: that there is a failing example is enough, nobody reads the smallest one."""


def server_url(name: str) -> str:
    """Return the address of database `name` on the test server."""
    return str(db.address(SERVER).set(database=name).render_as_string(hide_password=False))


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Path:
    """A folder with token keys, and with the keys of identity numbers where members needs them."""
    folder = tmp_path_factory.mktemp("keys")
    identity.make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def scratch():
    """Make databases from a metadata; all are dropped at the end of the module."""
    made = []

    def make(metadata: sa.MetaData) -> sa.Engine:
        url = server_url(f"tq_test_{uuid.uuid4().hex[:12]}")
        db.create_database(url)
        engine = db.connect(url)
        metadata.create_all(engine)
        made.append((url, engine))
        return engine

    yield make
    for url, engine in made:
        engine.dispose()
        db.drop_database(url)


@pytest.fixture
def settings(keys, request) -> Settings:
    """Settings of an installation of its own on the test servers, without databases yet."""
    return Settings(SERVER, f"tq_test_{uuid.uuid4().hex[:8]}", AMQP_URI, keys, 0, bus_prefix=BUS_PREFIX)


@pytest.fixture
def configure(request, engine, settings, monkeypatch):
    """Set names of the environment for one test, and have the service that it is about read them."""
    own = import_module(f"services.{request.module.__name__.split('.')[1]}.settings")
    before = db.settings_of(engine, own.Settings)

    def change(**names: str) -> None:
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        db.give_settings(engine, own.read(Environment(), settings))

    yield change
    db.give_settings(engine, before)


@pytest.fixture(autouse=True)
def present():
    """Put the simulated clock back after each test."""
    yield
    clock._ahead = clock._ahead * 0


# ---- rules whose only tests were skipped are said aloud: a skipped test proves nothing -----------


def pytest_runtest_makereport(item, call):
    """Note for each rule of the test's markers whether the test was skipped or ran."""
    skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
    if call.when != "call" and not skipped:
        return
    runs = item.config.stash.setdefault(_RUNS, {})
    for marker in item.iter_markers("rule"):
        for rule in marker.args:
            runs[rule] = runs.get(rule, False) or not skipped


def pytest_terminal_summary(terminalreporter):
    """Print the rules that this run has not proved because their tests were skipped."""
    unproved = sorted(rule for rule, ran in terminalreporter.config.stash.get(_RUNS, {}).items() if not ran)
    if unproved:
        terminalreporter.write_line(f"not proved in this run, tests skipped: {', '.join(unproved)}")


_RUNS = pytest.StashKey[dict[str, bool]]()
