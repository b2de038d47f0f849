"""Telling again what a service has told: for queues whose content is gone, and for consumers put back.

Nothing is doubled: a message keeps its id, and whoever had it remembers that (`shared.inbox`). So
more may be told again than was lost. It goes to the broker in batches with confirms, and waits
while the consumers have enough to do. The outbox is only read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import kombu
import sqlalchemy as sa

from shared import db
from shared.bus import connection as broker
from shared.bus.publisher import Publisher
from shared.bus.topology import Topology
from shared.messages import events
from shared.outbox import MESSAGE_ID, REMEMBERED, message_of
from shared.settings import Settings, role

BATCH = 200
"""Messages of one wait for confirms."""
ENOUGH = 2_000
"""Messages in the queue of a consumer from which on it is waited for."""
LOOK_AGAIN_SECONDS = 0.5
PROGRESS = 10_000
"""Messages between two lines that say how far it is."""


class CannotTell(Exception):
    """What was asked for cannot be told again without harm, and why."""


class Asked(NamedTuple):
    """What is to be told again: of which service, told since when, which topics."""

    service: str
    since: datetime
    topics: list[str]


def asked(service: str, since: str, topics: Sequence[str]) -> Asked:
    """Return what is asked for; no topics: all that a service consumes.

    Raises:
        CannotTell: An instant that cannot be read, or further back than consumers remember; a topic
            that the service does not tell.

    """
    try:
        at = datetime.fromisoformat(since.replace("Z", "+00:00"))
    except ValueError:
        raise CannotTell(f"{since!r} is no instant such as 2026-11-26T14:30Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at < datetime.now(UTC) - REMEMBERED:
        raise CannotTell(
            f"consumers remember {REMEMBERED.days} days; what is older might have its effect a second time"
        )
    told = {topic: event for topic, event in events().items() if event.publisher == role(service)}
    if unknown := sorted(set(topics) - set(told)):
        raise CannotTell(f"{service} does not tell {', '.join(unknown)}, but {', '.join(sorted(told))}")
    return Asked(service, at, list(topics) or [topic for topic, event in told.items() if event.consumers])


# ids and instants grow together, but for transactions that were under way at the same time
_FIRST = sa.text("SELECT min(id) AS low, max(id) AS high FROM outbox")
_AT = sa.text("SELECT id, created_at FROM outbox WHERE id >= :id ORDER BY id LIMIT 1")
_WHICH = """
    FROM outbox
    WHERE id > :after AND published_at IS NOT NULL AND topic = ANY(:topics)
        AND created_at >= CAST(:since AS timestamptz) - interval '2 minutes'"""
_COUNT = sa.text(f"SELECT topic, count(*) AS n {_WHICH} GROUP BY 1 ORDER BY 1")
_SOME = sa.text(
    f"SELECT id, {MESSAGE_ID} AS message_id, topic, body, created_at {_WHICH} ORDER BY id LIMIT {BATCH}"
)


def _start(tx: sa.Connection, since: datetime) -> int:
    """Return an id before everything that was told since then, found by halving: instants have no index."""
    low, high = tx.execute(_FIRST).one()
    if low is None:
        return 0
    low -= 1
    while high - low > BATCH:
        row = tx.execute(_AT, {"id": (low + high) // 2}).one()
        if row.created_at < since:
            low = row.id
        else:
            high = (low + high) // 2
    return max(0, int(low) - 10 * BATCH)


def count(settings: Settings, wanted: Asked) -> dict[str, int]:
    """Return how many messages would be told again, by topic."""
    engine = db.connect(settings.database(wanted.service))
    with engine.connect() as tx:
        tx.execute(sa.text("SET LOCAL statement_timeout = 0"))  # of a whole season it takes minutes
        rows = tx.execute(_COUNT, {**wanted._asdict(), "after": _start(tx, wanted.since)}).all()
    engine.dispose()
    return {row.topic: row.n for row in rows}


def tell(settings: Settings, wanted: Asked) -> Iterator[tuple[int, datetime]]:
    """Tell again; yield after each batch how many messages were told, and the instant that it has come to.

    Stopped, it may be asked for again from that instant on.

    Raises:
        PublishFailed: The broker did not take a batch.

    """
    engine = db.connect(settings.database(wanted.service))
    publisher = Publisher(settings)
    told = 0
    try:
        with broker.connect(settings.amqp_uri, heartbeat=0) as looking, engine.connect() as tx:
            after = _start(tx, wanted.since)
            while rows := tx.execute(_SOME, {**wanted._asdict(), "after": after}).all():
                tx.rollback()  # no snapshot is held while the broker is waited for
                publisher.publish([message_of(wanted.service, row, mandatory=False) for row in rows])
                told, after = told + len(rows), rows[-1].id
                yield told, rows[-1].created_at
                _let_them_work(looking, settings, wanted)
    finally:
        publisher.close()
        engine.dispose()


def _let_them_work(looking: kombu.Connection, settings: Settings, wanted: Asked) -> None:
    """Wait until no queue of a consumer is long."""
    topology = Topology.of(settings)
    known = events()
    roles = {one for topic in wanted.topics for one in known[topic].consumers}
    queues = [topology.event_queue(one).name for one in topology.services if role(one) in roles]
    while any(_waiting(looking, queue) > ENOUGH for queue in queues):
        time.sleep(LOOK_AGAIN_SECONDS)


def _waiting(looking: kombu.Connection, queue: str) -> int:
    return int(looking.default_channel.queue_declare(queue, passive=True).message_count)
