"""What a scrape says of the database while it answers, and while it does not."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY, Gauge

from shared import db, health, inbox, metrics, outbox
from shared.bus.service import no_gauges
from tests.installation import ROOT

WAITING = Gauge("probe_waiting", "For these tests", ["place"])


@pytest.fixture
def machinery(scratch):
    """What a scrape asks of a service, over a database of its own."""
    metadata = sa.MetaData()
    outbox.table(metadata)
    inbox.tables(metadata)
    service = SimpleNamespace(gauges=no_gauges)
    return SimpleNamespace(
        name="probe",
        database=db.Database(scratch(metadata)),
        container=SimpleNamespace(service_cls=service),
        service=service,
        shown=metrics.Shown(),
    )


def shown(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_gauges_go_with_their_source(machinery):
    """What is read is shown; without the database nothing is shown but that it is away."""
    database = machinery.database
    with database.transaction() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO outbox (topic, body, created_at)"
                " SELECT 't', '[]', clock_timestamp() - i * interval '1 minute'"
                " FROM generate_series(1, 3) AS i"
            )
        )
    machinery.service.gauges = lambda tx: [(WAITING, ("here",), 7), (WAITING, ("there",), 0)]
    health.collect([machinery])
    assert shown("tuanqiao_database_up", service="probe") == 1
    assert shown("tuanqiao_outbox_waiting", service="probe") == 3
    assert 180 <= shown("tuanqiao_outbox_oldest_seconds", service="probe") < 240
    assert shown("tuanqiao_dead_letters", service="probe") == 0
    assert (shown("probe_waiting", place="here"), shown("probe_waiting", place="there")) == (7, 0)

    machinery.service.gauges = lambda tx: [(WAITING, ("there",), 2)]
    health.collect([machinery])
    assert (shown("probe_waiting", place="here"), shown("probe_waiting", place="there")) == (None, 2)

    machinery.database = db.Database(db.connect("postgresql://nobody@127.0.0.1:1/nothing"))
    health.collect([machinery])
    assert shown("tuanqiao_database_up", service="probe") == 0
    for name in ("outbox_waiting", "outbox_oldest_seconds", "dead_letters"):
        assert shown(f"tuanqiao_{name}", service="probe") is None, name
    assert shown("probe_waiting", place="there") is None

    machinery.database = database
    health.collect([machinery])
    assert (shown("tuanqiao_database_up", service="probe"), shown("probe_waiting", place="there")) == (1, 2)


SILENT = """
import eventlet
eventlet.monkey_patch()
import time
from types import SimpleNamespace
from prometheus_client import REGISTRY
from shared import db, health, metrics

health.READING_SECONDS = 0.5
listens = eventlet.listen(("127.0.0.1", 0))
url = f"postgresql://nobody@127.0.0.1:{listens.getsockname()[1]}/nothing"
machinery = SimpleNamespace(name="probe", database=db.Database(db.connect(url)), shown=metrics.Shown())
turns = []
eventlet.spawn(lambda: [(turns.append(1), eventlet.sleep(0.1)) for _ in range(100)])
started = time.monotonic()
health.collect([machinery])
print(time.monotonic() - started, len(turns))
print(REGISTRY.get_sample_value("tuanqiao_database_up", {"service": "probe"}))
"""


def test_a_database_that_is_silent_holds_up_no_scrape():
    """A host that takes the connection and says nothing: away after the time of a look; others turn on."""
    command = [sys.executable, "-W", "ignore", "-c", SILENT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seconds, turns, up = done.stdout.split()
    assert float(seconds) < 3 and int(turns) >= 2 and float(up) == 0
