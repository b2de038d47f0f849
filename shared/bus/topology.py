"""Names on the broker, and their declaration.

One topic exchange per publishing service, named after the service. One quorum queue
`<service>.events` per consuming service, bound to the topics its contracts name. One classic queue
each for a service's commands and queries: calls are repeated by their callers, so they need no
replicated log. Everything is declared by whoever starts first, hence no event is ever published
into the void.
"""

from __future__ import annotations

import os

from kombu import Connection, Exchange, Queue, binding

from shared.messages import events
from shared.settings import SERVICES

DELIVERY_LIMIT = 20
"""Deliveries after which RabbitMQ itself sets a message aside: the last line behind our own retries."""
PREFIX = os.environ.get("TUANQIAO_BUS_PREFIX", "")
"""Put before every name on the broker, so that several installations may share one."""
DEAD_QUEUE = f"{PREFIX}dead.events"


def exchange(service: str) -> Exchange:
    """Return the topic exchange of a publishing service."""
    return Exchange(f"{PREFIX}{service}", type="topic", durable=True)


def event_queue(service: str) -> Queue:
    """Return the quorum queue of a consuming service with all its bindings."""
    bindings = [
        binding(exchange(event.publisher), routing_key=topic)
        for topic, event in events().items()
        if service in event.consumers
    ]
    return Queue(
        f"{PREFIX}{service}.events",
        bindings,
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_QUEUE,
        },
    )


def call_queue(service: str, kind: str) -> Queue:
    """Return the queue of a service's `commands` or `queries`."""
    return Queue(f"{PREFIX}{service}.{kind}", durable=True)


def delete(connection: Connection) -> None:
    """Delete every queue and exchange of this installation."""
    channel = connection.channel()
    for service in SERVICES:
        for queue in (event_queue(service), call_queue(service, "commands"), call_queue(service, "queries")):
            channel.queue_delete(queue.name)
        channel.exchange_delete(exchange(service).name)
    channel.queue_delete(DEAD_QUEUE)
    channel.close()


def declare(connection: Connection) -> None:
    """Declare every exchange, queue and binding of the system; repeated without harm."""
    channel = connection.channel()
    for service in SERVICES:  # all exchanges before the first queue, whose bindings name them
        exchange(service)(channel).declare()
    Queue(DEAD_QUEUE, durable=True, queue_arguments={"x-queue-type": "quorum"})(channel).declare()
    for service in SERVICES:
        event_queue(service)(channel).declare()
        for kind in ("commands", "queries"):
            call_queue(service, kind)(channel).declare()
    channel.close()
