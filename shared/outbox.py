"""Transactional outbox: events are rows of the transaction that causes them.

A relay publishes them afterwards. A row is marked only after the broker has confirmed it, so a
crash at any line publishes it again and never loses it. Published rows stay as the service's event
log until they are pruned.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import background, db, failures, metrics
from shared.bus.publisher import Message, Publisher, PublishFailed, PublishRefused
from shared.messages import MAX_ITEMS, Event, events, fields_of
from shared.settings import role

log = logging.getLogger("tuanqiao.outbox")
NEVER_AGAIN = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing"
    " substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)"
    " FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid"
)
"""A UUID of version 7, as PostgreSQL makes it: no database hands out the same twice.

Not even one that was put back to an earlier state, whose own numbers come again. It begins with the
time, so that the consumers' inboxes grow at one end of their index.
"""
REMEMBERED = timedelta(days=90)
"""How long outbox and inboxes remember a message at least; what is older is not told again."""
MESSAGE_ID = "coalesce(replace(message_id::text, '-', ''), id::text)"
"""The SQL of a message's id behind the name of its service and a colon.

A row of before has no id of its own; its consumers remember it by its number.
"""
RELAY_BATCH = 200
"""Rows published per round trip of confirms."""
SAFETY_NET_SECONDS = 5.0
"""How long the relay sleeps when nobody wakes it; only rows written by another process wait for this."""
BETWEEN_ROUNDS = 0.01
"""From the beginning of one round to that of the next, in seconds, unless a batch was full.

Where commits follow one another, what some of them have written leaves in one round: it costs the database
and the broker hardly more than the rows of one. A row that comes alone waits for nothing.
"""
REST_SECONDS = 60.0
"""How long a row rests that the broker has refused, for want of a queue or for its size.

It stays unpublished, hence visible.
"""


def table(metadata: sa.MetaData) -> sa.Table:
    """Declare the outbox of a service."""
    return sa.Table(
        "outbox",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column(
            "message_id",
            sa.Uuid,
            server_default=sa.text(NEVER_AGAIN),
            comment="what consumers remember; null: of before, known by service and id",
        ),
        sa.Index("ix_outbox_unpublished", "id", postgresql_where=sa.text("published_at IS NULL")),
    )


def tell(event: type[Event], rows: str, where: str = "", **columns: str) -> str:
    """Return SQL that writes one event per row of the CTE `rows`, packed into messages of at most 500 items.

    Every field of the contract is taken from the column of the same name unless `columns` gives
    another expression, so a field that no column feeds is an error of PostgreSQL at the first test,
    not a surprise at the consumer. Events without a consumer among the services are published like
    all others: whoever is bound to the exchange gets what docs/asyncapi.json promises.
    """
    pairs = ", ".join(f"'{field}', {columns.get(field, field)}" for field in fields_of(event))
    return (
        f"SELECT '{event.topic()}' AS topic, json_agg(json_build_object({pairs}))::text AS body"
        f" FROM (SELECT *, (row_number() OVER () - 1) / {MAX_ITEMS} AS chunk FROM {rows} {where}) AS packed"
        " GROUP BY chunk"
    )


def insert(*selects: str) -> str:
    """Return the insert into the outbox of what several `tell`s select."""
    return f"INSERT INTO outbox (topic, body) {' UNION ALL '.join(selects)}"


_EMIT = sa.text("""
    INSERT INTO outbox (topic, body)
    SELECT topic, body FROM json_to_recordset(CAST(:items AS json)) AS i(topic text, body text)""")


def emit(tx: Connection, items: Iterable[Event]) -> None:
    """Write events that Python already holds; same packing, same transaction as the change."""
    by_topic: dict[str, list[Event]] = {}
    for item in items:
        by_topic.setdefault(item.topic(), []).append(item)
    rows = [
        {"topic": topic, "body": msgspec.json.encode(some[at : at + MAX_ITEMS]).decode()}
        for topic, some in by_topic.items()
        for at in range(0, len(some), MAX_ITEMS)
    ]
    if rows:
        db.run(tx, _EMIT, rows)


_CLAIM = sa.text(
    f"SELECT id, {MESSAGE_ID} AS message_id, topic, body,"
    " extract(epoch FROM clock_timestamp() - created_at) AS age FROM outbox"
    " WHERE published_at IS NULL AND id <> ALL(CAST(:resting AS bigint[]))"
    " ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED"  # SKIP LOCKED: another relay has them
)
_MARK = sa.text("UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(:ids)")
_BACKLOG = sa.text("""
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)
    FROM (SELECT created_at FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :most) AS waiting""")
MOST_COUNTED = 10_000
"""Rows that wait are counted up to here, so that a look at them stays cheap after an outage of hours."""


def message_of(service: str, row: sa.Row[Any], mandatory: bool) -> Message:
    """Return a row of the outbox as it is published, each time under the same id."""
    return Message(role(service), row.topic, f"{service}:{row.message_id}", row.body, mandatory)


class Relay:
    """Publishes the outbox of one service in batches; any number may run at once.

    `wake()` is called after each commit; while nothing is written the relay sleeps.
    """

    def __init__(self, service: str, engine: sa.Engine, publisher: Publisher) -> None:
        self.service = service
        self.engine = engine
        self.publisher = publisher
        # only these are published as `mandatory`: an event that nobody here consumes may have no queue
        self._routed = {topic for topic, event in events().items() if publisher.topology.hears(event)}
        self._resting: dict[int, float] = {}
        self._next = 0.0
        metrics.OUTBOX_LAG.labels(service)
        metrics.RELAY_FAILURES.labels(service)
        metrics.ITEMS_SET_ASIDE.labels(service, "relay")
        self.loop = background.Loop("relay", self.turn, SAFETY_NET_SECONDS)

    def wake(self) -> None:
        """Say that there may be something to publish."""
        self.loop.wake.set()

    def publish_some(self) -> int:
        """Publish up to one batch and mark it; return how many rows.

        Raises:
            PublishFailed: The broker did not confirm in time; the rows stay and are tried again.

        """
        with db.begin(self.engine) as tx:
            rows = self._claim(tx)
            if rows:
                self._publish(rows)
                db.prepared(tx, _MARK, ids=[row.id for row in rows])
                for row in rows:
                    metrics.OUTBOX_LAG.labels(self.service).observe(max(0.0, float(row.age)))
        return len(rows)

    def _claim(self, tx: Connection) -> Sequence[sa.Row[Any]]:
        return db.prepared(tx, _CLAIM, limit=RELAY_BATCH, resting=self._rests()).all()

    def _publish(self, rows: Sequence[sa.Row[Any]]) -> None:
        self.publisher.publish([message_of(self.service, row, row.topic in self._routed) for row in rows])

    def publish_each(self) -> int:
        """Publish a batch row by row; return how many got through.

        Those that the broker refuses rest for a while, so that they do not hold up the others.
        """
        done = []
        with db.begin(self.engine) as tx:
            for row in self._claim(tx):
                try:
                    self._publish([row])
                    done.append(row.id)
                except PublishRefused as error:
                    self._resting[row.id] = time.monotonic() + REST_SECONDS
                    metrics.ITEMS_SET_ASIDE.labels(self.service, "relay").inc()
                    log.error(
                        "%s: the broker refuses message %d of %s: %s; it rests",
                        self.service,
                        row.id,
                        row.topic,
                        error,
                    )
            db.prepared(tx, _MARK, ids=done)
        return len(done)

    def _rests(self) -> list[int]:
        """Return the rows that rest now."""
        now = time.monotonic()
        self._resting = {row: until for row, until in self._resting.items() if until > now}
        return list(self._resting)

    def turn(self, machinery: Any = None) -> float | None:
        """Publish what there is; one turn of the background loop."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + BETWEEN_ROUNDS
        try:
            while self.publish_some() == RELAY_BATCH:
                pass  # a full batch says that there may be more
            return None
        except PublishRefused:
            # one bad row fails its whole batch, so find it
            metrics.RELAY_FAILURES.labels(self.service).inc()
            self.publish_each()
            return 0
        except PublishFailed as error:
            metrics.RELAY_FAILURES.labels(self.service).inc()
            raise background.Away(str(error)) from error
        except Exception as error:
            if failures.is_transient(error):
                metrics.RELAY_FAILURES.labels(self.service).inc()
            raise

    def run(self, service: background.Service) -> None:
        """Publish until the service stops, and what is left then in a last round.

        There is no last round to a bus that has just not answered.
        """
        try:
            if background.run(service, self.loop):
                with contextlib.suppress(Exception):
                    self.turn()
        finally:
            self.publisher.close()


def backlog(tx: Connection) -> tuple[int, float]:
    """Return how many messages wait to be published, up to a bound, and the age of the oldest in seconds."""
    row = tx.execute(_BACKLOG, {"most": MOST_COUNTED}).one()
    return int(row[0]), float(row[1])
