"""A database that is away: no message is given up, nobody is kept waiting, and nothing waits without end."""

import os
import subprocess
import sys
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
from kombu import Connection

from shared import db
from shared.bus import topology
from shared.bus.publisher import Publisher, cloud_event
from shared.bus.rpc import RpcClient
from shared.bus.topology import Topology
from shared.errors import Refused
from shared.messages.transfers import AssignBranch, GetTransfer
from tests.installation import AMQP_URI, ROOT, TOPOLOGY
from tests.shared.test_bus import PROBE_COMMAND, PROBE_QUERY, Probe, ids, opened, token
from tests.storm.proxy import Network
from tests.storm.servers import free_ports, wait_until

assert token
FEW_DELIVERIES = 2
"""Instead of twenty: it is used up within a second by whoever gives messages back."""
LOST_ONCE, LOST_ALWAYS = 10, 11
"""Asked for these, the probe ends its own connection to the database."""
NAMES = Topology(f"{TOPOLOGY.prefix}away.")


class Away(Probe):
    """The probe service with a database that goes away and a broker behind a link."""

    def __init__(self, keys, network, uri) -> None:
        self.network = network
        super().__init__(
            keys,
            environ={
                "AMQP_URI": uri,
                "TUANQIAO_BUS_PREFIX": NAMES.prefix,
                "PROBE_DELIVERY_LIMIT": str(FEW_DELIVERIES),
            },
        )
        self.server = sa.create_engine(
            db.address(self.settings.database("scheduler")).set(database="postgres"),
            isolation_level="AUTOCOMMIT",
        )

    @contextmanager
    def without_database(self, begin: str, end: str):
        """Have the database away: its settings, and then the end of its connections."""
        self._set(begin)
        try:
            yield
        finally:
            self._set(end)

    def _set(self, change: str) -> None:
        name = f"{self.settings.database_prefix}_scheduler"
        self.engine("scheduler").dispose()
        with self.server.connect() as tx:
            tx.execute(sa.text(f'ALTER DATABASE "{name}" {change}'))
            tx.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                {"name": name},
            )


@pytest.fixture(scope="module")
def away(keys, tmp_path_factory):
    given = urllib.parse.urlsplit(AMQP_URI)
    if given.hostname not in ("localhost", "127.0.0.1"):
        pytest.skip("RabbitMQ is not on this machine, so no link leads to it")
    network = Network(tmp_path_factory.mktemp("network"), free_ports(1))
    port = network.link("broker", [given.port or 5672])
    uri = AMQP_URI.replace(given.netloc, f"{given.username}:{given.password}@127.0.0.1:{port}")
    network.start()
    with pytest.MonkeyPatch.context() as patch, closing(network), closing(Away(keys, network, uri)) as made:
        patch.setattr(topology, "DELIVERY_LIMIT", FEW_DELIVERIES)
        made.create()
        made.start("scheduler")
        yield made
        made.server.dispose()
        with Connection(AMQP_URI) as connection:
            NAMES.delete(connection)


@pytest.fixture
def settings(away):
    return away.settings.__class__(
        away.settings.database_url, "", AMQP_URI, away.settings.keys, 0, bus_prefix=NAMES.prefix
    )


@pytest.fixture
def publisher(settings):
    with closing(Publisher(settings)) as made:
        yield made


@pytest.fixture
def client(settings):
    with closing(RpcClient(settings)) as made:
        yield made


def dead_messages() -> int:
    with Connection(AMQP_URI) as connection:
        return connection.default_channel.queue_declare(NAMES.dead_queue, passive=True).message_count


def refused_after(client, call, request, token) -> float:
    """Return after how many seconds a call is answered `unavailable`."""
    started = time.monotonic()
    with pytest.raises(Refused) as caught:
        client.call(call, request, token=token, timeout=8)
    assert caught.value.code == "unavailable"
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
    ],
    ids=["refused", "read-only"],
)
def test_a_database_away_costs_no_delivery(away, publisher, client, token, begin, end):
    """Messages that come while the database takes no work wait for it; the broker gives none of them up.

    Not even where it takes them back again and again, because their connection was lost. Calls are
    refused at once meanwhile.
    """
    some = ids(30)
    command = [AssignBranch(decision_id=uuid.uuid4(), transfer_id=some[0], branch_id=1)]
    with away.without_database(begin, end):
        publisher.publish([opened([one]) for one in some])
        for _ in range(FEW_DELIVERIES + 1):
            time.sleep(0.6)
            away.network.set("broker", "reset")
        time.sleep(0.5)
        assert refused_after(client, PROBE_COMMAND, command, token) < 3
        assert away.get("scheduler", "/healthz")[0] == 200

    away.wait(lambda: set(some) <= set(away.effects()), 15)
    assert {away.effects()[one] for one in some} == {1}
    assert dead_messages() == 0
    assert client.call(PROBE_COMMAND, command, token=token)[0].refusal is None
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42


def test_a_service_starts_without_what_it_needs(away, client, token):
    """A process that finds no broker, and then a database that goes while it starts, waits for both."""
    log = ROOT / "var" / "logs" / f"probe_{os.getpid()}.log"
    away.kill("scheduler")
    away.network.set("broker", "refuse")
    before = log.stat().st_size

    def says(what: bytes) -> bool:
        return b"waiting for " + what in log.read_bytes()[before:]

    with ThreadPoolExecutor(1) as pool:
        with away.without_database("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"):
            starting = pool.submit(away.start, "scheduler")
            wait_until("the broker is missed", lambda: says(b"RabbitMQ"))
            away.network.set("broker", "pass")
            wait_until("the database is missed", lambda: says(b"its database"))
        starting.result()
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42


def test_a_lost_connection_costs_no_answer(away, client, token):
    """A question whose connection is lost is asked again on another, once; then it is `unavailable`."""
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=LOST_ONCE), token=token) == LOST_ONCE
    assert refused_after(client, PROBE_QUERY, GetTransfer(transfer_id=LOST_ALWAYS), token) < 3


def test_moved_by_its_queue_s_name(away):
    """A message that was put straight into the queue, as the broker's own tools do, keeps its topic."""
    some = ids(1)
    message = opened(some)
    with Connection(AMQP_URI) as connection:
        channel = connection.default_channel
        prepared = channel.prepare_message(
            message.body,
            content_type="application/json",
            content_encoding="utf-8",
            headers=cloud_event(message),
            properties={"message_id": message.message_id},
        )
        channel.basic_publish(prepared, exchange="", routing_key=f"{NAMES.prefix}scheduler.events")

    away.wait(lambda: some[0] in away.effects())


def test_dead_messages_are_a_metric(away):
    """What the broker has given up is seen at the next look; where nobody can look, no number is said."""

    def said() -> list[str]:
        lines = away.get("scheduler", "/metrics")[1].splitlines()
        return [line.split()[1] for line in lines if line.startswith("tuanqiao_dead_messages{")]

    with Connection(AMQP_URI) as connection:
        channel = connection.default_channel
        channel.basic_publish(
            channel.prepare_message(b"[]"), exchange="", routing_key=f"{NAMES.prefix}dead.events"
        )
        away.network.set("broker", "refuse")
        away.wait(lambda: said() == [])
        away.network.set("broker", "pass")
        away.wait(lambda: said() == ["1.0"])
        channel.queue_purge(NAMES.dead_queue)


SILENCE = """
import eventlet; eventlet.monkey_patch()
import socket, sys, time
from shared import db, failures, patience
patience.install()
patience.CONNECT_SECONDS = patience.Patient.patience = 0.5

def seconds(work):
    began = time.monotonic()
    try:
        work()
    except Exception as error:
        return time.monotonic() - began, failures.is_away(error), failures.words(error)

deaf = socket.create_server(("127.0.0.1", 0))
nobody = db.connect(f"postgresql://postgres@127.0.0.1:{deaf.getsockname()[1]}/x")
print(*seconds(nobody.connect), sep="|")
database = db.Database(db.connect(sys.argv[1]))

def slow():
    with database.transaction(seconds=0.5) as tx:
        tx.exec_driver_sql("SELECT pg_sleep(20)")

print(*seconds(slow), sep="|")
with database.transaction() as tx:
    print(tx.exec_driver_sql("SELECT 'goes on', pg_sleep(1)").scalar())
"""


def test_nobody_waits_for_a_silent_server(away):
    """A server that says nothing, whether to a connection or to a statement, counts as away in due time."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SILENCE, away.settings.database("scheduler")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    *silent, after = done.stdout.splitlines()
    assert len(silent) == 2 and after == "goes on", done.stderr
    for line in silent:
        seconds, away_, words = line.split("|")
        assert 0.4 < float(seconds) < 3 and away_ == "True" and "no answer within" in words, line
