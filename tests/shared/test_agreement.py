"""What the contracts promise is what the services do: compared at start, and on a real broker."""

import json
import os
import re
import subprocess
import sys
import uuid
from importlib import import_module

import kombu
import pytest
import sqlalchemy as sa

from services.federation.service import SERVICES as BRIDGES
from shared import db, outbox, runner
from shared.bus import agreement
from shared.bus.publisher import Publisher
from shared.bus.topology import publishers
from shared.messages import events, federation, orgs, transfers
from shared.messages import fields_of as fields
from shared.settings import SERVICES
from tests.installation import AMQP_URI, ROOT, SERVER, TOPOLOGY

UNDER_WAY = {
    "transfers_log_grew",
    *(
        event.topic()
        for event in vars(federation).values()
        if getattr(event, "publisher", "") == "federation"
    ),
}
"""Declared ahead of the part that tells it: the audit log of transfers, the bridges."""
DECLARED = sorted(
    topic for topic, event in events().items() if event.__module__.startswith("shared.messages.")
)


def services():
    return {name: import_module(f"services.{name}.service").Service for name in SERVICES}


def test_services_and_contracts_agree():
    """Every service handles exactly the events, commands and queries that the contracts give it.

    The list of calls is complete, too.
    """
    handled = 0
    for service in (*services().values(), BRIDGES["federation_bj"]):
        assert agreement.differences(service) == []
        handled += len(service.commands) + len(service.queries)
    assert len(agreement.calls()) == handled > 80


def changed(name: str, **tables):
    """Return a service with some of its tables replaced."""
    return type("Service", (services()[name],), tables)


@pytest.mark.parametrize(
    "service, words",
    [
        (
            lambda: changed(
                "scheduler", events={**services()["scheduler"].events, transfers.TransferCompleted: print}
            ),
            ["handles TransferCompleted", 'add "scheduler" to the consumers'],
        ),
        (
            lambda: changed("scheduler", events={}),
            ["NodeOpened names scheduler", "add a handler to `events` in services/scheduler/service.py"],
        ),
        (
            lambda: changed("orgs", commands={}),
            ["save_orgs is declared as one of the commands of orgs", "add a handler to `commands`"],
        ),
        (
            lambda: changed("orgs", queries={}),
            ["search_orgs is declared as one of the queries of orgs", "add a handler to `queries`"],
        ),
        (
            lambda: changed("scheduler", commands={orgs.save_orgs: print}),
            ["scheduler handles save_orgs", "sends it to orgs"],
        ),
    ],
    ids=[
        "no consumer in the contract",
        "no handler of an event",
        "no handler of a command",
        "no handler of a query",
        "another's call",
    ],
)
def test_a_difference_is_named(service, words):
    """A handler that no contract names, and a contract without a handler, are both refused.

    The sentence says what to do about it.
    """
    with pytest.raises(agreement.Disagreement) as caught:
        agreement.check(service())
    assert all(one in str(caught.value) for one in words), str(caught.value)


def test_a_service_that_disagrees_does_not_start(keys):
    """The process ends with 1 and a sentence, before it takes a message."""
    code = (
        "import eventlet; eventlet.monkey_patch()\n"
        "from services.scheduler.service import Service\n"
        "Service.events = {}\n"
        "from shared import runner, settings\n"
        "runner.migrate.pending = lambda *_: False\n"
        "runner.serve('scheduler', settings.from_environment())"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore:(?s).*Eventlet is deprecated", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "DATABASE_URL": SERVER,
            "AMQP_URI": AMQP_URI,
            "TUANQIAO_KEYS": str(keys),
            "PYTHONPATH": str(ROOT),
        },
    )
    assert ended.returncode == 1, ended.stderr
    assert "scheduler does not start: BranchAssigned names scheduler as a consumer" in ended.stderr, (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert runner.SERVICES == SERVICES


# ---- every declared event reaches the broker -----------------------------------------------------


@pytest.fixture
def listener():
    """A queue of an outsider, bound to everything that every service publishes.

    docs/asyncapi.json invites to that.
    """
    with kombu.Connection(AMQP_URI) as connection:
        TOPOLOGY.declare(connection)
        channel = connection.default_channel
        queue = kombu.Queue(
            f"{TOPOLOGY.prefix}outsider.{uuid.uuid4().hex[:8]}",
            [kombu.binding(TOPOLOGY.exchange(name), routing_key="#") for name in publishers()],
            durable=False,
            exclusive=True,
            auto_delete=True,
        )(channel)
        queue.declare()
        yield queue
        queue.delete()
        TOPOLOGY.delete(connection)


def promised() -> dict[str, str]:
    """Return the topics of docs/asyncapi.json with the service that says it sends them."""
    document = json.loads((ROOT / "docs" / "asyncapi.json").read_text("utf-8"))
    return {
        name.split(".", 1)[1]: name.split(".", 1)[0]
        for name, one in document["operations"].items()
        if one["action"] == "send"
    }


@pytest.mark.rule("BEY-15")
def test_every_declared_event_reaches_the_broker(scratch, settings, listener):
    """BEY-15: each event of the document reaches whoever is bound, whether a service consumes it or not.

    It is told by SQL, as the services tell it, and goes through outbox and relay.
    """
    metadata = db.metadata()
    outbox.table(metadata)
    engines = {name: scratch(metadata) for name in publishers()}
    assert sorted(promised()) == DECLARED
    assert {"transfer_completed", "node_approved"} <= set(DECLARED), "those that no service consumes"
    for topic in DECLARED:
        event = events()[topic]
        with engines[event.publisher].begin() as tx:
            # Empty fields will do: what a row holds is another test's matter, here it is the way it goes.
            columns = ", ".join(f'NULL AS "{field}"' for field in fields(event))
            tx.execute(
                sa.text(f"WITH given AS (SELECT {columns}) {outbox.insert(outbox.tell(event, 'given'))}")
            )
    for name, engine in engines.items():
        relay = outbox.Relay(name, engine, Publisher(settings))
        while relay.publish_some():
            pass
        relay.publisher.close()
        with engine.connect() as tx:
            assert tx.scalar(sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL")) == 0
    got = set()
    while (message := listener.get(no_ack=True)) is not None:
        service = message.delivery_info["exchange"].removeprefix(TOPOLOGY.prefix)
        got.add((service, message.delivery_info["routing_key"]))
    assert got == {(service, topic) for topic, service in promised().items()}


def test_every_declared_event_is_told():
    """No event is declared that its publisher never tells.

    Its name stands in a `tell`, or is made for `emit`, somewhere in that service.
    """
    for topic in DECLARED:
        event = events()[topic]
        folder = ROOT / "services" / event.publisher
        lines = [
            line
            for path in folder.rglob("*.py")
            for line in path.read_text("utf-8").splitlines()
            if "import" not in line  # to import the name is not yet to tell it
        ]
        assert topic in UNDER_WAY or any(re.search(rf"\b{event.__name__}\b", line) for line in lines), event
