"""Idempotent consumers: which messages had their effect, and which items failed.

A message's id is written in the transaction of its effect. What fails for good is set aside item by
item, tried again with growing pauses kept in PostgreSQL, and becomes a dead letter for a person to
look at; it never blocks its neighbours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db, failures, metrics
from shared.guard import guarded
from shared.messages import Event

Part = TypeVar("Part")
Handler = Callable[[Connection, list[Any]], object]
"""Handles all items of one event in the given transaction; order within a batch means nothing."""

LIMITS = db.Limits(statement=20.0, lock=3.0)
"""For a transaction over events: nobody waits for its answer, but other messages wait for its end."""
PARTS = 8
"""Into how many parts a batch is cut that failed as a whole."""
PIECE_BYTES = 400_000
"""The most of a batch that one transaction takes; some 5,000 short items."""
RETRY_AFTER = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=5))
"""Pauses before each new try of a failed item; then it is a dead letter."""


class Incoming(NamedTuple):
    """One message as it came: its id, its topic and its body, still undecoded."""

    message_id: str
    topic: str
    body: bytes


def tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Declare the inbox of a service and the table of failed items."""
    inbox = sa.Table(
        "inbox",
        metadata,
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column(
            "handled_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
    )
    failed = sa.Table(
        "failed_messages",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), comment="null: a dead letter"),
        sa.Index("ix_failed_messages_due", "next_attempt_at"),
    )
    return inbox, failed


_TAKE = sa.text(
    "INSERT INTO inbox (message_id) SELECT unnest(CAST(:ids AS text[])) ORDER BY 1"
    " ON CONFLICT DO NOTHING RETURNING message_id"
)
_SET_ASIDE = sa.text(
    "INSERT INTO failed_messages (message_id, topic, body, error, attempts, failed_at, next_attempt_at)"
    " VALUES (:message_id, :topic, :body, :error, :attempts, :now, :next)"
)
_DUE = sa.text(
    "SELECT * FROM failed_messages WHERE next_attempt_at <= :now"
    " ORDER BY next_attempt_at LIMIT 100 FOR UPDATE SKIP LOCKED"
)
_NEXT_DUE = sa.text("SELECT min(next_attempt_at) FROM failed_messages")
_FAILED_AGAIN = sa.text(
    "UPDATE failed_messages"
    " SET attempts = attempts + 1, error = :error, failed_at = :now, next_attempt_at = :next"
    " WHERE id = :id"
)
_GONE = sa.text("DELETE FROM failed_messages WHERE id = :id")
_DEAD = sa.text("SELECT count(*) FROM failed_messages WHERE next_attempt_at IS NULL")


def dead(tx: Connection) -> int:
    """Return how many items failed for good and wait for a person."""
    return int(tx.scalar(_DEAD) or 0)


def _tell_nobody() -> None:
    """Stand in for whoever wants to know that an item was set aside."""


class Inbox:
    """Applies batches of messages to one service's database, each message once."""

    def __init__(self, service: str, database: db.Database, handlers: Mapping[type[Event], Handler]) -> None:
        self.service = service
        self.database = database
        self.handlers = {event.topic(): (event, guarded(handler)) for event, handler in handlers.items()}
        self.on_set_aside: Callable[[], None] = _tell_nobody
        self.decoders = {
            topic: msgspec.json.Decoder(list[event])  # type: ignore[valid-type]
            for topic, (event, _) in self.handlers.items()
        }

    def apply(self, batch: Sequence[Incoming]) -> None:
        """Give every message of the batch its effect, exactly once, or set its bad items aside.

        Events of one batch are applied in the order in which the service lists them: what opens
        before what ends.

        One transaction for the whole batch, or for each piece of it of about `PIECE_BYTES`, so that
        a flood of long lists keeps no lock and no connection for seconds; if that fails, smaller
        parts, and at last single items. A part that collides with other work or takes too long is
        isolated like any other: its items are tried again later, and their neighbours do not wait
        for them.

        Raises:
            Exception: `failures.is_away`, the database takes no work; nothing of the rest was done,
                apply the same batch again.

        """
        for piece in _pieces(batch):
            try:
                failures.once_more(partial(self._apply, piece))
            except Exception as error:
                if failures.is_away(error):
                    raise
                if len(piece) > 1:
                    for part in parts(piece):
                        self.apply(part)
                else:
                    self._isolate(piece[0], error)

    def _apply(self, batch: Sequence[Incoming]) -> None:
        with self.database.transaction(limits=LIMITS) as tx:
            # what is not fresh had its effect before; what is twice in this batch counts once
            fresh = set(db.prepared(tx, _TAKE, ids=[message.message_id for message in batch]).scalars())
            by_topic: dict[str, list[Any]] = {}
            for message in batch:
                if message.message_id in fresh:
                    fresh.discard(message.message_id)
                    by_topic.setdefault(message.topic, []).extend(self._decode(message))
            # in the order of the service's table, not in that of arrival
            for topic, (_, handler) in self.handlers.items():
                if topic in by_topic:
                    handler(tx, by_topic[topic])

    def _decode(self, message: Incoming) -> list[Any]:
        decoder = self.decoders.get(message.topic)
        if decoder is None:
            raise ValueError(f"{self.service} does not consume {message.topic!r}")
        return list(decoder.decode(message.body))

    def _isolate(self, message: Incoming, error: Exception) -> None:
        """Apply the items of one bad message one by one, and set aside what fails.

        A message that cannot be read is set aside whole.
        """
        items = self._items(message)
        with self.database.transaction(limits=LIMITS) as tx:
            if not list(tx.scalars(_TAKE, {"ids": [message.message_id]})):
                return
            if not items:
                self._set_aside(tx, message, message.body, error, retry=failures.is_contended(error))
            collided: Exception | None = error if failures.is_contended(error) else None
            for raw in items:
                # after one collision the rest is set aside untried,
                # since each try may wait for a lock as long again
                problem = collided or self._try_one(tx, message.topic, bytes(raw))
                if problem is not None:
                    self._set_aside(tx, message, bytes(raw), problem, retry=True)
                    collided = problem if failures.is_contended(problem) else None
        self.on_set_aside()  # after the commit: who is woken by it finds the item

    def _items(self, message: Incoming) -> list[msgspec.Raw]:
        """Return the items of a message, unread; none if it is no list, or nothing for this service."""
        if message.topic in self.handlers:
            # whatever a reader may raise over bytes: no JSON, no list, nested too deeply
            with contextlib.suppress(Exception):
                return msgspec.json.decode(message.body, type=list[msgspec.Raw])
        return []

    def _try_one(self, tx: Connection, topic: str, raw: bytes) -> Exception | None:
        """Handle one item in a savepoint; return what went wrong with it.

        It raises only when the database is away.
        """
        try:
            with tx.begin_nested():
                self._handle_one(tx, topic, raw)
        except Exception as error:
            if failures.is_away(error):
                raise
            return error
        return None

    def _handle_one(self, tx: Connection, topic: str, raw: bytes) -> None:
        event, handler = self.handlers[topic]
        handler(tx, [msgspec.json.decode(raw, type=event)])

    def _set_aside(
        self, tx: Connection, message: Incoming, body: bytes, error: Exception, retry: bool
    ) -> None:
        metrics.MESSAGES_FAILED.labels(
            self.service, message.topic if message.topic in self.handlers else "unknown"
        ).inc()
        now = clock.now()
        tx.execute(
            _SET_ASIDE,
            {
                "message_id": message.message_id,
                "topic": message.topic,
                "body": storable(body),
                "error": storable(failures.words(error)),  # which may quote the message
                "attempts": 1,
                "now": now,
                "next": now + RETRY_AFTER[0] if retry else None,
            },
        )

    def retry_due(self) -> float | None:
        """Try the failed items that are due; return the seconds until the next one is, None if there is none.

        An item that collides or takes too long counts as failed again, like any other: it must not
        be tried for ever.
        """
        with self.database.transaction(limits=LIMITS) as tx:
            now = clock.now()
            for row in tx.execute(_DUE, {"now": now}).all():
                error = self._try_one(tx, row.topic, row.body.encode())
                if error is None:
                    tx.execute(_GONE, {"id": row.id})
                    continue
                pause = RETRY_AFTER[row.attempts] if row.attempts < len(RETRY_AFTER) else None
                tx.execute(
                    _FAILED_AGAIN,
                    {
                        "id": row.id,
                        "error": storable(failures.words(error)),
                        "now": now,
                        "next": now + pause if pause else None,
                    },
                )
                if failures.is_contended(error):
                    break  # what was done is committed now; the others come with the next call
            due = tx.scalar(_NEXT_DUE)
        return None if due is None else max(0.0, (due - clock.now()).total_seconds())


def _pieces(batch: Sequence[Incoming]) -> Iterator[Sequence[Incoming]]:
    """Cut a batch where it grows beyond PIECE_BYTES; a single message stays whole."""
    start, size = 0, 0
    for at, message in enumerate(batch):
        if at > start and size + len(message.body) > PIECE_BYTES:
            yield batch[start:at]
            start, size = at, 0
        size += len(message.body)
    yield batch[start:]


def parts(some: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Cut what failed together into a few parts.

    Done again and again, this finds one bad member in a few steps.
    """
    size = -(-len(some) // PARTS)  # rounded up, so that it is never 0
    return (some[at : at + size] for at in range(0, len(some), size))


def storable(text: str | bytes) -> str:
    """Return text as PostgreSQL takes it, whatever came: no NUL, no half characters."""
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    return text.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
