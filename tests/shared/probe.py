"""A small service on the real bus whose handlers misbehave on request; a process of the bus tests.

It takes the place of the scheduler: `NodeOpened` items are counted in `effects`;
`node_no` says how to misbehave.
"""

import warnings

warnings.filterwarnings("ignore", "(?s).*Eventlet is deprecated")  # known: docs/adr/0002

import eventlet

eventlet.monkey_patch()

import os
import sys
import time

import sqlalchemy as sa

from shared import db, health, inbox, lives, outbox, runner, watchdog
from shared.bus import service as bus
from shared.bus import topology
from shared.bus.service import BusService
from shared.messages import Command, Query
from shared.messages import events as contracts
from shared.messages.transfers import AssignBranch, GetTransfer, NodeOpened, Outcome
from shared.settings import from_environment

FINE, RAISES, TIMES_OUT, UNIMPORTABLE, FAILS_TWICE, SLOW, TOO_LONG, SLEEPS, SPINS = range(1, 10)
LOST_ONCE, LOST_ALWAYS = 10, 11

metadata = db.metadata()
effects = sa.Table(
    "effects",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
)
lives.table(metadata)
outbox.table(metadata)
inbox.tables(metadata)

TOO_LONG_FOR_AN_INDEX = sa.text(
    "INSERT INTO names SELECT string_agg(md5(CAST(n AS text)), '') FROM generate_series(1, 300) AS n"
)
"""PostgreSQL refuses it with 54000, which psycopg2 files under the class of lost connections."""
# The sequence counts the tries: it is not taken back with the transaction.
TRY_AND_SLEEP = sa.text("SELECT nextval('tries_of_sleep'), pg_sleep(30)")
COUNT = sa.text(
    "INSERT INTO effects SELECT unnest(CAST(:ids AS bigint[])), 1"
    " ON CONFLICT (id) DO UPDATE SET times = effects.times + 1"
)
LOSE = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
seen: dict[int, int] = {}  # how often an item that fails twice has been tried

probe_command = Command("scheduler", "probe_command", AssignBranch, Outcome)
probe_query = Query("scheduler", "probe_query", GetTransfer, int)


def on_node_opened(tx, items):
    for item in items:
        if item.node_no == RAISES:
            raise ValueError("as asked")
        if item.node_no == TIMES_OUT:
            raise eventlet.Timeout(1)
        if item.node_no == UNIMPORTABLE:  # nameko's own answer to it would end the container
            raise type("Local", (Exception,), {"__module__": "no.such.module"})("cannot be imported")
        if item.node_no == FAILS_TWICE:
            seen[item.transfer_id] = seen.get(item.transfer_id, 0) + 1
            if seen[item.transfer_id] <= 2:
                raise ValueError("not yet")
        if item.node_no == SLOW:
            time.sleep(3)
        if item.node_no == TOO_LONG:
            tx.execute(TOO_LONG_FOR_AN_INDEX)
        if item.node_no == SLEEPS:
            tx.execute(TRY_AND_SLEEP)
    tx.execute(COUNT, {"ids": [item.transfer_id for item in items]})


def command(tx, asked):
    for one in asked:
        if one.item.branch_id == RAISES:
            raise type("Local", (Exception,), {"__module__": "no.such.module"})("boom")
        if one.item.branch_id == TOO_LONG:
            tx.execute(TOO_LONG_FOR_AN_INDEX)
        if one.item.branch_id == SLEEPS:
            tx.execute(TRY_AND_SLEEP)
    tx.execute(COUNT, {"ids": [one.item.transfer_id for one in asked]})
    return [Outcome(transfer_id=one.item.transfer_id, state=str(one.actor.person_id)) for one in asked]


def query(tx, request, actor):
    if request.transfer_id == RAISES:
        raise eventlet.Timeout(1)
    if request.transfer_id == SLOW:
        time.sleep(3)
    if request.transfer_id == SPINS:
        spin()
    if request.transfer_id == LOST_ALWAYS or (request.transfer_id == LOST_ONCE and LOST_ONCE not in seen):
        seen[request.transfer_id] = 1
        tx.execute(LOSE)
    return request.transfer_id


def spin():
    """Stand still, as what looks for more bytes that never come."""
    while True:
        pass


def ignore(tx, items):
    pass


class Service(BusService):
    name = "scheduler"
    events = {event: ignore for event in contracts().values() if "scheduler" in event.consumers} | {
        NodeOpened: on_node_opened
    }
    commands = {probe_command: command}
    queries = {probe_query: query}

    @classmethod
    def prepare(cls, machinery):
        with machinery.database.transaction() as tx:
            tx.exec_driver_sql("SELECT 1")


def main() -> None:
    import services.scheduler.service

    services.scheduler.service.Service = Service
    # Shorter limits and fewer tries than the real ones, or the tests of time-outs would take minutes.
    inbox.LIMITS = bus.LIMITS_ALONE = db.Limits(statement=2.0, lock=1.0)
    bus.LIMITS_TOGETHER = db.Limits(statement=1.0, lock=0.5)
    inbox.RETRY_AFTER = inbox.RETRY_AFTER[:2]
    topology.DELIVERY_LIMIT = int(os.environ.get("PROBE_DELIVERY_LIMIT", topology.DELIVERY_LIMIT))
    # The probe's tables are made by the tests, not by migrations.
    runner.migrate.pending = lambda name, url: False
    watchdog.LOOKS = int(os.environ.get("PROBE_LOOKS", watchdog.LOOKS))
    settings = from_environment()
    assert health
    runner.serve("scheduler", settings)


if __name__ == "__main__":
    sys.exit(main())
