"""The bus inside one process: kombu's memory transport with the broker semantics that the system relies on.

What differs from kombu's own: every queue gets its own copy of a message; prefetch counts per
queue; a message put back goes to its one queue; waiting is waiting and not polling; an unroutable
`mandatory` message is refused; and a *confirm* means that every consumer has acknowledged, since
nothing else here is durable. So the outbox row stays unpublished until its effects are committed,
and kill -9 loses nothing.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections import Counter, defaultdict, deque
from queue import Empty
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import memory, virtual

_tags = itertools.count(1)


class QoS(virtual.QoS):  # type: ignore[misc]
    """Unacknowledged messages, counted per queue as RabbitMQ does per consumer."""

    restore_at_shutdown = False

    def __init__(self, channel: Channel, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self.in_flight: Counter[str] = Counter()

    def can_consume(self) -> bool:
        """Say that the channel may always look; `room` decides per queue."""
        return True

    def room(self, queue: str) -> bool:
        """Return whether `queue` may deliver one more."""
        return not self.prefetch_count or self.in_flight[queue] < self.prefetch_count

    def append(self, message: Any, delivery_tag: int) -> None:
        """Take note of a delivery."""
        self._delivered[delivery_tag] = message
        self.in_flight[message.delivery_info["queue"]] += 1

    def _forget(self, delivery_tag: int) -> Any:
        message = self._delivered.pop(delivery_tag, None)
        if message is not None:
            self.in_flight[message.delivery_info["queue"]] -= 1
            self.channel.connection.wakeup.set()
        return message

    def ack(self, delivery_tag: int) -> None:
        """Settle a delivery and confirm it to its publisher."""
        if self._forget(delivery_tag) is not None:
            Channel.confirm(delivery_tag)

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Put a delivery back into its one queue, or drop it."""
        message = self._forget(delivery_tag)
        if message is None:
            return
        if requeue:
            self.channel._restore(message)
        else:
            Channel.confirm(delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put back what a closing channel did not settle."""
        for tag in list(self._delivered):
            self.reject(tag, requeue=True)


class Channel(memory.Channel):  # type: ignore[misc]
    """A channel on queues shared by all connections of the process."""

    QoS = QoS
    body_encoding = None
    queues: dict[str, deque[Any]] = {}
    origins: dict[int, Channel] = {}
    """Delivery tag -> the confirming channel that published it."""

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.confirming = False
        self.unconfirmed: set[int] = set()
        self.settled = threading.Event()

    def confirm_select(self) -> None:
        """Ask for confirms of everything published from here on."""
        self.confirming = True

    def wait_for_confirms(self, timeout: float) -> bool:
        """Wait until all that was published is acknowledged by its consumers; return whether it was."""
        ends = monotonic() + timeout
        while self.unconfirmed:
            self.settled.clear()
            left = ends - monotonic()
            if left <= 0:
                return False
            self.settled.wait(left)
        return True

    @classmethod
    def confirm(cls, tag: int) -> None:
        """Tell the publisher of `tag` that one copy is settled."""
        origin = cls.origins.pop(tag, None)
        if origin is not None:
            origin.unconfirmed.discard(tag)
            origin.settled.set()

    def prepare_message(
        self,
        body: Any,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Any = None,
        properties: Any = None,
    ) -> Any:
        """Keep the content type among the properties, where RabbitMQ has it."""
        properties = dict(properties or {}, content_type=content_type, content_encoding=content_encoding)
        return super().prepare_message(body, priority, content_type, content_encoding, headers, properties)

    def basic_publish(
        self, message: Any, exchange: str = "", routing_key: str = "", mandatory: bool = False, **kwargs: Any
    ) -> None:
        """Publish; refuse a `mandatory` message that cannot be routed."""
        queues = self._lookup(exchange, routing_key) if exchange else [routing_key]
        if mandatory and not any(queue in self.queues for queue in queues):
            raise ChannelError("NO_ROUTE", (60, 40), "Basic.publish", "312")
        super().basic_publish(message, exchange, routing_key)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self.queues.setdefault(queue, deque())

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in self.queues

    def _size(self, queue: str) -> int:
        return len(self.queues.get(queue, ()))

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        for message in self.queues.pop(queue, ()):
            self.confirm(message["properties"]["delivery_tag"])

    def _purge(self, queue: str) -> int:
        size = self._size(queue)
        for message in self.queues.get(queue, ()):
            self.confirm(message["properties"]["delivery_tag"])
        self.queues[queue] = deque()
        return size

    def queue_delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        """Delete a queue, bound or not."""
        super().queue_delete(queue, *args, **kwargs)
        self._delete(queue)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        if queue not in self.queues:
            return  # the default exchange drops what names no queue, as RabbitMQ does
        own = dict(message)
        properties = own["properties"] = copy.deepcopy(message["properties"])
        properties["delivery_tag"] = next(_tags)
        properties["delivery_info"]["queue"] = queue
        origin = kwargs.get("origin") or (self if self.confirming else None)
        if origin is not None:
            self.origins[properties["delivery_tag"]] = origin
            origin.unconfirmed.add(properties["delivery_tag"])
        self.queues[queue].append(own)
        self._wake(queue)

    def _wake(self, queue: str) -> None:
        for transport in list(Transport.consuming.get(queue, ())):
            transport.wakeup.set()

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        if not self.qos.room(queue) or not self.queues.get(queue):
            raise Empty
        return self.queues[queue].popleft()

    def _restore(self, message: Any) -> None:
        tag = message.delivery_tag
        origin = self.origins.pop(tag, None)
        if origin is not None:
            origin.unconfirmed.discard(tag)
        queue = message.delivery_info["queue"]
        self._put(queue, dict(message.serializable(), redelivered=True), origin=origin)
        if self.queues.get(queue):
            self.queues[queue].rotate(1)  # from the end to the front, where it was

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Settle one delivery, or all of this channel up to it."""
        tags = [tag for tag in self.qos._delivered if tag <= delivery_tag] if multiple else [delivery_tag]
        for tag in tags:
            self.qos.ack(tag)

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> None:
        """Consume, and be woken by what arrives."""
        Transport.consuming[queue].add(self.connection)
        super().basic_consume(queue, *args, **kwargs)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue:
            Transport.consuming[queue].discard(self.connection)

    def close(self) -> None:
        """Close and put back what is not settled; the queues are everybody's and stay."""
        # past kombu's own `close`, which drops the queues
        super(memory.Channel, self).close()


class Transport(memory.Transport):  # type: ignore[misc]
    """The process-wide broker."""

    Channel = Channel
    consuming: defaultdict[str, set[Any]] = defaultdict(set)
    recoverable_connection_errors = memory.Transport.connection_errors
    recoverable_channel_errors = ()

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.wakeup = threading.Event()

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message, or raise `socket.timeout` after `timeout` seconds."""
        ends = None if timeout is None else monotonic() + timeout
        while True:
            self.wakeup.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left = None if ends is None else ends - monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError from None
                self.wakeup.wait(left)
