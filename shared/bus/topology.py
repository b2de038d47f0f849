"""Names on the broker, and their declaration.

One topic exchange per publishing service, named after its role. One quorum queue
`<service>.events` per consuming service, bound to the topics its contracts name. One classic queue
each for a service's commands and queries: calls are repeated by their callers, so they need no
replicated log, and their queues end with the node that they live on, so that they can be declared at
another one at once. Everything is declared by whoever starts first, hence no event is ever published
into the void.
"""

from __future__ import annotations

from dataclasses import dataclass

from amqp.exceptions import PreconditionFailed
from kombu import Connection, Exchange, Queue, binding

from shared.messages import Event, events
from shared.settings import SERVICES, Settings, bridge, role


def publishers() -> list[str]:
    """Return whoever has an exchange: every service, and the bridges together one."""
    return sorted({*SERVICES, *(event.publisher for event in events().values())})


DELIVERY_LIMIT = 20
"""Deliveries after which RabbitMQ itself sets a message aside: the last line behind our own retries.

Up to 4.2 it counts every way in which a message comes back, and from 4.3 on each but a `basic.nack`:
only what kills its process each time may get there.
"""


@dataclass(frozen=True)
class Topology:
    """The names of one installation; `prefix` stands before each, so that several may share a broker.

    Each of its `peers` has a bridge, which is a service of its own. All of them publish to one exchange, and
    each is told all that is meant for bridges.
    """

    prefix: str = ""
    peers: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Topology:
        """Return the names of an installation."""
        return cls(settings.bus_prefix, settings.peers)

    @property
    def services(self) -> tuple[str, ...]:
        """Return who has queues."""
        return (*SERVICES, *map(bridge, self.peers))

    def hears(self, event: type[Event]) -> bool:
        """Return whether there is anybody here whom an event is told."""
        return any(role(service) in event.consumers for service in self.services)

    @property
    def dead_queue(self) -> str:
        """Return where messages end that nobody can take."""
        return f"{self.prefix}dead.events"

    def exchange(self, service: str) -> Exchange:
        """Return the topic exchange of a publishing service."""
        return Exchange(f"{self.prefix}{service}", type="topic", durable=True)

    def event_queue(self, service: str) -> Queue:
        """Return the quorum queue of a consuming service with all its bindings."""
        bindings = [
            binding(self.exchange(event.publisher), routing_key=topic)
            for topic, event in events().items()
            if role(service) in event.consumers
        ]
        return Queue(
            f"{self.prefix}{service}.events",
            bindings,
            durable=True,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.dead_queue,
            },
        )

    def call_queue(self, service: str, kind: str) -> Queue:
        """Return the queue of a service's `commands` or `queries`.

        Not durable: the name of a durable queue is taken for as long as its node is away.
        """
        return Queue(f"{self.prefix}{service}.{kind}", durable=False)

    def delete(self, connection: Connection) -> None:
        """Delete every queue and exchange of this installation."""
        channel = connection.channel()
        for queue in self._call_queues():
            channel.queue_delete(queue.name)
        for service in self.services:
            channel.queue_delete(self.event_queue(service).name)
        for publisher in publishers():
            channel.exchange_delete(self.exchange(publisher).name)
        channel.queue_delete(self.dead_queue)
        channel.close()

    def declare(self, connection: Connection) -> None:
        """Declare every exchange, queue and binding of the system; repeated without harm.

        Everything leaves at once, and the broker is waited for at the end: ninety answers, one after
        the other, would take ninety times the way there and back at each connection.

        Raises:
            amqp.AMQPError: The broker has something else under one of the names.

        """
        channel = connection.channel()
        for publisher in publishers():  # all exchanges before the first queue, whose bindings name them
            self.exchange(publisher)(channel).declare(nowait=True)
        for service in self.services:
            queue = self.event_queue(service)(channel)
            queue.queue_declare(nowait=True)
            for one in queue.bindings:  # kombu's `declare` would declare and await each exchange again
                one.bind(queue, nowait=True)
        # awaited, as the last of each channel: while a channel closes, py-amqp hides what was refused
        Queue(self.dead_queue, durable=True, queue_arguments={"x-queue-type": "quorum"})(channel).declare()
        channel.close()
        try:
            self._declare_calls(connection)
        except PreconditionFailed:
            # versions before 0.3 had durable ones
            with connection.channel() as channel:
                for queue in self._call_queues():
                    channel.queue_delete(queue.name)
            self._declare_calls(connection)

    def _call_queues(self) -> list[Queue]:
        kinds = ("commands", "queries")
        return [self.call_queue(service, kind) for service in self.services for kind in kinds]

    def _declare_calls(self, connection: Connection) -> None:
        queues = self._call_queues()
        with connection.channel() as channel:
            for queue in queues:
                queue(channel).declare(nowait=queue is not queues[-1])
