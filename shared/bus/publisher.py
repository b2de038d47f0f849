"""Publishing in batches with one wait for all confirms, and with an end to every wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import eventlet
import kombu
from amqp.exceptions import ChannelError as ChannelClosed
from eventlet import patcher
from kombu.exceptions import ChannelError

from shared import clock
from shared.bus import connection as broker
from shared.bus.topology import Topology
from shared.settings import Settings

CONFIRM_SECONDS = 10.0
"""The longest a batch waits for its confirms.

Then the connection is dropped and the batch is published again.
"""


class PublishFailed(Exception):
    """The broker did not take the batch; nothing may be assumed, publish it again."""


class PublishRefused(PublishFailed):
    """The broker refused a message of the batch and would refuse it again: no queue for it, or too large."""


class Message(NamedTuple):
    """One message: where to, its id for the consumers' inboxes, its body as JSON text."""

    exchange: str
    topic: str
    message_id: str
    body: str
    mandatory: bool = True


def cloud_event(message: Message) -> dict[str, str]:
    """Return the CloudEvents 1.0 attributes of a message, as headers of the AMQP binding."""
    return {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": message.message_id,
        "cloudEvents:source": f"/tuanqiao/{message.exchange}",
        "cloudEvents:type": f"tuanqiao.{message.exchange}.{message.topic}",
        "cloudEvents:time": clock.now().isoformat(),
    }


class Publisher:
    """One connection that publishes with confirms; made again whenever it is in doubt.

    Not for two threads at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._amqp_uri = settings.amqp_uri
        self.topology = Topology.of(settings)
        self._connection: kombu.Connection | None = None
        self._channel: Any = None
        self._sent = 0
        self._waiting: set[int] = set()
        self._refused: list[str] = []
        self._denials = 0

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish all and return when the broker has confirmed all.

        Raises:
            PublishFailed: One was refused or returned, or the confirms did not come within 10 s.

        """
        failure = PublishFailed("no confirm in time")
        # a write to a frozen broker may block for ever; where eventlet runs, it ends that wait
        limit = eventlet.Timeout(CONFIRM_SECONDS, failure) if patcher.is_monkey_patched("socket") else None
        try:
            self._publish(messages)
        except PublishFailed:
            self.close()
            raise
        except ChannelClosed as error:
            # no such exchange, no right to it, too large: the same message would be refused again
            self.close()
            raise PublishRefused(str(error) or type(error).__name__) from error
        except Exception as error:
            self.close()
            raise PublishFailed(str(error) or type(error).__name__) from error
        finally:
            if limit is not None:
                limit.cancel()

    def _publish(self, messages: Sequence[Message]) -> None:
        if self._connection is None:
            self._open()
        for message in messages:
            self._send(message)
        assert self._connection is not None
        if broker.is_memory(self._connection):
            if not self._channel.wait_for_confirms(CONFIRM_SECONDS):
                raise PublishFailed("consumers did not finish in time")
            return
        ends = time.monotonic() + CONFIRM_SECONDS
        while self._waiting:
            self._connection.drain_events(timeout=max(0.01, ends - time.monotonic()))
        if self._denials:
            raise PublishFailed(f"{self._denials} not taken")
        if self._refused:
            raise PublishRefused("; ".join(self._refused))

    def _send(self, message: Message) -> None:
        """Send one message; its confirm is waited for later, with those of the others."""
        prepared = self._channel.prepare_message(
            message.body,
            content_type="application/json",
            content_encoding="utf-8",
            headers=cloud_event(message),
            properties={"message_id": message.message_id, "delivery_mode": 2},
        )
        self._sent += 1
        self._waiting.add(self._sent)
        try:
            self._channel.basic_publish(
                prepared,
                exchange=self.topology.prefix + message.exchange,
                routing_key=message.topic,
                mandatory=message.mandatory,
            )
        except ChannelError as error:
            raise PublishRefused(f"{message.topic}: {error}") from error

    def _open(self) -> None:
        # no heartbeat: while nothing is published nobody reads the connection, so nobody would answer one
        connection = broker.connect(self._amqp_uri, heartbeat=0)
        try:
            self.topology.declare(connection)
            channel = connection.channel()
            channel.confirm_select()
            if not broker.is_memory(connection):
                channel.events["basic_ack"].add(self._confirmed)
                channel.events["basic_nack"].add(self._denied)
                channel.events["basic_return"].add(self._returned)
        except BaseException:
            broker.drop(connection)
            raise
        self._connection = connection
        self._channel = channel
        self._sent = 0  # the broker counts the messages of a channel from 1 and confirms by number
        self._waiting = set()
        self._refused = []
        self._denials = 0

    def _confirmed(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._waiting = {waiting for waiting in self._waiting if waiting > tag}
        else:
            self._waiting.discard(tag)

    def _denied(self, tag: int, multiple: bool) -> None:
        self._denials += 1
        self._confirmed(tag, multiple)

    def _returned(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._refused.append(f"no queue for {exchange}/{routing_key}")

    def close(self) -> None:
        """Drop the connection; the next `publish` makes a new one."""
        connection, self._connection, self._channel = self._connection, None, None
        broker.drop(connection)
