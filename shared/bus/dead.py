"""The broker's dead queue: messages that it has delivered in vain too often, or that no queue could keep.

What a service cannot handle it sets aside in its own table. Here ends what kills a process each
time, with its neighbours, or what the broker itself gives up. Nobody consumes the queue: it is
counted (`tuanqiao_dead_messages`), and a person lists, shows and replays it (`tuanqiao dead-letters`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import kombu

from shared.bus.topology import Topology

CONFIRM_SECONDS = 10.0
"""The longest a replayed message waits for its confirm."""


class Dead(NamedTuple):
    """A dead message: its id and topic, the queue that lost it, why, and when, as the broker says."""

    message_id: str
    topic: str
    queue: str
    reason: str
    died_at: str
    message: Any

    @property
    def letter(self) -> str:
        """Return its name on the command line."""
        return f"broker:{self.message_id}"

    @property
    def text(self) -> str:
        """Return its body as text."""
        body = self.message.body
        return body if isinstance(body, str) else bytes(body).decode("utf-8", "replace")


class Homeless(Exception):
    """A message that none of our queues has lost: nobody knows where to give it back to."""


def topic_of(message: Any) -> str:
    """Return the topic of a message.

    A message that went straight into a queue, by `replay` or by the broker's own tools, has the
    queue's name for a routing key; its publisher wrote the topic into the CloudEvents type, too.
    """
    key = message.delivery_info.get("routing_key") or ""
    kind = (message.headers or {}).get("cloudEvents:type")
    if message.delivery_info.get("exchange") or not isinstance(kind, str):
        return str(key)
    return kind.rpartition(".")[2]


def count(connection: kombu.Connection, topology: Topology) -> int:
    """Return how many messages wait in the dead queue, which has to be there."""
    channel = connection.channel()
    waiting: int = channel.queue_declare(topology.dead_queue, passive=True).message_count
    channel.close()
    return waiting


def look(channel: Any, topology: Topology) -> Iterator[Dead]:
    """Yield the dead messages, oldest first; those that are not acknowledged stay when the channel ends.

    From RabbitMQ 4.0 on each look counts as a delivery, of which a queue allows twenty unless a policy
    sets its `delivery-limit` to -1.
    """
    queue = kombu.Queue(topology.dead_queue)(channel)
    for _ in range(channel.queue_declare(topology.dead_queue, passive=True).message_count):
        message = queue.get(no_ack=False)
        if message is None:  # somebody else looks at them, too
            return
        yield _read(message)


def _read(message: Any) -> Dead:
    deaths = (message.headers or {}).get("x-death") or [{}]
    death = deaths[0]  # the latest
    return Dead(
        str(message.properties.get("message_id") or ""),
        topic_of(message),
        str(death.get("queue", "")),
        str(death.get("reason", "")),
        str(death.get("time", "")),
        message,
    )


def replay(channel: Any, dead: Dead) -> None:
    """Give a message back to the queue that lost it, and to no other, with its id and its topic.

    Whoever is killed between the broker's confirm and the acknowledgement leaves it in both queues;
    the inbox of the service has it once.

    Raises:
        Homeless: None of our queues has lost it.
        OSError, amqp.AMQPError: The broker did not confirm in time. In both cases it stays dead.

    """
    message = dead.message
    if not dead.queue:
        raise Homeless(f"{dead.letter} has not died in a queue; it stays")
    prepared = channel.prepare_message(
        message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=message.headers,
        properties={"message_id": dead.message_id, "delivery_mode": 2},
    )
    # the default exchange leads to the queue of that name
    channel.basic_publish_confirm(
        prepared, exchange="", routing_key=dead.queue, mandatory=True, confirm_timeout=CONFIRM_SECONDS
    )
    message.ack()
