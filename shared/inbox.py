"""Idempotent consumers: which messages had their effect, and which items failed.

A message's id is written in the transaction of its effect. What fails for good is set aside item by item, tried again
with growing pauses kept in PostgreSQL, and becomes a dead letter for a person to look at; it never blocks its neighbours.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db, metrics
from shared.guard import guarded
from shared.messages import Event

Handler = Callable[[Connection, list[Any]], object]
"""Handles all items of one event in the given transaction; order within a batch means nothing."""

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
        "inbox", metadata,
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
    )
    failed = sa.Table(
        "failed_messages", metadata,
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


_TAKE = sa.text("INSERT INTO inbox (message_id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT DO NOTHING RETURNING message_id")
_SET_ASIDE = sa.text("INSERT INTO failed_messages (message_id, topic, body, error, attempts, failed_at, next_attempt_at)"
                     " VALUES (:message_id, :topic, :body, :error, :attempts, :now, :next)")
_DUE = sa.text("SELECT * FROM failed_messages WHERE next_attempt_at <= :now ORDER BY next_attempt_at LIMIT 100 FOR UPDATE SKIP LOCKED")
_NEXT_DUE = sa.text("SELECT min(next_attempt_at) FROM failed_messages")
_FAILED_AGAIN = sa.text("UPDATE failed_messages SET attempts = attempts + 1, error = :error, failed_at = :now, next_attempt_at = :next WHERE id = :id")
_GONE = sa.text("DELETE FROM failed_messages WHERE id = :id")
_DEAD = sa.text("SELECT count(*) FROM failed_messages WHERE next_attempt_at IS NULL")


class Inbox:
    """Applies batches of messages to one service's database, each message once."""

    def __init__(self, service: str, database: db.Database, handlers: Mapping[type[Event], Handler]) -> None:
        self.service = service
        self.database = database
        self.handlers = {event.topic(): (event, guarded(handler)) for event, handler in handlers.items()}
        self.on_set_aside: Callable[[], None] = lambda: None
        self.decoders = {topic: msgspec.json.Decoder(list[event]) for topic, (event, _) in self.handlers.items()}  # type: ignore[valid-type]

    def apply(self, batch: Sequence[Incoming]) -> None:
        """Give every message of the batch its effect, exactly once, or set its bad items aside.

        Events of one batch are applied in the order in which the service lists them: what opens before what ends.

        One transaction for the whole batch, or for each piece of it of about `PIECE_BYTES`, so that a flood of long lists keeps no lock and no
        connection for seconds; if that fails, halves, and at last single items.

        Raises:
            db.TRANSIENT: PostgreSQL does not answer; nothing was done, apply the same batch again.

        """
        for piece in _pieces(batch):
            try:
                self._apply(piece)
            except db.TRANSIENT:
                raise
            except Exception as error:
                if len(piece) > 1:
                    middle = len(piece) // 2
                    self.apply(piece[:middle])
                    self.apply(piece[middle:])
                else:
                    self._isolate(piece[0], error)

    def _apply(self, batch: Sequence[Incoming]) -> None:
        with self.database.transaction() as tx:
            fresh = set(tx.scalars(_TAKE, {"ids": [message.message_id for message in batch]}))
            by_topic: dict[str, list[Any]] = {}
            for message in batch:
                if message.message_id in fresh:
                    fresh.discard(message.message_id)
                    by_topic.setdefault(message.topic, []).extend(self._decode(message))
            for topic in (one for one in self.handlers if one in by_topic):
                self.handlers[topic][1](tx, by_topic[topic])

    def _decode(self, message: Incoming) -> list[Any]:
        decoder = self.decoders.get(message.topic)
        if decoder is None:
            raise ValueError(f"{self.service} does not consume {message.topic!r}")
        return list(decoder.decode(message.body))

    def _isolate(self, message: Incoming, error: Exception) -> None:
        """Apply the items of one bad message one by one; set aside what fails, the message itself if it cannot be read."""
        try:
            items = msgspec.json.decode(message.body, type=list[msgspec.Raw])
            if message.topic not in self.handlers:
                raise ValueError("unknown topic")
        except (ValueError, msgspec.MsgspecError):
            items = []
        with self.database.transaction() as tx:
            if not list(tx.scalars(_TAKE, {"ids": [message.message_id]})):
                return
            if not items:
                self._set_aside(tx, message, message.body, error, retry=False)
            for raw in items:
                try:
                    with tx.begin_nested():
                        self._handle_one(tx, message.topic, bytes(raw))
                except db.TRANSIENT:
                    raise
                except Exception as one_error:
                    self._set_aside(tx, message, bytes(raw), one_error, retry=True)

    def _handle_one(self, tx: Connection, topic: str, raw: bytes) -> None:
        event, handler = self.handlers[topic]
        handler(tx, [msgspec.json.decode(raw, type=event)])

    def _set_aside(self, tx: Connection, message: Incoming, body: bytes, error: Exception, retry: bool) -> None:
        metrics.MESSAGES_FAILED.labels(self.service, message.topic if message.topic in self.handlers else "unknown").inc()
        now = clock.now()
        tx.execute(_SET_ASIDE, {
            "message_id": message.message_id, "topic": message.topic, "body": body.decode("utf-8", "replace").replace("\0", "�"), "error": _words(error),
            "attempts": 1, "now": now, "next": now + RETRY_AFTER[0] if retry else None})
        self.on_set_aside()

    def retry_due(self) -> float | None:
        """Try the failed items that are due; return the seconds until the next one is, None if there is none."""
        with self.database.transaction() as tx:
            now = clock.now()
            for row in tx.execute(_DUE, {"now": now}).all():
                try:
                    with tx.begin_nested():
                        self._handle_one(tx, row.topic, row.body.encode())
                    tx.execute(_GONE, {"id": row.id})
                except db.TRANSIENT:
                    raise
                except Exception as error:
                    pause = RETRY_AFTER[row.attempts] if row.attempts < len(RETRY_AFTER) else None
                    tx.execute(_FAILED_AGAIN, {"id": row.id, "error": _words(error), "now": now, "next": now + pause if pause else None})
            metrics.DEAD_LETTERS.labels(self.service).set(tx.scalar(_DEAD) or 0)
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


def _words(error: Exception) -> str:
    """Return the kind of an error and its first line; never the values, which may be personal data."""
    first = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {first}"[:300]
